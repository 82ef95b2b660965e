"""Rows 8 and 9: forged mails move no verified figure, and a forgery that comes first does not displace the genuine report."""

import asyncio
import datetime as dt
import sys
import time
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from ingest.database import models
from tests.goldens import entry, report, usual
from tests.nameserver import NameServer, txt
from tests.signing import DOMAIN, ed25519_key, record, signed

from .clients import SmtpClient
from .figures import Figures, options
from .site import Site, site

_SENDERS = 8
KEY = ed25519_key()
ZONE = {
    f"{selector}._domainkey.{domain}": txt(text)
    for selector, domain, text in (
        ("s1", DOMAIN, record(KEY)),
        ("trial", DOMAIN, record(KEY, t="y")),
        ("mail", DOMAIN, record(KEY, s="email")),
        ("s1", "evil.example", record(ed25519_key(1))),
    )
}


def mail(number: int, domain: str = "receiver.example", sessions: int = 7) -> bytes:
    """A report about one of our domains (or another's), unsigned."""
    return usual(report(entry(sessions, policy_domain=domain), report_id=f"number-{number}"))


def _expired(number: int) -> bytes:
    now = dt.datetime.now(dt.UTC).timestamp()
    return signed(mail(number), key=KEY, t=int(now) - 86_400 * 8, x=int(now) - 3_600)


def _changed(number: int) -> bytes:
    return signed(mail(number), key=KEY).replace(b"This is an aggregate", b"This is a changed")


FORGERIES: dict[str, Callable[[int], bytes]] = {
    "unsigned": mail,
    "another d=": lambda number: signed(mail(number), key=ed25519_key(1), domain="evil.example"),
    "another key": lambda number: signed(mail(number), key=ed25519_key(1)),
    "l=": lambda number: signed(mail(number), key=KEY, l=10),
    "t=y": lambda number: signed(mail(number), key=KEY, selector="trial"),
    "s=email": lambda number: signed(mail(number), key=KEY, selector="mail"),
    "expired": _expired,
    "changed on its way": _changed,
    "no such key": lambda number: signed(mail(number), key=KEY, selector="gone"),
    "foreign policy domain": lambda number: signed(mail(number, "victim.example"), key=KEY),
}


async def send(run: Site, mails: Iterator[bytes]) -> None:
    """Send mails by several sessions; every one is accepted (the door judges nothing)."""

    async def session(source: str) -> None:
        client = await SmtpClient.connect(run.smtp, source)
        for each in mails:
            await client.mail(each)
        client.close()

    await asyncio.gather(*(session(f"127.0.0.{2 + number}") for number in range(_SENDERS)))


def forged(count: int) -> Iterator[bytes]:
    """So many forgeries, one kind after the other."""
    kinds = list(FORGERIES.values())
    for number in range(count):
        yield kinds[number % len(kinds)](1_000_000 + number)


def verified(run: Site) -> tuple[int, int]:
    """Reports and sessions that count as verified."""
    return run.sums().get("verified", (0, 0))


def move_nothing(figures: Figures, run: Site, forgeries: int, genuine: int) -> None:
    """Row 8."""
    asyncio.run(send(run, (signed(mail(number), key=KEY) for number in range(genuine))))
    run.drain(120)
    before = verified(run)
    figures.must("verified before", before[0], before == (genuine, 7 * genuine), f"all {genuine} genuine reports")
    asyncio.run(send(run, forged(forgeries)))
    run.drain(1_200)
    after = verified(run)
    figures.show("forgeries sent", forgeries)
    for trust, (reports, _) in sorted(run.sums().items()):
        figures.show(f"stored as {trust}", reports)
    figures.show("quarantined", str(run.quarantined()))
    reasons = {str(reason) for (reason,) in run.rows(sa.select(models.delivery.c.dkim_reason).distinct())} - {""}
    # Each kind that reaches the verdict has a reason of its own; the last of them is about a foreign domain.
    kinds = len(FORGERIES) - 1
    figures.must(
        "reasons given", len(reasons), len(reasons) == kinds, f"{kinds}: each kind is seen through as what it is"
    )
    figures.must("verified reports moved by", after[0] - before[0], after[0] == before[0], "0")
    figures.must("verified sessions moved by", after[1] - before[1], after[1] == before[1], "0")


def displace_nothing(figures: Figures, run: Site, pairs: int) -> None:
    """Row 9: the same organisation, id and range; other figures; the forgery first."""
    numbers = range(2_000_000, 2_000_000 + pairs)
    before = verified(run)
    asyncio.run(send(run, (mail(number, sessions=999_999) for number in numbers)))
    run.drain(120)
    asyncio.run(send(run, (signed(mail(number), key=KEY) for number in numbers)))
    run.drain(120)
    after = verified(run)
    grown = after[0] - before[0], after[1] - before[1]
    figures.must(
        "genuine reports after a forgery", grown[0], grown == (pairs, 7 * pairs), f"all {pairs}, with their figures"
    )
    rows = run.rows(
        sa.select(models.report.c.same_id, sa.func.count())
        .where(models.report.c.report_id.in_([f"number-{number}" for number in numbers]))
        .group_by(models.report.c.same_id)
    )
    both = sum(count == 2 for _, count in rows)
    figures.must("kept side by side", both, both == pairs, "the contradiction stays visible")


def run(figures: Figures, *, forgeries: int, genuine: int, pairs: int) -> None:
    with NameServer(dict(ZONE)) as server, site(nameserver=server.address, domains="receiver.example") as honest:
        honest.start_all()
        began = time.monotonic()
        move_nothing(figures, honest, forgeries, genuine)
        figures.show("mails a second", (forgeries + genuine) / (time.monotonic() - began))
        displace_nothing(figures, honest, pairs)


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("forgeries")
    counts = (
        {"forgeries": 10_000, "genuine": 1_000, "pairs": 200}
        if chosen.long
        else {"forgeries": 500, "genuine": 50, "pairs": 20}
    )
    run(figures, **counts)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
