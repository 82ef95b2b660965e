"""Writing: a batch of messages in one transaction, so that writing it twice is a no-op.

Every row has a key derived from its content. A crash between commit and the removal of the spooled files therefore only
repeats work, in this process or in another.
"""

import collections
import datetime as dt
import itertools
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import msgspec
import sqlalchemy as sa

from ingest.database.joins import of_report
from ingest.database.models import delivery, failure_detail, policy_entry, policy_text, raw_report, report, undetermined
from ingest.database.sql import chunks, insert_rows
from ingest.submissions import Quarantined, Submission
from ingest.testimony.trust import TRUST_ORDER, UNDETERMINED
from ingest.text.stored import storable

from . import counting, quarantine_bounds, rollups, voice_months
from .rows import Key, ReportRows, Row, rows_of, voice_of

AnyKey = TypeVar("AnyKey", bound=tuple[str, ...])
# The first retry of a DKIM look-up that failed; later ones wait longer (``second_looks``).
FIRST_RETRY = dt.timedelta(minutes=1)


class Tally(msgspec.Struct):
    """What became of messages: reports stored, reports known already, messages quarantined."""

    stored: int = 0
    duplicate: int = 0
    quarantined: int = 0

    def __iadd__(self, other: "Tally") -> "Tally":
        self.stored += other.stored
        self.duplicate += other.duplicate
        self.quarantined += other.quarantined
        return self


def save(
    connection: sa.Connection,
    messages: Sequence[Submission | Quarantined],
    now: dt.datetime,
    bounds: quarantine_bounds.Bounds = quarantine_bounds.DEFAULT,
) -> Tally:
    """Write a batch inside the caller's transaction. Repeating it changes nothing. ``bounds`` are those of quarantine.

    A report that came before is a duplicate, by whatever way and in whatever layout it came; among its copies the one that is
    trusted most counts (a verified mail after an unauthenticated upload).
    """
    submissions = [message for message in messages if isinstance(message, Submission)]
    refused = [message for message in messages if isinstance(message, Quarantined)]
    refused += [submission.unread for submission in submissions if submission.unread]
    # First of all, so that locks are taken in one order everywhere: quarantine, then reports.
    quarantine_bounds.save(connection, refused, bounds, now)
    reports = [rows for submission in submissions for rows in rows_of(submission, now)]
    originals = _save_reports(connection, [member for rows in reports for member in rows])
    _keep_undetermined(connection, submissions, now)
    tally = Tally(quarantined=len(refused))
    untold = set(originals.values())
    for rows in reports:
        fresh = {originals[member.key] for member in rows if member.key in originals} & untold
        untold -= fresh  # the same report a second time in one batch is a duplicate
        tally += Tally(stored=1) if fresh else Tally(duplicate=1)
    return tally


def settle(
    connection: sa.Connection,
    waiting: Submission,
    submission: Submission,
    now: dt.datetime,
    bounds: quarantine_bounds.Bounds = quarantine_bounds.DEFAULT,
) -> None:
    """Record the verdict on a message that was undetermined so far, ``waiting``, and forget the message."""
    digest = submission.decoded.arrival.message_digest
    save(connection, [submission], now, bounds)
    keys = {member.key for rows in rows_of(waiting, now) for member in rows}
    deltas = rollups.Deltas()
    for domain, key in sorted(keys):
        of_message = (delivery.c.message_digest == digest) & (delivery.c.dkim == UNDETERMINED)
        mine = (delivery.c.policy_domain == domain) & (delivery.c.report_key == key)
        gone = connection.execute(
            sa.delete(delivery).where(of_message, mine).returning(delivery.c.door, delivery.c.trust)
        )
        if any(voice_months.is_loaded(dict(row)) for row in gone.mappings()):
            _doubt(connection, (domain, key), deltas)
    _forget_undelivered(connection, sorted(keys), deltas)
    connection.execute(sa.delete(undetermined).where(undetermined.c.message_digest == digest))


