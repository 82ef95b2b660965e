"""One mail from DATA into the spool: bounded, and acknowledged only when it is safe."""

import asyncio
import logging
from concurrent.futures import Executor

from ingest.monitoring import metrics
from ingest.settings.settings import Settings
from ingest.spool import channels
from ingest.spool.maildir import IncomingMessage, Spool, SpoolUnavailable
from ingest.text.addresses import in_log

from .data import HeaderSize
from .hooks import NO_SPACE
from .steps import Steps

log = logging.getLogger(__name__)

DOOR = channels.SMTP
TRY_LATER = "451 4.3.0 Temporary fault on our side, please try again later"
# Letters to postmaster are text; RFC 5321 section 4.5.3.1.7 wants 64 KiB taken of any mail.
_MAX_LETTER_BYTES = 256 * 1024


class MessageWithoutEnd(Exception):
    """It is twice as large as any may be, and goes on: end the connection."""


class Reception:
    """A mail on its way. One that is refused is still to be read to its end, where the refusal belongs.

    ``disk`` is where syncing may block, ``limits`` are the settings, ``steps`` are told how far it has come. ``is_letter`` says
    that it is for postmaster and nobody else.
    """

    def __init__(
        self, spool: Spool, disk: Executor, limits: Settings, steps: Steps, peer: str, *, is_letter: bool
    ) -> None:
        self._spool = spool
        self._disk = disk
        self._limits = limits
        self._steps = steps
        self._peer = peer
        self._is_letter = is_letter
        self._incoming: IncomingMessage | None = None
        self._refusal: str | None = None
        self._header = HeaderSize()
        self._size = 0

    def begin(self, trace: bytes) -> None:
        """Open a file in the spool, which begins with our own trace fields."""
        try:
            self._incoming = self._spool.receive()
            self._incoming.write(trace)
        except SpoolUnavailable as error:
            self._refusal = _no_space(error)

    def take(self, octets: bytes) -> None:
        """More of the mail. Raises MessageWithoutEnd."""
        self._header.feed(octets)
        self._size += len(octets)
        self._steps.received(self._size)
        if self._size > 2 * self._limits.max_message_bytes:
            raise MessageWithoutEnd
        self._refusal = self._refusal or self._too_large()
        if self._refusal is None and self._incoming:
            try:
                self._incoming.write(octets)
            except SpoolUnavailable as error:
                self._refusal = _no_space(error)

    async def end(self) -> str:
        """All of it is there: store it, unless it is refused. The reply."""
        if self._refusal or self._incoming is None:
            return self._refusal or TRY_LATER
        incoming, self._incoming = self._incoming, None
        return await self._commit(incoming)

    def abort(self) -> None:
        """Leave nothing behind of a mail that was not stored."""
        if self._incoming:
            self._incoming.abort()

    async def _commit(self, incoming: IncomingMessage) -> str:
        """The reply. A client that hangs up meanwhile does not stop the commit: at worst it sends the mail again."""
        self._steps.whole()
        writing = asyncio.get_running_loop().run_in_executor(self._disk, incoming.commit)
        stored = False
        try:
            name = await asyncio.shield(writing)
            stored = True
        except SpoolUnavailable as error:
            return _no_space(error)
        except Exception:
            incoming.abort()
            raise
        finally:
            self._steps.ended(stored=stored)
        metrics.accepted.labels(DOOR).inc()
        metrics.accepted_bytes.labels(DOOR).inc(self._size)
        log.info("%s: accepted %s, %d bytes", in_log(self._peer), name, self._size)
        return f"250 2.0.0 Ok: queued as {name}"

    def _too_large(self) -> str | None:
        limits = self._limits
        most = min(limits.max_message_bytes, _MAX_LETTER_BYTES) if self._is_letter else limits.max_message_bytes
        if self._size <= most and self._header.octets <= limits.max_header_bytes:
            return None
        metrics.refused.labels(DOOR, "size").inc()
        if self._size > most:
            return f"552 5.3.4 {'Letter to postmaster' if self._is_letter else 'Message'} larger than {most} bytes"
        return f"552 5.3.4 Header larger than {limits.max_header_bytes} bytes"


def _no_space(error: SpoolUnavailable) -> str:
    log.error("%s", error)
    metrics.refused.labels(DOOR, "storage").inc()
    return NO_SPACE
