"""An upload on its way into the spool: looked at once, and wrapped as a mail while it arrives."""

import base64
import contextlib

from ingest.rfc.tlsrpt.document import may_hold_report
from ingest.spool.maildir import IncomingMessage, Spool

# What the first look needs; an upload that has begun holds less than a chunk in memory, however many arrive at once.
_LOOK = 64 * 1024
# Octets that make one line of base64 (RFC 2045 section 6.8).
_LINE = 57


class NoReport(ValueError):
    """The body is plainly no TLS report: tell the sender, and keep nothing."""


class Upload:
    """One HTTP body. Ends with ``commit`` (it is safe now) or ``abort`` (as if never sent). ``octets`` counts it."""

    def __init__(self, spool: Spool, header: bytes) -> None:
        self._spool = spool
        self._header = header
        self._rest = b""
        self._incoming: IncomingMessage | None = None
        self.octets = 0

    def write(self, chunk: bytes) -> None:
        """Append a part of the body. Raises NoReport, SpoolUnavailable."""
        self.octets += len(chunk)
        self._rest += chunk
        if self._incoming is None and len(self._rest) < _LOOK:
            return
        whole = len(self._rest) - len(self._rest) % _LINE
        self._begun().write(base64.encodebytes(self._rest[:whole]))
        self._rest = self._rest[whole:]

    def commit(self) -> str:
        """Put the whole on stable storage and return its name. Blocks; raises NoReport, SpoolUnavailable."""
        with contextlib.ExitStack() as undo:
            undo.callback(self.abort)
            incoming = self._begun()
            incoming.write(base64.encodebytes(self._rest))
            name = incoming.commit()
            undo.pop_all()
        return name

    def abort(self) -> None:
        """Forget it. Safe to call at any time before ``commit`` is called."""
        if self._incoming is not None:
            self._incoming.abort()

    def _begun(self) -> IncomingMessage:
        if self._incoming is None:
            if not may_hold_report(self._rest):
                raise NoReport
            self._incoming = self._spool.receive()
            self._incoming.write(self._header)
        return self._incoming
