"""Uvicorn's HTTP/1.1 protocol with the limits it lacks: connections, and time for a request's header.

Uvicorn leaves silent, header-dripping and body-dripping connections open for ever. The body's deadline is the application's.
"""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import metrics, trace
from .limits import Connections

_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
DOOR = trace.HTTPS


class BoundedProtocol(H11Protocol):
    """One connection. Subclasses carry the limits: see ``bounded``."""

    limits: Connections
    header_seconds: float
    connection_seconds: float

    _admitted = False
    _header_deadline: asyncio.TimerHandle | None = None
    _last_deadline: asyncio.TimerHandle | None = None
    _waiting_since_cycle: object = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit or refuse."""
        super().connection_made(transport)
        refusal = self.limits.enter(self._peer, self)
        if refusal:
            metrics.refused.labels(DOOR, "connections").inc()
            transport.write(_BUSY)
            transport.close()
            return
        self._admitted = True
        metrics.connections.labels(DOOR).inc()
        self._last_deadline = self.loop.call_later(self.connection_seconds, transport.abort)
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        for timer in (self._header_deadline, self._last_deadline):
            if timer:
                timer.cancel()
        if self._admitted:
            self._admitted = False
            self.limits.leave(self)
            metrics.connections.labels(DOOR).dec()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on; a new request cycle means that its header is complete."""
        if not self._admitted:
            return
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # nonsense in the middle of a request that was answered already
            self.transport.abort()
            return
        if self.cycle is not self._waiting_since_cycle and self._header_deadline:
            self._header_deadline.cancel()
            self._header_deadline = None

    def evict(self) -> None:
        """The door is full, and this connection has brought nothing for longest."""
        metrics.refused.labels(DOOR, "time").inc()
        self.transport.abort()

    def turn_away(self) -> None:
        """The receiver stops: 503 to a request that is still being read, which then ends as if the client had hung up."""
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.response_started:
                self.transport.write(_BUSY)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def on_response_complete(self) -> None:
        """A kept-alive connection has to come up with its next header in time."""
        super().on_response_complete()
        self.limits.useful(self)
        self._expect_header()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else "unknown"

    def _expect_header(self) -> None:
        self._waiting_since_cycle = self.cycle
        if self._header_deadline:
            self._header_deadline.cancel()
        self._header_deadline = self.loop.call_later(self.header_seconds, self.transport.abort)


def bounded(limits: Connections, header_seconds: float, connection_seconds: float) -> type[BoundedProtocol]:
    """The protocol class with these limits, as uvicorn's configuration wants it."""
    attributes = {"limits": limits, "header_seconds": header_seconds, "connection_seconds": connection_seconds}
    return type("LimitedProtocol", (BoundedProtocol,), attributes)
