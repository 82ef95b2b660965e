"""What is done with messages that could not be read: list, look, read again, discard.

One set of operations for the command line and for the page. Reading again is the worker's or a limited child's business
(limited.py): before a message is read its row says that it ended its reader, and only the end of the reading says otherwise.
"""

import contextlib
import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest import intake
from ingest.database import engines, models
from ingest.intake import Authenticate, Decoded, Quarantined
from ingest.settings.settings import Settings
from ingest.spool.trace import Arrival
from ingest.store import quarantine_bounds, saving
from ingest.store.rows import storable

from .blame import trouble_behind

WAITING, RETRYING, DISCARDED = "waiting", "retrying", "discarded"
# Messages that an operator has not done with.
_OPEN = (WAITING, RETRYING)
_MAX_NOTE = 1_000
_AT_ONCE = 500
_ENDED = "reading it again ended before it was done (memory or time ran out, or the program was stopped)"

_row, _origin = models.quarantine.c, models.quarantine_origin.c
_LISTED = (
    *(_row.message_digest, _row.received_at, _row.door, _row.reason, _row.explanation, _row.subject),
    *(_row.state, _row.note, _row.acted_by, _row.acted_at),
)


class NotFound(ValueError):
    """No message, or several, in quarantine answer to this number. Show the text; exit with 2."""


class Group(msgspec.Struct, frozen=True):
    """The messages with one reason: how many, when the oldest and the newest came."""

    reason: str
    messages: int
    oldest: dt.datetime
    newest: dt.datetime


def find(engine: sa.Engine, beginning: str) -> str:
    """The digest of the one message whose number begins so. Raises NotFound."""
    like = _row.message_digest.startswith(beginning.lower(), autoescape=True)
    with engines.connected(engine) as connection:
        digests = list(connection.execute(sa.select(_row.message_digest).where(like).limit(2)).scalars())
    if len(digests) == 1:
        return str(digests[0])
    raise NotFound(f"{'several messages' if digests else 'no message'} in quarantine begin with {beginning!r}")


def groups(engine: sa.Engine, *, discarded: bool = False, reason: str = "") -> list[Group]:
    """The reasons and how many messages have each, most first."""
    messages = sa.func.count().label("messages")
    columns = (_row.reason, messages, sa.func.min(_row.received_at), sa.func.max(_row.received_at))
    query = sa.select(*columns).where(*_wanted(discarded, reason)).group_by(_row.reason)
    with engines.connected(engine) as connection:
        return [Group(*values) for values in connection.execute(query.order_by(messages.desc(), _row.reason))]


def messages(engine: sa.Engine, reason: str, *, discarded: bool = False) -> Iterator[dict[str, Any]]:
    """The messages of a group, newest first, without their content."""
    query = sa.select(*_LISTED).where(*_wanted(discarded, reason)).order_by(_row.received_at.desc())
    with engines.connected(engine) as connection:
        for row in connection.execute(query.execution_options(yield_per=_AT_ONCE)).mappings():
            yield dict(row)


def content(engine: sa.Engine, digest: str) -> bytes:
    """A message byte by byte as it came; empty when it was discarded."""
    with engines.connected(engine) as connection:
        stored = connection.execute(sa.select(_row.message).where(_row.message_digest == digest)).scalar_one()
    return zlib.decompress(stored)


def waiting(engine: sa.Engine, reason: str = "") -> list[str]:
    """The digests of all messages that are not discarded, or of those with one reason, oldest first."""
    query = sa.select(_row.message_digest).where(*_wanted(False, reason)).order_by(_row.received_at)
    with engines.connected(engine) as connection:
        return list(connection.execute(query).scalars())


def discard(engine: sa.Engine, digests: Sequence[str], note: str, who: str, now: dt.datetime) -> int:
    """Take messages off the list and forget their content at once, for good. What they were, and the note, is kept until
    retention removes it. Returns how many.
    """
    change = {"state": DISCARDED, "note": storable(note.strip())[:_MAX_NOTE]} | _by(who, now)
    with engines.connected(engine, write=True) as connection:
        quarantine_bounds.lock(connection)
        going = sa.select(_row.message_digest).where(_row.message_digest.in_(digests), _row.state.in_(_OPEN))
        discarded = list(connection.execute(going).scalars())
        connection.execute(sa.update(models.quarantine).where(_row.message_digest.in_(discarded)).values(change))
        quarantine_bounds.empty(connection, discarded)
    return len(discarded)


def lost(engine: sa.Engine) -> list[quarantine_bounds.Lost]:
    """What gave way, because quarantine is bounded."""
    with engines.connected(engine) as connection:
        return quarantine_bounds.lost(connection)


def ask_retry(engine: sa.Engine, digests: Sequence[str], who: str, now: dt.datetime) -> int:
    """Let the worker read messages again. Returns how many."""
    return _act(engine, (WAITING,), _row.message_digest.in_(digests), {"state": RETRYING}, who, now)


def ask_retry_of(engine: sa.Engine, reason: str, who: str, now: dt.datetime) -> int:
    """The same for all that wait with one reason (``""``: all that wait)."""
    condition = _row.reason == reason if reason else sa.true()
    return _act(engine, (WAITING,), condition, {"state": RETRYING}, who, now)


