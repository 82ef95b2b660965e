"""All domains at once, from the rollups only. Who may see everything is told sums over all domains, others those of theirs."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import sqlalchemy as sa

from ingest.database.models import domain_day, domain_reporter, domain_trust, fleet_day
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS, TLSA
from ingest.store.rollups import fleet_type
from ingest.testimony.trust import EVIDENCE, TRUST_ORDER

from .frames import COUNT, DAY, INSTANT, SUM, TEXT, read, read_number
from .question import LANES, TRUSTED, UNPROVEN, DayRange, Scope, lane_of

FAILURES, SESSIONS = "failed_sessions", "sessions"

_SUCCESSFUL, _FAILED, _REFUSED = "successful_sessions", "failed_sessions", "refused_sessions"


def totals(engine: sa.Engine, scope: Scope, window: DayRange) -> pd.DataFrame:
    """Sessions of all domains, one row for each lane and policy type; types are never added together.

    Columns: lane, policy_type (unknown ones are ``other``), successful_sessions, failed_sessions, refused_sessions (sums).
    """
    days, visible = (fleet_day, sa.true()) if scope.is_everything else (domain_day, _visible(scope, domain_day))
    lane, kind = lane_of(days.c.trust).label("lane"), fleet_type(days.c.policy_type).label("policy_type")
    sums = [_sum(days.c[name]).label(name) for name in (_SUCCESSFUL, _FAILED, _REFUSED)]
    query = (
        sa.select(lane, kind, *sums)
        .where(visible, window.holds(days.c.day))
        .group_by(sa.text("1"), sa.text("2"))
        .order_by(sa.text("1"), sa.text("2"))
    )
    columns = {"lane": TEXT, "policy_type": TEXT, _SUCCESSFUL: SUM, _FAILED: SUM, _REFUSED: SUM}
    return read(engine, query, columns)


def reporter_counts(engine: sa.Engine, scope: Scope, window: DayRange) -> pd.DataFrame:
    """Who was heard in the window, one row for each lane that was. Columns: lane, domains, reporters (counts).

    A reporter counts when its newest report about a domain lies in the window.
    """
    domains, reporters = _domains_by_lane(scope, window), _reporters_by_lane(scope, window)
    query = (
        sa.select(domains.c.lane, domains.c.domains, reporters.c.reporters)
        .select_from(domains.join(reporters, reporters.c.lane == domains.c.lane))
        .where(domains.c.domains > 0)
    )
    return read(engine, query, {"lane": TEXT, "domains": COUNT, "reporters": COUNT})


def _domains_by_lane(scope: Scope, window: DayRange) -> sa.Subquery:
    """In the order of the key: what counts distinct values of its own accord sorts them."""
    row = domain_trust.c
    in_window = window.holds(row.last_day)
    lanes = {name: sa.func.max(sa.case((row.trust.in_(LANES[name]) & in_window, 1), else_=0)) for name in LANES}
    of_domain = (
        sa.select(*(value.label(name) for name, value in lanes.items()))
        .where(scope.allows(row.policy_domain))
        .group_by(row.policy_domain)
        .subquery("of_domain")
    )
    counts = sa.select(*(sa.func.sum(of_domain.c[name]).label(name) for name in LANES)).cte("counts")
    each = (sa.select(sa.literal(name).label("lane"), counts.c[name].label("domains")) for name in LANES)
    return sa.union_all(*each).subquery("domains")


def _reporters_by_lane(scope: Scope, window: DayRange) -> sa.Subquery:
    row = domain_reporter.c
    in_window = window.holds(row.last_day)
    if scope.is_everything:
        known = organizations()
        heard = sa.exists().where(row.trust == known.c.trust, row.organization == known.c.organization, in_window)
        rows, conditions = known.c, [known.c.organization.is_not(None), heard]
    else:
        rows, conditions = row, [_visible(scope, domain_reporter), in_window]
    lane = lane_of(rows.trust).label("lane")
    query = sa.select(lane, sa.func.count(rows.organization.distinct()).label("reporters")).where(*conditions)
    return query.group_by(sa.text("1")).subquery("reporters")


def organizations() -> sa.CTE:
    """Every organization with each trust of its reports, found by a step in the index from one to the next."""
    row = domain_reporter.c
    trusts = sa.union_all(*(sa.select(sa.literal(trust).label("trust")) for trust in TRUST_ORDER)).subquery("trusts")
    first = sa.select(sa.func.min(row.organization)).where(row.trust == trusts.c.trust)
    known = sa.select(trusts.c.trust, first.scalar_subquery().label("organization")).cte("known", recursive=True)
    following = sa.select(sa.func.min(row.organization)).where(
        row.trust == known.c.trust, row.organization > known.c.organization
    )
    return known.union_all(
        sa.select(known.c.trust, following.correlate(known).scalar_subquery()).where(known.c.organization.is_not(None))
    )


def newest_day(engine: sa.Engine, scope: Scope) -> pd.DataFrame:
    """The newest day any report is about, trusted or not. One row; column day, missing in an empty database."""
    row = domain_trust.c
    query = sa.select(sa.func.max(row.last_day).label("day")).where(scope.allows(row.policy_domain))
    return read(engine, query, {"day": DAY})


def count_domains(engine: sa.Engine, scope: Scope, search: str = "") -> int:
    """How many domains ever had a report; ``search`` is a part of the name."""
    names = sa.select(domain_trust.c.policy_domain).where(*_matching(scope, search)).distinct()
    return read_number(engine, sa.select(sa.func.count()).select_from(names.subquery("names")))


def _visible(scope: Scope, table: sa.Table) -> sa.ColumnElement[bool]:
    """The condition on a rollup's rows for who may see a part: names are looked for where a domain has few rows."""
    return table.c.policy_domain.in_(
        sa.select(domain_trust.c.policy_domain).where(scope.allows(domain_trust.c.policy_domain))
    )


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
    domain = domain_trust.c.policy_domain
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
