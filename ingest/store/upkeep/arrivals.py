"""Times of arrival that cannot be: after today, because this host's clock was ahead when reports were stored.

A verdict of a past day counts only what had arrived by then, so such a report would be missing from it until that time has
come. What is mended gets the estimate that bare files have: one day after the end of what the report is about.
"""

import datetime as dt

import sqlalchemy as sa

from ingest.database.joins import of_report
from ingest.database.models import delivery, domain_reporter, quarantine, quarantine_origin, raw_report, report
from ingest.store import counting, rollups, saving
from ingest.store.rows import Key, Row
from ingest.submissions import FILE_DELAY
from ingest.testimony.trust import EVIDENCE

from . import clock

_AT_ONCE = 500


class ClockBehind(Exception):
    """What is stored says that it is later than this host's clock does. Show the text; set the clock, or insist."""


def in_the_future(connection: sa.Connection, now: dt.datetime) -> int:
    """How many reports arrived after today by this host's clock."""
    count = sa.select(sa.func.count()).select_from(report)
    return connection.execute(count.where(_is_later(report, now))).scalar_one()


def mend(engine: sa.Engine, now: dt.datetime, *, force: bool = False) -> int:
    """Give reports that arrived after today an estimated time of arrival. How many. Raises ClockBehind, unless with ``force``."""
    mended = 0
    with engine.begin() as connection:
        if not force:
            _refuse_when_behind(connection, now)
        for table, column in ((quarantine, "stored_at"), (quarantine_origin, "came_at"), (raw_report, "stored_at")):
            later = table.c[column] > now + clock.LARGEST_ERROR
            connection.execute(sa.update(table).where(later).values({column: now}))
    while True:
        with engine.begin() as connection:
            rows = [dict(row) for row in connection.execute(_wrong(now)).mappings()]
            if not rows:
                break
            _mend(connection, rows, now)
        mended += len({(row["policy_domain"], row["report_key"]) for row in rows})
    with engine.begin() as connection:
        _last_arrivals(connection, now)
    return mended


def _is_later(table: sa.Table, now: dt.datetime) -> sa.ColumnElement[bool]:
    return table.c.received_at > now + clock.LARGEST_ERROR


def _refuse_when_behind(connection: sa.Connection, now: dt.datetime) -> None:
    later = report.c.day > (now + 2 * clock.LARGEST_ERROR).date()
    if connection.execute(sa.select(sa.exists().where(later, report.c.trust.in_(EVIDENCE)))).scalar_one():
        raise ClockBehind(f"it is {now:%Y-%m-%d} by this host's clock, and there are reports about later days")


def _wrong(now: dt.datetime) -> sa.Select[tuple[str, str, str, dt.datetime]]:
    columns = (delivery.c.policy_domain, delivery.c.report_key, delivery.c.delivery_key, report.c.range_end)
    query = sa.select(*columns).select_from(delivery.join(report, of_report(delivery))).where(_is_later(delivery, now))
    return query.order_by(*columns[:3]).limit(_AT_ONCE)


def _mend(connection: sa.Connection, rows: list[Row], now: dt.datetime) -> None:
    way = delivery.c
    for row in rows:
        mine = [way[name] == row[name] for name in ("policy_domain", "report_key", "delivery_key")]
        arrival = {"received_at": min(now, row["range_end"] + FILE_DELAY), "arrival_estimated": True}
        connection.execute(sa.update(delivery).where(*mine).values(arrival))
    keys: list[Key] = sorted({(row["policy_domain"], row["report_key"]) for row in rows})
    deltas = rollups.Deltas()
    changed = saving.raise_trust(connection, keys, deltas)
    counting.recount(connection, changed, deltas)
    deltas.write(connection)


def _last_arrivals(connection: sa.Connection, now: dt.datetime) -> None:
    """The newest arrival of each reporter, which sums only ever move forward."""
    row = domain_reporter.c
    mine = [report.c[name] == row[name] for name in ("policy_domain", "organization", "trust")]
    newest = sa.select(sa.func.max(report.c.received_at)).where(*mine).scalar_subquery()
    later = row.last_received_at > now + clock.LARGEST_ERROR
    values = {"last_received_at": sa.func.coalesce(newest, now)}
    connection.execute(sa.update(domain_reporter).where(later).values(values))
