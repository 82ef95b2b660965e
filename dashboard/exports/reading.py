"""The rows of each export, in order, for SQLite and PostgreSQL alike, with no more of them in memory than one report has.

No statement sorts more than one day's reports: SQLite as pysqlite3 builds it sorts in memory, whatever is asked of it.
Entries and failure details are fetched for some reports at a time, and put in order here.
"""

import collections
import datetime as dt
import heapq
import itertools
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import Verdict, reasons_text
from dashboard.queries.question import EVERYTHING, Question, Scope
from dashboard.verdicts import current_from
from ingest.database import copies
from ingest.database.joins import of_report
from ingest.database.models import failure_detail, policy_entry, report
from ingest.rfc import names
from ingest.rfc.mtasts import enforcement
from ingest.rfc.result_types import UNEXPLAINED

from .formats import Values
from .schema import FAILURES, REPORTS, Column, Type

Rows = Generator[Values, None, None]
# Sums are given as what every format holds; only the sum of a thousand absurd counts is larger.
BIGINT_MAX = 2**63 - 1


class ExportRefused(ValueError):
    """There is no such export, or the filter cannot be meant. The text names what is allowed; show it and exit with code 2."""


class Filters(msgspec.Struct, frozen=True):
    """Which reports an export is about; both days are included. Raises ExportRefused when ``until`` is before ``since``.

    ``domains`` are policy domains in their stored form; empty means all. ``question`` holds whatever the user asks for within
    the domains that the user may see, and says how verdicts are made (None: all domains, today, by the usual thresholds).
    """

    domains: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    question: Question | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.until < self.since:
            raise ExportRefused(f"the last day ({self.until}) is before the first day ({self.since})")

    @classmethod
    def read(cls, domain: str | Iterable[str] = (), since: dt.date | None = None, until: dt.date | None = None) -> Self:
        """Filters from domains as a user typed them, of which an empty one does not filter, and days. Raises ExportRefused."""
        asked = [domain] if isinstance(domain, str) else domain
        return cls(tuple(_domain(name) for name in asked if name), since, until)

    @property
    def scope(self) -> Scope:
        """The domains that the user may see."""
        return self.question.scope if self.question else EVERYTHING

    @property
    def judged(self) -> Question:
        """What the verdicts are asked about: the day ``until``, from what had arrived by then; without it, today."""
        question = self.question or Question(dt.datetime.now(dt.UTC).date())
        return question.about(self.until) if self.until else question

    def conditions(self, day: sa.Column[Any] = report.c.day) -> list[sa.ColumnElement[bool]]:
        """The filters on the table ``report``, as every statement here applies them; ``day`` is the one that is asked about."""
        conditions = self.narrowed(report)
        if self.since:
            conditions.append(day >= self.since)
        if self.until:
            conditions.append(day <= self.until)
        conditions.append(self.scope.allows(report.c.policy_domain))
        return conditions

    def narrowed(self, table: sa.Table) -> list[sa.ColumnElement[bool]]:
        """The condition on the domains that are asked for. A correlated subquery needs it once more: Citus asks every server for
        it otherwise.
        """
        return [table.c.policy_domain.in_(self.domains)] if self.domains else []


def _domain(name: str) -> str:
    try:
        return names.domain_name(name)
    except ValueError as error:
        raise ExportRefused(f"{name!r} is no policy domain: {error}") from error


# Reports whose entries or details are fetched together: so many, or of so many characters, whichever comes first.
_TOGETHER = 200
_CHARACTERS_TOGETHER = 4 * 1024 * 1024
_STREAMED = {"stream_results": True, "yield_per": _TOGETHER}
Key = tuple[str, str]


def _stored(column: Column) -> str:
    """The stored column that a column of an export shows, without its table."""
    return column.source.rpartition(".")[2]


def report_rows(connection: sa.Connection, filters: Filters) -> Rows:
    """One row for each report and policy domain, by day, domain, reporter and report id; copies of it are no rows."""
    # Sessions that a sender lists under two policy types count once; only of those the columns name no source.
    domain = filters.domains[0] if len(filters.domains) == 1 else None
    columns = [report.c[_stored(column)] if column.source else copies.once(column.name, domain) for column in REPORTS]
    for rows in _reports(connection, filters, columns, report.c.day, [report.c.report_id], report.c.counts):
        yield from map(tuple, rows)


def _reports(
    connection: sa.Connection,
    filters: Filters,
    columns: Iterable[sa.ColumnElement[Any]],
    day: sa.Column[Any],
    order: Iterable[sa.ColumnElement[Any]] = (),
    *conditions: sa.ColumnElement[bool],
) -> Iterator[Sequence[sa.Row[Any]]]:
    """Reports by ``day``, domain, reporter, what ``order`` says and key, some at a time.

    By a server-side cursor where there is a server.
    """
    where = filters.conditions(day)
    place = (report.c.policy_domain, report.c.organization, *order, report.c.report_key)
    by = [_by_code_points(connection, column) for column in place]
    for each in connection.scalars(sa.select(day).where(*where, *conditions).distinct().order_by(day)).all():
        query = sa.select(*columns).where(day == each, *where, *conditions).order_by(*by)
        with connection.execute(query, execution_options=_STREAMED) as result:
            yield from result.partitions()


