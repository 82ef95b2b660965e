"""Domains whose verdict is due: marked in the transaction that changes something about them, and worked off by ``assess``.

A mark is a row of ``domain_due``. Whoever decides claims some rows for a while, decides outside of any transaction, and takes
away those rows that nobody has marked meanwhile. So marking never waits for deciding, several may decide at once, and one that
dies leaves rows that are claimed anew when the claim is over.

Who waits for rows of others takes each domain by a statement of its own, in the order of their names. So nobody waits crosswise,
and Citus locks the shard of one domain at a time, not all of them for all others that change several domains.
"""

import datetime as dt
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.models import domain_due, domain_reporter, domain_verdict
from ingest.database.sql import chunks, insert_into

# How long a claim holds: much longer than deciding takes.
_CLAIM = dt.timedelta(minutes=10)
_TOGETHER = 500
_due = domain_due.c


class Due(msgspec.Struct, frozen=True):
    """A domain whose verdicts are to be decided from ``from_day`` on; ``only_past``: that of today is decided already.

    ``claimed_until`` tells this claim from later ones.
    """

    domain: str
    from_day: dt.date
    marks: int
    only_past: bool
    claimed_until: dt.datetime


def mark(connection: sa.Connection, from_days: Mapping[str, dt.date]) -> None:
    """Say that the verdicts of these domains may have changed since a day. Part of the transaction that changes them."""
    rows = [_row(domain, day) for domain, day in sorted(from_days.items()) if domain]
    if rows:
        connection.execute(_marked(insert_into(connection, domain_due)), rows)


def mark_outdated(engine: sa.Engine, today: dt.date, asked: str, days: int) -> int:
    """Mark what no transaction marks: domains that have no verdict of today yet, and those whose verdicts were made for other
    thresholds than those that ``asked`` tells. ``days`` is how far back stored verdicts are kept right. How many were marked.

    The day before is decided once more when it is over; with other thresholds, every day is.
    """
    newest, first = domain_verdict.c, today - dt.timedelta(days=days - 1)
    reported = (
        sa.select(domain_reporter.c.policy_domain).where(domain_reporter.c.policy_domain != "").distinct().subquery()
    )
    of_domain = (newest.policy_domain == reported.c.policy_domain) & newest.newest
    from_day = sa.case(
        (newest.day.is_(None) | (newest.asked != asked), sa.bindparam("first", first, sa.Date)), else_=newest.day
    )
    outdated = newest.day.is_(None) | (newest.day < today) | (newest.asked != asked)
    query = (
        sa.select(reported.c.policy_domain, from_day)
        .select_from(reported.outerjoin(domain_verdict, of_domain))
        .where(outdated)
    )
    with engine.connect() as connection:
        from_days: list[tuple[str, dt.date]] = [(domain, day) for domain, day in connection.execute(query)]
    for batch in chunks(sorted(from_days), _TOGETHER):
        with engine.begin() as connection:
            mark(connection, dict(batch))
    return len(from_days)


def claim(engine: sa.Engine, limit: int, now: dt.datetime) -> list[Due]:
    """At most ``limit`` domains for the caller to decide, those first that have no verdict of today."""
    with engine.begin() as connection:
        domains = list(itertools.islice(_free(connection, limit, now), limit))
        if not domains:
            return []
        claimed = sa.update(domain_due).where(_due.policy_domain == sa.bindparam("domain"))
        connection.execute(claimed.values(claimed_until=now + _CLAIM), [{"domain": domain} for domain in domains])
        mine = _due.policy_domain.in_(domains)
        columns = (_due.policy_domain, _due.from_day, _due.marks, _due.only_past, _due.claimed_until)
        rows = connection.execute(sa.select(*columns).where(mine).order_by(_due.only_past, _due.policy_domain))
        return [Due(*row) for row in rows]


def _free(connection: sa.Connection, limit: int, now: dt.datetime) -> Iterator[str]:
    """Domains that nobody has claimed, each locked before it is given, those first that have no verdict of today.

    Domains that others hold are passed over. Each has a statement of its own: Citus locks rows of one domain at a time.
    """
    free = sa.or_(_due.claimed_until.is_(None), _due.claimed_until < now)
    ordered = sa.select(_due.policy_domain).where(free).order_by(_due.only_past, _due.policy_domain).limit(limit)
    for offset in itertools.count(step=limit):
        domains = connection.scalars(ordered.offset(offset)).all()
        if not domains:
            return
        for domain in domains:
            unlocked = sa.select(_due.policy_domain).where(_due.policy_domain == domain, free)
            yield from connection.scalars(unlocked.with_for_update(skip_locked=True)).all()


def held(connection: sa.Connection, claimed: Sequence[Due]) -> set[str]:
    """Those of the domains whose claim still holds: nobody has decided them since."""
    domains: set[str] = set()
    for batch in chunks(claimed, _TOGETHER):
        mine = sa.tuple_(_due.policy_domain, _due.claimed_until).in_([(due.domain, due.claimed_until) for due in batch])
        domains.update(connection.scalars(sa.select(_due.policy_domain).where(mine)))
    return domains


def give_back(connection: sa.Connection, claimed: Sequence[Due]) -> None:
    """End these claims; the first step of a transaction that takes domains off or leaves them due."""
    mine = (_due.policy_domain == sa.bindparam("domain")) & (_due.claimed_until == sa.bindparam("until"))
    rows = [{"domain": due.domain, "until": due.claimed_until} for due in sorted(claimed, key=_name)]
    if rows:
        connection.execute(sa.update(domain_due).where(mine).values(claimed_until=None), rows)


def finish(connection: sa.Connection, decided: Sequence[Due]) -> None:
    """Take domains off that are decided. A domain that was marked meanwhile stays due."""
    if decided:
        connection.execute(sa.delete(domain_due).where(_UNCHANGED), _marks(decided))


def leave(connection: sa.Connection, decided: Sequence[Due], from_day: dt.date | None = None) -> None:
    """Leave domains whose verdict of today is decided due for the days before it (since ``from_day``)."""
    changes = {"only_past": True} | ({"from_day": from_day} if from_day else {})
    if decided:
        connection.execute(sa.update(domain_due).where(_UNCHANGED).values(changes), _marks(decided))


_UNCHANGED = (_due.policy_domain == sa.bindparam("domain")) & (_due.marks == sa.bindparam("seen"))


def _marks(decided: Sequence[Due]) -> list[dict[str, object]]:
    return [{"domain": due.domain, "seen": due.marks} for due in sorted(decided, key=_name)]


def _name(due: Due) -> str:
    return due.domain


def _row(domain: str, day: dt.date) -> dict[str, object]:
    return {"policy_domain": domain, "from_day": day, "marks": 1, "only_past": False}


def _marked(insert: Any) -> Any:  # noqa: ANN401
    new = insert.excluded
    earlier = sa.case((new.from_day < _due.from_day, new.from_day), else_=_due.from_day)
    changes = {"from_day": earlier, "marks": _due.marks + 1, "only_past": sa.false()}
    return insert.on_conflict_do_update(index_elements=["policy_domain"], set_=changes)
