"""The list of reports, the newest first, a page at a time: what is wanted, and the index along which it is looked for.

Every page is read from its place on (keyset), so the thousandth costs what the first costs. Which index leads there depends on
the filter; where several values are wanted, each has a part of its own, as long as a page at most.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
import pandas as pd
import sqlalchemy as sa

from ingest.database import copies
from ingest.database.joins import OF_ENTRY, of_report
from ingest.database.models import (
    HAS_FAILURES,
    PLACE_IN_LIST,
    Instant,
    domain_trust,
    failure_detail,
    policy_entry,
    report,
)
from ingest.rfc.result_types import UNEXPLAINED
from ingest.testimony.trust import TRUST_ORDER

from .fleet import organizations
from .frames import COUNT, DAY, FLAG, INSTANT, SUM, TEXT, read, read_number
from .question import ALL_DAYS, DayRange, Scope

_COUNTS = ("successful_sessions", "failed_sessions", "refused_sessions")
# Domains or reporters that are looked for one by one. More of them are met soon enough on the way from the newest report on.
_MOST_PARTS = 50


class FailureCell(msgspec.Struct, frozen=True):
    """What a number in a table of failures stands for: reports with such a failure under such a policy."""

    result_type: str
    policy_type: str
    mx: str | None = None


class ReportFilter(msgspec.Struct, frozen=True):
    """Which reports. ``domain`` is exact, or ``*.example.com`` for all below it; ``reporter`` is a part of the name,
    or with double quotes around it the whole name.

    ``cause`` needs a ``domain``: it is answered from that domain's failure details.
    """

    domain: str | None = None
    reporter: str = ""
    window: DayRange = ALL_DAYS
    trusts: tuple[str, ...] = TRUST_ORDER
    only_failures: bool = False
    cause: FailureCell | None = None


class PlaceInList(msgspec.Struct, frozen=True):
    """Where a report stands in the list."""

    day: dt.date
    received_at: dt.datetime
    domain: str
    key: str

    @property
    def in_address(self) -> str:
        """The same as a word of an address."""
        return "~".join((self.day.isoformat(), self.received_at.isoformat(), self.key, self.domain))

    @classmethod
    def from_address(cls, word: str) -> "PlaceInList | None":
        """What ``in_address`` has written; None for anything else."""
        parts = word.split("~", 3)
        try:
            day, received_at = dt.date.fromisoformat(parts[0]), dt.datetime.fromisoformat(parts[1])
            place = cls(day, received_at.astimezone(dt.UTC), parts[3], parts[2])
        except (ValueError, IndexError, OverflowError):
            return None
        return place if received_at.tzinfo and "\0" not in word else None


def count_reports(engine: sa.Engine, scope: Scope, wanted: ReportFilter, at_most: int) -> int:
    """How many reports there are; counting stops at ``at_most``, which bounds its cost."""
    keys = sa.select(sa.literal(1).label("each")).select_from(_source(_matching(wanted)))
    # In the order of the list, or SQLite would not go along its index.
    keys = keys.where(*_conditions(scope, wanted)).order_by(*(column.desc() for column in PLACE_IN_LIST)).limit(at_most)
    parts = [sa.select(keys.where(part).subquery()) for part in _parts(engine, scope, wanted)]
    if not parts:
        return 0
    counted = sa.select(sa.union_all(*parts).subquery("every")).limit(at_most)
    return read_number(engine, sa.select(sa.func.count()).select_from(counted.subquery("counted")))


def list_reports(
    engine: sa.Engine,
    scope: Scope,
    wanted: ReportFilter,
    *,
    limit: int,
    place: PlaceInList | None = None,
    newer: bool = False,
) -> pd.DataFrame:
    """Reports, newest day first: the newest, or those next to ``place``, older or ``newer`` than what stands there.

    Columns: policy_domain, report_key, day, organization, report_id, trust, signer, door, received_at, successful_sessions,
    failed_sessions, refused_sessions (none counted twice; missing when the report has no count), long_range, defective,
    contradicted (flags), matching_sessions (failed sessions of the filter's cause; missing without one). Copies that another
    row stands for are left out.
    """
    row, page = report.c, _page(engine, scope, wanted, limit, place, newer=newer)
    one_domain = None if wanted.domain is None or wanted.domain.startswith("*.") else wanted.domain
    query = (
        sa.select(
            *(row[name] for name in ("policy_domain", "report_key", "day", "organization", "report_id", "trust")),
            *(row[name] for name in ("signer", "door", "received_at")),
            *(copies.once(name, one_domain) for name in _COUNTS[:2]),
            *(row.refused_sessions, row.long_range),
            row.defects.is_not(None).label("defective"),
            row.contradicted,
            page.c.matching_sessions,
        )
        .select_from(page.join(report, of_report(page)))
        .order_by(*(column.desc() for column in PLACE_IN_LIST))
    )
    columns = dict.fromkeys(("policy_domain", "report_key"), TEXT) | {"day": DAY}
    columns |= dict.fromkeys(("organization", "report_id", "trust", "signer", "door"), TEXT) | {"received_at": INSTANT}
    columns |= dict.fromkeys(_COUNTS, COUNT) | dict.fromkeys(("long_range", "defective", "contradicted"), FLAG)
    return read(engine, query, columns | {"matching_sessions": SUM})


def _page(
    engine: sa.Engine,
    scope: Scope,
    wanted: ReportFilter,
    limit: int,
    place: PlaceInList | None = None,
    *,
    newer: bool = False,
) -> sa.Subquery:
    """The keys of the reports of a page, with the failed sessions of the filter's cause."""
    matching = _matching(wanted)
    sessions = sa.cast(sa.null(), sa.Double) if matching is None else matching.c.sessions
    order = [column.asc() if newer else column.desc() for column in PLACE_IN_LIST]
    keys = sa.select(*PLACE_IN_LIST, sessions.label("matching_sessions")).select_from(_source(matching))
    keys = keys.where(*_conditions(scope, wanted), *_beyond(place, newer=newer))
    parts = [
        sa.select(keys.where(part).order_by(*order).limit(limit).subquery()) for part in _parts(engine, scope, wanted)
    ]
    if not parts:
        nothing = (sa.cast(sa.null(), column.type).label(column.name) for column in keys.selected_columns)
        return sa.select(*nothing).where(sa.false()).subquery("page")
    if len(parts) == 1:
        return parts[0].subquery("page")
    every = sa.union_all(*parts).subquery("every")
    together = [every.c[column.name].asc() if newer else every.c[column.name].desc() for column in PLACE_IN_LIST]
    return sa.select(every).order_by(*together).limit(limit).subquery("page")


def _beyond(place: PlaceInList | None, *, newer: bool) -> list[sa.ColumnElement[bool]]:
    if place is None:
        return []
    values = (sa.literal(place.day, sa.Date), sa.literal(place.received_at, Instant), place.domain, place.key)
    here, there = sa.tuple_(*PLACE_IN_LIST), sa.tuple_(*values)
    return [here > there if newer else here < there]


def _parts(engine: sa.Engine, scope: Scope, wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    """Conditions of which every wanted report meets one: along each an index leads from the newest report to the oldest."""
    row = report.c
    if wanted.domain is not None or not scope.is_everything:
        names = _domains(engine, scope, wanted)
        if len(names) <= _MOST_PARTS:
            return [row.policy_domain == name for name in names]
    if wanted.only_failures:
        return [HAS_FAILURES]
    if wanted.reporter:
        reporters = _reporters(engine, wanted.reporter)
        if len(reporters) <= _MOST_PARTS:
            return [row.organization == name for name in reporters]
    return [row.trust == trust for trust in wanted.trusts]


def _domains(engine: sa.Engine, scope: Scope, wanted: ReportFilter) -> Sequence[str]:
    """The domains that the list is about; more than _MOST_PARTS of them are not told."""
    if wanted.domain is not None and not wanted.domain.startswith("*."):
        return [wanted.domain]
    domain = domain_trust.c.policy_domain
    pattern = Scope(None if wanted.domain is None else (wanted.domain,))
    query = sa.select(domain).where(scope.allows(domain), pattern.allows(domain)).distinct().limit(_MOST_PARTS + 1)
    with engine.connect() as connection:
        return connection.scalars(query).all()


def _reporters(engine: sa.Engine, name: str) -> Sequence[str]:
    known = organizations().c.organization
    query = sa.select(known).where(known.is_not(None), _is_named(known, name)).distinct().limit(_MOST_PARTS + 1)
    with engine.connect() as connection:
        return connection.scalars(query).all()


def _source(matching: sa.Subquery | None) -> sa.FromClause:
    if matching is None:
        return report
    return report.join(matching, of_report(matching))


def _matching(wanted: ReportFilter) -> sa.Subquery | None:
    """The reports with the wanted cause, and their failed sessions of it."""
    cause = wanted.cause
    if cause is None:
        return None
    if wanted.domain is None:
        raise ValueError("a cause without a domain would read the failures of all domains")
    entry, detail = policy_entry.c, failure_detail.c
    where = [entry.policy_domain == wanted.domain, entry.policy_type == cause.policy_type]
    if cause.result_type == UNEXPLAINED:
        source: sa.FromClause = policy_entry
        where.append(entry.unexplained_sessions > 0)
        sessions: sa.ColumnElement[Any] = entry.unexplained_sessions
    else:
        source = policy_entry.join(failure_detail, OF_ENTRY)
        where.append(detail.result_type == cause.result_type)
        if cause.mx is not None:
            where.append(sa.func.substr(detail.receiving_mx_hostname, 1, 254) == cause.mx)
        sessions = sa.func.coalesce(detail.failed_sessions, 0)
    return (
        sa.select(
            entry.policy_domain,
            entry.report_key,
            sa.func.sum(sa.cast(sessions, sa.Double)).label("sessions"),
        )
        .select_from(source)
        .where(*where)
        .group_by(entry.policy_domain, entry.report_key)
        .subquery("matching")
    )


def _conditions(scope: Scope, wanted: ReportFilter) -> list[sa.ColumnElement[bool]]:
    row = report.c
    conditions = [scope.allows(row.policy_domain), wanted.window.holds(row.day), copies.LISTED]
    if wanted.domain is not None:
        asked = Scope((wanted.domain,)).allows(row.policy_domain) if wanted.domain.startswith("*.") else None
        conditions.append(row.policy_domain == wanted.domain if asked is None else asked)
    if wanted.reporter:
        conditions.append(_is_named(row.organization, wanted.reporter))
    if set(wanted.trusts) != set(TRUST_ORDER):
        conditions.append(row.trust.in_(wanted.trusts))
    if wanted.only_failures:
        conditions.append(HAS_FAILURES)
    return conditions


def exactly(name: str) -> str:
    """A reporter's name for ``ReportFilter.reporter``, when nothing but the whole name is meant."""
    return f'"{name}"'


def _is_named(organization: sa.ColumnElement[str], reporter: str) -> sa.ColumnElement[bool]:
    if len(reporter) > 1 and reporter[0] == reporter[-1] == '"':
        return organization == reporter[1:-1]
    return organization.icontains(reporter, autoescape=True)
