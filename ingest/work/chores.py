"""What the worker does beside storing new mail: each chore in its time, and none that fails stops the mail."""

import datetime as dt
import logging
import time
from collections.abc import Callable

import sqlalchemy as sa

from ingest.monitoring import metrics
from ingest.store import quarantine, quarantine_bounds
from ingest.store.upkeep import retention

from . import retrying, second_looks
from .blame import trouble_behind
from .owed import Owed
from .reader import Reader

log = logging.getLogger(__name__)

_RECOVER_EVERY = 15.0
_RETRY_EVERY = 20.0
# Of these, so long at most while new mail waits.
_RETRY_SECONDS = 5.0
_QUARANTINE_EVERY = 2.0
_COUNT_EVERY = 10.0
_HOUSEKEEPING_EVERY = 3600.0
_ASKING, _SECOND_LOOKS = "asking for what is to be read again", "looking again for DKIM keys"


class Schedule:
    """When each chore was begun last, and which of them fail. ``alive`` is called after each."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self._due: dict[str, float] = {}
        # Of which trouble; said once.
        self._failing: dict[str, str] = {}

    def now_and_then(self, chore: str, every: float, do: Callable[[], object]) -> None:
        """Do it when ``every`` seconds have gone by since the last time. Raises what it raises."""
        now = time.monotonic()
        if now >= self._due.get(chore, 0.0):
            self._due[chore] = now + every
            do()
            self._alive()

    def if_possible(self, chore: str, every: float, do: Callable[[], object]) -> None:
        """The same for what can wait: a trouble of the database is said once. Where it is really away, storing finds out."""
        self.now_and_then(chore, every, lambda: self._try(chore, do))

    def at_once(self, chore: str) -> None:
        """Do it when it is asked for next."""
        self._due.pop(chore, None)

    def _try(self, chore: str, do: Callable[[], object]) -> None:
        try:
            do()
            self._failing.pop(chore, None)
        except sa.exc.SQLAlchemyError as error:
            of = trouble_behind(error)
            if of is None:
                log.exception("%s failed", chore)
            elif self._failing.get(chore) != of.reason:
                log.warning("%s has to wait: %s", chore, of)
            self._failing[chore] = of.reason if of else ""


class Chores:
    """One worker's. ``state`` is told of each question to the database, ``alive`` of each step that was done."""

    def __init__(
        self, engine: sa.Engine, reader: Reader, state: metrics.DatabaseState, alive: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._state = state
        self._alive = alive
        self._schedule = Schedule(alive)
        self._owed_retries = Owed()
        self._owed_looks = Owed()
        self.looks_wait = False

    def before_mail(self, recover: Callable[[], object]) -> None:
        """Those that are due. Raises what shows that the database, or the spool, which ``recover`` looks after, is away."""
        self._schedule.now_and_then("recovering", _RECOVER_EVERY, recover)
        self._schedule.now_and_then(_ASKING, _QUARANTINE_EVERY, self.retry_quarantined)
        self._schedule.if_possible("counting", _COUNT_EVERY, self._count)
        self._schedule.if_possible("pruning", _HOUSEKEEPING_EVERY, self._prune)

    def costly(self) -> None:
        """Those that take the time of costly mail."""
        if self.looks_wait:  # go on with what has waited for DNS
            self._schedule.at_once(_SECOND_LOOKS)
        self._schedule.if_possible(_SECOND_LOOKS, _RETRY_EVERY, self.retry_undetermined)

    def ask_first(self) -> None:
        """Begin the next round with a question to the database."""
        self._schedule.at_once(_ASKING)

    def retry_undetermined(self) -> bool:
        """Look again at mails that waited for DNS. Whether there are more of them due now (also ``looks_wait``)."""
        self.looks_wait = False
        now = dt.datetime.now(dt.UTC)
        progress = second_looks.retry_undetermined(self._engine, self._reader, now, _RETRY_SECONDS, self._owed_looks)
        self.looks_wait = progress.more
        return progress.more

    def retry_quarantined(self) -> None:
        """Read again what somebody has asked for on the Quarantine page."""
        self._owed_retries.pay(self._engine)
        until = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < until and (digest := self._next_asked_for()):
            try:
                retrying.retry(self._engine, self._reader, digest, dt.datetime.now(dt.UTC), self._owed_retries)
            except sa.exc.DBAPIError as error:
                if trouble_behind(error):
                    raise
                log.exception("a message in quarantine could not be read again")

    def _next_asked_for(self) -> str:
        with self._state.asking():
            asked_for = quarantine.asked_for(self._engine, 1)
        return asked_for[0] if asked_for else ""

    def _count(self) -> None:
        with self._state.asking():
            _measure(self._engine)

    def _prune(self) -> None:
        retention.prune(self._engine, self._reader.settings, dt.datetime.now(dt.UTC), self._alive)


def _measure(engine: sa.Engine) -> None:
    """Set the metrics of what the database holds: what waits for DNS or lies in quarantine, and how much gave way there."""
    metrics.undetermined.set(second_looks.count(engine))
    with engine.connect() as connection:
        held, lost = quarantine_bounds.held(connection), quarantine_bounds.lost(connection)
    metrics.quarantine_messages.set(held.messages)
    metrics.quarantine_bytes.set(held.bytes)
    for bound in quarantine_bounds.WORDS:
        metrics.quarantine_lost.labels(bound).set(sum(loss.messages for loss in lost if loss.bound == bound))
