"""Row 3: the database is away for a while; mail goes on being accepted, and all of it is stored soon after."""

import sys
import time

from tests.databases import PostgreSQL

from .figures import Figures, milliseconds, options, percentile
from .ledger import Ledger, judge
from .load import Load
from .site import Site, folder


def run(figures: Figures, *, seconds: float, rate: float) -> None:
    """PostgreSQL is stopped for so long while ``rate`` reports a second arrive."""
    ledger = Ledger()
    server = PostgreSQL()
    try:
        with folder() as path, Site(path, server.new_database()) as run:
            run.start_all()
            with Load(run, ledger, rate=rate) as load:
                load.wait_for(int(rate))
                server.stop()
                time.sleep(seconds)
                waiting = run.waiting()
                server.start()
            back = time.monotonic()
            run.drain(3600)
            figures.show("seconds without database", seconds)
            figures.show("waiting in the spool at its end", waiting)
            # A connection that lasts longer than STARTTALLY_SESSION_SECONDS ends with 421; its sender connects anew.
            ended = load.refused.pop("421", 0)
            figures.show("connections that reached their longest time (421)", ended)
            figures.must("refused", str(dict(load.refused)), not load.refused, "every report is accepted meanwhile")
            figures.show("p99 of an acknowledgement", milliseconds(percentile(load.seconds, 0.99)))
            judge(figures, ledger, run)
            drained = (time.monotonic() - back) / 60
            figures.show("reports a second while draining", waiting / (drained * 60))
            # The worker tries again after 30 seconds at the latest; then it is faster than any hour of mail.
            bound = 1 + seconds / 600
            figures.must("minutes until all was stored", drained, drained < bound, f"within {bound:.1f} minutes")
    finally:
        server.remove()


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--minutes", type=float, help="how long the database is away (default 1/3; 60 with --long)")
    parser.add_argument("--rate", type=float, default=50, help="reports a second that arrive meanwhile (default 50)")
    chosen = parser.parse_args()
    figures = Figures("outage")
    minutes = chosen.minutes or (60 if chosen.long else 1 / 3)
    run(figures, seconds=minutes * 60, rate=chosen.rate)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
