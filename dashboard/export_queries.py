"""What each export selects: SQLAlchemy Core over ``ingest.models``, for SQLite and PostgreSQL alike.

One export is one statement, so it sees one moment of the database, and its rows can be streamed in order.
"""

import datetime as dt
import enum
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import msgspec
import sqlalchemy as sa

from ingest.intake import EVIDENCE
from ingest.models import failure_detail, policy_entry, report
from ingest.mtasts import enforcement
from ingest.tlsrpt import names
from ingest.tlsrpt.vocabulary import STS, UNEXPLAINED

Values = tuple[Any, ...]
# Sums are given as what every format holds; only the sum of a thousand absurd counts is larger.
BIGINT_MAX = 2**63 - 1


class ExportRefused(ValueError):
    """There is no such export, or the filter cannot be meant. The text names what is allowed; show it and exit with code 2."""


class Type(enum.Enum):
    """What a column holds. Any of them may be null; absent text of a report is ``""``."""

    TEXT = "text"
    DAY = "day"
    INSTANT = "instant"
    COUNT = "count"
    FLAG = "flag"
    RATE = "rate"


class Filters(msgspec.Struct, frozen=True):
    """Which reports an export is about; both days are included. Raises ExportRefused when ``until`` is before ``since``.

    ``domains`` are policy domains in their stored form; empty means all. ``allowed`` holds whatever the user asks for within
    the domains the user may see: ``example.com`` is itself, ``*.example.com`` all names below it, ``*`` and None are all.
    """

    domains: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None
    allowed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.since and self.until and self.until < self.since:
            raise ExportRefused(f"the last day ({self.until}) is before the first day ({self.since})")

    @classmethod
    def read(cls, domain: str | Iterable[str] = (), since: str = "", until: str = "") -> Self:
        """Filters from what a user typed; an empty text does not filter. Raises ExportRefused."""
        asked = [domain] if isinstance(domain, str) else domain
        return cls(tuple(_domain(name) for name in asked if name), _day("since", since), _day("until", until))

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """The filters on the table ``report``, as every statement here applies them."""
        found: list[sa.ColumnElement[bool]] = []
        if self.domains:
            found.append(report.c.policy_domain.in_(self.domains))
        if self.since:
            found.append(report.c.day >= self.since)
        if self.until:
            found.append(report.c.day <= self.until)
        if self.allowed is not None and "*" not in self.allowed:
            found.append(_allowed(self.allowed))
        return found


class Export(msgspec.Struct, frozen=True):
    """One kind of export: its columns in order, its statement, and the way from a row of it to the columns' values."""

    columns: Mapping[str, Type]
    select: Callable[[Filters, str], sa.Select[Any]]
    values: Callable[[sa.Row[Any]], Values]


def _domain(name: str) -> str:
    try:
        return names.domain_name(name)
    except ValueError as error:
        raise ExportRefused(f"{name!r} is no policy domain: {error}") from error


def _day(option: str, text: str) -> dt.date | None:
    if not text:
        return None
    try:
        # fromisoformat reads other ISO forms too; strptime would read 2026-3-1.
        if len(text) != len("2026-03-14") or text[4] != "-" or text[7] != "-":
            raise ValueError(text)
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise ExportRefused(f"{option} {text!r} is no day; write it as YYYY-MM-DD, for example 2026-03-14") from error


def _allowed(patterns: Iterable[str]) -> sa.ColumnElement[bool]:
    domain = report.c.policy_domain
    each = [
        domain.endswith(pattern.lower().removeprefix("*"), autoescape=True)
        if pattern.startswith("*.")
        else domain == pattern.lower()
        for pattern in patterns
    ]
    return sa.or_(sa.false(), *each)


def _ordered(query: sa.Select[Any], columns: Iterable[sa.ColumnElement[Any]], dialect: str) -> sa.Select[Any]:
    """Sorted by code points on both engines: PostgreSQL would otherwise sort as its locale does."""
    by_bytes = dialect == "postgresql"
    return query.order_by(
        *(sa.collate(c, "C") if by_bytes and isinstance(c.type, sa.String) else c for c in columns)  # Text is a String
    )


def _same_report(table: sa.Table) -> sa.ColumnElement[bool]:
    return (table.c.policy_domain == report.c.policy_domain) & (table.c.report_key == report.c.report_key)


_SESSIONS = ("successful_sessions", "failed_sessions", "refused_sessions")
# Literals, not bound values: PostgreSQL has no bigint >> bigint.
_LOW_BITS = 26
_SHIFT: sa.ColumnElement[int] = sa.literal_column(str(_LOW_BITS), sa.Integer)
_MASK: sa.ColumnElement[int] = sa.literal_column(str(2**_LOW_BITS - 1), sa.Integer)


