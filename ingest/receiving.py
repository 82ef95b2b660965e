"""Runs both doors until told to stop."""

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from . import health, http
from .certificate import CertificateUnusable
from .http_protocol import bounded
from .limits import Connections
from .settings import PREFIX, Address, Settings
from .smtp import SmtpDoor
from .spool import Spool

__all__ = ["CertificateUnusable", "PortBusy", "receive", "run"]

log = logging.getLogger(__name__)

# RFC 5321 section 3.8 asks a server not to drop mail in flight; the supervisor allows 8 seconds in all.
_DRAIN_SECONDS = 5.0
_HEADER_SECONDS = 30.0
_BACKLOG = 1_024


class PortBusy(Exception):
    """A port cannot be listened on. The text names the setting that changes it; exit with 2."""


async def receive(
    settings: Settings,
    spool: Spool,
    stop: asyncio.Event,
    *,
    on_ready: Callable[[dict[str, Address]], None] = lambda _addresses: None,
    checks: Mapping[str, health.Check] | None = None,
) -> None:
    """Open both doors, report where they listen (port 0 is resolved), and serve until ``stop`` is set.

    On stop nothing new is accepted and mail in flight may finish for a few seconds. Raises PortBusy, CertificateUnusable.
    """
    loop = asyncio.get_running_loop()
    door = SmtpDoor(settings, spool)
    state = ServerState()
    limits = Connections(settings.max_connections, settings.max_connections_per_client)
    config = uvicorn.Config(
        http.application(settings, spool, checks),
        http=bounded(limits, min(_HEADER_SECONDS, settings.idle_seconds), settings.session_seconds),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=32 * 1024,
    )
    config.load()

    def http_protocol() -> asyncio.Protocol:
        return config.http_protocol_class(config=config, server_state=state, app_state={}, _loop=loop)  # type: ignore[call-arg]

    with contextlib.ExitStack() as sockets:
        smtp_socket = sockets.enter_context(listen("SMTP_LISTEN", settings.smtp_listen))
        http_socket = sockets.enter_context(listen("HTTP_LISTEN", settings.http_listen))
        servers = [
            await loop.create_server(door.protocol, sock=smtp_socket, backlog=_BACKLOG),
            await loop.create_server(http_protocol, sock=http_socket, backlog=_BACKLOG),
        ]
        on_ready({"smtp": Address(*smtp_socket.getsockname()[:2]), "http": Address(*http_socket.getsockname()[:2])})
        await stop.wait()
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(door.drain(_DRAIN_SECONDS), _finish(state.tasks, _DRAIN_SECONDS))


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


def listen(setting: str, address: Address) -> socket.socket:
    """A bound socket for ``address``. Raises PortBusy, which names ``setting``."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((address.host, address.port))
    except (OSError, OverflowError) as error:
        bound.close()
        raise PortBusy(f"{_cannot(address, error)}; set {PREFIX}{setting} to another host:port") from error
    return bound


def _cannot(address: Address, error: Exception) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.EADDRINUSE:
        return f"{address} is in use by another program"
    if code == errno.EACCES:
        return f"{address} needs a privilege this process does not have (ports below 1024)"
    return f"{address} cannot be listened on ({error})"


async def _finish(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    """Let requests in flight end."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
