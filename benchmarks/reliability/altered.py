"""The program with one thing altered on purpose: ``python -m benchmarks.reliability.altered ALTERATION COMMAND...``.

``early``, ``unsynced`` and ``careless`` are the controls that must fail; the others make
faults happen, let clocks run fast, or measure.
"""

import array
import atexit
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

DEADLY = b"X-Deadly: yes"
# How long the early door lets a mail wait in memory, as a write-back cache would.
_EARLY_SECONDS = 0.05
BEAT_SECONDS = 0.005
# Where the probe leaves its beats.
PROBE = "STARTTALLY_TEST_PROBE"


def early() -> None:
    """A door that says 250 first and puts the mail on disk a moment later."""
    from ingest.spool.maildir import IncomingMessage

    honest = IncomingMessage.commit
    late: queue.Queue[tuple[float, IncomingMessage]] = queue.Queue()

    def commit(message: IncomingMessage) -> str:
        late.put((time.monotonic() + _EARLY_SECONDS, message))
        return "early"

    def write() -> None:
        while True:
            due, message = late.get()
            time.sleep(max(0.0, due - time.monotonic()))
            honest(message)

    IncomingMessage.commit = commit  # type: ignore[method-assign]
    threading.Thread(target=write, daemon=True).start()


def unsynced() -> None:
    """A door that leaves it to the kernel when a mail reaches the disk."""
    os.fsync = os.fdatasync = lambda _descriptor: None  # type: ignore[assignment]


def careless() -> None:
    """A worker whose SQLite commits without waiting for the disk."""
    import sqlalchemy as sa

    @sa.event.listens_for(sa.pool.Pool, "checkout")
    def _never_sync(connection: Any, *_others: Any) -> None:
        connection.execute("PRAGMA synchronous = OFF")


def deadly() -> None:
    """A reader that dies over certain messages, as one does when a bomb takes its memory."""
    from ingest import intake

    honest = intake.decode_mail

    def decode_mail(message: bytes, *others: Any) -> Any:
        if DEADLY in message:
            os.kill(os.getpid(), signal.SIGKILL)
        return honest(message, *others)

    intake.decode_mail = decode_mail


def impatient() -> None:
    """A worker that asks DNS again after a second instead of a minute."""
    from ingest.authentication import dkim_keys
    from ingest.store import saving
    from ingest.work import chores

    _set(saving, "FIRST_RETRY", timedelta(seconds=1))
    _set(chores, "_RETRY_EVERY", 0.5)
    _set(dkim_keys, "_UNDETERMINED", 0.5)


def hurried() -> None:
    """A worker whose patience is measured in seconds."""
    from ingest.database import engines
    from ingest.spool import claims
    from ingest.work import outage, worker

    _set(worker, "_STEP_SECONDS", 3.0)
    _set(engines, "_SQLITE_WAIT_SECONDS", 1)
    _set(outage, "_LONGEST_BACK_OFF", 1.0)
    _set(claims, "_LOOK_AGAIN_SECONDS", 1.0)


def probed() -> None:
    """A door whose event loop notes how late each of its beats comes, and how long it was busy since the last one."""
    import uvloop

    honest = uvloop.new_event_loop
    beats = array.array("d")

    def new_event_loop() -> Any:
        loop = honest()

        def beat(due: float, used: float) -> None:
            now, busy = time.monotonic(), time.thread_time()
            beats.extend((now, now - due, busy - used))
            loop.call_later(BEAT_SECONDS, beat, now + BEAT_SECONDS, busy)

        loop.call_soon(beat, time.monotonic(), time.thread_time())
        return loop

    uvloop.new_event_loop = new_event_loop
    atexit.register(lambda: Path(os.environ[PROBE]).write_bytes(beats.tobytes()))


ALTERATIONS: dict[str, Callable[[], None]] = {
    alter.__name__: alter for alter in (early, unsynced, careless, deadly, impatient, hurried, probed)
}


def _set(module: Any, name: str, value: object) -> None:
    getattr(module, name)  # a constant that was renamed must not go unnoticed
    setattr(module, name, value)


def main() -> None:
    ALTERATIONS[sys.argv.pop(1)]()
    from dashboard.commands.app import main as run

    run()


if __name__ == "__main__":
    main()
