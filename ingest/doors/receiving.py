"""Runs both doors until told to stop."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from ingest.doors.http import app
from ingest.doors.http.protocol import BUSY, BoundedProtocol, bounded
from ingest.doors.smtp.door import SmtpDoor
from ingest.doors.smtp.session import prepare_process
from ingest.monitoring import health, metrics, publishing
from ingest.settings.settings import PREFIX, Address, Settings, SettingsError
from ingest.spool import folders
from ingest.spool.maildir import Spool
from ingest.text.addresses import as_seen

from .admission import Admission
from .certificate import CertificateUnusable
from .connections import Connections
from .sockets import PortBusy, fitting, handed_over, listen, notify

__all__ = ["CertificateUnusable", "PortBusy", "receive", "run"]

log = logging.getLogger(__name__)

# RFC 5321 section 3.8 asks a server not to drop mail in flight; the supervisor allows 8 seconds in all.
_DRAIN_SECONDS = 5.0
_LAST_SECONDS = 1.0
_HEADER_SECONDS = 30.0
# With fewer a door is no door.
_LEAST_CONNECTIONS = 10
# Thousands may come at once; who finds the queue full tries again a second later. The kernel has a limit of its own.
_BACKLOG = 4_096


async def receive(
    settings: Settings,
    spool: Spool,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[dict[str, Address]], None] = lambda _addresses: None,
    checks: Mapping[str, health.Check] | None = None,
) -> None:
    """Open both doors, report where they listen (port 0 is resolved), and serve until ``stop`` is set.

    On stop nothing new is accepted and mail in flight may finish for a few seconds. Raises PortBusy, CertificateUnusable,
    and SettingsError for what no waiting cures: a divided spool, or hardly any descriptors.
    """
    prepare_process()
    loop = asyncio.get_running_loop()
    settings, own_checks = _looked_over(settings, spool)
    door = SmtpDoor(settings, spool)
    state = ServerState()
    limits = Connections(settings.max_connections, settings.max_connections_per_client, settings.http_proxies)
    if door.certificate:
        own_checks["certificate"] = door.certificate.trouble
    config = _http_config(settings, spool, {**own_checks, **(checks or {})}, limits)

    def http_session() -> asyncio.Protocol:
        return config.http_protocol_class(config=config, server_state=state, app_state={}, _loop=loop)  # type: ignore[call-arg]

    def http_protocol() -> Admission:
        return Admission(app.DOOR, limits, lambda _reason: BUSY, http_session)

    given = handed_over()
    with contextlib.ExitStack() as sockets:
        smtp_socket = sockets.enter_context(_socket("smtp", given, settings))
        http_socket = sockets.enter_context(_socket("http", given, settings))
        sockets.enter_context(publishing.Publisher(spool.path, publishing.DOOR, metrics.registry))
        servers = [
            await loop.create_server(door.protocol, sock=smtp_socket, backlog=_BACKLOG),
            await loop.create_server(http_protocol, sock=http_socket, backlog=_BACKLOG),
        ]
        on_ready({"smtp": Address(*smtp_socket.getsockname()[:2]), "http": Address(*http_socket.getsockname()[:2])})
        notify("READY=1")
        await stop.wait()
        notify("STOPPING=1")
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(door.drain(_DRAIN_SECONDS), _finish(state, _DRAIN_SECONDS))


def run(settings: Settings, spool: Spool, on_ready: Callable[[dict[str, Address]], None]) -> None:
    """``receive`` in this process until SIGTERM or SIGINT."""

    async def main() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await receive(settings, spool, stop, on_ready=on_ready)

    run_loop(main())


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on uvloop where there is one."""
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _looked_over(settings: Settings, spool: Spool) -> tuple[Settings, dict[str, health.Check]]:
    """Settings that fit this process, and what /readyz has to ask of it and its spool."""
    folders.refuse_divided(spool.path)
    if unusable := folders.unusable(spool.path):
        log.error("%s cannot be used (%s); senders are told to try again until it can", spool.path, unusable)
    fit = fitting(settings.max_connections)
    few = None
    if fit < settings.max_connections:
        few = (
            f"this process may not open enough files (ulimit -n, LimitNOFILE=) for {PREFIX}MAX_CONNECTIONS="
            f"{settings.max_connections}: {fit} fit"
        )
        if fit < _LEAST_CONNECTIONS:
            raise SettingsError(few)
        log.warning("%s", few)
        settings = settings.model_copy(update={"max_connections": fit})
    return settings, {"descriptors": lambda: few, "folders": lambda: folders.unusable(spool.path)}


def _http_config(
    settings: Settings, spool: Spool, checks: Mapping[str, health.Check], limits: Connections
) -> uvicorn.Config:
    """Uvicorn's configuration for the HTTP door, loaded."""
    config = uvicorn.Config(
        app.application(settings, spool, checks),
        http=bounded(limits, min(_HEADER_SECONDS, settings.idle_seconds), settings.session_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        # Nobody else's X-Forwarded-For is believed; uvicorn by itself believes this machine's.
        proxy_headers=bool(settings.http_proxies),
        forwarded_allow_ips=as_seen(settings.http_proxies),
        timeout_keep_alive=15,
    )
    config.load()
    return config


def _socket(name: str, given: dict[str, socket.socket], settings: Settings) -> socket.socket:
    """The socket that was handed over under this name, or a new one."""
    setting, address = f"{name.upper()}_LISTEN", {"smtp": settings.smtp_listen, "http": settings.http_listen}[name]
    if name in given:
        public = not Address(*given[name].getsockname()[:2]).is_loopback
        if name == "smtp" and public and not settings.recipients:
            raise SettingsError(
                f"strangers can reach the SMTP socket that systemd handed over: set {PREFIX}RECIPIENTS to the addresses or "
                "domains in your rua (for example tlsrpt@example.com)"
            )
        return given[name]
    return listen(setting, address, shared=settings.door_processes > 1)


async def _finish(state: ServerState, seconds: float) -> None:
    """Let requests in flight end; who is not done then is asked to come again, not told of an error."""
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=seconds)
    for connection in list(state.connections):
        if isinstance(connection, BoundedProtocol):
            connection.turn_away()
    if state.tasks:
        await asyncio.wait(state.tasks, timeout=_LAST_SECONDS)
