"""All domains at once, from the rollups ``domain_day`` and ``domain_reporter`` only."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from ingest.database.models import domain_day, domain_reporter
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS, TLSA
from ingest.testimony.trust import EVIDENCE

from .frames import COUNT, DAY, INSTANT, SUM, TEXT, read, read_number
from .question import LANES, TRUSTED, UNPROVEN, DayRange, Scope, lane_of

FAILURES, SESSIONS = "failed_sessions", "sessions"

_SUCCESSFUL, _FAILED, _REFUSED = "successful_sessions", "failed_sessions", "refused_sessions"


def totals(engine: sa.Engine, scope: Scope, window: DayRange) -> pd.DataFrame:
    """Sessions of all domains, one row for each lane and policy type; types are never added together.

    Columns: lane, policy_type, successful_sessions, failed_sessions, refused_sessions (sums).
    """
    lane = lane_of(domain_day.c.trust).label("lane")
    sums = [_sum(domain_day.c[name]).label(name) for name in (_SUCCESSFUL, _FAILED, _REFUSED)]
    query = (
        sa.select(lane, domain_day.c.policy_type, *sums)
        .where(scope.allows(domain_day.c.policy_domain), window.holds(domain_day.c.day))
        .group_by(sa.text("1"), domain_day.c.policy_type)
        .order_by(sa.text("1"), domain_day.c.policy_type)
    )
    columns = {"lane": TEXT, "policy_type": TEXT, _SUCCESSFUL: SUM, _FAILED: SUM, _REFUSED: SUM}
    return read(engine, query, columns)


def reporter_counts(engine: sa.Engine, scope: Scope, window: DayRange) -> pd.DataFrame:
    """Who was heard in the window, one row for each lane that was. Columns: lane, domains, reporters (counts).

    A reporter counts when its newest report about a domain lies in the window.
    """
    reporter = domain_reporter.c
    query = (
        sa.select(
            lane_of(reporter.trust).label("lane"),
            sa.func.count(reporter.policy_domain.distinct()).label("domains"),
            sa.func.count(reporter.organization.distinct()).label("reporters"),
        )
        .where(scope.allows(reporter.policy_domain), window.holds(reporter.last_day))
        .group_by(sa.text("1"))
    )
    return read(engine, query, {"lane": TEXT, "domains": COUNT, "reporters": COUNT})


def newest_day(engine: sa.Engine, scope: Scope) -> pd.DataFrame:
    """The newest day any report is about, trusted or not. One row; column day, missing in an empty database."""
    reporter = domain_reporter.c
    query = sa.select(sa.func.max(reporter.last_day).label("day")).where(scope.allows(reporter.policy_domain))
    return read(engine, query, {"day": DAY})


def count_domains(engine: sa.Engine, scope: Scope, search: str = "") -> int:
    """How many domains ever had a report; ``search`` is a part of the name."""
    reporter = domain_reporter.c
    query = sa.select(sa.func.count(reporter.policy_domain.distinct())).where(*_matching(scope, search))
    return read_number(engine, query)


def domains(engine: sa.Engine, scope: Scope, window: DayRange, names: Sequence[str]) -> pd.DataFrame:
    """Those of the domains that ever had a report, with their sessions in the window, in no order. Costs what their rows cost.

    Columns: policy_domain; of trusted reports last_day and last_received_at (ever), reporters (in the window), sessions,
    failed_sessions, refused_sessions (MTA-STS), dane_sessions, dane_failed, without_policy (sessions); of unproven ones
    unproven_reports (ever), unproven_sessions, unproven_failed (MTA-STS). Sums are floating point.
    """
    of = [scope.allows(domain_reporter.c.policy_domain), domain_reporter.c.policy_domain.in_(names)]
    seen = _seen(of, window)
    sums = _sums([scope.allows(domain_day.c.policy_domain), domain_day.c.policy_domain.in_(names)], window)
    return read(engine, _with_sums(seen, sums), _COLUMNS)


def _with_sums(seen: sa.Subquery, sums: sa.Subquery) -> sa.Select[Any]:
    figures = [sa.func.coalesce(sums.c[name], 0.0).label(name) for name in _FIGURES]
    joined = seen.outerjoin(sums, sums.c.policy_domain == seen.c.policy_domain)
    return sa.select(seen, *figures).select_from(joined)


def _matching(scope: Scope, search: str) -> list[sa.ColumnElement[bool]]:
    domain = domain_reporter.c.policy_domain
    return [scope.allows(domain), domain.contains(search, autoescape=True) if search else sa.true()]


def _seen(conditions: Sequence[sa.ColumnElement[bool]], window: DayRange) -> sa.Subquery:
    reporter = domain_reporter.c
    trusted, unproven = reporter.trust.in_(EVIDENCE), reporter.trust.in_(LANES[UNPROVEN])
    in_window = trusted & window.holds(reporter.last_day)
    return (
        sa.select(
            reporter.policy_domain,
            sa.func.max(sa.case((trusted, reporter.last_day))).label("last_day"),
            sa.func.max(sa.case((trusted, reporter.last_received_at))).label("last_received_at"),
            sa.func.count(sa.case((in_window, reporter.organization)).distinct()).label("reporters"),
            sa.func.coalesce(sa.func.sum(sa.case((unproven, reporter.reports))), 0).label("unproven_reports"),
        )
        .where(*conditions)
        .group_by(reporter.policy_domain)
        .subquery("seen")
    )


_FIGURES = (
    SESSIONS,
    FAILURES,
    _REFUSED,
    "dane_sessions",
    "dane_failed",
    "without_policy",
    "unproven_sessions",
    "unproven_failed",
)


_COLUMNS = {"policy_domain": TEXT, "last_day": DAY, "last_received_at": INSTANT, "reporters": COUNT}
_COLUMNS |= {"unproven_reports": COUNT} | dict.fromkeys(_FIGURES, SUM)


def _sums(conditions: Sequence[sa.ColumnElement[bool]], window: DayRange) -> sa.Subquery:
    day = domain_day.c
    sessions = day.successful_sessions + day.failed_sessions
    of = {
        SESSIONS: (TRUSTED, STS, sessions),
        FAILURES: (TRUSTED, STS, day.failed_sessions),
        _REFUSED: (TRUSTED, STS, day.refused_sessions),
        "dane_sessions": (TRUSTED, TLSA, sessions),
        "dane_failed": (TRUSTED, TLSA, day.failed_sessions),
        "without_policy": (TRUSTED, NO_POLICY_FOUND, sessions),
        "unproven_sessions": (UNPROVEN, STS, sessions),
        "unproven_failed": (UNPROVEN, STS, day.failed_sessions),
    }
    figures = [
        _sum(sa.case((day.trust.in_(LANES[lane]) & (day.policy_type == kind), value), else_=0.0)).label(name)
        for name, (lane, kind, value) in of.items()
    ]
    return (
        sa.select(day.policy_domain, *figures)
        .where(*conditions, window.holds(day.day))
        .group_by(day.policy_domain)
        .subquery("sums")
    )


def _sum(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(sa.func.sum(value), 0.0)
