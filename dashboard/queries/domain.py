"""One policy domain. Every table is narrowed to it first, so a question costs what that domain's rows cost."""

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingest.database import copies
from ingest.database.joins import OF_ENTRY, REPORTS_AND_ENTRIES, of_report
from ingest.database.models import domain_day, domain_reporter, failure_detail, policy_entry, policy_text, report
from ingest.rfc.mtasts import enforcement
from ingest.rfc.result_types import UNEXPLAINED

from .frames import COUNT, DAY, INSTANT, SUM, TEXT, read, read_number, shortened, total
from .question import LANES, DayRange, Scope, lane_of

if TYPE_CHECKING:
    import pandas as pd

_SESSIONS = ("successful_sessions", "failed_sessions", "refused_sessions")
# Distinct texts of a policy on one page; a domain has a handful, a forger may invent any number.
MOST_POLICIES = 50
# Result types times MX hosts, of which a forger may invent any number too.
MOST_CAUSES = 2_000
# A policy file is at most 64 KB (RFC 8461 section 3.3 suggests it), an honest one a few hundred bytes.
LONGEST_POLICY = 8_000


def is_known(engine: sa.Engine, scope: Scope, domain: str) -> bool:
    """Whether there is any report about the domain (that the user may see)."""
    reporter = domain_reporter.c
    matching = sa.select(sa.literal(1)).where(reporter.policy_domain == domain, scope.allows(reporter.policy_domain))
    return bool(read_number(engine, sa.select(sa.func.count()).select_from(matching.limit(1).subquery())))


def days(engine: sa.Engine, scope: Scope, domain: str, window: DayRange) -> "pd.DataFrame":
    """Sums per day. Columns: day, lane, policy_type, reports, successful_sessions, failed_sessions, refused_sessions.

    A report is counted once under each policy type it has; types are never added together.
    """
    row = domain_day.c
    names = ("reports", *_SESSIONS)
    query = (
        sa.select(
            row.day,
            lane_of(row.trust).label("lane"),
            row.policy_type,
            *(sa.cast(sa.func.sum(row[name]), sa.Double).label(name) for name in names),
        )
        .where(row.policy_domain == domain, scope.allows(row.policy_domain), window.holds(row.day))
        .group_by(row.day, sa.text("2"), row.policy_type)
        .order_by(row.day, sa.text("2"), row.policy_type)
    )
    return read(engine, query, {"day": DAY, "lane": TEXT, "policy_type": TEXT} | dict.fromkeys(names, SUM))


def causes(
    engine: sa.Engine, scope: Scope, domain: str, window: DayRange, lane: str, policy_type: str
) -> "pd.DataFrame":
    """Failures by result type and receiving MX, most sessions first, at most MOST_CAUSES rows.

    Columns: result_type, mx, failed_sessions, refused_sessions (sums), reporters (count), first_day, last_day. What no detail
    explains is ``unexplained`` without MX. Details may overlap (RFC 8460 section 4), so their sum can exceed the failures of
    the summaries.
    """
    return _causes(engine, _failures(scope, domain, window, lane, policy_type), ("result_type", "mx"))


def result_types(
    engine: sa.Engine, scope: Scope, domain: str, window: DayRange, lane: str, policy_type: str
) -> "pd.DataFrame":
    """The same by result type only. Columns: those of ``causes`` without mx."""
    return _causes(engine, _failures(scope, domain, window, lane, policy_type), ("result_type",))


def _causes(engine: sa.Engine, rows: sa.Subquery, group: tuple[str, ...]) -> "pd.DataFrame":
    failed = sa.func.sum(rows.c.failed)
    keys = [rows.c[name] for name in group]
    query = (
        sa.select(
            *keys,
            failed.label("failed_sessions"),
            sa.func.sum(rows.c.refused).label("refused_sessions"),
            sa.func.count(rows.c.organization.distinct()).label("reporters"),
            sa.func.min(rows.c.day).label("first_day"),
            sa.func.max(rows.c.day).label("last_day"),
        )
        .group_by(*keys)
        .order_by(failed.desc(), *keys)
        .limit(MOST_CAUSES)
    )
    columns = dict.fromkeys(group, TEXT) | {"failed_sessions": SUM, "refused_sessions": SUM}
    return read(engine, query, columns | {"reporters": COUNT, "first_day": DAY, "last_day": DAY})


def _failures(scope: Scope, domain: str, window: DayRange, lane: str, policy_type: str) -> sa.Subquery:
    where = [*_of(scope, domain, window, lane, report.c.failure_day), report.c.accuses]
    return sa.union_all(_explained(where, policy_type), _unexplained(where, policy_type)).subquery("failures")


def _explained(where: list[sa.ColumnElement[bool]], policy_type: str) -> sa.Select[Any]:
    detail, told = failure_detail.c, report.c
    # Reports first: SQLite would rather begin with all failure details that the domain ever had.
    columns = (told.policy_domain, told.report_key, told.organization, told.failure_day)
    selected = sa.select(*columns).where(*where).cte("selected").prefix_with("MATERIALIZED", dialect="sqlite")
    sessions = sa.cast(sa.func.coalesce(detail.failed_sessions, 0), sa.Double)
    return (
        sa.select(
            detail.result_type,
            shortened(detail.receiving_mx_hostname, 253).label("mx"),
            sessions.label("failed"),
            sa.case((detail.refused, sessions), else_=0.0).label("refused"),
            selected.c.organization,
            selected.c.failure_day.label("day"),
        )
        .select_from(selected.join(policy_entry, of_report(policy_entry, selected)).join(failure_detail, OF_ENTRY))
        .where(policy_entry.c.policy_type == policy_type)
    )


