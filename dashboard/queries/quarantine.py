"""Messages that could not be read. They belong to no domain, so only who may see everything sees them."""

import pandas as pd
import sqlalchemy as sa

from ingest.database.models import quarantine, quarantine_lost
from ingest.store.quarantine import DISCARDED, RETRYING, WAITING

from .frames import COUNT, INSTANT, TEXT, inflate, read, read_number, shortened
from .question import Scope

# The two lists. A message that waits to be read again stands among those that wait.
__all__ = [
    "DISCARDED",
    "WAITING",
    "content",
    "count_messages",
    "count_retrying",
    "list_messages",
    "lost",
    "one_message",
    "reasons",
]

_NAMES = (
    "message_digest",
    "received_at",
    "reason",
    "explanation",
    "sender",
    "subject",
    "file_name",
    "size",
    "door",
    "note",
    "state",
    "acted_by",
    "acted_at",
)
_TEXTS = ("explanation", "sender", "subject", "file_name", "note", "acted_by")
_COLUMNS = dict.fromkeys(_NAMES, TEXT) | {"received_at": INSTANT, "size": COUNT, "acted_at": INSTANT}


def reasons(engine: sa.Engine, scope: Scope, state: str = WAITING) -> pd.DataFrame:
    """Messages for each reason, most first. Columns: reason, messages, oldest, newest."""
    row = quarantine.c
    messages = sa.func.count().label("messages")
    query = (
        sa.select(
            row.reason,
            messages,
            sa.func.min(row.received_at).label("oldest"),
            sa.func.max(row.received_at).label("newest"),
        )
        .where(*_conditions(scope, state, ""))
        .group_by(row.reason)
        .order_by(messages.desc(), row.reason)
    )
    return read(engine, query, {"reason": TEXT, "messages": COUNT, "oldest": INSTANT, "newest": INSTANT})


def count_messages(engine: sa.Engine, scope: Scope, state: str = WAITING, reason: str = "") -> int:
    """How many messages ``list_messages`` would list."""
    query = sa.select(sa.func.count()).select_from(quarantine)
    return read_number(engine, query.where(*_conditions(scope, state, reason)))


def count_retrying(engine: sa.Engine, scope: Scope) -> int:
    """How many messages the worker has been asked to read again and has not read yet."""
    query = sa.select(sa.func.count()).select_from(quarantine)
    return read_number(engine, query.where(quarantine.c.state == RETRYING, _seen(scope)))


def list_messages(
    engine: sa.Engine, scope: Scope, state: str = WAITING, reason: str = "", *, limit: int, offset: int = 0
) -> pd.DataFrame:
    """Quarantined messages, newest first.

    Columns: message_digest, received_at, reason, explanation, sender, subject, file_name (missing for a mail), size (bytes),
    door, note, state, acted_by and acted_at (who discarded it or asked for it to be read again, and when).
    """
    row = quarantine.c
    query = (
        sa.select(*(shortened(row[name]) if name in _TEXTS else row[name] for name in _NAMES))
        .where(*_conditions(scope, state, reason))
        .order_by(row.received_at.desc(), row.message_digest)
        .limit(limit)
        .offset(offset)
    )
    return read(engine, query, _COLUMNS)


def lost(engine: sa.Engine, scope: Scope) -> pd.DataFrame:
    """What gave way, as quarantine is bounded. Columns: reason, bound, messages, bytes, first_at, last_at."""
    row = quarantine_lost.c
    columns = {
        "reason": TEXT,
        "bound": TEXT,
        "messages": COUNT,
        "bytes": COUNT,
        "first_at": INSTANT,
        "last_at": INSTANT,
    }
    query = sa.select(*(row[name] for name in columns)).where(_seen(scope)).order_by(row.messages.desc(), row.reason)
    return read(engine, query, columns)


def one_message(engine: sa.Engine, scope: Scope, digest: str) -> pd.DataFrame:
    """One message's row, as ``list_messages`` has it; no row when there is none."""
    row = quarantine.c
    columns = [shortened(row[name]) if name in _TEXTS else row[name] for name in _NAMES]
    query = sa.select(*columns).where(row.message_digest == digest, _seen(scope))
    return read(engine, query, _COLUMNS)


def content(engine: sa.Engine, scope: Scope, digest: str, *, longest: int | None = None) -> bytes | None:
    """The message as it came, or its first ``longest`` bytes; empty when it was discarded, None when there is none."""
    row = quarantine.c
    with engine.connect() as connection:
        query = sa.select(row.message).where(row.message_digest == digest, _seen(scope))
        message = connection.execute(query).scalar_one_or_none()
    return None if message is None else inflate(message, longest)


def _conditions(scope: Scope, state: str, reason: str) -> list[sa.ColumnElement[bool]]:
    row = quarantine.c
    states = (WAITING, RETRYING) if state == WAITING else (state,)
    return [row.state.in_(states), _seen(scope), row.reason == reason if reason else sa.true()]


def _seen(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.true() if scope.is_everything else sa.false()
