"""Second looks: DKIM verdicts that DNS could not give yet, and quarantined messages after an upgrade."""

import datetime as dt
import zlib
from collections.abc import Callable, Sequence

import sqlalchemy as sa

from . import intake, store
from .authentication import UNDETERMINED
from .intake import Authenticate, Decoded, Quarantined
from .models import quarantine, undetermined
from .settings import Settings
from .trace import Arrival

# Google's signatures expire after 7 days, and a key that cannot be found for 3 days will not be found.
GIVE_UP_AFTER = dt.timedelta(days=3)
_LONGEST_WAIT = dt.timedelta(hours=6)
_AT_ONCE = 50

Prefetch = Callable[[Sequence[bytes]], None]


def retry_undetermined(
    engine: sa.Engine, settings: Settings, authenticate: Authenticate, prefetch: Prefetch, now: dt.datetime
) -> int:
    """Authenticate stored messages whose time has come; return how many were decided.

    After three days without an answer from DNS the report stays ``unverified``, its delivery keeps the verdict
    ``undetermined`` and the stored message is dropped.
    """
    due = sa.select(undetermined).where(undetermined.c.next_attempt <= now).order_by(undetermined.c.next_attempt)
    with engine.connect() as connection:
        rows = connection.execute(due.limit(_AT_ONCE)).mappings().all()
    messages = [zlib.decompress(row["message"]) for row in rows]
    prefetch(messages)
    decided = 0
    for row, message in zip(rows, messages, strict=True):
        arrival = Arrival(row["door"], row["received_at"], row["message_digest"], sender=row["sender"])
        decoded = intake.decode_mail(message, arrival, settings)
        with engine.begin() as connection:
            decided += _retry(connection, decoded, row["attempts"], authenticate, now)
    return decided


def _retry(
    connection: sa.Connection,
    decoded: Decoded | Quarantined,
    attempts: int,
    authenticate: Authenticate,
    now: dt.datetime,
) -> bool:
    mine = undetermined.c.message_digest == decoded.arrival.message_digest
    if isinstance(decoded, Quarantined):  # STARTTALLY_DOMAINS has changed meanwhile; its rows stay as they are
        connection.execute(sa.delete(undetermined).where(mine))
        return True
    submission = intake.authenticated(decoded, authenticate)
    if submission.authentication.dkim != UNDETERMINED:
        store.settle(connection, submission, now)
        return True
    if now - decoded.arrival.received_at >= GIVE_UP_AFTER:
        connection.execute(sa.delete(undetermined).where(mine))
        return True
    wait = min(store.FIRST_RETRY * 2 ** min(attempts + 1, 10), _LONGEST_WAIT)
    change = sa.update(undetermined).where(mine).values(attempts=attempts + 1, next_attempt=now + wait)
    connection.execute(change)
    return False


def retry_quarantined(
    engine: sa.Engine, settings: Settings, authenticate: Authenticate, digests: Sequence[str], now: dt.datetime
) -> store.Tally:
    """Read quarantined messages again, as after an upgrade or a change of settings. What can be read now is stored and
    leaves quarantine; the rest stays, with the reason of today.
    """
    tally = store.Tally()
    for digest in digests:
        with engine.begin() as connection:
            row = (
                connection.execute(sa.select(quarantine).where(quarantine.c.message_digest == digest)).mappings().one()
            )
            arrival = Arrival(row["door"], row["received_at"], digest, sender=row["sender"])
            decoded = _decode_again(zlib.decompress(row["message"]), row["file_name"], arrival, settings)
            mine = quarantine.c.message_digest == digest
            if isinstance(decoded, Quarantined):
                reason = {"reason": decoded.reason, "explanation": decoded.explanation, "state": "waiting"}
                connection.execute(sa.update(quarantine).where(mine).values(reason))
                tally.quarantined += 1
                continue
            signed = None if row["file_name"] is not None else authenticate
            tally += store.save(connection, [intake.authenticated(decoded, signed)], now)
            if not decoded.unread:
                connection.execute(sa.delete(quarantine).where(mine))
    return tally


def _decode_again(message: bytes, file_name: str | None, arrival: Arrival, settings: Settings) -> Decoded | Quarantined:
    if file_name is None:
        return intake.decode_mail(message, arrival, settings)
    return intake.decode_file(message, file_name, arrival, settings)
