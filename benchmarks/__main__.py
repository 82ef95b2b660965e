"""``make bench``: every benchmark, one after the other; what they print becomes docs/benchmarks.md.

Ends with 1 when a goal is missed. Nothing else should run on the machine meanwhile: each table says how busy it was.
"""

import datetime as dt
import os
import platform
import subprocess
import sys

from tests.support import ROOT

# What each printed last: a page has a part for each that was ever run here.
OUTPUTS = ROOT / ".cache" / "bench"
PAGE = ROOT / "docs" / "benchmarks.md"
# Each with the arguments that the page shows.
BENCHMARKS = {
    "decoding": [],
    "loading": [],
    "intake": [],
    "door": [],
    "prune": [],
    "answers": ["--days", "720"],
    "fleet": [],
    "starting": [],
}
_HEAD = """# Benchmarks

How fast StartTally is, beside peers and limits, measured side by side in one run: `make bench`, which writes this page. Ratios
count; absolute numbers are those of one small machine. "Processor time" leaves out waiting; medians everywhere.

{machine}, {processors} processors, Python {python}, parsedmarc 11.1.0, Postfix of the distribution.
"""


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    missed = []
    OUTPUTS.mkdir(parents=True, exist_ok=True)
    for name in wanted:
        command = [sys.executable, "-m", f"benchmarks.{name}", *BENCHMARKS[name]]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(f"== {name}\n{ended.stdout}\n")
        sys.stdout.flush()
        missed += [name] if ended.returncode else []
        (OUTPUTS / f"{name}.txt").write_text(f"Measured on {dt.datetime.now(dt.UTC):%Y-%m-%d}.\n\n{ended.stdout}")
    PAGE.write_text("\n".join((_head(), *map(_section, filter(_is_measured, BENCHMARKS)))))
    sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")
    if missed:
        sys.stdout.write(f"goals missed, or ended with an error: {', '.join(missed)}\n")
    return bool(missed)


def _is_measured(name: str) -> bool:
    return (OUTPUTS / f"{name}.txt").exists()


def _section(name: str) -> str:
    when, output = (OUTPUTS / f"{name}.txt").read_text().split("\n\n", 1)
    command = " ".join(["python -m", f"benchmarks.{name}", *BENCHMARKS[name]])
    return f"## {name.capitalize()}\n\n`{command}` {when}\n\n```\n{output.rstrip()}\n```\n"


def _head() -> str:
    return _HEAD.format(
        machine=f"{platform.system()} on {platform.machine()}",
        processors=os.cpu_count(),
        python=platform.python_version(),
    )


if __name__ == "__main__":
    sys.exit(main())
