"""Messages in quarantine, read again: as after an upgrade, or a change of settings.

That is the worker's or a limited child's business (``limited``): before a message is read its row says that it ended its
reader, and only the end of the reading says otherwise.
"""

import contextlib
import datetime as dt
import zlib

import sqlalchemy as sa

from ingest.database import models
from ingest.spool.trace import Arrival
from ingest.store import quarantine_bounds, saving
from ingest.store.quarantine import DISCARDED, WAITING
from ingest.submissions import Quarantined
from ingest.testimony import unread
from ingest.text.stored import storable

from .blame import trouble_behind
from .owed import Owed
from .reader import Reader

_ENDED = "reading it again ended before it was done (memory or time ran out, or the program was stopped)"

_row, _origin = models.quarantine.c, models.quarantine_origin.c


def retry(engine: sa.Engine, reader: Reader, digest: str, now: dt.datetime, owed: Owed | None = None) -> saving.Tally:
    """Read a message again, as after an upgrade or a change of settings. What can be read now is stored and leaves
    quarantine; the rest stays, with the reason of today. A message that is gone, or discarded, counts as nothing.

    ``owed`` is kept, and paid, by a caller that goes on when the database went away meanwhile.
    """
    reader.begin()
    mine = _row.message_digest == digest
    mark = {"state": WAITING, "reason": unread.KILLED_READER, "explanation": _ENDED}
    with engine.begin() as connection:
        row = connection.execute(sa.select(models.quarantine).where(mine)).mappings().one_or_none()
        if row is None or row["state"] == DISCARDED:
            return saving.Tally()
        network = connection.execute(sa.select(_origin.network).where(_origin.message_digest == digest)).scalar()
        connection.execute(sa.update(models.quarantine).where(mine).values(mark))
    try:
        return _read_again(engine, reader, row, network or "", now)
    except sa.exc.SQLAlchemyError as error:
        if trouble_behind(error):
            owed = owed or Owed()
            owed.owe(_as_it_was(row))
            with contextlib.suppress(sa.exc.SQLAlchemyError):  # a connection may be gone, and its server there
                owed.pay(engine)
        raise


def _as_it_was(row: sa.RowMapping) -> sa.Update:
    """Take the mark back, where it stands still."""
    marked = (_row.message_digest == row["message_digest"]) & (_row.explanation == _ENDED)
    before = {name: row[name] for name in ("state", "reason", "explanation")}
    return sa.update(models.quarantine).where(marked).values(before)


def _read_again(engine: sa.Engine, reader: Reader, row: sa.RowMapping, network: str, now: dt.datetime) -> saving.Tally:
    digest, letter = row["message_digest"], row["reason"] == unread.POSTMASTER
    mine = _row.message_digest == digest
    arrival = Arrival(row["door"], row["received_at"], digest, sender=row["sender"], letter=letter, network=network)
    decoded = reader.decode(zlib.decompress(row["message"]), arrival, row["file_name"])
    if isinstance(decoded, Quarantined):
        reason = {"reason": decoded.reason, "explanation": storable(decoded.explanation)}
        with engine.begin() as connection:
            connection.execute(sa.update(models.quarantine).where(mine).values(reason))
        return saving.Tally(quarantined=1)
    if decoded.asks_for_key:
        reader.find_keys([decoded.message])
    submission = reader.submission(decoded)
    with engine.begin() as connection:
        quarantine_bounds.lock(connection)
        quarantine_bounds.remove(connection, [digest])
        # What is still unread of it comes back with today's reason.
        tally = saving.save(connection, [submission], now, quarantine_bounds.of(reader.settings))
        if decoded.unread:
            unchanged = {name: row[name] for name in ("stored_at", "note", "acted_by", "acted_at")}
            connection.execute(sa.update(models.quarantine).where(mine).values(unchanged))
            arrived_at = row["stored_at"] or row["received_at"]
            connection.execute(
                sa.update(models.quarantine_origin).where(_origin.message_digest == digest).values(came_at=arrived_at)
            )
    return tally
