"""All promises one after the other: ``python -m benchmarks.reliability [--long]``. Ends with 1 when one is broken."""

import subprocess
import sys

from .figures import options

NAMES = (
    *(
        "power_cut",
        "kill_loop",
        "kill_loop --postgresql",
        "sigterm",
        "cut_connections",
        "outage",
        "matrix",
        "slow_peers",
        "bombs",
    ),
    *("attack_throughput", "forgeries", "poison", "quarantine_flood", "dns_silence", "migrations", "payloads"),
)


def main() -> int:
    chosen = options(__doc__).parse_args()
    broken = []
    for name in NAMES:
        module, *arguments = name.split()
        command = [sys.executable, "-m", f"{__package__}.{module}", *arguments, "--seed", str(chosen.seed)]
        with subprocess.Popen([*command, *(["--long"] if chosen.long else [])]) as run:
            try:
                code = run.wait()
            except BaseException:
                run.terminate()  # it puts its own processes away
                raise
        if code:
            broken.append(name)
    print(f"broken promises: {', '.join(broken) or 'none'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
