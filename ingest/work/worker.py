"""From the spool into the database, batch by batch.

The worker may die at any moment: what it had claimed is put back, what it had committed is a duplicate the next time. A
message that cannot be read goes to quarantine and never stops the line; one that kills its reader again and again, too.
What is no message's fault (blame.py) counts against none: all is given back, and the worker waits until it is over.
"""

import contextlib
import datetime as dt
import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterable, Sequence

import sqlalchemy as sa

from ingest.authentication.dkim_keys import Keys
from ingest.database import engines
from ingest.monitoring import metrics, publishing
from ingest.monitoring.trouble import Trouble
from ingest.settings.settings import Settings
from ingest.spool.claims import Claimant, SpooledMessage
from ingest.spool.maildir import Spool
from ingest.store import quarantine_bounds, saving
from ingest.submissions import Quarantined, Submission

from .batch import COSTLY, Batch
from .blame import for_users, trouble_behind
from .chores import Chores
from .lanes import Aside, Lane, Turns, lanes
from .limited import allow_cpu, allow_message
from .opened import Opened
from .outage import Outage
from .reader import Reader, Ready, SpoolReader

log = logging.getLogger(__name__)

# What may come of database and spool.
_TROUBLES = (sa.exc.SQLAlchemyError, engines.DatabaseAway, engines.SchemaMismatch, OSError)
_MAX_BATCH_CPU_SECONDS = 300
# Raw bytes of one batch.
_BATCH_BYTES = 24 * 1024 * 1024
_STEP_SECONDS = 120.0


class Worker:
    """One worker over one spool and one database. ``run`` until told to stop, or ``run_once`` to empty the spool."""

    def __init__(self, settings: Settings, engine: sa.Engine, spool: Spool, keys: Keys) -> None:
        self._settings = settings
        self._engine = engine
        self._spool = spool
        self._state = metrics.DatabaseState()
        self._opened = Opened(engine)
        self._outage = Outage()
        self._guarded = False
        self._quick, self._thorough = lanes(settings)
        self._turns = Turns()
        self._aside = Aside()
        reader = Reader(settings, keys, self._begin_message)
        self._reader = SpoolReader(reader, self._turns)
        self._chores = Chores(engine, reader, self._state, self._alive)

    def run(self, stop: threading.Event) -> None:
        """Work until ``stop`` is set. Troubles of database and spool are waited out, aloud. Raises SchemaMismatch when the
        tables are wrong from the start, and SpoolUnavailable.
        """
        publisher = publishing.Publisher(self._spool.path, publishing.WORKER, metrics.worker_registry, self._state.look)
        self._state.on_change = publisher.publish
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
                while messages := self._claim(claimant):
                    tally += self._store(claimant, messages, self._quick)
                    while messages := self._next_costly():
                        tally += self._store(claimant, messages, self._thorough)
                self._chores.retry_quarantined()
                while self._chores.retry_undetermined():
                    pass
        except (sa.exc.SQLAlchemyError, OSError) as error:
            raise for_users(error) from error
        finally:
            self._aside.clear()
        return tally

    def _round(self, claimant: Claimant) -> bool:
        """Once through everything. Whether there is more to do at once."""
        if self._outage.back_off:
            claimant.give_back()
        with self._state.asking():
            self._opened.look()
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
        self._aside.clear()
        self._outage.met(of)
        if of.of_database:
            self._state.away()
            self._opened.leave()
        self._chores.ask_first()

    def _alive(self) -> None:
        """A frozen server (SIGSTOP, a dead network) holds a client past every time-out of the driver's: without progress for
        so long, this process ends.
        """
        if self._guarded:
            signal.setitimer(signal.ITIMER_REAL, _STEP_SECONDS)

    def _begin_message(self) -> None:
        self._alive()
        allow_message()

    def _step(self, claimant: Claimant) -> bool:
        """One round: the chores whose time has come, a batch of cheap messages, and costly ones when it is their turn.
        Whether there is more to do at once.
        """
        self._chores.before_mail(claimant.recover)
        begun = time.monotonic()
        messages = self._claim(claimant)
        if messages:
            self._store(claimant, messages, self._quick)
            self._turns.cheap(begun)
        if not messages or self._turns.costly_due:
            begun = time.monotonic()
            self._costly_work(claimant)
            self._turns.costly(begun)
        return bool(messages or self._aside or self._chores.looks_wait)

    def _costly_work(self, claimant: Claimant) -> None:
        if messages := self._next_costly():
            done, _ = self._store_batch(Batch(claimant, messages, self._alive), self._thorough)
            self._aside.put_back(messages[done:])
        self._chores.costly()

    def _claim(self, claimant: Claimant) -> list[SpooledMessage]:
        return claimant.claim(self._settings.batch_messages, _BATCH_BYTES)

    def _next_costly(self) -> list[SpooledMessage]:
        return self._aside.take(self._settings.batch_messages, _BATCH_BYTES)

    def _store(self, claimant: Claimant, messages: list[SpooledMessage], lane: Lane) -> saving.Tally:
        """What was claimed, in as many batches as its size asks for."""
        tally = saving.Tally()
        remaining: list[SpooledMessage] = messages
        while remaining:
            done, of_batch = self._store_batch(Batch(claimant, remaining, self._alive), lane)
            tally += of_batch
            remaining = remaining[done:]
        return tally

    def _store_batch(self, batch: Batch, lane: Lane) -> tuple[int, saving.Tally]:
        """One batch, one transaction; the files go only after its commit. How many messages were done with.

        A trouble of database or spool goes on to the caller. Any other error is some message's fault: when nobody knows whose,
        halves of the batch are stored by themselves until one message is left; it goes back with an attempt counted.
        """
        begun = time.monotonic()
        try:
            became = self._reader.read(batch, lane)
            tally = self._save([item for item in became if isinstance(item, Submission | Quarantined)])
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
            self._aside.put(batch.done([item is COSTLY for item in became]))
            _measure(became, tally, time.monotonic() - begun)
            return len(batch.messages), tally
        return self._failed(batch, lane)

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
        with self._state.asking():
            with self._engine.begin() as connection:
                self._opened.must_have_our_tables(connection)
                tally = saving.save(connection, ready, dt.datetime.now(dt.UTC), bounds)
                self._opened.must_be_same_file()
            self._opened.must_be_same_file()  # or the commit went into a file without a name
        return tally


def _measure(became: Iterable[object], tally: saving.Tally, seconds: float) -> None:
    """Count what became of the messages of a batch, which took so long; also in the log."""
    log.info("stored=%d duplicate=%d quarantined=%d", tally.stored, tally.duplicate, tally.quarantined)
    metrics.stored.inc(tally.stored)
    metrics.duplicate.inc(tally.duplicate)
    metrics.batch_seconds.observe(seconds)
    for item in became:
        refused = item if isinstance(item, Quarantined) else None
        if isinstance(item, Submission):
            if item.decoded.arrival.channel.is_signed:
                metrics.dkim.labels(item.authentication.dkim).inc()
            refused = item.unread
        if refused is not None:
            metrics.quarantined.labels(refused.reason).inc()


def _abandon(claimant: Claimant) -> None:
    """Give the messages back, uncounted, and end this process: its database connection may never answer again."""
    log.error("no progress for %.0f s; giving the batch back and ending, to be started again", _STEP_SECONDS)
    claimant.close()
    os._exit(3)


def stop_on_signals(stop: threading.Event) -> None:
    """SIGTERM and SIGINT end the loop after the batch in hand."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