def _unexplained(where: list[sa.ColumnElement[bool]], policy_type: str) -> sa.Select[Any]:
    sessions = sa.cast(policy_entry.c.unexplained_sessions, sa.Double)
    refuses = enforcement.refuses(policy_type, UNEXPLAINED)
    return (
        sa.select(
            sa.literal(UNEXPLAINED, sa.String).label("result_type"),
            sa.literal("", sa.String).label("mx"),
            sessions.label("failed"),
            (sessions if refuses else sa.literal(0.0, sa.Double)).label("refused"),
            report.c.organization,
            report.c.failure_day.label("day"),
        )
        .select_from(REPORTS_AND_ENTRIES)
        .where(policy_entry.c.policy_type == policy_type, policy_entry.c.unexplained_sessions > 0, *where)
    )


def reporters(engine: sa.Engine, scope: Scope, domain: str, window: DayRange, policy_type: str) -> "pd.DataFrame":
    """Who reported, each with the sessions of one policy type; trusted first, then by reports.

    Columns: organization, trust, signers (count of distinct signing domains), signer (one of them), reports (count),
    successful_sessions, failed_sessions, refused_sessions (sums), last_day, last_received_at.
    """
    row = report.c
    entry = policy_entry.c
    joined = report.outerjoin(policy_entry, of_report(policy_entry) & (entry.policy_type == policy_type))
    reports = sa.func.count(row.report_key.distinct())
    query = (
        sa.select(
            row.organization,
            row.trust,
            sa.func.count(row.signer.distinct()).label("signers"),
            sa.func.max(row.signer).label("signer"),
            reports.label("reports"),
            *(total(entry[name]).label(name) for name in _SESSIONS),
            sa.func.max(row.day).label("last_day"),
            sa.func.max(row.received_at).label("last_received_at"),
        )
        .select_from(joined)
        .where(row.policy_domain == domain, scope.allows(row.policy_domain), window.holds(row.day), row.counts)
        .group_by(row.organization, row.trust)
        .order_by(_trust_order(row.trust), reports.desc(), row.organization)
    )
    columns = {"organization": TEXT, "trust": TEXT, "signers": COUNT, "signer": TEXT, "reports": COUNT}
    columns |= dict.fromkeys(_SESSIONS, SUM) | {"last_day": DAY, "last_received_at": INSTANT}
    return read(engine, query, columns)


def policies(engine: sa.Engine, scope: Scope, domain: str, window: DayRange, lane: str) -> "pd.DataFrame":
    """Each policy text that reporters quoted, the one seen last first, at most MOST_POLICIES.

    Columns: policy_type, policy_digest, text, mode, mx (JSON list), max_age, first_day, last_day, reports, reporters.
    Entries that quote no text are one row for each policy type, without digest and text.
    """
    entry, text = policy_entry.c, policy_text.c
    seen = (
        sa.select(
            entry.policy_type,
            entry.policy_digest,
            sa.func.min(report.c.day).label("first_day"),
            sa.func.max(report.c.day).label("last_day"),
            sa.func.count(report.c.report_key.distinct()).label("reports"),
            sa.func.count(report.c.organization.distinct()).label("reporters"),
        )
        .select_from(REPORTS_AND_ENTRIES)
        .where(*_of(scope, domain, window, lane))
        .group_by(entry.policy_type, entry.policy_digest)
        .order_by(sa.text("last_day DESC"), sa.text("reports DESC"))
        .limit(MOST_POLICIES)
        .subquery("seen")
    )
    same_text = (text.policy_domain == domain) & (text.policy_digest == seen.c.policy_digest)
    query = (
        sa.select(
            seen,
            *(
                sa.func.coalesce(shortened(text[name], LONGEST_POLICY), "").label(name)
                for name in ("text", "mode", "mx")
            ),
            text.max_age,
        )
        .select_from(seen.outerjoin(policy_text, same_text))
        .order_by(seen.c.last_day.desc(), seen.c.reports.desc(), seen.c.policy_type)
    )
    columns = {"policy_type": TEXT, "policy_digest": TEXT, "text": TEXT, "mode": TEXT, "mx": TEXT, "max_age": COUNT}
    return read(engine, query, columns | {"first_day": DAY, "last_day": DAY, "reports": COUNT, "reporters": COUNT})


def policy_reporters(engine: sa.Engine, scope: Scope, domain: str, window: DayRange, lane: str) -> "pd.DataFrame":
    """Who quoted which policy text. Columns: policy_type, policy_digest, organization."""
    entry = policy_entry.c
    query = (
        sa.select(entry.policy_type, entry.policy_digest, report.c.organization)
        .select_from(REPORTS_AND_ENTRIES)
        .where(*_of(scope, domain, window, lane))
        .distinct()
        .order_by(report.c.organization)
        .limit(50 * MOST_POLICIES)
    )
    return read(engine, query, {"policy_type": TEXT, "policy_digest": TEXT, "organization": TEXT})


def _of(
    scope: Scope, domain: str, window: DayRange, lane: str, day: sa.Column[Any] = report.c.day
) -> list[sa.ColumnElement[bool]]:
    row = report.c
    return [
        row.policy_domain == domain,
        scope.allows(row.policy_domain),
        window.holds(day),
        row.trust.in_(LANES[lane]),
        copies.STANDS,
    ]


def _trust_order(trust: sa.ColumnElement[Any]) -> sa.Case[Any]:
    order = [name for lane in LANES.values() for name in lane]
    return sa.case({name: number for number, name in enumerate(order)}, value=trust, else_=len(order))
