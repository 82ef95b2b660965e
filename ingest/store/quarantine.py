"""Messages that could not be read: list, look, discard, ask for another reading.

One set of operations for the command line and for the page. ``work.retrying`` reads again.
"""

import datetime as dt
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.text.stored import storable

from . import quarantine_bounds

WAITING, RETRYING, DISCARDED = "waiting", "retrying", "discarded"
# Messages that an operator has not done with.
_OPEN = (WAITING, RETRYING)
_MAX_NOTE = 1_000
_AT_ONCE = 500

_row, _origin = models.quarantine.c, models.quarantine_origin.c
_LISTED = (
    *(_row.message_digest, _row.received_at, _row.door, _row.reason, _row.explanation, _row.subject),
    *(_row.state, _row.note, _row.acted_by, _row.acted_at),
)


class NoSuchMessage(ValueError):
    """No message, or several, in quarantine answer to this number. Show the text; exit with 2."""


class Group(msgspec.Struct, frozen=True):
    """The messages with one reason: how many, when the oldest and the newest came."""

    reason: str
    messages: int
    oldest: dt.datetime
    newest: dt.datetime


def find(engine: sa.Engine, beginning: str) -> str:
    """The digest of the one message whose number begins so. Raises NoSuchMessage."""
    like = _row.message_digest.startswith(beginning.lower(), autoescape=True)
    with engines.connected(engine) as connection:
        digests = list(connection.execute(sa.select(_row.message_digest).where(like).limit(2)).scalars())
    if len(digests) == 1:
        return str(digests[0])
    raise NoSuchMessage(f"{'several messages' if digests else 'no message'} in quarantine begin with {beginning!r}")


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
