"""Bounds on a process that reads what strangers wrote (docs/reliability.md rows 4 and 5), and reading in a child of its own.

What goes beyond the bounds fails with MemoryError or is ended by the kernel. The worker's supervisor then starts another;
commands that read (``load``, ``quarantine retry``) do so in a child, whose end they survive.
"""

import logging
import math
import multiprocessing
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import sqlalchemy as sa

from ingest.database.engines import DatabaseAway, SchemaMismatch
from ingest.settings.settings import SettingsError

from .blame import for_users, trouble_behind

log = logging.getLogger(__name__)

# Of memory that can be written to, which is what bombs fill. Resident memory is that and the program's own files (about 20
# MiB), so it stays below 512 MiB. Measured: the program begins with 62 MiB, a report of 32 MiB with 100,000 failures takes 372,
# a mail of 20 MiB 212.
MAX_DATA_BYTES = 448 * 1024 * 1024
MAX_MESSAGE_CPU_SECONDS = 10
# A thread's stack counts in full, whatever it uses of it.
THREAD_STACK_BYTES = 512 * 1024

# What a child may say to its parent: faults that are the user's business, passed on.
_PASSED_ON = (DatabaseAway, SchemaMismatch, SettingsError, OSError)

Say = Callable[[Any], None]


def limit_process() -> None:
    """Bound this process's memory, for good. Beyond it MemoryError is raised, or the process ends."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA_BYTES, MAX_DATA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_cpu(seconds: int) -> None:
    """Allow this process ``seconds`` of CPU time from now; the kernel ends it (SIGXCPU) when one message takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used.ru_utime + used.ru_stime) + seconds, hard))


def allow_message() -> None:
    """Allow what one message may take."""
    allow_cpu(MAX_MESSAGE_CPU_SECONDS)


def in_a_child(work: Callable[[Say], None], receive: Say) -> bool:
    """Run ``work(say)`` in a limited child process; what it says is given to ``receive`` here. Whether it came to its end.

    The parent must hold no open database connection and run no other thread. Raises what of _PASSED_ON the work raises.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(work, theirs))
    child.start()
    theirs.close()
    fault: Exception | None = None
    try:
        while True:
            kind, value = ours.recv()
            if kind == "fault":
                fault = value
            else:
                receive(value)
    except EOFError:
        child.join()
    finally:
        ours.close()
        if child.is_alive():  # an exception of ours, or Ctrl-C
            child.terminate()
            child.join()
    if fault is not None:
        raise fault
    if child.exitcode:
        log.warning("a reader ended with %s", _ending(child.exitcode))
    return child.exitcode == 0


def _child(work: Callable[[Say], None], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business, which ends this process
    limit_process()
    try:
        work(lambda value: pipe.send(("said", value)))
    except _PASSED_ON as error:
        pipe.send(("fault", type(error)(str(error))))
    except sa.exc.DBAPIError as error:
        if trouble_behind(error) is None:
            raise
        pipe.send(("fault", for_users(error)))
    except MemoryError:
        os._exit(1)


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
