"""``starttally serve``: doors, worker, assessor and dashboard as processes of their own, started, watched, stopped together."""

import ctypes
import logging
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from dashboard.entrance.serving import streamlit_arguments
from ingest.commands.app import USAGE
from ingest.doors.sockets import listen
from ingest.host import filesystems
from ingest.settings.settings import Address, Settings
from ingest.spool.maildir import Spool
from ingest.store.upkeep import upgrades

log = logging.getLogger("starttally")

# Ctrl-C promises an end within 10 seconds: the doors finish the mail in hand, the worker its batch.
_STOP_SECONDS = 8.0
_LONGEST_BACK_OFF = 30.0
_STEADY_SECONDS = 60.0
_PR_SET_PDEATHSIG = 1


class Part(msgspec.Struct):
    """One of the processes. ``failures`` counts deaths in quick succession, ``start_at`` is when to start it again."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    start_at: float = 0.0


class PartRefused(Exception):
    """A part ended with a mistake in its configuration, which starting it again does not mend; exit with code 2."""


def serve(settings: Settings) -> None:
    """Migrate, start everything, print how to go on, and wait for SIGINT or SIGTERM.

    Raises PortBusy before anything is started when a port is taken, SchemaMismatch, NotBackedUp,
    OnNetwork, DatabaseAway, and PartRefused.
    """
    for name, address in _addresses(settings).items():
        listen(name, address, shared=settings.door_processes > 1 and name != "DASHBOARD_LISTEN").close()
    filesystems.refuse_spool(settings)
    upgrades.at_start(settings, log.info)
    Spool(settings.spool)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    command = [sys.executable, "-m", "dashboard.commands.app"]
    parts = [
        *(Part(name, [*command, "receive"]) for name in _door_names(settings.door_processes)),
        Part("worker", [*command, "work"]),
        Part("assessor", [*command, "assess"]),
        Part("dashboard", streamlit_arguments(settings)),
    ]
    try:
        _watch(parts, settings, stop)
    finally:
        _stop(parts)


def _door_names(count: int) -> list[str]:
    return ["doors"] if count == 1 else [f"doors {number}" for number in range(1, count + 1)]


def _watch(parts: list[Part], settings: Settings, stop: threading.Event) -> None:
    waiting: set[str] | None = set(_addresses(settings))
    while not stop.is_set():
        for part in parts:
            _keep_alive(part)
        if waiting is not None:
            waiting = {name for name in waiting if not _answers(_addresses(settings)[name])}
            if not waiting:
                sys.stdout.write(welcome(settings))
                sys.stdout.flush()
                waiting = None
        stop.wait(0.2)


def _keep_alive(part: Part) -> None:
    """Start a part that is not running; one that dies at once again and again is started ever more slowly."""
    now = time.monotonic()
    if part.process is not None and part.process.poll() is not None:
        if part.process.returncode == USAGE:
            raise PartRefused(f"the {part.name} cannot start; its reason stands above")
        log.error("the %s ended with %s; starting it again", part.name, _ending(part.process.returncode))
        part.failures = 1 if now - part.started > _STEADY_SECONDS else part.failures + 1
        part.start_at = now + min(_LONGEST_BACK_OFF, 0.25 * 2**part.failures)
        part.process = None
    if part.process is None and now >= part.start_at:
        # A session of its own: Ctrl-C reaches this process only, which stops the parts in order.
        part.process = subprocess.Popen(  # noqa: S603
            part.arguments,
            start_new_session=True,
            preexec_fn=_die_with_parent(),
            stdout=subprocess.DEVNULL,  # Streamlit's greeting; everybody logs to standard error
        )
        part.started = now


def _stop(parts: list[Part]) -> None:
    """Ask all to end. Who does not do so in time is killed: what was accepted is safe in the spool."""
    deadline = time.monotonic() + _STOP_SECONDS
    running = [part.process for part in parts if part.process is not None]
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("process %d does not end; killing it", process.pid)
            process.kill()
            process.wait()


def _die_with_parent() -> Callable[[], None] | None:
    """On Linux the kernel sends SIGTERM to a part whose supervisor was killed; nothing is left running unseen."""
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _addresses(settings: Settings) -> dict[str, Address]:
    return {
        "SMTP_LISTEN": settings.smtp_listen,
        "HTTP_LISTEN": settings.http_listen,
        "DASHBOARD_LISTEN": settings.dashboard_listen,
    }


def _answers(address: Address) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    try:
        with socket.create_connection((host, address.port), timeout=0.2):
            return True
    except OSError:
        return False


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _command() -> str:
    """How the user calls this program from here: by its name where that is on the path, else by its place."""
    beside = Path(sys.executable).with_name("starttally")
    if shutil.which("starttally") or not beside.exists():
        return "starttally"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def welcome(settings: Settings) -> str:
    """What a new user needs to know next: the addresses, and how to send a first report."""
    recipient = next(
        (name if "@" in name else f"tlsrpt@{name}" for name in settings.recipients), f"tlsrpt@{settings.hostname}"
    )
    return f"""
StartTally is running.

  SMTP door   {settings.smtp_listen}    takes mail for rua=mailto:
  HTTP door   http://{settings.http_listen}/v1/tlsrpt    takes uploads for rua=https:
  Dashboard   http://{settings.dashboard_listen}

Send a first report (try the one in this folder):

  curl --data-binary @docs/first-report.json -H 'Content-Type: application/tlsrpt+json' http://{settings.http_listen}/v1/tlsrpt
  swaks --server {settings.smtp_listen.host} --port {settings.smtp_listen.port} --to {recipient} --data @report.eml
  {_command()} load FILE...      report files, mails, mbox, Maildir you already have

Ctrl-C stops everything; mail that was accepted stays in {settings.spool} until it is stored.
"""