def give_up(connection: sa.Connection, digest: str, why: str, submission: Submission | None, now: dt.datetime) -> None:
    """Say on the deliveries of a message that its verdict was given up, and forget the message. Its report stays as it is.

    ``submission`` is the message where it can be read; without it every delivery must be looked at.
    """
    of_message = (delivery.c.message_digest == digest) & (delivery.c.dkim == UNDETERMINED)
    keys = {member.key for rows in rows_of(submission, now) for member in rows} if submission else set()
    for domain, key in sorted(keys):
        mine = of_message & (delivery.c.policy_domain == domain) & (delivery.c.report_key == key)
        connection.execute(sa.update(delivery).where(mine).values(dkim_reason=why))
    if submission is None:
        connection.execute(sa.update(delivery).where(of_message).values(dkim_reason=why))
    connection.execute(sa.delete(undetermined).where(undetermined.c.message_digest == digest))


def _save_reports(connection: sa.Connection, reports: list[ReportRows]) -> dict[Key, Key]:
    """Write what is not there yet. Returns the keys of the new report rows that are no copies of others that were there, each
    with the first row that says the same.
    """
    if not reports:
        return {}
    counting.lock(connection, (rows.report for rows in reports))
    # In key order, so that two workers with the same reports wait for each other instead of locking crosswise.
    first: dict[Key, ReportRows] = {}
    for rows in sorted(reports, key=lambda rows: rows.key):
        first.setdefault(rows.key, rows)
    new = _insert_new(connection, report, {key: rows.report for key, rows in first.items()})
    fresh = [rows for key, rows in first.items() if key in new]
    insert_rows(connection, policy_entry, [row for rows in fresh for row in rows.entries])
    insert_rows(connection, failure_detail, [row for rows in fresh for row in rows.details])
    insert_rows(connection, raw_report, [rows.raw for rows in fresh if rows.raw])
    texts = {(row["policy_domain"], row["policy_digest"]): row for rows in fresh for row in rows.policy_texts}
    insert_rows(connection, policy_text, [texts[key] for key in sorted(texts)])
    deliveries: dict[tuple[str, ...], Row] = {
        (*rows.key, rows.delivery["delivery_key"]): rows.delivery for rows in reversed(reports)
    }
    new_deliveries = _insert_new(connection, delivery, deliveries)
    loaded = {rows.key for rows in reports if voice_months.is_loaded(rows.delivery)}
    deltas = rollups.of_new(fresh, loaded)
    for key in new_deliveries:
        way = deliveries[key]
        deltas.came(way["policy_domain"], way["trust"], way["received_at"])
    again = {(domain, key) for domain, key, *_ in new_deliveries} - new
    several = {key for key, count in collections.Counter(rows.key for rows in reports).items() if count > 1} & new
    risen = raise_trust(connection, sorted(again | several), deltas)
    standings = counting.recount(connection, [*(rows.report for rows in fresh), *risen], deltas)
    deltas.write(connection)
    known = {standing.original for key, standing in standings.items() if key not in new}
    return {key: standings[key].original for key in new if standings[key].original not in known}


def raise_trust(connection: sa.Connection, keys: Sequence[Key], deltas: rollups.Deltas) -> list[Row]:
    """Give each report the provenance of its best delivery, and move its sums when its trust changes. Returns the rows that
    changed, as they are now.
    """
    changed = []
    for chunk in chunks(keys):
        ways: dict[Key, list[Row]] = collections.defaultdict(list)
        of_chunk = sa.tuple_(delivery.c.policy_domain, delivery.c.report_key).in_(chunk)
        for row in connection.execute(sa.select(delivery).where(of_chunk)).mappings():
            ways[row["policy_domain"], row["report_key"]].append(dict(row))
        sums = rollups.entry_sums(connection, chunk)
        for before in _locked(connection, chunk):
            key = before["policy_domain"], before["report_key"]
            after = _best_provenance(before, ways[key])
            deltas.months.add(after, sums[key], loaded=any(map(voice_months.is_loaded, ways[key])))
            if after != before:
                _move(connection, before, after, sums[key], deltas)
                changed.append(after)
    return changed


def _locked(connection: sa.Connection, keys: Sequence[Key]) -> Iterator[Row]:
    """The rows of reports; nobody else changes them until the transaction ends.

    Each domain has a statement of its own: Citus locks rows of one domain at a time.
    """
    for domain, of_domain in itertools.groupby(sorted(keys), key=lambda key: key[0]):
        mine = (report.c.policy_domain == domain) & report.c.report_key.in_([key for _, key in of_domain])
        yield from map(dict, connection.execute(sa.select(report).where(mine).with_for_update()).mappings().all())


