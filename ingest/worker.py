"""From the spool into the database, batch by batch.

The worker may die at any moment: what it had claimed is put back, what it had committed is a duplicate the next time. A
message that cannot be read goes to quarantine and never stops the line; one that kills its reader twice goes there too.
"""

import datetime as dt
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa

from . import database, housekeeping, intake, retries, store, trace
from .authentication import Authentication, authenticate, signature_names
from .dkim_keys import Keys
from .intake import Decoded, Quarantined, Submission
from .settings import Settings
from .spool import Claimant, Spool, SpooledMessage

log = logging.getLogger(__name__)
T = TypeVar("T")
U = TypeVar("U")

# Readers that a message may take down before it is set aside.
_MAX_ATTEMPTS = 2
# threats.md rows 4 and 5: the kernel ends a reader that a message drives beyond these; the supervisor starts another.
_MAX_MEMORY = 1024 * 1024 * 1024
_MAX_MESSAGE_CPU_SECONDS = 10
_MAX_BATCH_CPU_SECONDS = 300
# Raw bytes of one batch: what is read of them takes several times as much memory.
_BATCH_BYTES = 24 * 1024 * 1024
_STEP_SECONDS = 120.0
_RECOVER_EVERY = 15.0
_RETRY_EVERY = 20.0
# A name server that is only slow gets its chance in the background.
_RETRY_DNS_SECONDS = 5.0
_HOUSEKEEPING_EVERY = 3600.0
_LONGEST_BACK_OFF = 30.0


