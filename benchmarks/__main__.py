"""``make bench``: every benchmark, one after the other; what they print becomes docs/benchmarks.md.

Ends with 1 when a goal is missed. Nothing else should run on the machine meanwhile: each table says how busy it was.
"""

import datetime as dt
import os
import platform
import subprocess
import sys
from pathlib import Path

from tests.support import ROOT

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

Measured on {when}: {machine}, {processors} processors, Python {python}, parsedmarc 11.1.0, Postfix of the distribution.
"""


def main() -> int:
    wanted = sys.argv[1:] or list(BENCHMARKS)
    page = [_head()]
    missed = []
    for name in wanted:
        command = [sys.executable, "-m", f"benchmarks.{name}", *BENCHMARKS[name]]
        ended = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(f"== {name}\n{ended.stdout}\n")
        sys.stdout.flush()
        missed += [name] if ended.returncode else []
        words = " ".join(["python -m", f"benchmarks.{name}", *BENCHMARKS[name]])
        page.append(f"## {name.capitalize()}\n\n`{words}`\n\n```\n{ended.stdout.rstrip()}\n```\n")
    if wanted == list(BENCHMARKS):
        Path(PAGE).write_text("\n".join(page))
        sys.stdout.write(f"written: {PAGE.relative_to(ROOT)}\n")
    if missed:
        sys.stdout.write(f"goals missed, or ended with an error: {', '.join(missed)}\n")
    return bool(missed)


def _head() -> str:
    return _HEAD.format(
        when=f"{dt.datetime.now(dt.UTC):%Y-%m-%d}",
        machine=f"{platform.system()} on {platform.machine()}",
        processors=os.cpu_count(),
        python=platform.python_version(),
    )


if __name__ == "__main__":
    sys.exit(main())
