"""Which reports were made, sent and acknowledged, and whether the database has just these."""

import itertools
from collections import Counter
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database import models
from tests.goldens import entry, packed, report, text, usual

from .figures import Figures
from .site import Site

_DOMAINS = 20


class Numbered(msgspec.Struct, frozen=True):
    """A report that carries its number in its id and in its sessions."""

    number: int

    @property
    def report_id(self) -> str:
        """As the database will have it."""
        return f"number-{self.number}"

    @property
    def sessions(self) -> int:
        """Successful sessions."""
        return self.number % 997 + 1

    @property
    def content(self) -> dict[str, Any]:
        """The report itself."""
        domain = f"d{self.number % _DOMAINS}.receiver.example"
        return report(entry(self.sessions, policy_domain=domain), report_id=self.report_id)

    def mail(self) -> bytes:
        """As its sender mails it."""
        return usual(self.content)

    def body(self) -> bytes:
        """As its sender uploads it."""
        return packed(text(self.content))


class Ledger:
    """Reports given out, and those whose sender was told 250 or 201."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self.sent: set[int] = set()
        self.acknowledged: set[int] = set()

    def new(self) -> Numbered:
        """The next report; from now on it may turn up in the database."""
        number = next(self._numbers)
        self.sent.add(number)
        return Numbered(number)


class Comparison(msgspec.Struct, frozen=True):
    """What the database has, against the ledger."""

    stored: int
    lost: int
    doubled: int
    unknown: int
    sums_agree: bool


def compare(ledger: Ledger, site: Site) -> Comparison:
    """Every acknowledged report is stored, once; nothing else is; and the kept sums are those of the reports."""
    table = models.report
    rows = site.rows(sa.select(table.c.report_id, table.c.successful_sessions))
    times = Counter(str(report_id) for report_id, _ in rows)
    expected = {Numbered(number).report_id for number in ledger.sent}
    acknowledged = {Numbered(number).report_id for number in ledger.acknowledged}
    sessions = {Numbered(number).report_id: Numbered(number).sessions for number in ledger.sent}
    totals = site.sums().values()
    totals_of_days = sum(reports for reports, _ in totals), sum(successful for _, successful in totals)
    right = len(times), sum(sessions.get(report_id, 0) for report_id in times)
    return Comparison(
        stored=len(times),
        lost=len(acknowledged - times.keys()),
        doubled=sum(count - 1 for count in times.values()),
        unknown=len(times.keys() - expected),
        sums_agree=totals_of_days == right,
    )


def judge(figures: Figures, ledger: Ledger, site: Site) -> None:
    """The promise of rows 1, 10 and 16: acknowledged is stored, once, and counted once."""
    comparison = compare(ledger, site)
    figures.show("acknowledged", len(ledger.acknowledged))
    figures.show("stored", comparison.stored)
    figures.must("lost", comparison.lost, comparison.lost == 0, "no acknowledged report is missing")
    figures.must("doubled", comparison.doubled, comparison.doubled == 0, "no report is there twice")
    figures.must("unknown", comparison.unknown, comparison.unknown == 0, "nothing is there that was not sent")
    figures.must("sums agree", comparison.sums_agree, comparison.sums_agree, "sums are those of the distinct reports")
    quarantined = sum(site.quarantined().values())
    figures.must("quarantined", quarantined, quarantined == 0, "nothing honest is set aside")