class Worker:
    """One worker over one spool and one database. ``run`` until told to stop, or ``run_once`` to empty the spool."""

    def __init__(self, settings: Settings, engine: sa.Engine, spool: Spool, keys: Keys) -> None:
        self._settings = settings
        self._engine = engine
        self._spool = spool
        self._keys = keys
        self._due: dict[str, float] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. The database being away is waited out, aloud; a wrong schema raises SchemaMismatch."""
        back_off = 0.0
        checked = False
        with self._spool.claimant() as claimant:
            signal.signal(signal.SIGALRM, lambda *_: _abandon(claimant))
            while not stop.is_set():
                # A frozen server (SIGSTOP, a dead network) holds a client past every time-out of the driver's.
                signal.setitimer(signal.ITIMER_REAL, _STEP_SECONDS)
                try:
                    if not checked:
                        database.check(self._engine)
                        checked = True
                    busy = self._step(claimant)
                    back_off = 0.0
                except (sa.exc.DBAPIError, database.DatabaseAway) as error:
                    busy = True
                    back_off = min(_LONGEST_BACK_OFF, back_off * 2 or 0.5)
                    log.warning("%s; trying again in %.1f s, mail waits in the spool", _in_a_line(error), back_off)
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                stop.wait(back_off or (0 if busy else self._settings.poll_seconds))

    def run_once(self) -> store.Tally:
        """Store what is in the spool now and return what became of it. Raises DatabaseAway; the messages then stay."""
        tally = store.Tally()
        with self._spool.claimant() as claimant:
            claimant.recover()
            try:
                while messages := claimant.claim(self._settings.batch_messages, _BATCH_BYTES):
                    tally += self._store(claimant, messages)
                self._retry_undetermined()
            except sa.exc.DBAPIError as error:
                raise database.as_away(error) from error
        return tally

    def _step(self, claimant: Claimant) -> bool:
        """One round: the chores whose time has come, then a batch. Whether there was a batch."""
        self._now_and_then("recover", _RECOVER_EVERY, claimant.recover)
        self._now_and_then("retry", _RETRY_EVERY, self._retry_undetermined)
        self._now_and_then("housekeeping", _HOUSEKEEPING_EVERY, self._housekeeping)
        messages = claimant.claim(self._settings.batch_messages, _BATCH_BYTES)
        if messages:
            self._store(claimant, messages)
        return bool(messages)

    def _now_and_then(self, chore: str, every: float, do: Callable[[], object]) -> None:
        now = time.monotonic()
        if now >= self._due.get(chore, 0.0):
            self._due[chore] = now + every
            do()

    def _store(self, claimant: Claimant, messages: list[SpooledMessage]) -> store.Tally:
        """One batch, one transaction; the files go only after its commit.

        The database being away is nobody's fault: the messages go back as they were. Any other error is some message's
        fault: those under suspicion go back with an attempt counted, come again one by one, and the culprit ends in
        quarantine.
        """
        batch = _Batch(claimant, messages)
        try:
            read = batch.each(self._read, messages)
            self._prefetch(
                [item.message for item in read if isinstance(item, Decoded) and item.arrival.door != trace.HTTPS]
            )
            ready = batch.each(self._authenticated, read)
            _allow_cpu(_MAX_BATCH_CPU_SECONDS)
            with self._engine.begin() as connection:
                tally = store.save(connection, [item for item in ready if item is not None], dt.datetime.now(dt.UTC))
        except (sa.exc.OperationalError, sa.exc.InterfaceError):
            batch.give_back(blame=False)
            raise
        except Exception:
            log.exception("a batch of %d failed; suspected of it: %d", len(messages), len(batch.suspects))
            batch.give_back(blame=True)
            return store.Tally()
        for message in messages:
            claimant.done(message)
        log.info("stored=%d duplicate=%d quarantined=%d", tally.stored, tally.duplicate, tally.quarantined)
        return tally

    def _read(self, spooled: SpooledMessage) -> Decoded | Quarantined | None:
        """Decode one message within its share of CPU time. None when the file is gone (an operator removed it)."""
        try:
            raw, found_at = spooled.read(), _modified(spooled.path)
        except FileNotFoundError:
            return None
        arrival, message = trace.read(raw, found_at)
        if spooled.attempts >= _MAX_ATTEMPTS:
            why = (
                f"reading it failed {spooled.attempts} times (memory or time ran out, or a fault of ours; see the log)"
            )
            return Quarantined(arrival, message, intake.KILLED_READER, why)
        _allow_cpu(_MAX_MESSAGE_CPU_SECONDS)
        return intake.decode_mail(message, arrival, self._settings)

    def _authenticated(self, item: Decoded | Quarantined | None) -> Submission | Quarantined | None:
        return intake.authenticated(item, self._verdict) if isinstance(item, Decoded) else item

    def _verdict(self, message: bytes, now: dt.datetime) -> Authentication:
        _allow_cpu(_MAX_MESSAGE_CPU_SECONDS)
        return authenticate(message, self._keys, now)

    def _prefetch(self, messages: Sequence[bytes]) -> None:
        self._ask_for_keys(messages, self._settings.dns_seconds)

    def _ask_for_keys(self, messages: Sequence[bytes], seconds: float) -> None:
        self._keys.prefetch([name for message in messages for name in signature_names(message)], seconds)

    def _retry_undetermined(self) -> None:
        def patiently(messages: Sequence[bytes]) -> None:
            self._ask_for_keys(messages, max(_RETRY_DNS_SECONDS, self._settings.dns_seconds))

        retries.retry_undetermined(self._engine, self._settings, self._verdict, patiently, dt.datetime.now(dt.UTC))

    def _housekeeping(self) -> None:
        housekeeping.prune(self._engine, self._settings, dt.datetime.now(dt.UTC))


class _Batch:
    """Messages on their way into one transaction, and which of them would be to blame if that failed now."""

    def __init__(self, claimant: Claimant, messages: list[SpooledMessage]) -> None:
        self._claimant = claimant
        self._messages = messages
        self.suspects = messages

    def each(self, do: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """``do`` to each message's item in turn; the message in hand is the suspect, here and for whoever finds us dead."""
        results = []
        for message, item in zip(self._messages, items, strict=True):
            self.suspects = [message]
            self._claimant.reading(message)
            results.append(do(item))
        self._claimant.reading(None)
        self.suspects = self._messages
        return results

    def give_back(self, *, blame: bool) -> None:
        """Put every message back into the spool; with ``blame``, an attempt is counted against the suspects."""
        for message in self._messages:
            self._claimant.release(message, message.attempts + (blame and message in self.suspects))


def _abandon(claimant: Claimant) -> None:
    """Give the messages back, uncounted, and end this process: its database connection may never answer again."""
    log.error("no progress for %.0f s; giving the batch back and ending, to be started again", _STEP_SECONDS)
    claimant.close()
    os._exit(3)


def limit_process() -> None:
    """Bound this process's memory. Beyond it a MemoryError or the kernel ends the process, and the supervisor starts another."""
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT end the loop after the batch in hand."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())


def _allow_cpu(seconds: int) -> None:
    """Allow this process ``seconds`` of CPU time from now; the kernel ends it (SIGXCPU) when one message takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + seconds, hard))


def _modified(path: Path) -> dt.datetime:
    return dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)


def _in_a_line(error: Exception) -> str:
    return str(database.as_away(error)) if isinstance(error, sa.exc.DBAPIError) else str(error)