def _sums(table: sa.Table) -> Iterator[sa.Label[Any]]:
    """The sums of the session counts, each in two halves.

    SQLite's SUM() raises beyond 2^63, and its TOTAL() is inexact beyond 2^53; counts reach 2^53 and strangers choose them.
    The halves of a count stay below 2^27, so that no number of rows overflows their sums.
    """
    for name in _SESSIONS:
        yield sa.func.sum(table.c[name].bitwise_rshift(_SHIFT)).label(f"{name}_high")
        yield sa.func.sum(table.c[name].bitwise_and(_MASK)).label(f"{name}_low")


def _sum(row: sa.Row[Any], name: str) -> int | None:
    """A sum from its halves, None when no count was there to be added (PostgreSQL sums to Decimal)."""
    high, low = getattr(row, f"{name}_high"), getattr(row, f"{name}_low")
    return None if high is None else min((int(high) << _LOW_BITS) + int(low), BIGINT_MAX)


def _select_summary(filters: Filters, dialect: str) -> sa.Select[Any]:
    # A report without entries is a row too: its sender says that it saw nothing.
    joined = report.outerjoin(policy_entry, _same_report(policy_entry))
    group = (
        report.c.day,
        report.c.policy_domain,
        report.c.organization,
        sa.func.coalesce(policy_entry.c.policy_type, "").label("policy_type"),
        sa.func.coalesce(policy_entry.c.policy_mode, "").label("policy_mode"),
        report.c.trust,
    )
    reports = sa.func.count(report.c.report_key.distinct()).label("reports")
    query = sa.select(*group, reports, *_sums(policy_entry)).select_from(joined).where(*filters.conditions())
    by_number = (sa.text(str(number + 1)) for number in range(len(group)))
    # Sorted outside: an ORDER BY with a collation is no part of the GROUP BY.
    grouped = query.group_by(*by_number).subquery("grouped")
    return _ordered(sa.select(grouped), list(grouped.c)[: len(group)], dialect)


def _summary_values(row: sa.Row[Any]) -> Values:
    successful, failed = _sum(row, "successful_sessions"), _sum(row, "failed_sessions")
    # The refused figure is computed here, not said by the sender: it is never missing.
    return (*row[:7], successful, failed, _sum(row, "refused_sessions") or 0)


_DETAIL_TEXTS = (
    "sending_mta_ip",
    "receiving_mx_hostname",
    "receiving_mx_helo",
    "receiving_ip",
    "failure_reason_code",
    "additional_information",
)
_OF_ENTRY = (
    report.c.day,
    report.c.policy_domain,
    report.c.organization,
    report.c.report_id,
    policy_entry.c.policy_type,
    policy_entry.c.policy_mode,
    report.c.trust,
)
_PLACE = (report.c.report_key, policy_entry.c.position.label("entry_position"))


def _select_failures(filters: Filters, dialect: str) -> sa.Select[Any]:
    rows = sa.union_all(_explained(filters), _unexplained(filters)).subquery("failures")
    place = ("day", "policy_domain", "organization", "report_id", "report_key", "entry_position", "position")
    return _ordered(sa.select(rows), [rows.c[name] for name in place], dialect)


def _explained(filters: Filters) -> sa.Select[Any]:
    detail = failure_detail.c
    same_entry = (
        (detail.policy_domain == policy_entry.c.policy_domain)
        & (detail.report_key == policy_entry.c.report_key)
        & (detail.entry_position == policy_entry.c.position)
    )
    texts = [detail[name] for name in _DETAIL_TEXTS]
    columns = (*_OF_ENTRY, detail.result_type, detail.failed_sessions, detail.refused, *texts, *_PLACE, detail.position)
    joined = report.join(policy_entry, _same_report(policy_entry)).join(failure_detail, same_entry)
    return sa.select(*columns).select_from(joined).where(*filters.conditions())


def _unexplained(filters: Filters) -> sa.Select[Any]:
    """Failures of a summary that no detail explains, with a position that no detail has."""
    sessions = policy_entry.c.unexplained_sessions
    word = sa.literal_column(f"'{UNEXPLAINED}'", sa.String)
    texts = [sa.literal_column("''", sa.Text) for _ in _DETAIL_TEXTS]
    # Whether enforce would refuse them is decided in _failure_values.
    columns = (*_OF_ENTRY, word, sessions, sa.false(), *texts, *_PLACE, sa.literal_column("-1", sa.Integer))
    joined = report.join(policy_entry, _same_report(policy_entry))
    return sa.select(*columns).select_from(joined).where(sessions > 0, *filters.conditions())


def _failure_values(row: sa.Row[Any]) -> Values:
    refused = row.refused if row.position >= 0 else enforcement.refuses(row.policy_type, UNEXPLAINED)
    return (*row[:9], refused, *row[10:16])


