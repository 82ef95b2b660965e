"""What each voice says in a month about a domain, kept in the transaction that writes the reports: the table ``voice_month``.

A verdict asks who ever quoted which policy, who was ever loaded, and who gave which name. From here that costs a row for each
voice and month, however many reports lie underneath.

First and last days cannot be taken off like sums. So a row that a report leaves is only marked as doubtful: readers then ask the
reports of that month (``dashboard.queries.months``), until the row is renewed when pruning comes by.
"""

import collections
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ingest.database.joins import of_report
from ingest.database.models import delivery, policy_entry, report, voice_month
from ingest.database.sql import Insert, insert_rows
from ingest.rfc.policy_types import STS
from ingest.spool.channels import OF_OPERATOR
from ingest.testimony.trust import EVIDENCE, UNAUTHENTICATED
from ingest.text.stored import short_digest

from .rows import Key, Row

# What can move a verdict; uploads do where the operator says so (STARTTALLY_TRUST_UPLOADS). A stranger's mail makes no work.
MOVES_VERDICTS = (*EVIDENCE, UNAUTHENTICATED)
_NAMES = ("voice", "trust", "organization", "signer", "contact_info")
_IDENTITY = ("policy_domain", "report_key", *_NAMES)
_TIMES = ("day", "failure_day", "received_at")
_row = voice_month.c


class Month(NamedTuple):
    """A month of a domain; ``first_day`` is its first."""

    policy_domain: str
    first_day: dt.date


def month_of(day: dt.date) -> dt.date:
    """The first day of its month."""
    return day.replace(day=1)


def next_month(day: dt.date) -> dt.date:
    """The first day of the month after its own; of the last there is, that month's last day."""
    return month_of(month_of(day) + dt.timedelta(days=31)) if month_of(day) < month_of(dt.date.max) else dt.date.max


def days_of(month: dt.date) -> sa.ColumnElement[bool]:
    """The condition on ``report``: about a day of the month that begins so."""
    return since(month) & (report.c.day < next_month(month))


def since(day: dt.date) -> sa.ColumnElement[bool]:
    """The condition on ``report``: about that day or a later one. Failures never count before the day of the report, so an index
    of either may lead there.
    """
    return (report.c.day >= day) & (report.c.failure_day >= day)


def is_loaded(delivered: Row) -> bool:
    """Whether a delivery is the operator's own."""
    return delivered["door"] in OF_OPERATOR and delivered["trust"] in EVIDENCE


class VoiceMonths:
    """What a transaction adds to the rows. Collect, then ``write`` once: rows are touched in sorted order, so that two workers
    cannot wait for each other.
    """

    def __init__(self) -> None:
        self._rows: dict[tuple[str, dt.date, str], Row] = {}

    def add(self, report_row: Row, entries: Iterable[Row], *, loaded: bool) -> None:
        """A report (its row) with its policy entries (rows with policy_type and policy_digest) has come, or says this now."""
        self._merge(report_row, entries, loaded=loaded, doubtful=False)

    def doubt(self, report_row: Row, entries: Iterable[Row]) -> None:
        """The same report has gone, or says something else now."""
        self._merge(report_row, entries, loaded=False, doubtful=True)

    def _merge(self, report_row: Row, entries: Iterable[Row], **marks: bool) -> None:
        if report_row["trust"] not in MOVES_VERDICTS:
            return
        quoted = {entry["policy_digest"] for entry in entries if entry["policy_type"] == STS} - {None}
        for digest in quoted or {""}:
            names = {name: report_row[name] for name in _NAMES} | {"policy_digest": digest}
            key = {
                "policy_domain": report_row["policy_domain"],
                "month": month_of(report_row["day"]),
                "row_key": short_digest(*names.values()),
            }
            times = {
                "first_day": report_row["day"],
                "last_day": report_row["day"],
                "last_failure_day": report_row["failure_day"],
                "last_received_at": report_row["received_at"],
            }
            new = key | names | times | marks
            old = self._rows.setdefault((key["policy_domain"], key["month"], key["row_key"]), new)
            for name in ("last_day", "last_failure_day", "last_received_at", "loaded", "doubtful"):
                old[name] = max(old[name], new[name])
            old["first_day"] = min(old["first_day"], new["first_day"])

    def rows(self) -> list[Row]:
        """The rows, in their order."""
        return [row for _, row in sorted(self._rows.items())]

    def write(self, connection: sa.Connection) -> None:
        """Apply to the table."""
        insert_rows(connection, voice_month, self.rows(), _widened)


