"""Retention: what may be forgotten, and when (settings ``KEEP_*``)."""

import datetime as dt
from collections.abc import Callable

import msgspec
import sqlalchemy as sa

from . import rollups
from .models import delivery, failure_detail, policy_entry, quarantine, raw_report, report
from .settings import Settings

_AT_ONCE = 2_000


class Pruned(msgspec.Struct):
    """How many rows of each kind were removed."""

    raw: int = 0
    details: int = 0
    reports: int = 0
    quarantined: int = 0


def prune(
    engine: sa.Engine, settings: Settings, now: dt.datetime, progress: Callable[[], None] = lambda: None
) -> Pruned:
    """Remove what is older than the settings allow, in small transactions, so that writers are never held up for long.

    ``progress`` is called after each.
    """
    pruned = Pruned()
    if settings.keep_raw_days:
        horizon = now - dt.timedelta(days=settings.keep_raw_days)
        pruned.raw = _delete_in_steps(engine, progress, raw_report, raw_report.c.stored_at < horizon)
    if settings.keep_details_days:
        day = (now - dt.timedelta(days=settings.keep_details_days)).date()
        pruned.details = _delete_in_steps(engine, progress, failure_detail, _of_reports_before(failure_detail, day))
    if settings.keep_reports_days:
        pruned.reports = _prune_reports(engine, progress, (now - dt.timedelta(days=settings.keep_reports_days)).date())
    if settings.keep_quarantine_days:
        horizon = now - dt.timedelta(days=settings.keep_quarantine_days)
        # Not from the message's own time: an old archive that is loaded today would be forgotten within the hour.
        came = sa.func.coalesce(quarantine.c.stored_at, quarantine.c.received_at)
        pruned.quarantined = _delete_in_steps(engine, progress, quarantine, came < horizon)
    return pruned


def _of_reports_before(table: sa.Table, day: dt.date) -> sa.ColumnElement[bool]:
    same = (report.c.policy_domain == table.c.policy_domain) & (report.c.report_key == table.c.report_key)
    return sa.exists().where(same, report.c.day < day)


def _delete_in_steps(
    engine: sa.Engine, progress: Callable[[], None], table: sa.Table, condition: sa.ColumnElement[bool]
) -> int:
    key = tuple(table.primary_key.columns)
    removed = 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(sa.select(*key).where(condition).limit(_AT_ONCE)).all()
            if not rows:
                return removed
            connection.execute(sa.delete(table).where(sa.tuple_(*key).in_([tuple(row) for row in rows])))
        removed += len(rows)
        progress()


def _prune_reports(engine: sa.Engine, progress: Callable[[], None], day: dt.date) -> int:
    """Whole reports with everything below them; their sums leave the rollups in the same transaction."""
    removed = 0
    while True:
        with engine.begin() as connection:
            old = sa.select(report).where(report.c.day < day).order_by(report.c.policy_domain).limit(200)
            rows = [dict(row) for row in connection.execute(old).mappings()]
            if not rows:
                break
            keys = [(row["policy_domain"], row["report_key"]) for row in rows]
            deltas = rollups.Deltas()
            sums = rollups.entry_sums(connection, keys)
            for row, key in zip(rows, keys, strict=True):
                deltas.add(row, sums[key], times=-1)
            deltas.write(connection)
            for table in (failure_detail, policy_entry, delivery, raw_report, report):
                of_keys = sa.tuple_(table.c.policy_domain, table.c.report_key).in_(keys)
                connection.execute(sa.delete(table).where(of_keys))
        removed += len(rows)
        progress()
    return removed
