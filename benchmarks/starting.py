"""How long a command takes to say something: processor time of whole processes, medians.

``python -m benchmarks.starting``. The database has a day's reports of one domain.
"""

import os
import statistics
import sys
import tempfile

from ingest.settings import settings as settings_module

from .answers import DOMAIN, fill
from .pairs import ROUNDS, usage

GOALS = {"--help": 0.4, f"verdict {DOMAIN}": 0.8}


def main() -> int:
    sys.stdout.write(f"Start of commands, seconds of processor time (load average {os.getloadavg()[0]:.2f})\n")
    reached = True
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/start.db"
        fill(settings_module.load(database_url=url), 30).dispose()
        for command, goal in GOALS.items():
            words = [sys.executable, "-m", "dashboard.commands.app", *command.split()]
            expected = 1 if command.startswith("verdict") else 0
            taken = [usage(words, expected, STARTTALLY_DATABASE_URL=url).cpu for _ in range(ROUNDS + 2)]
            median = statistics.median(taken)
            reached = reached and median <= goal
            verdict = "reached" if median <= goal else "MISSED"
            sys.stdout.write(f"{command:44} {median:10.2f} {'':20} goal {goal:g}: {verdict}\n")
    return not reached


if __name__ == "__main__":
    sys.exit(main())
