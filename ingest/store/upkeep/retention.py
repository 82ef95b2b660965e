"""Retention: what may be forgotten, and when (settings ``KEEP_*``); and what quarantine may hold.

Ages are told by the clock, and a clock that jumps ahead would have everything deleted in one go. So nothing goes by age while
the clock is in doubt (clock.py).
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database import compaction
from ingest.database.joins import of_report
from ingest.database.models import (
    delivery,
    domain_verdict,
    failure_detail,
    policy_entry,
    quarantine,
    quarantine_origin,
    raw_report,
    report,
)
from ingest.settings.settings import Settings
from ingest.store import quarantine_bounds, rollups
from ingest.store.quarantine import DISCARDED

from . import clock

log = logging.getLogger(__name__)

_AT_ONCE = 2_000
# Messages may be large, and a transaction must stay short.
_MESSAGES_AT_ONCE = 200


class Pruned(msgspec.Struct):
    """How many rows of each kind were removed; of ``discarded`` messages the content. ``bytes`` is what raw reports and messages
    took, compressed; ``given_back`` is by how much SQLite's file became smaller. ``refused`` says why nothing went by its age,
    or is "".
    """

    raw: int = 0
    details: int = 0
    reports: int = 0
    verdicts: int = 0
    quarantined: int = 0
    discarded: int = 0
    bytes: int = 0
    given_back: int = 0
    refused: str = ""

    @property
    def in_words(self) -> str:
        """One line: what was removed."""
        names = ("raw", "details", "reports", "quarantined", "discarded", "bytes", "given_back", "verdicts")
        return " ".join(f"{name.replace('_', '-')}={getattr(self, name)}" for name in names)


def prune(
    engine: sa.Engine,
    settings: Settings,
    now: dt.datetime,
    progress: Callable[[], None] = lambda: None,
    *,
    force: bool = False,
) -> Pruned:
    """Remove what is older than the settings allow, in small transactions, so that writers are never held up for long.

    ``progress`` is called after each. Nothing goes by its age while the clock is in doubt, unless with ``force``.
    """
    pruned = Pruned()
    _tend_quarantine(engine, settings, now, progress, pruned)
    with engine.connect() as connection:
        pruned.refused = "" if force else clock.doubt(connection, now)
    if pruned.refused:
        log.warning("nothing is pruned by its age: %s", pruned.refused)
    else:
        _prune_by_age(engine, settings, now, progress, pruned)
    pruned.given_back = compaction.give_back(engine, progress)
    if any((pruned.raw, pruned.details, pruned.reports, pruned.verdicts, pruned.quarantined, pruned.discarded)):
        log.info("pruned %s%s", pruned.in_words, "" if pruned.refused else f" (kept since {_horizons(settings, now)})")
    return pruned


def _horizons(settings: Settings, now: dt.datetime) -> str:
    days = {
        "raw": settings.keep_raw_days,
        "details": settings.keep_details_days,
        "reports": settings.keep_reports_days,
        "quarantined": settings.keep_quarantine_days,
        "unsigned": settings.keep_quarantine_unsigned_days,
        "verdicts": settings.keep_verdicts_days,
    }
    return ", ".join(f"{name} {now - dt.timedelta(days=days):%Y-%m-%d}" for name, days in days.items() if days)


def _prune_by_age(
    engine: sa.Engine, settings: Settings, now: dt.datetime, progress: Callable[[], None], pruned: Pruned
) -> None:
    if settings.keep_raw_days:
        horizon = now - dt.timedelta(days=settings.keep_raw_days)
        old = raw_report.c.stored_at < horizon
        pruned.raw, freed = _delete_in_steps(engine, progress, raw_report, old, raw_report.c.document)
        pruned.bytes += freed
    if settings.keep_details_days:
        day = (now - dt.timedelta(days=settings.keep_details_days)).date()
        pruned.details, _ = _delete_in_steps(engine, progress, failure_detail, _of_reports_before(failure_detail, day))
    if settings.keep_reports_days:
        horizon = now - dt.timedelta(days=settings.keep_reports_days)
        pruned.reports = _prune_reports(engine, progress, horizon.date(), now.date())
    if settings.keep_verdicts_days:
        day = (now - dt.timedelta(days=settings.keep_verdicts_days)).date()
        past = (domain_verdict.c.day < day) & ~domain_verdict.c.newest
        pruned.verdicts, _ = _delete_in_steps(engine, progress, domain_verdict, past)
    for messages in _old_messages(settings, now):
        removed, freed = _in_steps(engine, progress, messages.limit(_MESSAGES_AT_ONCE), quarantine_bounds.remove)
        pruned.quarantined += removed
        pruned.bytes += freed


def _tend_quarantine(
    engine: sa.Engine, settings: Settings, now: dt.datetime, progress: Callable[[], None], pruned: Pruned
) -> None:
    """What an older version left (origins not noted, discarded content), and bounds that have been lowered since."""
    row = quarantine.c
    open_ones = sa.select(row.message_digest).where(row.state != DISCARDED)
    noted = sa.exists().where(quarantine_origin.c.message_digest == row.message_digest)
    _in_steps(engine, progress, open_ones.where(~noted).limit(_AT_ONCE), quarantine_bounds.note_origins)
    content = (row.state == DISCARDED) & (sa.func.length(row.message) > len(quarantine_bounds.NO_CONTENT))
    emptied = sa.select(row.message_digest).where(content).limit(_MESSAGES_AT_ONCE)
    pruned.discarded, pruned.bytes = _in_steps(engine, progress, emptied, quarantine_bounds.empty)
    with engine.begin() as connection:
        quarantine_bounds.lock(connection)
        quarantine_bounds.enforce(connection, quarantine_bounds.of(settings), now)
    progress()


def _old_messages(settings: Settings, now: dt.datetime) -> Iterable[sa.Select[Any]]:
    """The digests of messages in quarantine whose time is over: from when they came here. By the message's own time an old
    archive that is loaded today would be forgotten within the hour.
    """
    row, origin = quarantine.c, quarantine_origin.c
    if settings.keep_quarantine_unsigned_days:
        horizon = now - dt.timedelta(days=settings.keep_quarantine_unsigned_days)
        of_strangers = (origin.vouched == sa.false()) & (origin.signer == "") & (origin.came_at < horizon)
        yield sa.select(origin.message_digest).where(of_strangers)
    if settings.keep_quarantine_days:
        horizon = now - dt.timedelta(days=settings.keep_quarantine_days)
        yield sa.select(origin.message_digest).where(origin.came_at < horizon)
        arrived_at = sa.func.coalesce(row.stored_at, row.received_at)
        yield sa.select(row.message_digest).where(row.state == DISCARDED, arrived_at < horizon)


def _of_reports_before(table: sa.Table, day: dt.date) -> sa.ColumnElement[bool]:
    return sa.exists().where(of_report(table), report.c.day < day)


def _in_steps(
    engine: sa.Engine,
    progress: Callable[[], None],
    wanted: sa.Select[Any],
    change: Callable[[sa.Connection, Sequence[str]], None],
) -> tuple[int, int]:
    """``change`` the messages in quarantine that are ``wanted``, until there are none. How many, and what they took."""
    changed = freed = 0
    size = sa.func.coalesce(sa.func.sum(sa.func.length(quarantine.c.message)), 0)
    while True:
        with engine.begin() as connection:
            quarantine_bounds.lock(connection)
            digests = connection.execute(wanted).scalars().all()
            if not digests:
                return changed, freed
            freed += connection.execute(sa.select(size).where(quarantine.c.message_digest.in_(digests))).scalar_one()
            change(connection, digests)
        changed += len(digests)
        progress()


def _delete_in_steps(
    engine: sa.Engine,
    progress: Callable[[], None],
    table: sa.Table,
    condition: sa.ColumnElement[bool],
    content: sa.Column[bytes] | None = None,
) -> tuple[int, int]:
    """How many rows were deleted, and the bytes of their ``content``."""
    key = tuple(table.primary_key.columns)
    size = sa.literal(0) if content is None else sa.func.length(content)
    removed = freed = 0
    while True:
        with engine.begin() as connection:
            rows = connection.execute(sa.select(size, *key).where(condition).limit(_AT_ONCE)).all()
            if not rows:
                return removed, freed
            keys = [tuple(row[1:]) for row in rows]
            connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(keys)))
        removed += len(rows)
        freed += sum(row[0] for row in rows)
        progress()


def _prune_reports(engine: sa.Engine, progress: Callable[[], None], day: dt.date, today: dt.date) -> int:
    """Whole reports with everything below them; their sums leave the rollups in the same transaction."""
    removed = 0
    while True:
        with engine.begin() as connection:
            old = sa.select(report).where(report.c.day < day).order_by(report.c.policy_domain).limit(200)
            rows = [dict(row) for row in connection.execute(old).mappings()]
            if not rows:
                break
            keys = [(row["policy_domain"], row["report_key"]) for row in rows]
            deltas = rollups.Deltas(due_from=today)
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
