"""Uvicorn's HTTP/1.1 protocol with the limits it lacks: connections, time for a header and a request, one framing of a body.

Uvicorn leaves silent, header-dripping and body-dripping connections open for ever. The body's deadline is the application's.
tests/house/test_private_names.py says which of uvicorn's names are overridden here, and fails when it does not call one any more.
"""

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ingest.doors.connections import STEP_OCTETS, Connections
from ingest.monitoring import metrics
from ingest.spool import channels

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 60\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
DOOR = channels.HTTPS
# Of a request's header.
_MAX_HEADER = 32 * 1024
_GRACE_SECONDS = 5.0


class _OneFraming(h11.Connection):
    """Refuses a body whose end is said twice: who stands in front may see another end, and with it another next request."""

    def next_event(self) -> Any:  # noqa: ANN401
        """What h11 says; RemoteProtocolError for both lengths (RFC 9112 section 6.1), of which h11 silently takes one."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if b"transfer-encoding" in names and (b"content-length" in names or event.http_version < b"1.1"):
                raise h11.RemoteProtocolError("the length of the body is said twice, or in HTTP/1.0 in chunks")
        return event


class BoundedProtocol(H11Protocol):
    """One connection. Subclasses carry the limits: see ``bounded``."""

    limits: Connections
    header_seconds: float
    request_seconds: float

    _since = 0.0
    _octets = 0
    _deadline: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self.conn = _OneFraming(h11.SERVER, _MAX_HEADER)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it in."""
        super().connection_made(transport)
        self.limits.enter(self._peer, self)
        metrics.connections.labels(DOOR).inc()
        self._since = self.loop.time()
        self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        if self._deadline:
            self._deadline.cancel()
        self.limits.leave(self)
        metrics.connections.labels(DOOR).dec()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand on; a new request cycle means that its header is complete."""
        before = self.cycle
        try:
            super().data_received(data)
        except h11.LocalProtocolError:  # nonsense in the middle of a request that was answered already
            self.transport.abort()
            return
        if self.cycle is not before:
            self._expect_end()
        self._octets += len(data)
        if self.cycle is not before or self._octets >= STEP_OCTETS:
            self._octets = 0
            self.limits.moved(self)
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self.limits.busy(self)

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no request."""
        metrics.refused.labels(DOOR, "nonsense").inc()
        super().send_400_response(msg)

    def evict(self) -> None:
        """The door is full, and this connection has brought nothing for longest."""
        metrics.refused.labels(DOOR, "time").inc()
        self.transport.abort()

    def turn_away(self) -> None:
        """The receiver stops: 503 to a request that is still being read, which then ends as if the client had hung up."""
        if self.cycle is not None and not self.cycle.response_complete:
            if not self.cycle.response_started:
                self.transport.write(BUSY)
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def on_response_complete(self) -> None:
        """A kept-alive connection has to come up with its next header in time, and is closed when it is old."""
        answered = self.cycle
        super().on_response_complete()
        self.limits.useful(self)
        if self.cycle is not answered:  # the next request was there already
            self._expect_end()
        elif self.loop.time() - self._since > self.request_seconds:
            self.transport.close()
        else:
            self._expect_header()

    @property
    def _peer(self) -> str:
        return self.client[0] if self.client else "unknown"

    def _expect_header(self) -> None:
        self._end_after(self.header_seconds)

    def _expect_end(self) -> None:
        """The application answers 408 to a body that is late; this is for what it cannot end."""
        self._end_after(self.request_seconds + _GRACE_SECONDS)

    def _end_after(self, seconds: float) -> None:
        if self._deadline:
            self._deadline.cancel()
        self._deadline = self.loop.call_later(seconds, self.transport.abort)


def bounded(limits: Connections, header_seconds: float, request_seconds: float) -> type[BoundedProtocol]:
    """The protocol class with these limits, as uvicorn's configuration wants it."""
    attributes = {"limits": limits, "header_seconds": header_seconds, "request_seconds": request_seconds}
    return type("LimitedProtocol", (BoundedProtocol,), attributes)
