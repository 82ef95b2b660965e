"""From the spool into the database, batch by batch.

The worker may die at any moment: what it had claimed is put back, what it had committed is a duplicate the next time. A
message that cannot be read goes to quarantine and never stops the line; one that kills its reader again and again, too.
What is no message's fault (blame.py) counts against none: all is given back, and the worker waits until it is over.
"""

import collections
import contextlib
import datetime as dt
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Sequence

import sqlalchemy as sa

from ingest import intake
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.signatures import authenticate, signature_names
from ingest.authentication.verdict import Authentication
from ingest.database import engines
from ingest.monitoring import metrics, publishing
from ingest.monitoring.trouble import Trouble
from ingest.settings.settings import Settings
from ingest.spool import trace
from ingest.spool.claims import Claimant, SpooledMessage
from ingest.spool.maildir import Spool
from ingest.store import quarantine, quarantine_bounds, saving
from ingest.store.upkeep import retention
from ingest.submissions import Decoded, Quarantined, Submission
from ingest.testimony import unread

from . import retrying, second_looks, worker_metrics
from .batch import COSTLY, Batch, Costly
from .blame import for_users, trouble_behind
from .chores import Chores
from .lanes import Lane, Turns, lanes
from .limited import MAX_MESSAGE_CPU_SECONDS, allow_cpu
from .opened import Opened
from .outage import Outage

log = logging.getLogger(__name__)

# What may come of database and spool.
_TROUBLES = (sa.exc.SQLAlchemyError, engines.DatabaseAway, engines.SchemaMismatch, OSError)
Ready = Submission | Quarantined

# Readers that a message may take down before it is set aside. After the first it is read alone, so two of them are its own
# doing; the first may have been killed by somebody else at that moment, and among 400 workers killed with SIGKILL one honest
# message met that twice.
_MAX_ATTEMPTS = 3
_MAX_BATCH_CPU_SECONDS = 300
# Raw bytes of one batch.
_BATCH_BYTES = 24 * 1024 * 1024
_STEP_SECONDS = 120.0
_RECOVER_EVERY = 15.0
_RETRY_EVERY = 20.0
# Of these, so long at most while new mail waits.
_RETRY_SECONDS = 5.0
_QUARANTINE_EVERY = 2.0
_COUNT_EVERY = 10.0
# A name server that is only slow gets its chance in the background.
_RETRY_DNS_SECONDS = 2.0
_HOUSEKEEPING_EVERY = 3600.0
_ASKING, _SECOND_LOOKS = "asking for what is to be read again", "looking again for DKIM keys"


