"""Messages that could not be read. They belong to no domain, so only who may see everything sees them."""

import pandas as pd
import sqlalchemy as sa

from ingest.models import quarantine

from .frames import COUNT, INSTANT, TEXT, inflate, read, read_number, shortened
from .selection import Scope

WAITING, DISCARDED = "waiting", "discarded"

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
)
_TEXTS = ("explanation", "sender", "subject", "file_name", "note")
_COLUMNS = dict.fromkeys(_NAMES, TEXT) | {"received_at": INSTANT, "size": COUNT}


def reasons(engine: sa.Engine, scope: Scope, state: str = WAITING) -> pd.DataFrame:
    """Messages for each reason, most first. Columns: reason, messages, newest."""
    row = quarantine.c
    messages = sa.func.count().label("messages")
    query = (
        sa.select(row.reason, messages, sa.func.max(row.received_at).label("newest"))
        .where(row.state == state, _seen(scope))
        .group_by(row.reason)
        .order_by(messages.desc(), row.reason)
    )
    return read(engine, query, {"reason": TEXT, "messages": COUNT, "newest": INSTANT})


def count_messages(engine: sa.Engine, scope: Scope, state: str = WAITING, reason: str = "") -> int:
    """How many messages ``list_messages`` would list."""
    query = sa.select(sa.func.count()).select_from(quarantine)
    return read_number(engine, query.where(*_conditions(scope, state, reason)))


def list_messages(
    engine: sa.Engine, scope: Scope, state: str = WAITING, reason: str = "", *, limit: int, offset: int = 0
) -> pd.DataFrame:
    """Quarantined messages, newest first.

    Columns: message_digest, received_at, reason, explanation, sender, subject, file_name (missing for a mail), size (bytes),
    door, note.
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


def one_message(engine: sa.Engine, scope: Scope, digest: str) -> pd.DataFrame:
    """One message's row, as ``list_messages`` has it and with its state; no row when there is none."""
    row = quarantine.c
    columns = [shortened(row[name]) if name in _TEXTS else row[name] for name in (*_NAMES, "state")]
    query = sa.select(*columns).where(row.message_digest == digest, _seen(scope))
    return read(engine, query, _COLUMNS | {"state": TEXT})


def content(engine: sa.Engine, scope: Scope, digest: str, *, longest: int | None = None) -> bytes | None:
    """The message as it came, or its first ``longest`` bytes; None when there is none."""
    row = quarantine.c
    with engine.connect() as connection:
        query = sa.select(row.message).where(row.message_digest == digest, _seen(scope))
        message = connection.execute(query).scalar_one_or_none()
    return None if message is None else inflate(message, longest)


def _conditions(scope: Scope, state: str, reason: str) -> list[sa.ColumnElement[bool]]:
    row = quarantine.c
    return [row.state == state, _seen(scope), row.reason == reason if reason else sa.true()]


def _seen(scope: Scope) -> sa.ColumnElement[bool]:
    return sa.true() if scope.is_everything else sa.false()