def _by_code_points(connection: sa.Connection, text: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """``text`` for comparing: PostgreSQL would do it as its locale says; SQLite does it so of its own accord."""
    return sa.collate(text, "C") if connection.dialect.name == "postgresql" else text


def summary_rows(connection: sa.Connection, filters: Filters) -> Rows:
    """Sums for each day, domain, reporter, policy type, mode and trust, in this order.

    Of a report about more than a day and a half the successes are on its first day and the failures on its last.
    """
    long, whole = report.c.long_range, [~report.c.long_range]
    streams = (
        _parts(connection, filters, report.c.day, whole, _COUNTS),
        _parts(connection, filters, report.c.day, [long], _COUNTS[:1]),
        _parts(connection, filters, report.c.failure_day, [long], _COUNTS[1:]),
    )
    for heading, parts in itertools.groupby(heapq.merge(*streams, key=_heading), key=_heading):
        groups: dict[tuple[str, ...], Sums] = {}
        for part in parts:
            _add_report(groups, part)
        yield from _grouped(heading, groups)


Sums = list[int | None]
_COUNTS = ("successful_sessions", "failed_sessions", "refused_sessions")


class _Part(NamedTuple):
    """What a report says about one day: its entries with those counts that belong there. Copies say nothing."""

    day: dt.date
    domain: str
    organization: str
    trust: str
    reports: int
    entries: Sequence[Sequence[Any]]
    counted: frozenset[str]


def _heading(part: _Part) -> tuple[dt.date, str, str]:
    return part.day, part.domain, part.organization


def _parts(
    connection: sa.Connection,
    filters: Filters,
    day: sa.Column[Any],
    conditions: Iterable[sa.ColumnElement[bool]],
    counts: Iterable[str],
) -> Iterator[_Part]:
    names_in_order = ("policy_domain", "organization", "trust", "report_key", "counts", "accuses")
    columns = [day, *(report.c[name] for name in names_in_order)]
    for rows in _reports(connection, filters, columns, day, (), copies.STANDS, *conditions):
        keys = [(row.policy_domain, row.report_key) for row in rows]
        entries = _entries(connection, keys, *(policy_entry.c[name] for name in _COUNTS))
        for each, domain, organization, trust, key, proves, accuses in map(tuple, rows):
            mine = {name for name in counts if (accuses if name == "refused_sessions" else proves)}
            first = int(proves and "successful_sessions" in mine)
            yield _Part(each, domain, organization, trust, first, entries.get((domain, key), []), frozenset(mine))


def _add_report(groups: dict[tuple[str, ...], Sums], part: _Part) -> None:
    """Add a report to the sums of (policy type, mode, trust). One without entries counts too: its sender saw nothing."""
    of_report: dict[tuple[str, ...], Sums] = (
        {} if part.entries else {("", "", part.trust): [part.reports, None, None, 0]}
    )
    for _position, policy_type, policy_mode, *counts in part.entries:
        sums = of_report.setdefault((policy_type, policy_mode, part.trust), [part.reports, None, None, 0])
        wanted = (count if name in part.counted else None for name, count in zip(_COUNTS, counts, strict=True))
        sums[1:] = map(_plus, sums[1:], wanted)
    for group, sums in of_report.items():
        groups[group] = list(map(_plus, groups[group], sums)) if group in groups else sums


def _plus(count: int | None, other: int | None) -> int | None:
    """The sum of what is there: a missing count is not zero."""
    return other if count is None else count if other is None else count + other


def _grouped(heading: tuple[Any, ...], groups: dict[tuple[str, ...], Sums]) -> Iterator[Values]:
    for group, sums in sorted(groups.items()):
        yield (*heading, *group, *(None if count is None else min(count, BIGINT_MAX) for count in sums))


def _of(table: sa.Table, keys: Sequence[Key]) -> sa.ColumnElement[bool]:
    return sa.tuple_(table.c.policy_domain, table.c.report_key).in_(keys)


def _entries(
    connection: sa.Connection, keys: Sequence[Key], *columns: sa.ColumnElement[Any]
) -> Mapping[Key, list[Sequence[Any]]]:
    """The policy entries of some reports in their order: position, policy type, mode and ``columns``."""
    entry = policy_entry.c
    named = (entry.position, entry.policy_type, entry.policy_mode, *columns)
    entries_of: dict[Key, list[Sequence[Any]]] = collections.defaultdict(list)
    for row in connection.execute(
        sa.select(entry.policy_domain, entry.report_key, *named).where(_of(policy_entry, keys))
    ):
        entries_of[row[0], row[1]].append(row[2:])
    for entries in entries_of.values():
        entries.sort(key=_position)
    return entries_of


def _position(row: Sequence[Any]) -> int:
    position: int = row[0]
    return position


_DETAIL_TEXTS = [
    failure_detail.c[_stored(column)]
    for column in FAILURES
    if column.source.startswith("failure_detail.") and column.type is Type.TEXT and column.name != "result_type"
]
_NO_TEXTS = ("",) * len(_DETAIL_TEXTS)


def failure_rows(connection: sa.Connection, filters: Filters) -> Rows:
    """One row for each failure detail and, before those of its entry, one for the failures that no detail explains.

    By day, domain, reporter, report id, entry and detail as the report lists them.
    """
    size = sa.func.sum(sum((sa.func.length(text) for text in _DETAIL_TEXTS), sa.literal_column("500", sa.Integer)))
    of_details = [of_report(failure_detail), *filters.narrowed(failure_detail)]
    size_of_details = sa.select(size).where(*of_details).correlate(report).scalar_subquery()
    of_entries = [of_report(policy_entry), *filters.narrowed(policy_entry)]
    unexplained = sa.exists().where(*of_entries, policy_entry.c.unexplained_sessions > 0)
    explained = sa.exists().where(*of_details)
    names_in_order = ("failure_day", "policy_domain", "organization", "report_id", "trust", "report_key")
    columns = [*(report.c[name] for name in names_in_order), size_of_details.label("size")]
    failed = [report.c.accuses, unexplained | explained]
    for rows in _reports(connection, filters, columns, report.c.failure_day, [report.c.report_id], *failed):
        for together in _not_too_large(rows):
            yield from _failures_of(connection, together)


def _not_too_large(rows: Iterable[sa.Row[Any]]) -> Iterator[list[sa.Row[Any]]]:
    """Reports whose details fit into memory together. One report alone always does: the reader has limits."""
    together: list[sa.Row[Any]] = []
    total = 0
    for row in rows:
        if together and total + (row.size or 0) > _CHARACTERS_TOGETHER:
            yield together
            together, total = [], 0
        together.append(row)
        total += row.size or 0
    if together:
        yield together


def _failures_of(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> Iterator[Values]:
    keys = [(row.policy_domain, row.report_key) for row in rows]
    entries = _entries(connection, keys, policy_entry.c.unexplained_sessions)
    details = _details(connection, keys)
    for day, domain, organization, report_id, trust, key, _size in map(tuple, rows):
        for position, policy_type, policy_mode, unexplained in entries.get((domain, key), []):
            heading = (day, domain, organization, report_id, policy_type, policy_mode, trust)
            if unexplained:
                yield (*heading, UNEXPLAINED, unexplained, enforcement.refuses(policy_type, UNEXPLAINED), *_NO_TEXTS)
            for detail in details.get((domain, key, position), []):
                yield (*heading, *detail[1:])


def _details(connection: sa.Connection, keys: Sequence[Key]) -> Mapping[tuple[str, str, int], list[Sequence[Any]]]:
    """The failure details of some reports by entry, in their order: position, result type, count, refused, texts."""
    detail = failure_detail.c
    columns = (detail.position, detail.result_type, detail.failed_sessions, detail.refused, *_DETAIL_TEXTS)
    query = sa.select(detail.policy_domain, detail.report_key, detail.entry_position, *columns)
    details_of: dict[tuple[str, str, int], list[Sequence[Any]]] = collections.defaultdict(list)
    for row in connection.execute(query.where(_of(failure_detail, keys))):
        details_of[row[0], row[1], row[2]].append(row[3:])
    for details in details_of.values():
        details.sort(key=_position)
    return details_of


def domain_rows(connection: sa.Connection, filters: Filters) -> Rows:
    """One row for each policy domain that the filtered reports are about, in alphabetical order, with its verdict.

    The verdict is that of the day ``until``, from what had arrived by then; without it, of today.
    """
    domain = _by_code_points(connection, report.c.policy_domain)
    query = (
        sa.select(report.c.policy_domain, sa.func.max(report.c.day))
        .where(*filters.conditions(), report.c.policy_domain != "")
        .group_by(report.c.policy_domain)
        .order_by(domain)
    )
    with connection.execute(query, execution_options=_STREAMED) as result:
        for rows in result.partitions():
            judged = current_from(connection, filters.judged, [row.policy_domain for row in rows])
            for (_name, newest), verdict in zip(map(tuple, rows), judged, strict=True):
                yield (*_verdict_figures(verdict), newest, reasons_text(verdict))


def _verdict_figures(verdict: Verdict) -> Values:
    refused = min(verdict.refused + verdict.refused_lately, BIGINT_MAX)
    window = verdict.window.start, verdict.window.end
    counts = verdict.reporters, min(verdict.sessions, BIGINT_MAX), refused
    return (verdict.domain, verdict.name, verdict.mode or None, *window, *counts, verdict.bound)
