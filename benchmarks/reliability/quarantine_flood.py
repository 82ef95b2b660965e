"""Row 21: strangers cannot fill the database. Rubbish that cannot be compressed comes from three networks as fast as the door
takes it, beside honest reports. Quarantine stays within its bounds, each message that gave way is counted, and every honest
report is stored. The control has no bounds to speak of, and must grow beyond them.
"""

import asyncio
import base64
import random
import sys
import threading
import time

import sqlalchemy as sa

from ingest.database import models

from .bombs import throw
from .figures import Figures, options
from .ledger import Ledger, compare
from .load import Load
from .site import Site, site

MIB = 1024 * 1024
KIB = 1024
# Two of them in one network.
_SOURCES = ("127.1.0.1", "127.1.0.2", "127.2.0.1", "127.3.0.1")
_UNBOUNDED = 1024 * 1024 * MIB
# Beside the content: free pages kept for what comes next, honest reports, indexes, the write-ahead log, one batch.
_SLACK = 48 * MIB


class Flood:
    """Sends rubbish of ``size`` bytes until so many mails were acknowledged, or so many seconds are over."""

    def __init__(self, run: Site, size: int, mails: int, seconds: float) -> None:
        self.acknowledged = 0
        self._run, self._size, self._mails = run, size, mails
        self._until = time.monotonic() + seconds
        self._counting = threading.Lock()
        threads = [threading.Thread(target=self._send, args=(number,)) for number in range(len(_SOURCES))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _send(self, sender: int) -> None:
        noise = random.Random(sender)
        while self.acknowledged < self._mails and time.monotonic() < self._until:
            body = base64.encodebytes(noise.randbytes(self._size * 3 // 4)).replace(b"\n", b"\r\n")
            answer = asyncio.run(throw(self._run, "smtp", b"Subject: flood\r\n\r\n" + body, _SOURCES[sender]))
            with self._counting:
                self.acknowledged += answer == "250"


def flood(figures: Figures, name: str, bounds: tuple[int, int], attack: tuple[int, int, float]) -> int:
    """An attack (bytes of a mail, mails, seconds) on an installation with these bounds (of a network, of all); the bytes that are
    in quarantine afterwards.
    """
    network, whole = bounds
    with site(max_quarantine_network_bytes=network, max_quarantine_bytes=whole) as run:
        run.start_all()
        ledger = Ledger()
        with Load(run, ledger, smtp=2, http=1, rate=20):
            rubbish = Flood(run, *attack)
        run.drain(600)
        messages, held = run.rows(sa.select(sa.func.count(), sa.func.sum(models.quarantine_origin.c.size)))[0]
        lost = run.rows(sa.select(sa.func.sum(models.quarantine_lost.c.messages)))[0][0] or 0
        figures.show(f"{name}: rubbish acknowledged, mails", rubbish.acknowledged)
        figures.show(f"{name}: rubbish acknowledged, MiB", rubbish.acknowledged * attack[0] / MIB)
        figures.show(f"{name}: held in quarantine, MiB", float(held or 0) / MIB)  # type: ignore[arg-type]
        counted = int(messages) + int(lost)  # type: ignore[call-overload]
        whole_flood = counted == rubbish.acknowledged
        figures.must(f"{name}: held, or counted as given way", counted, whole_flood, "every message of the flood")
        comparison = compare(ledger, run)
        figures.must(
            f"{name}: honest reports lost",
            comparison.lost,
            comparison.lost == 0,
            f"none of {len(ledger.acknowledged):,}",
        )
        taken = sum(path.stat().st_size for path in (run.folder / "var").glob("starttally.db*"))
        figures.show(f"{name}: the database with its log, MiB", taken / MIB)
        if whole < _UNBOUNDED:
            figures.must(
                f"{name}: within its bound and a little", taken < whole + _SLACK, taken < whole + _SLACK, "yes"
            )
        return int(held or 0)  # type: ignore[call-overload]


def run(figures: Figures, *, bounds: tuple[int, int], attack: tuple[int, int, float], control: bool = True) -> None:
    held = flood(figures, "bounded", bounds, attack)
    figures.must("bounded: held, bytes", held, 0 < held <= bounds[1], f"at most {bounds[1]:,}")
    if control:
        held = flood(figures, "control", (_UNBOUNDED, _UNBOUNDED), attack)
        figures.must("control: held, bytes", held, held > bounds[1], f"more than {bounds[1]:,}")


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("quarantine_flood")
    if chosen.long:
        run(figures, bounds=(20 * MIB, 40 * MIB), attack=(512 * KIB, 100_000, 27.0))
    else:
        run(figures, bounds=(MIB, 2 * MIB), attack=(128 * KIB, 60, 120.0))
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
