"""aiosmtpd's session without the slips that fuzzing found (tests/fuzz/dialogue.py)."""

import asyncio.sslproto
import re
from typing import AnyStr

from aiosmtpd.smtp import SMTP

# asyncio fills a buffer of 256 KiB for each TLS session before its handshake begins: 500 clients that say STARTTLS and no
# more would take 210 MiB. A TLS record has 16 KiB. aiosmtpd makes the object itself, so only the class can say this.
asyncio.sslproto.SSLProtocol.max_size = 32 * 1024

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")


class CarefulSession(SMTP):
    """A session whose replies are printable ASCII, and for which a broken address is the client's mistake, not ours."""

    async def _handle_client(self) -> None:
        try:
            await super()._handle_client()
        except ConnectionResetError:
            return  # aiosmtpd lets it end the task, and asyncio logs that nobody looked at it

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        try:
            address, rest = super()._getaddr(arg)
        except (IndexError, ValueError, AttributeError):
            # What the standard library's address parser raises on "<" and "<a@": no fault of ours, so no "try later".
            return None, None
        return address, rest

    async def push(self, status: AnyStr) -> None:
        """Send a reply. aiosmtpd quotes unknown commands as they came, with CR, NUL and escape sequences."""
        text = status.decode("ascii", "replace") if isinstance(status, bytes) else status
        await super().push(_UNPRINTABLE.sub("?", text))
