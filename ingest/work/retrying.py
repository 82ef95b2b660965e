"""Messages in quarantine, read again: as after an upgrade, or a change of settings.

That is the worker's or a limited child's business (``limited``): before a message is read its row says that it ended its
reader, and only the end of the reading says otherwise.
"""

import contextlib
import datetime as dt
import zlib
from typing import Any

import sqlalchemy as sa

from ingest import intake
from ingest.database import models
from ingest.intake import Authenticate
from ingest.settings.settings import Settings
from ingest.spool.trace import Arrival
from ingest.store import quarantine_bounds, saving
from ingest.store.quarantine import DISCARDED, WAITING
from ingest.submissions import Decoded, Quarantined
from ingest.testimony import unread
from ingest.text.stored import storable

from .blame import trouble_behind

_ENDED = "reading it again ended before it was done (memory or time ran out, or the program was stopped)"

_row, _origin = models.quarantine.c, models.quarantine_origin.c


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
    change = {"state": WAITING, "reason": unread.KILLED_READER, "explanation": _ENDED}
    with engine.begin() as connection:
        row = connection.execute(sa.select(models.quarantine).where(mine)).mappings().one_or_none()
        if row is None or row["state"] == DISCARDED:
            return saving.Tally()
        network = (
            connection.execute(sa.select(_origin.network).where(_origin.message_digest == digest)).scalar_one_or_none()
            or ""
        )
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
    digest, letter = row["message_digest"], row["reason"] == unread.POSTMASTER
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
            connection.execute(
                sa.update(models.quarantine_origin).where(_origin.message_digest == digest).values(came_at=arrived_at)
            )
    return tally


def _decode_again(message: bytes, file_name: str | None, arrival: Arrival, settings: Settings) -> Decoded | Quarantined:
    if file_name is None:
        return intake.decode_mail(message, arrival, settings)
    return intake.decode_file(message, file_name, arrival, settings)
