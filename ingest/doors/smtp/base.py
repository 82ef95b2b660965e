"""aiosmtpd's session without the slips that fuzzing (tests/fuzz/dialogue.py) and rude peers found.

Names that aiosmtpd keeps to itself are overridden here and in door.py; tests/house/test_private_names.py says which, and
fails when aiosmtpd does not call one any more.
"""

import asyncio.sslproto
import re
from typing import AnyStr, NoReturn

from aiosmtpd.smtp import SMTP, TLSSetupException, syntax

# asyncio fills a buffer of 256 KiB for each TLS session before its handshake begins: 500 clients that say STARTTLS and no
# more would take 210 MiB. A TLS record has 16 KiB. aiosmtpd makes the object itself, so only the class can say this.
asyncio.sslproto.SSLProtocol.max_size = 32 * 1024

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class CarefulSession(SMTP):
    """A session whose replies are printable ASCII, and for which a broken address or handshake is the client's doing."""

    async def _handle_client(self) -> None:
        try:
            await super()._handle_client()
        except ConnectionResetError:
            return  # aiosmtpd lets it end the task, and asyncio logs that nobody looked at it

    def eof_received(self) -> bool:
        """Close, as nobody will answer any more: aiosmtpd has cancelled the task that would.

        It would keep the transport open and leave closing to that task, which has not begun when the peer hangs up at once.
        """
        super().eof_received()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """End. The error is kept from asyncio's stream, which logs that nobody looked at it, by whim of the garbage collector."""
        del error
        super().connection_lost(None)

    def tls_failed(self, error: BaseException | None) -> None:
        """Told when TLS does not come up, or breaks; None when the connection was closed from our side meanwhile."""

    @syntax("STARTTLS", when="tls_context")
    async def smtp_STARTTLS(self, arg: str) -> None:
        """Begin TLS; once only, for within TLS there is nothing to protect from (aiosmtpd begins it in itself)."""
        if self._tls_protocol:
            await self.push("503 5.5.1 Error: TLS is active")
            return
        try:
            await super().smtp_STARTTLS(arg)
        except TLSSetupException as failure:
            self._end_handshake(failure.__cause__)
        # asyncio also says that a handshake is done when we have cut it short; only one that succeeded fills in this.
        if self._tls_protocol and self.session is not None and self.session.ssl is None:
            self._end_handshake(None)

    def _end_handshake(self, error: BaseException | None) -> NoReturn:
        """End the session: asyncio tells it nothing about a connection that is lost before TLS is up."""
        self.tls_failed(error)
        self.connection_lost(None)
        raise ConnectionResetError

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        try:
            address, parameters = super()._getaddr(arg)
        except (IndexError, ValueError, AttributeError):
            # What the standard library's address parser raises on "<" and "<a@": no fault of ours, so no "try later".
            return None, None
        return address, parameters

    async def push(self, status: AnyStr) -> None:
        """Send a reply. aiosmtpd quotes unknown commands as they came, with CR, NUL and escape sequences."""
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
        await super().push(_UNPRINTABLE.sub("?", text))