def asked_for(engine: sa.Engine, limit: int) -> list[str]:
    """The digests of at most ``limit`` messages that somebody has asked the worker to read again."""
    query = sa.select(_row.message_digest).where(_row.state == RETRYING).order_by(_row.received_at).limit(limit)
    with engine.connect() as connection:
        return list(connection.execute(query).scalars())


class Owed:
    """Messages that were being read when the database went away: their rows say that they ended their reader, and none did."""

    def __init__(self) -> None:
        self._before: dict[str, dict[str, Any]] = {}

    def pay(self, engine: sa.Engine) -> None:
        """Let the rows say again what they said before."""
        for digest, before in list(self._before.items()):
            marked = (_row.message_digest == digest) & (_row.explanation == _ENDED)
            with engine.begin() as connection:
                connection.execute(sa.update(models.quarantine).where(marked).values(before))
            del self._before[digest]

    def owe(self, row: sa.RowMapping) -> None:
        """For the next time that the database can be written to."""
        self._before[row["message_digest"]] = {name: row[name] for name in ("state", "reason", "explanation")}


def retry(
    engine: sa.Engine,
    settings: Settings,
    authenticate: Authenticate,
    digest: str,
    now: dt.datetime,
    owed: Owed | None = None,
) -> saving.Tally:
    """Read a message again, as after an upgrade or a change of settings. What can be read now is stored and leaves
    quarantine; the rest stays, with the reason of today. A message that is gone, or discarded, counts as nothing.

    ``owed`` is kept, and paid, by a caller that goes on when the database went away meanwhile.
    """
    mine = _row.message_digest == digest
    change = {"state": WAITING, "reason": intake.KILLED_READER, "explanation": _ENDED}
    with engine.begin() as connection:
        row = connection.execute(sa.select(models.quarantine).where(mine)).mappings().one_or_none()
        if row is None or row["state"] == DISCARDED:
            return saving.Tally()
        network = connection.execute(sa.select(_origin.network).where(_origin_of(digest))).scalar_one_or_none() or ""
        connection.execute(sa.update(models.quarantine).where(mine).values(change))
    try:
        return _read_again(engine, settings, authenticate, row, network, now)
    except sa.exc.SQLAlchemyError as error:
        if trouble_behind(error):
            owed = owed or Owed()
            owed.owe(row)
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a connection may be gone, and its server there
                owed.pay(engine)
        raise


def _read_again(
    engine: sa.Engine,
    settings: Settings,
    authenticate: Authenticate,
    row: sa.RowMapping,
    network: str,
    now: dt.datetime,
) -> saving.Tally:
    digest, letter = row["message_digest"], row["reason"] == intake.POSTMASTER
    mine = _row.message_digest == digest
    arrival = Arrival(row["door"], row["received_at"], digest, sender=row["sender"], letter=letter, network=network)
    decoded = _decode_again(zlib.decompress(row["message"]), row["file_name"], arrival, settings)
    if isinstance(decoded, Quarantined):
        reason = {"reason": decoded.reason, "explanation": storable(decoded.explanation)}
        with engine.begin() as connection:
            connection.execute(sa.update(models.quarantine).where(mine).values(reason))
        return saving.Tally(quarantined=1)
    signed = None if row["file_name"] is not None else authenticate
    submission = intake.authenticated(decoded, signed)
    with engine.begin() as connection:
        quarantine_bounds.lock(connection)
        quarantine_bounds.remove(connection, [digest])
        # What is still unread of it comes back with today's reason.
        tally = saving.save(connection, [submission], now, quarantine_bounds.of(settings))
        if decoded.unread:
            unchanged = {name: row[name] for name in ("stored_at", "note", "acted_by", "acted_at")}
            connection.execute(sa.update(models.quarantine).where(mine).values(unchanged))
            arrived_at = row["stored_at"] or row["received_at"]
            connection.execute(sa.update(models.quarantine_origin).where(_origin_of(digest)).values(came_at=arrived_at))
    return tally


def _decode_again(message: bytes, file_name: str | None, arrival: Arrival, settings: Settings) -> Decoded | Quarantined:
    if file_name is None:
        return intake.decode_mail(message, arrival, settings)
    return intake.decode_file(message, file_name, arrival, settings)


def _origin_of(digest: str) -> sa.ColumnElement[bool]:
    return _origin.message_digest == digest


def _by(who: str, now: dt.datetime) -> dict[str, Any]:
    return {"acted_by": storable(who)[:_MAX_NOTE], "acted_at": now}


def _wanted(discarded: bool, reason: str) -> list[sa.ColumnElement[bool]]:
    state = _row.state == DISCARDED if discarded else _row.state.in_(_OPEN)
    return [state, _row.reason == reason if reason else sa.true()]


def _act(
    engine: sa.Engine,
    states: Sequence[str],
    condition: sa.ColumnElement[bool],
    change: dict[str, Any],
    who: str,
    now: dt.datetime,
) -> int:
    update = sa.update(models.quarantine).where(_row.state.in_(states), condition).values(change | _by(who, now))
    with engines.connected(engine, write=True) as connection:
        return connection.execute(update).rowcount