def _widened(insert: Insert) -> Insert:
    new = insert.excluded
    changes: dict[str, Any] = {
        name: sa.case((new[name] > _row[name], new[name]), else_=_row[name])
        for name in ("last_day", "last_failure_day", "last_received_at")
    }
    changes["first_day"] = sa.case((new.first_day < _row.first_day, new.first_day), else_=_row.first_day)
    changes |= {name: sa.or_(_row[name], new[name]) for name in ("loaded", "doubtful")}
    return insert.on_conflict_do_update(index_elements=list(voice_month.primary_key.columns), set_=changes)


def _replaced(insert: Insert) -> Insert:
    key = list(voice_month.primary_key.columns)
    changes = {column.name: insert.excluded[column.name] for column in voice_month.columns if column not in key}
    return insert.on_conflict_do_update(index_elements=key, set_=changes)


def doubtful_months(connection: sa.Connection, but: dt.date | None) -> list[tuple[Month, int]]:
    """Months with rows in doubt, and how many. Not ``but``, a month of which days go away one by one."""
    query = (
        sa.select(_row.policy_domain, _row.month, sa.func.count())
        .where(_row.doubtful, sa.true() if but is None else _row.month != but)
        .group_by(_row.policy_domain, _row.month)
        .order_by(_row.policy_domain, _row.month)
    )
    return [(Month(domain, month), count) for domain, month, count in connection.execute(query)]


def renew(connection: sa.Connection, month: Month) -> None:
    """Read the rows in doubt of a domain's month from its reports anew.

    They are locked first: who writes a report meanwhile has either written its part of the row, and the report is seen here, or
    waits for this transaction.
    """
    in_doubt = (_row.policy_domain == month.policy_domain) & (_row.month == month.first_day) & _row.doubtful
    locked = sa.select(_row.row_key).where(in_doubt).order_by(_row.row_key).with_for_update()
    keys = set(connection.scalars(locked))
    anew = [row for row in _from_reports(connection, month).rows() if row["row_key"] in keys]
    insert_rows(connection, voice_month, anew, _replaced)
    connection.execute(sa.delete(voice_month).where(in_doubt))


def fill(connection: sa.Connection, domain: str) -> None:
    """Make all rows of a domain from its reports; for an upgrade, while nobody else writes."""
    connection.execute(sa.delete(voice_month).where(_row.policy_domain == domain))
    days = connection.scalars(sa.select(report.c.day).where(report.c.policy_domain == domain).distinct())
    for month in sorted(set(map(month_of, days))):
        _from_reports(connection, Month(domain, month)).write(connection)


def _from_reports(connection: sa.Connection, month: Month) -> VoiceMonths:
    months = VoiceMonths()
    for row, entries, loaded in _reports(connection, month):
        months.add(row, entries, loaded=loaded)
    return months


def _reports(connection: sa.Connection, month: Month) -> Iterator[tuple[Row, Sequence[Row], bool]]:
    """The reports of a month with their entries, and whether the operator has loaded them."""
    where = (report.c.policy_domain == month.policy_domain) & days_of(month.first_day)
    entries: dict[Key, list[Row]] = collections.defaultdict(list)
    of_entry = (report.c.policy_domain, report.c.report_key, policy_entry.c.policy_type, policy_entry.c.policy_digest)
    joined = report.join(policy_entry, of_report(policy_entry))
    for row in connection.execute(sa.select(*of_entry).select_from(joined).where(where)).mappings():
        entries[row["policy_domain"], row["report_key"]].append(dict(row))
    by_operator = delivery.c.door.in_(OF_OPERATOR) & delivery.c.trust.in_(EVIDENCE)
    brought = sa.select(report.c.policy_domain, report.c.report_key).join(delivery, of_report(delivery))
    loaded = {(domain, key) for domain, key in connection.execute(brought.where(where, by_operator))}
    for row in connection.execute(
        sa.select(*(report.c[name] for name in (*_IDENTITY, *_TIMES))).where(where)
    ).mappings():
        key = row["policy_domain"], row["report_key"]
        yield dict(row), entries[key], key in loaded
