"""Row 16: SIGTERM under load, again and again: mail in flight is taken or sent away, and nothing acknowledged is lost."""

import signal
import sys

from .accidents import Ended, accidents
from .figures import Figures, options
from .ledger import Ledger, judge
from .load import Load
from .site import site

# The doors let mail in flight finish for 5 seconds; the supervisor (and systemd's unit) allow 8 for all.
_GRACE_SECONDS = 8.0


def run(figures: Figures, *, cycles: int, reports_each: int, seed: int = 1, postgresql: bool = False) -> None:
    ledger = Ledger()
    ended: list[Ended] = []
    with site(postgresql=postgresql) as honest:
        honest.start_all()
        with Load(honest, ledger) as load:
            ended += accidents(
                honest, load, cycles=cycles, reports_each=reports_each, signal_number=signal.SIGTERM, seed=seed
            )
        honest.drain(900)
        figures.show("cycles", cycles)
        judge(figures, ledger, honest)
    figures.show("processes ended with SIGTERM", len(ended))
    for part in ("receive", "work"):
        longest = max((each.seconds for each in ended if each.part == part), default=0.0)
        figures.must(
            f"longest end of `{part}`, seconds", longest, longest < _GRACE_SECONDS, f"within {_GRACE_SECONDS:g} s"
        )
    codes = sorted({each.code for each in ended})
    figures.must("exit codes", str(codes), codes == [0], "each ends by itself with 0")


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--cycles", type=int, help="stop so often (default 10; 100 with --long)")
    parser.add_argument("--postgresql", action="store_true", help="over PostgreSQL instead of SQLite")
    chosen = parser.parse_args()
    figures = Figures("sigterm")
    cycles = chosen.cycles or (100 if chosen.long else 10)
    run(figures, cycles=cycles, reports_each=100, seed=chosen.seed, postgresql=chosen.postgresql)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