class Worker:
    """One worker over one spool and one database. ``run`` until told to stop, or ``run_once`` to empty the spool."""

    def __init__(self, settings: Settings, engine: sa.Engine, spool: Spool, keys: Keys) -> None:
        self._settings = settings
        self._engine = engine
        self._spool = spool
        self._keys = keys
        self._state = metrics.DatabaseState()
        self._chores = Chores(self._alive)
        self._opened = Opened(engine)
        self._outage = Outage()
        # Marks in the database that say "its reader died", and no longer should: to be taken back when it can be written to.
        self._owed_retries = retrying.Owed()
        self._owed_looks = second_looks.Owed()
        self._retries_wait = False
        self._guarded = False
        self._quick, self._thorough = lanes(settings)
        self._turns = Turns()
        # Claimed, and put aside by the quick lane.
        self._costly: collections.deque[SpooledMessage] = collections.deque()

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Troubles of database and spool are waited out, aloud. Raises SchemaMismatch when the
        tables are wrong from the start, and SpoolUnavailable.
        """
        publisher = publishing.Publisher(
            self._spool.path, publishing.WORKER, metrics.worker_registry, lambda: self._state.look()
        )
        self._state = metrics.DatabaseState(publisher.publish)
        with publisher, self._spool.claimant() as claimant:
            signal.signal(signal.SIGALRM, lambda *_: _abandon(claimant))
            self._guarded = True
            while not stop.is_set():
                self._alive()
                try:
                    busy = self._round(claimant)
                except _TROUBLES as error:
                    self._wait_out(error, claimant)
                    busy = True
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
                stop.wait(self._outage.back_off or (0 if busy else self._settings.poll_seconds))

    def run_once(self) -> saving.Tally:
        """Store what is in the spool now and return what became of it. Raises DatabaseAway, SpoolUnavailable, SchemaMismatch;
        the messages then stay.
        """
        tally = saving.Tally()
        try:
            with self._spool.claimant() as claimant:
                self._opened.look()
                claimant.recover()
                while messages := claimant.claim(self._settings.batch_messages, _BATCH_BYTES):
                    tally += self._store(claimant, messages, self._quick)
                    while messages := self._next_costly():
                        tally += self._store(claimant, messages, self._thorough)
                self._retry_quarantined()
                while self._retry_undetermined():
                    pass
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise for_users(error) from error
        finally:
            self._costly.clear()
        return tally

    def _round(self, claimant: Claimant) -> bool:
        """Once through everything. Whether there is more to do at once."""
        if self._outage.back_off:
            claimant.give_back()
        self._state.asked()
        self._opened.look()
        self._state.answered()
        busy = self._step(claimant)
        metrics.unreadable.set(claimant.unreadable)
        self._outage.over()
        self._state.works()
        return busy

    def _wait_out(self, error: Exception, claimant: Claimant) -> None:
        """Give everything back, so that no message pays for a trouble of database or spool. Raises what is neither."""
        of = trouble_behind(error) or (Trouble("disk-fault", str(error)) if isinstance(error, OSError) else None)
        if of is None or (isinstance(error, engines.SchemaMismatch) and not self._opened.ever_right):
            raise error
        with contextlib.suppress(OSError):
            claimant.give_back()
        self._costly.clear()
        self._outage.met(of)
        if of.of_database:
            self._state.away()
            self._opened.leave()
        self._chores.at_once(_ASKING)  # the next round begins with a question to the database

    def _alive(self) -> None:
        """A frozen server (SIGSTOP, a dead network) holds a client past every time-out of the driver's: without progress for
        so long, this process ends.
        """
        if self._guarded:
            signal.setitimer(signal.ITIMER_REAL, _STEP_SECONDS)

    def _step(self, claimant: Claimant) -> bool:
        """One round: the chores whose time has come, a batch of cheap messages, and costly ones when it is their turn.
        Whether there is more to do at once.
        """
        self._chores.now_and_then("recovering", _RECOVER_EVERY, claimant.recover)
        self._chores.now_and_then(_ASKING, _QUARANTINE_EVERY, self._retry_quarantined)
        self._chores.if_possible("counting", _COUNT_EVERY, self._count)
        self._chores.if_possible("pruning", _HOUSEKEEPING_EVERY, self._housekeeping)
        begun = time.monotonic()
        messages = claimant.claim(self._settings.batch_messages, _BATCH_BYTES)
        if messages:
            self._store(claimant, messages, self._quick)
            self._turns.cheap(begun)
        if not messages or self._turns.costly_due:
            begun = time.monotonic()
            self._costly_work(claimant)
            self._turns.costly(begun)
        return bool(messages or self._costly or self._retries_wait)

    def _costly_work(self, claimant: Claimant) -> None:
        if messages := self._next_costly():
            done, _ = self._store_batch(Batch(claimant, messages, self._alive), self._thorough)
            self._costly.extendleft(reversed(messages[done:]))
        if self._retries_wait:  # go on with what has waited for DNS
            self._chores.at_once(_SECOND_LOOKS)
        self._chores.if_possible(_SECOND_LOOKS, _RETRY_EVERY, self._retry_undetermined)

    def _next_costly(self) -> list[SpooledMessage]:
        """As ``Claimant.claim`` gives them, from those that were put aside."""
        messages: list[SpooledMessage] = []
        size = 0
        while self._costly and len(messages) < self._settings.batch_messages and size < _BATCH_BYTES:
            if messages and self._costly[0].attempts:
                break
            messages.append(self._costly.popleft())
            size += messages[-1].size
            if messages[-1].attempts:
                break
        return messages

    def _store(self, claimant: Claimant, messages: list[SpooledMessage], lane: Lane) -> saving.Tally:
        """What was claimed, in as many batches as its size asks for."""
        tally = saving.Tally()
        remaining: list[SpooledMessage] = messages
        while remaining:
            done, came_of_it = self._store_batch(Batch(claimant, remaining, self._alive), lane)
            tally += came_of_it
            remaining = remaining[done:]
        return tally

    def _store_batch(self, batch: Batch, lane: Lane) -> tuple[int, saving.Tally]:
        """One batch, one transaction; the files go only after its commit. How many messages were done with.

        A trouble of database or spool goes on to the caller. Any other error is some message's fault: when nobody knows whose,
        halves of the batch are stored by themselves until one message is left; it goes back with an attempt counted.
        """
        begun = time.monotonic()
        try:
            became, tally = self._read_and_save(batch, lane)
        except MemoryError as error:
            # What the message took lives on in the frames of its reading; there is no room for a traceback in the log.
            traceback.clear_frames(error.__traceback__)
            log.error("memory ran out over a batch of %d; suspected: %d", len(batch.messages), len(batch.suspects))
        except Exception as error:
            if trouble_behind(error):
                raise
            alone = len(batch.suspects) == 1
            words = "a batch of %d failed; suspected of it: %d"
            log.error(words, len(batch.messages), len(batch.suspects), exc_info=alone)
        else:
            self._costly.extend(batch.done([item is COSTLY for item in became]))
            worker_metrics.of_batch(became, tally, time.monotonic() - begun)
            return len(batch.messages), tally
        return self._failed(batch, lane)

    def _read_and_save(self, batch: Batch, lane: Lane) -> tuple[list[Ready | Costly | None], saving.Tally]:
        read = batch.read(lambda message: self._read(message, lane, batch))
        signed = [item.message for item in read if isinstance(item, Decoded) and item.arrival.channel.is_signed]
        signed += [item.message for item in read if isinstance(item, Quarantined) and item.asks_for_key]
        self._find_keys(signed, lane)
        became = batch.each(lambda item: self._authenticated(item, lane), read)
        return became, self._save([item for item in became if isinstance(item, Submission | Quarantined)])

    def _failed(self, batch: Batch, lane: Lane) -> tuple[int, saving.Tally]:
        """What to do about a batch that failed over its content."""
        if len(batch.suspects) == 1:
            batch.blame()
            return len(batch.claimed), saving.Tally()
        middle = len(batch.messages) // 2
        tally = self._store(batch.claimant, batch.messages[:middle], lane)
        tally += self._store(batch.claimant, batch.messages[middle:], lane)
        return len(batch.messages), tally

    def _save(self, ready: Sequence[Ready]) -> saving.Tally:
        allow_cpu(_MAX_BATCH_CPU_SECONDS)
        bounds = quarantine_bounds.of(self._settings)
        self._state.asked()
        with self._engine.begin() as connection:
            self._opened.must_have_our_tables(connection)
            tally = saving.save(connection, ready, dt.datetime.now(dt.UTC), bounds)
            self._opened.must_be_same_file()
        self._opened.must_be_same_file()  # or the commit went into a file without a name
        self._state.answered()
        return tally

    def _read(self, spooled: SpooledMessage, lane: Lane, batch: Batch) -> Decoded | Quarantined | Costly | None:
        """Decode one message within its share of CPU time. None when the file is gone (an operator removed it), or left where
        it lies because nobody can read it.
        """
        if lane.quick and (spooled.attempts or spooled.size > lane.file_bytes):
            return COSTLY
        try:
            raw = spooled.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            if batch.left_lying(spooled, error):
                return None
            raise
        arrival, message = trace.read(raw, spooled.delivered)
        if spooled.attempts >= _MAX_ATTEMPTS:
            why = (
                f"reading it failed {spooled.attempts} times (memory or time ran out, or a fault of ours; see the log)"
            )
            return Quarantined(arrival, message, unread.KILLED_READER, why)
        allow_cpu(MAX_MESSAGE_CPU_SECONDS)
        decoded = intake.decode_mail(message, arrival, lane.settings)
        # What could not be read may only be too large for this lane.
        in_doubt = isinstance(decoded, Quarantined) or decoded.unread
        return COSTLY if lane.quick and in_doubt else decoded

    def _authenticated(self, item: Decoded | Quarantined | Costly | None, lane: Lane) -> Ready | Costly | None:
        if isinstance(item, Quarantined):
            return intake.with_signer(item, self._verdict)
        if not isinstance(item, Decoded):
            return item
        submission = intake.authenticated(item, self._verdict)
        return COSTLY if lane.quick and submission.undetermined else submission

    def _verdict(self, message: bytes, now: dt.datetime) -> Authentication:
        allow_cpu(MAX_MESSAGE_CPU_SECONDS)
        return authenticate(message, self._keys, now)

    def _find_keys(self, messages: Sequence[bytes], lane: Lane) -> None:
        """In the quick lane the wait is taken from the time of costly work; when that is used up, only what is known counts."""
        begun = time.monotonic()
        self._ask_for_keys(messages, lane.dns_seconds if not lane.quick or self._turns.costly_due else 0)
        if lane.quick:
            self._turns.costly(begun)

    def _ask_for_keys(self, messages: Sequence[bytes], seconds: float) -> None:
        allow_cpu(MAX_MESSAGE_CPU_SECONDS)
        self._keys.prefetch([name for message in messages for name in signature_names(message)], seconds)

    def _retry_undetermined(self) -> bool:
        """Whether there are more of them due now."""

        def patiently(headers: Sequence[bytes]) -> None:
            self._alive()
            self._ask_for_keys(headers, max(_RETRY_DNS_SECONDS, self._settings.dns_seconds))

        self._retries_wait = False
        now = dt.datetime.now(dt.UTC)
        progress = second_looks.retry_undetermined(
            self._engine,
            self._settings,
            self._verdict,
            patiently,
            now,
            _RETRY_SECONDS,
            self._begin_message,
            self._owed_looks,
        )
        self._retries_wait = progress.more
        return progress.more

    def _retry_quarantined(self) -> None:
        """What somebody has asked for on the Quarantine page."""

        def verdict(message: bytes, now: dt.datetime) -> Authentication:
            self._ask_for_keys([message], self._settings.dns_seconds)
            return self._verdict(message, now)

        self._owed_retries.pay(self._engine)
        until = time.monotonic() + _RETRY_SECONDS
        while time.monotonic() < until and (digest := self._next_asked_for()):
            self._begin_message()
            now = dt.datetime.now(dt.UTC)
            try:
                retrying.retry(self._engine, self._settings, verdict, digest, now, self._owed_retries)
            except sa.exc.DBAPIError as error:
                if trouble_behind(error):
                    raise
                log.exception("a message in quarantine could not be read again")

    def _next_asked_for(self) -> str:
        self._state.asked()
        asked_for = quarantine.asked_for(self._engine, 1)
        self._state.answered()
        return asked_for[0] if asked_for else ""

    def _begin_message(self) -> None:
        self._alive()
        allow_cpu(MAX_MESSAGE_CPU_SECONDS)

    def _count(self) -> None:
        self._state.asked()
        worker_metrics.of_database(self._engine)
        self._state.answered()

    def _housekeeping(self) -> None:
        retention.prune(self._engine, self._settings, dt.datetime.now(dt.UTC), self._alive)


def _abandon(claimant: Claimant) -> None:
    """Give the messages back, uncounted, and end this process: its database connection may never answer again."""
    log.error("no progress for %.0f s; giving the batch back and ending, to be started again", _STEP_SECONDS)
    claimant.close()
    os._exit(3)


def stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT end the loop after the batch in hand."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
