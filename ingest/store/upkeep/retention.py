"""Retention: what may be forgotten, and when (settings ``KEEP_*``); and what quarantine may hold.

Ages are told by the clock, and a clock that jumps ahead would have everything deleted in one go. So nothing goes by age while
the clock is in doubt (clock.py).
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database import compaction, engines
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
from ingest.store import counting, quarantine_bounds, rollups, voice_months
from ingest.store.quarantine import DISCARDED

from . import clock
from .deleting import ROWS_AT_ONCE, WritingTurns, batches, delete_by_key, delete_rows, weight

log = logging.getLogger(__name__)

_MESSAGES_AT_ONCE = 200
# What a report costs beside its failure details: its other rows, its part in the sums.
_ROWS_OF_REPORT = 20
# Each row of the rollup of voices that is read anew may have a report a day.
_DAYS_OF_MONTH = 31
_HAS_DETAILS = sa.exists().where(of_report(failure_detail))


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


class _OldReport(msgspec.Struct, frozen=True):
    """A report that may go: what ``counting.lock`` wants of its row, how many failure details and bytes it holds."""

    row: dict[str, Any]
    details: int
    raw: int

    @property
    def key(self) -> tuple[str, str]:
        return self.row["policy_domain"], self.row["report_key"]

    @property
    def weight(self) -> int:
        return weight(self.raw, _ROWS_OF_REPORT + self.details)


def prune(
    engine: sa.Engine,
    settings: Settings,
    now: dt.datetime,
    progress: Callable[[], None] = lambda: None,
    *,
    force: bool = False,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Pruned:
    """Remove what is older than the settings allow, in small transactions, so that writers are never held up for long.

    ``progress`` is called after each. Nothing goes by its age while the clock is in doubt, unless with ``force``.
    """
    pruned = Pruned()
    turns = WritingTurns(engine, progress, rows_at_once)
    _tend_quarantine(turns, settings, now, pruned)
    with engines.reading(engine) as connection:
        pruned.refused = "" if force else clock.doubt(connection, now)
    if pruned.refused:
        log.warning("nothing is pruned by its age: %s", pruned.refused)
    else:
        _prune_by_age(turns, settings, now, pruned)
    _renew_months(turns, settings, now)
    pruned.given_back = compaction.give_back(engine, turns.pause)
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


def _prune_by_age(turns: WritingTurns, settings: Settings, now: dt.datetime, pruned: Pruned) -> None:
    if settings.keep_raw_days:
        horizon = now - dt.timedelta(days=settings.keep_raw_days)
        old = raw_report.c.stored_at < horizon
        pruned.raw, freed = delete_rows(turns, raw_report, old, raw_report.c.document)
        pruned.bytes += freed
    if settings.keep_details_days:
        day = (now - dt.timedelta(days=settings.keep_details_days)).date()
        pruned.details = _prune_details(turns, day)
    if settings.keep_reports_days:
        horizon = now - dt.timedelta(days=settings.keep_reports_days)
        pruned.reports = _prune_reports(turns, horizon.date(), now.date())
    if settings.keep_verdicts_days:
        day = (now - dt.timedelta(days=settings.keep_verdicts_days)).date()
        past = (domain_verdict.c.day < day) & ~domain_verdict.c.newest
        pruned.verdicts, _ = delete_rows(turns, domain_verdict, past)
    for messages in _old_messages(settings, now):
        removed, freed = _change_messages(turns, messages, quarantine_bounds.remove)
        pruned.quarantined += removed
        pruned.bytes += freed


def _tend_quarantine(turns: WritingTurns, settings: Settings, now: dt.datetime, pruned: Pruned) -> None:
    """What an older version left (origins not noted, discarded content), and bounds that have been lowered since."""
    row = quarantine.c
    open_ones = sa.select(row.message_digest).where(row.state != DISCARDED)
    noted = sa.exists().where(quarantine_origin.c.message_digest == row.message_digest)
    _change_messages(turns, open_ones.where(~noted), quarantine_bounds.note_origins)
    content = (row.state == DISCARDED) & (sa.func.length(row.message) > len(quarantine_bounds.NO_CONTENT))
    with_content = sa.select(row.message_digest).where(content)
    pruned.discarded, pruned.bytes = _change_messages(turns, with_content, quarantine_bounds.empty)
    bounds = quarantine_bounds.of(settings)
    with engines.reading(turns.engine) as connection:
        if not quarantine_bounds.is_beyond(connection, bounds):
            return
    with turns.take() as connection:
        quarantine_bounds.lock(connection)
        quarantine_bounds.enforce(connection, bounds, now)


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


def _change_messages(
    turns: WritingTurns, wanted: sa.Select[Any], change: Callable[[sa.Connection, Sequence[str]], None]
) -> tuple[int, int]:
    """``change`` the messages in quarantine that are ``wanted``, until there are none. How many, and what they took."""
    changed = freed = 0
    size = sa.func.coalesce(sa.func.length(quarantine.c.message), 0)
    candidate = wanted.limit(_MESSAGES_AT_ONCE).subquery()
    joined = candidate.outerjoin(quarantine, quarantine.c.message_digest == candidate.c.message_digest)
    (digest,) = wanted.selected_columns
    while True:
        with engines.reading(turns.engine) as connection:
            rows = connection.execute(sa.select(candidate.c.message_digest, size).select_from(joined)).all()
        if not rows:
            return changed, freed
        for batch in batches(rows, lambda row: weight(row[1]), turns.rows):
            with turns.take() as connection:
                quarantine_bounds.lock(connection)
                digests = connection.scalars(wanted.where(digest.in_([row[0] for row in batch]))).all()
                sizes = connection.scalars(sa.select(size).where(quarantine.c.message_digest.in_(digests)))
                freed += sum(sizes)
                change(connection, digests)
            changed += len(digests)


def _reports_before(
    turns: WritingTurns, before: dt.date, condition: sa.ColumnElement[bool] | None = None
) -> Iterator[_OldReport]:
    """Reports about earlier days that meet a condition, day by day."""
    names = ("policy_domain", "report_key", "same_id", "document", "domain_source")
    details = sa.select(sa.func.count()).where(of_report(failure_detail)).scalar_subquery()
    raw = sa.select(sa.func.length(raw_report.c.document)).where(of_report(raw_report)).scalar_subquery()
    wanted = sa.true() if condition is None else condition
    following = sa.select(report.c.day).where(report.c.day < before, wanted).order_by(report.c.day).limit(1)
    of_day = sa.select(*(report.c[name] for name in names), details.label("details"), raw.label("raw")).where(wanted)
    day: dt.date | None = dt.date.min
    while True:
        with engines.reading(turns.engine) as connection:
            day = connection.scalar(following.where(report.c.day > day))
            if day is None:
                return
            rows = connection.execute(of_day.where(report.c.day == day).order_by(*report.primary_key)).all()
        for *told, number, size in rows:
            yield _OldReport(dict(zip(names, told, strict=True)), number, size or 0)


def _renew_months(turns: WritingTurns, settings: Settings, now: dt.datetime) -> None:
    """Read the rollup of voices anew where reports have left it. Of a month that is being pruned day by day only once it has
    gone: until then readers ask its reports.
    """
    going = (now - dt.timedelta(days=settings.keep_reports_days)).date() if settings.keep_reports_days else None
    with engines.reading(turns.engine) as connection:
        months = voice_months.doubtful_months(connection, but=going and voice_months.month_of(going))
    for batch in batches(months, lambda month_rows: _DAYS_OF_MONTH * month_rows[1], turns.rows):
        with turns.take() as connection:
            for month, _ in batch:
                voice_months.renew(connection, month)


def _thin(turns: WritingTurns, batch: Iterable[_OldReport]) -> int:
    """Delete failure details of a report that has more of them than a transaction may delete, until it may delete the others."""
    removed = 0
    for old in batch:
        for _ in range((old.details - 1) // turns.rows):
            with turns.take() as connection:
                removed += connection.execute(_deletion_of_details(old, turns.rows)).rowcount
    return removed


def _deletion_of_details(old: _OldReport, most: int) -> sa.Delete:
    detail = failure_detail.c
    mine = (detail.policy_domain == old.key[0]) & (detail.report_key == old.key[1])
    places = (detail.entry_position, detail.position)
    return sa.delete(failure_detail).where(mine, sa.tuple_(*places).in_(sa.select(*places).where(mine).limit(most)))


def _prune_details(turns: WritingTurns, before: dt.date) -> int:
    removed = 0
    for batch in batches(_reports_before(turns, before, _HAS_DETAILS), lambda old: old.details, turns.rows):
        removed += _thin(turns, batch)
        with turns.take() as connection:
            removed += delete_by_key(connection, failure_detail, [old.key for old in batch])
    return removed


def _prune_reports(turns: WritingTurns, before: dt.date, today: dt.date) -> int:
    """Whole reports with everything below them; their sums leave the rollups in the same transaction."""
    removed = 0
    for batch in batches(_reports_before(turns, before), lambda old: old.weight, turns.rows):
        _thin(turns, batch)
        with turns.take() as connection:
            removed += _delete_reports(connection, batch, today)
    return removed


def _delete_reports(connection: sa.Connection, batch: Sequence[_OldReport], today: dt.date) -> int:
    counting.lock(connection, (old.row for old in batch))
    # Anew: its trust may have risen since it was looked at, or it has gone.
    of_batch = sa.tuple_(report.c.policy_domain, report.c.report_key).in_([old.key for old in batch])
    rows = [dict(row) for row in connection.execute(sa.select(report).where(of_batch).with_for_update()).mappings()]
    keys = [(row["policy_domain"], row["report_key"]) for row in rows]
    deltas = rollups.Deltas(due_from=today)
    sums = rollups.entry_sums(connection, keys)
    for row, key in zip(rows, keys, strict=True):
        deltas.add(row, sums[key], times=-1)
        deltas.months.doubt(row, sums[key])
    deltas.write(connection)
    for table in (failure_detail, policy_entry, delivery, raw_report, report):
        delete_by_key(connection, table, keys)
    return len(rows)
