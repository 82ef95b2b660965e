"""Throughput under attack stays above half of normal: honest mail alone, and with one hostile mail to each ten honest ones.

Both are measured in one run, in turns, from the first mail sent to the last honest report stored; the worker is done with the
hostile ones before the next turn begins. The hostile mails are forged
signatures of domains whose name servers are dead, garbage, and bombs; name servers are all silent in this run.
"""

import asyncio
import itertools
import statistics
import sys
import threading
import time
from collections.abc import Callable

import sqlalchemy as sa

from ingest.database import models
from tests.goldens import HUMAN, entry, mail, multipart, packed, part, report, usual
from tests.nameserver import SILENT, NameServer
from tests.signing import ed25519_key, signed

from .bomb_mails import MIB, zeros
from .bombs import throw
from .figures import Figures, options
from .ledger import Ledger, compare
from .load import Load
from .site import Site, site, until

_HOSTILE_SENDERS = 4
_SHARE = 10


def _dead_dns(number: int) -> bytes:
    domain = f"dead{number}.example"
    forged = usual(report(entry(1), report_id=f"forged-{number}")).replace(b"@sender.example", b"@" + domain.encode())
    return signed(forged, key=ed25519_key(), domain=domain)


def _garbage(number: int) -> bytes:
    return b"Subject: %d\r\n\r\n" % number + b"\xff\0<html>" * 2_000


def _unreadable(number: int) -> bytes:
    return mail(
        multipart(HUMAN, part(packed(b'{"report-id": %d, "policies": [' % number + b'{"policy": {}},' * 5_000)))
    )


def _inflating(number: int) -> bytes:
    return b"X-Number: %d\r\n" % number + mail(multipart(HUMAN, part(zeros(1024 * MIB))))


def _nested(number: int) -> bytes:
    return b"X-Number: %d\r\n" % number + mail(multipart(HUMAN, part(packed(b"[" * 300_000))))


def _parts(number: int) -> bytes:
    return b"X-Number: %d\r\n" % number + mail(multipart(*["Content-Type: text/plain\r\n\r\n"] * 5_000))


Make = Callable[[int], bytes]
# By turns. The whole is four forgeries of ten that wait for dead name servers, three times garbage, three bombs of up to
# 1.4 MB; the others show what each of these costs alone.
ATTACKS: dict[str, tuple[Make, ...]] = {
    "all": (
        *(_dead_dns, _garbage, _dead_dns, _inflating, _dead_dns),
        *(_unreadable, _nested, _dead_dns, _garbage, _parts),
    ),
    "forgeries with dead DNS": (_dead_dns,),
    "garbage": (_garbage, _unreadable),
    "bombs": (_inflating, _nested, _parts),
}


class Attack:
    """Sends one hostile mail for each ten that honest senders have had acknowledged, while the context lasts."""

    def __init__(self, run: Site, ledger: Ledger, hostile: list[bytes]) -> None:
        self._run, self._ledger, self._hostile = run, ledger, hostile
        self._start = len(ledger.acknowledged)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(_HOSTILE_SENDERS)]
        self.sent = 0

    def __enter__(self) -> "Attack":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(120)

    def _send(self, sender: int) -> None:
        while not self._stop.is_set():
            due = (len(self._ledger.acknowledged) - self._start) // _SHARE
            if self._hostile and self.sent < due:
                self.sent += 1
                asyncio.run(throw(self._run, "smtp", self._hostile.pop(), f"127.0.0.{200 + sender}"))
            else:
                time.sleep(0.002)


def rate(run: Site, ledger: Ledger, honest: int, hostile: list[bytes]) -> float:
    """Honest reports a second, from the first one sent to the last one stored."""
    stored = sa.select(sa.func.count()).where(models.report.c.report_id.startswith("number-"))
    began = time.monotonic()
    with (
        Load(run, ledger, limit=len(ledger.sent) + honest) as load,
        Attack(run, ledger, hostile),
    ):
        load.wait_for_all(600)
    until(lambda: run.rows(stored)[0][0] >= len(ledger.acknowledged), 600, "honest reports are stored")
    taken = time.monotonic() - began
    run.drain(600)
    return honest / taken


def run(figures: Figures, *, honest: int, rounds: int, timed: bool = True) -> None:
    """``timed=False`` leaves out the promise that a busy machine breaks."""
    size = honest // _SHARE
    with NameServer({}, otherwise=SILENT) as server, site(nameserver=server.address) as target:
        target.start_all()
        ledger = Ledger()
        rate(target, ledger, honest // 4, [])  # warm
        collected: dict[str, list[float]] = {name: [] for name in ("normal", *ATTACKS)}
        numbers = itertools.count()
        for _ in range(rounds):
            for name, rates in collected.items():
                turn = itertools.cycle(ATTACKS.get(name, ()))
                hostile = [make(next(numbers)) for make in itertools.islice(turn, size)]
                rates.append(rate(target, ledger, honest, hostile))
        normal = statistics.median(collected["normal"])
        figures.show("honest reports in each round", honest)
        figures.show("hostile mails in each round", size)
        figures.show("honest reports a second, normal", normal)
        shares = {name: statistics.median(collected[name]) / normal for name in ATTACKS}
        for name, share in shares.items():
            figures.show(f"share of normal, {name}", share)
        holds = not timed or shares["all"] > 0.5
        figures.must("honest reports a second, all", shares["all"] * normal, holds, "above half of normal")
        lost = compare(ledger, target).lost
        figures.must("honest reports lost", lost, lost == 0, "none")
        figures.show("quarantined", str(target.quarantined()))


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("attack_throughput")
    run(figures, honest=10_000 if chosen.long else 2_000, rounds=3 if chosen.long else 1)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
