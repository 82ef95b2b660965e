"""Row 1: kill -9 of door, worker or both under load, again and again: what was acknowledged is stored, once.

The same loop runs over a door that acknowledges first and writes a moment later; that one must lose reports, or the loop
proves nothing. SIGKILL leaves the page cache alone: what a power cut does is in ``power_cut``.
"""

import signal
import sys

from .accidents import accidents
from .figures import Figures, options
from .ledger import Ledger, compare, judge
from .load import Load
from .site import PARTS, Site, site

_DRAIN_SECONDS = 900


def loop(run: Site, *, cycles: int, reports_each: int, seed: int, alteration: str = "") -> tuple[Ledger, int]:
    """Run the loop and let the worker finish; the ledger, and how many processes were killed."""
    ledger = Ledger()
    run.start_all(alteration)
    killed = 0
    with Load(run, ledger) as load:
        for _ in accidents(
            run,
            load,
            cycles=cycles,
            reports_each=reports_each,
            signal_number=signal.SIGKILL,
            seed=seed,
            alteration=alteration,
        ):
            killed += 1
    run.drain(_DRAIN_SECONDS)
    for part in PARTS:
        run.end(part, signal.SIGTERM)
    return ledger, killed


def run(
    figures: Figures,
    *,
    cycles: int,
    reports_each: int,
    control_cycles: int,
    seed: int = 1,
    postgresql: bool | str = False,
) -> None:
    """The honest door, then the control."""
    with site(postgresql=postgresql) as honest:
        ledger, killed = loop(honest, cycles=cycles, reports_each=reports_each, seed=seed)
        figures.show("database", "PostgreSQL" if postgresql else "SQLite")
        figures.show("cycles", cycles)
        figures.show("processes killed with SIGKILL", killed)
        judge(figures, ledger, honest)
    with site(postgresql=postgresql) as control:
        ledger, killed = loop(control, cycles=control_cycles, reports_each=reports_each, seed=seed, alteration="early")
        lost = compare(ledger, control).lost
        figures.must("lost by the early-acknowledging control", lost, lost > 0, "the control must lose reports")


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--cycles", type=int, help="kill so often (default 12; 300 with --long)")
    parser.add_argument("--postgresql", action="store_true", help="over PostgreSQL instead of SQLite")
    chosen = parser.parse_args()
    figures = Figures("kill_loop" + (" --postgresql" if chosen.postgresql else ""))
    cycles = chosen.cycles or (300 if chosen.long else 12)
    each = 350 if chosen.long else 100
    run(
        figures,
        cycles=cycles,
        reports_each=each,
        control_cycles=max(4, cycles // 15),
        seed=chosen.seed,
        postgresql=chosen.postgresql,
    )
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