def _select_domains(filters: Filters, dialect: str) -> sa.Select[Any]:
    conditions = filters.conditions()
    trusted = report.c.trust.in_(EVIDENCE)
    of_sts = [policy_entry.c.policy_type == STS, trusted, *conditions]
    seen = (
        sa.select(
            report.c.policy_domain,
            sa.func.count(sa.case((trusted, report.c.organization)).distinct()).label("reporters"),
            sa.func.max(report.c.day).label("last_report_day"),
        )
        .where(*conditions)
        .group_by(report.c.policy_domain)
        .subquery("seen")
    )
    sums = (
        sa.select(report.c.policy_domain.label("with_evidence"), *_sums(policy_entry))
        .select_from(report.join(policy_entry, _same_report(policy_entry)))
        .where(*of_sts)
        .group_by(report.c.policy_domain)
        .subquery("sums")
    )
    modes = _newest_modes(of_sts)
    joined = seen.outerjoin(sums, sums.c.with_evidence == seen.c.policy_domain)
    joined = joined.outerjoin(modes, (modes.c.mode_of == seen.c.policy_domain) & (modes.c.age == 1))
    return _ordered(sa.select(seen, sums, modes.c.policy_mode).select_from(joined), [seen.c.policy_domain], dialect)


def _newest_modes(conditions: Sequence[sa.ColumnElement[bool]]) -> sa.Subquery:
    """Modes as reporters saw them, ``age`` 1 the newest of its domain. Entries that quote no policy say nothing about it."""
    newest_first = (
        report.c.day.desc(),
        report.c.range_end.desc(),
        report.c.received_at.desc(),
        report.c.report_key,
        policy_entry.c.position.desc(),
    )
    age = sa.func.row_number().over(partition_by=report.c.policy_domain, order_by=newest_first)
    return (
        sa.select(report.c.policy_domain.label("mode_of"), policy_entry.c.policy_mode, age.label("age"))
        .select_from(report.join(policy_entry, _same_report(policy_entry)))
        .where(policy_entry.c.policy_mode != "", *conditions)
        .subquery("modes")
    )


def _domain_values(row: sa.Row[Any]) -> Values:
    given = [count for name in _SESSIONS[:2] if (count := _sum(row, name)) is not None]
    # Without evidence no session was reported: zero. With evidence that leaves out its counts, nobody knows.
    unknown = 0 if row.with_evidence is None else None
    sessions = min(sum(given), BIGINT_MAX) if given else unknown
    refused = _sum(row, "refused_sessions") or 0
    # The verdict, its window, its bound and its reasons stay empty until there is a verdict.
    before, after = (row.policy_domain, None, row.policy_mode, None, None), (None, row.last_report_day, None)
    return (*before, row.reporters, sessions, refused, *after)


_REPORT_COLUMNS = (
    report.c.received_at,
    report.c.policy_domain,
    report.c.organization,
    report.c.report_id,
    report.c.range_start,
    report.c.range_end,
    report.c.door,
    report.c.trust,
    report.c.signer,
    report.c.policies,
    report.c.successful_sessions,
    report.c.failed_sessions,
)


def _select_reports(filters: Filters, dialect: str) -> sa.Select[Any]:
    place = (report.c.day, report.c.policy_domain, report.c.organization, report.c.report_id, report.c.report_key)
    return _ordered(sa.select(*_REPORT_COLUMNS).where(*filters.conditions()), place, dialect)


_TYPES = {
    **dict.fromkeys(("day", "window_start", "window_end", "last_report_day"), Type.DAY),
    **dict.fromkeys(("received_at", "range_start", "range_end"), Type.INSTANT),
    **dict.fromkeys(("reports", "reporters", "policies", "sessions", *_SESSIONS), Type.COUNT),
    "refused": Type.FLAG,
    "refusal_bound": Type.RATE,
}


def _columns(names_in_order: str) -> Mapping[str, Type]:
    return {name: _TYPES.get(name, Type.TEXT) for name in names_in_order.split(",")}


# design.md, "Public interface": names and order are binding.
EXPORTS: Mapping[str, Export] = {
    "summary": Export(
        _columns(
            "day,policy_domain,reporter,policy_type,policy_mode,trust,"
            "reports,successful_sessions,failed_sessions,refused_sessions"
        ),
        _select_summary,
        _summary_values,
    ),
    "failures": Export(
        _columns(
            "day,policy_domain,reporter,report_id,policy_type,policy_mode,trust,result_type,failed_sessions,refused,"
            "sending_mta_ip,receiving_mx_hostname,receiving_mx_helo,receiving_ip,failure_reason_code,"
            "additional_information"
        ),
        _select_failures,
        _failure_values,
    ),
    "domains": Export(
        _columns(
            "policy_domain,verdict,policy_mode,window_start,window_end,reporters,sessions,refused_sessions,"
            "refusal_bound,last_report_day,reasons"
        ),
        _select_domains,
        _domain_values,
    ),
    "reports": Export(
        _columns(
            "received_at,policy_domain,reporter,report_id,range_start,range_end,door,trust,signer,policies,"
            "successful_sessions,failed_sessions"
        ),
        _select_reports,
        tuple,
    ),
}
