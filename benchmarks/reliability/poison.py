"""Row 6: a poisonous message among good ones is set aside with its reason, its bytes are kept, and the line goes on.

Two poisons: one that cannot be read, and one over which the reading process dies (made so by an altered worker; the loop
starts it again, as the supervisor does).
"""

import sys
import time
import zlib

import sqlalchemy as sa

from ingest.database import models
from ingest.spool.maildir import Spool
from tests.goldens import packed

from .altered import DEADLY
from .figures import Figures, options
from .ledger import Ledger, compare
from .site import Site, site

UNREADABLE = (
    b"From: tls-reports@sender.example\r\nSubject: poison\r\nContent-Type: application/tlsrpt+gzip\r\n\r\n"
    + packed(b"{")
)


def deliver(run: Site, mail: bytes) -> None:
    """Put a mail into the spool, as a mail server beside us does."""
    incoming = Spool(run.spool).receive()
    incoming.write(mail)
    incoming.commit()


def fill(run: Site, good: int, poison: bytes) -> Ledger:
    """Good reports with the poison in their middle."""
    ledger = Ledger()
    for number in range(good):
        if number == good // 2:
            deliver(run, poison)
        report = ledger.new()
        deliver(run, report.mail())
        ledger.acknowledged.add(report.number)
    return ledger


def work(run: Site, alteration: str) -> int:
    """Let a worker empty the spool, starting it again each time it dies; how often it died."""
    died = 0
    run.start("work", alteration)
    while run.waiting():
        code = run.parts["work"].poll()
        if code is None:
            time.sleep(0.05)
            continue
        died += 1
        if died > 20:
            raise RuntimeError(f"the worker has died {died} times, last with {code}")
        run.start("work", alteration)
    return died


def poisoned(figures: Figures, name: str, good: int, poison: bytes, alteration: str) -> None:
    with site() as run:
        ledger = fill(run, good, poison)
        died = work(run, alteration)
        comparison = compare(ledger, run)
        figures.show(f"{name}: the worker died, times", died)
        figures.must(
            f"{name}: stored",
            comparison.stored,
            comparison.stored == good and not comparison.doubled,
            f"all {good:,} good ones",
        )
        reasons = run.quarantined()
        figures.must(f"{name}: quarantined", str(reasons), sum(reasons.values()) == 1, "1, with its reason")
        contents = [zlib.decompress(bytes(raw)) for (raw,) in run.rows(sa.select(models.quarantine.c.message))]
        whole = [poison.partition(b"\r\n\r\n")[2] in raw for raw in contents] == [True]
        figures.must(f"{name}: raw bytes kept", whole, whole, "the message as it came")


def run(figures: Figures, *, good: int) -> None:
    poisoned(figures, "unreadable", good, UNREADABLE, "")
    mail = Ledger().new().mail()
    poisoned(figures, "deadly", good, DEADLY + b"\r\n" + mail, "deadly")


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("poison")
    run(figures, good=10_000 if chosen.long else 500)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
