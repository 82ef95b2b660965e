"""What each export selects: SQLAlchemy Core over ``ingest.models``, for SQLite and PostgreSQL alike.

One export is one statement, so it sees one moment of the database, and its rows can be streamed in order.
"""

import datetime as dt
import enum
from collections.abc import Callable, Iterable, Mapping
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


_LOW_BITS = 26
_SESSIONS = ("successful_sessions", "failed_sessions", "refused_sessions")


def _sums(table: sa.Table | sa.FromClause) -> list[sa.Label[Any]]:
    """The sums of the session counts, each in two halves.

    SQLite's SUM() raises beyond 2^63, and its TOTAL() is inexact beyond 2^53; counts reach 2^53 and strangers choose them.
    The halves of a count stay below 2^27, so that no number of rows overflows their sums.
    """
    halves = []
    for name in _SESSIONS:
        count = table.c[name]
        shift = sa.literal_column(str(_LOW_BITS))  # no bound value: PostgreSQL has no bigint >> bigint
        low_mask = sa.literal_column(str(2**_LOW_BITS - 1))
        halves.append(sa.func.sum(count.bitwise_rshift(shift)).label(f"{name}_high"))
        halves.append(sa.func.sum(count.bitwise_and(low_mask)).label(f"{name}_low"))
    return halves


def _sum(row: Mapping[str, Any], name: str) -> int | None:
    """A sum from its halves, None when no count was there to be added (PostgreSQL sums to Decimal)."""
    high, low = row[f"{name}_high"], row[f"{name}_low"]
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
    return _grouped(query, group, dialect)


def _grouped(query: sa.Select[Any], group: tuple[Any, ...], dialect: str) -> sa.Select[Any]:
    """Grouped inside, sorted outside: an ORDER BY with a collation is no part of the GROUP BY."""
    inner = query.group_by(*(sa.text(str(number)) for number in range(1, len(group) + 1))).subquery("grouped")
    return _ordered(sa.select(inner), list(inner.c)[: len(group)], dialect)


def _summary_values(row: sa.Row[Any]) -> Values:
    named = row._mapping
    # The refused figure is computed here, not said by the sender: it is never missing.
    return (
        *row[:7],
        _sum(named, "successful_sessions"),
        _sum(named, "failed_sessions"),
        _sum(named, "refused_sessions") or 0,
    )


_DETAIL_TEXTS = (
    "sending_mta_ip",
    "receiving_mx_hostname",
    "receiving_mx_helo",
    "receiving_ip",
    "failure_reason_code",
    "additional_information",
)
_FAILURE_COLUMNS = 16


def _select_failures(filters: Filters, dialect: str) -> sa.Select[Any]:
    entry, detail = policy_entry, failure_detail
    of_entry = (
        (detail.c.policy_domain == entry.c.policy_domain)
        & (detail.c.report_key == entry.c.report_key)
        & (detail.c.entry_position == entry.c.position)
    )
    about = (
        report.c.day,
        report.c.policy_domain,
        report.c.organization,
        report.c.report_id,
        entry.c.policy_type,
        entry.c.policy_mode,
        report.c.trust,
    )
    place = (report.c.report_key, entry.c.position.label("entry_position"))
    from_entry = report.join(entry, _same_report(entry))
    explained = (
        sa.select(
            *about,
            detail.c.result_type,
            detail.c.failed_sessions,
            detail.c.refused,
            *(detail.c[name] for name in _DETAIL_TEXTS),
            *place,
            detail.c.position.label("position"),
        )
        .select_from(from_entry.join(detail, of_entry))
        .where(*filters.conditions())
    )
    unexplained = (
        sa.select(
            *about,
            sa.literal_column(f"'{UNEXPLAINED}'", sa.String),
            entry.c.unexplained_sessions,
            sa.false(),  # decided from the policy type, see _failure_values
            *(sa.literal_column("''", sa.Text) for _ in _DETAIL_TEXTS),
            *place,
            sa.literal_column("-1", sa.Integer),  # no detail's position
        )
        .select_from(from_entry)
        .where(entry.c.unexplained_sessions > 0, *filters.conditions())
    )
    rows = sa.union_all(explained, unexplained).subquery("failures")
    return _ordered(
        sa.select(rows),
        (
            rows.c.day,
            rows.c.policy_domain,
            rows.c.organization,
            rows.c.report_id,
            rows.c.report_key,
            rows.c.entry_position,
            rows.c.position,
        ),
        dialect,
    )