def rank(row: Row) -> tuple[int, bool, dt.datetime]:
    """The order of deliveries: the best trust, a known time of arrival, the first to come."""
    return TRUST_ORDER.index(row["trust"]), row["arrival_estimated"], row["received_at"]


def _best_provenance(before: Row, ways: Sequence[Row]) -> Row:
    """A report's row with the provenance of its best delivery."""
    best = min(ways, key=rank)
    provenance = {name: best[name] for name in ("trust", "signer", "door", "received_at", "arrival_estimated")}
    # An upload names no submitter; another copy with the same key may.
    submitter = next((way["submitter"] for way in sorted(ways, key=rank) if way["submitter"]), "")
    return before | provenance | {"voice": voice_of(before | provenance, submitter)}


def _move(connection: sa.Connection, before: Row, after: Row, entries: Sequence[Row], deltas: rollups.Deltas) -> None:
    changes = {name: value for name, value in after.items() if before[name] != value}
    of_key = (report.c.policy_domain == before["policy_domain"]) & (report.c.report_key == before["report_key"])
    connection.execute(sa.update(report).where(of_key).values(changes))
    deltas.months.doubt(before, entries)
    if "trust" in changes:
        deltas.add(before, entries, times=-1)
        deltas.add(after, entries)


def _doubt(connection: sa.Connection, key: Key, deltas: rollups.Deltas) -> None:
    """A report is left, but not all that was known of it."""
    of_key = (report.c.policy_domain == key[0]) & (report.c.report_key == key[1])
    entries = rollups.entry_sums(connection, [key])[key]
    for row in connection.execute(sa.select(report).where(of_key)).mappings():
        deltas.months.doubt(dict(row), entries)


def _forget_undelivered(connection: sa.Connection, keys: Sequence[Key], deltas: rollups.Deltas) -> None:
    """Remove those of the reports that no delivery stands behind any more, and write what that makes of the rollups."""
    gone: list[Row] = []
    for chunk in chunks(keys):
        undelivered = ~sa.exists().where(of_report(delivery))
        of_chunk = sa.tuple_(report.c.policy_domain, report.c.report_key).in_(chunk)
        gone += map(dict, connection.execute(sa.select(report).where(of_chunk, undelivered)).mappings())
    sums = rollups.entry_sums(connection, [(row["policy_domain"], row["report_key"]) for row in gone])
    for row in gone:
        key = row["policy_domain"], row["report_key"]
        deltas.add(row, sums[key], times=-1)
        deltas.months.doubt(row, sums[key])
        for table in (failure_detail, policy_entry, raw_report, report):
            mine = (table.c.policy_domain == key[0]) & (table.c.report_key == key[1])
            connection.execute(sa.delete(table).where(mine))
    counting.recount(connection, gone, deltas)
    deltas.write(connection)


def _keep_undetermined(connection: sa.Connection, submissions: Iterable[Submission], now: dt.datetime) -> None:
    waiting = {
        submission.decoded.arrival.message_digest: {
            "message_digest": submission.decoded.arrival.message_digest,
            "received_at": submission.decoded.arrival.received_at,
            "next_attempt": now + FIRST_RETRY,
            "attempts": 0,
            "door": submission.decoded.arrival.door,
            "sender": storable(submission.decoded.arrival.sender),
            "message": zlib.compress(submission.decoded.message),
        }
        for submission in submissions
        if submission.undetermined and submission.decoded.arrival.channel.waits_for_dns
    }
    insert_rows(connection, undetermined, list(waiting.values()))


def _insert_new(connection: sa.Connection, table: sa.Table, rows: Mapping[AnyKey, Row]) -> set[AnyKey]:
    """Write rows, given by their keys, and return the keys of those that were not there. Whoever else could write them meanwhile
    is kept away (``counting.lock``).
    """
    key = sa.tuple_(*table.primary_key.columns)
    new = set(rows)
    for chunk in chunks(sorted(rows)):
        there = sa.select(*table.primary_key.columns).where(key.in_(chunk))
        new.difference_update(map(tuple, connection.execute(there)))
    insert_rows(connection, table, [rows[key] for key in sorted(new)])
    return new