def _failure_values(row: sa.Row[Any]) -> Values:
    if row.position < 0:
        refused = enforcement.refuses(row.policy_type, UNEXPLAINED)
        return (*row[:9], refused, *row[10:_FAILURE_COLUMNS])
    return tuple(row[:_FAILURE_COLUMNS])


def _select_domains(filters: Filters, dialect: str) -> sa.Select[Any]:
    conditions = filters.conditions()
    trusted = report.c.trust.in_(EVIDENCE)
    domain = report.c.policy_domain
    seen = (
        sa.select(
            domain,
            sa.func.count(sa.case((trusted, report.c.organization)).distinct()).label("reporters"),
            sa.func.max(report.c.day).label("last_report_day"),
        )
        .where(*conditions)
        .group_by(domain)
        .subquery("seen")
    )
    evidence = report.join(policy_entry, _same_report(policy_entry))
    sts = (policy_entry.c.policy_type == STS, trusted, *conditions)
    sessions = (
        sa.select(domain, *_sums(policy_entry)).select_from(evidence).where(*sts).group_by(domain).subquery("sessions")
    )
    newest_first = sa.func.row_number().over(
        partition_by=domain,
        order_by=(
            report.c.day.desc(),
            report.c.range_end.desc(),
            report.c.received_at.desc(),
            report.c.report_key,
            policy_entry.c.position.desc(),
        ),
    )
    # Entries that quote no policy (fetch errors) say nothing about its mode.
    ranked = (
        sa.select(domain, policy_entry.c.policy_mode, newest_first.label("age"))
        .select_from(evidence)
        .where(policy_entry.c.policy_mode != "", *sts)
        .subquery("ranked")
    )
    joined = seen.outerjoin(sessions, sessions.c.policy_domain == seen.c.policy_domain).outerjoin(
        ranked, (ranked.c.policy_domain == seen.c.policy_domain) & (ranked.c.age == 1)
    )
    query = sa.select(
        seen,
        ranked.c.policy_mode,
        sessions.c.policy_domain.label("has_evidence"),
        *(column for column in sessions.c if column.name != "policy_domain"),
    )
    return _ordered(query.select_from(joined), [seen.c.policy_domain], dialect)


def _domain_values(row: sa.Row[Any]) -> Values:
    named = row._mapping
    counts = [_sum(named, "successful_sessions"), _sum(named, "failed_sessions")]
    present = [count for count in counts if count is not None]
    # Without any evidence no session was reported: zero. With entries that leave out their counts nobody knows.
    none_given = None if row.has_evidence is not None else 0
    sessions = min(sum(present), BIGINT_MAX) if present else none_given
    refused = _sum(named, "refused_sessions") or 0
    # verdict, window and bound stay empty until dashboard.verdict exists.
    return (
        row.policy_domain,
        None,
        row.policy_mode,
        None,
        None,
        row.reporters,
        sessions,
        refused,
        None,
        row.last_report_day,
        None,
    )


def _select_reports(filters: Filters, dialect: str) -> sa.Select[Any]:
    columns = (
        "received_at policy_domain organization report_id range_start range_end door trust signer policies "
        "successful_sessions failed_sessions"
    ).split()
    order = ("day", "policy_domain", "organization", "report_id", "report_key")
    query = sa.select(*(report.c[name] for name in columns)).where(*filters.conditions())
    return _ordered(query, [report.c[name] for name in order], dialect)


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
