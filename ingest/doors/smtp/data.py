"""The body of DATA: where it ends, and the dots it was stuffed with (RFC 5321 section 4.5.2), chunk by chunk."""

import re

_END = b"\r\n.\r\n"
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")


class DataStream:
    """Decodes the octets after 354. Memory is the chunk in hand, whatever the peer sends.

    Only <CRLF>.<CRLF> ends the mail. A lone CR or LF is an octet like any other: it never ends a line, let alone the mail,
    so a relay that counts ``<LF>.<LF>`` as text and this receiver see the same end (SMTP smuggling needs two opinions).
    Such mail is not refused, because nothing is handed on to anybody who might see it otherwise.
    """

    def __init__(self) -> None:
        # The line before the first: RFC 5321 ends an empty mail with a dot directly after the CRLF of the DATA command.
        self._pending = b"\r\n"
        self._virtual = 2
        self.ended = False
        self.rest = b""

    def feed(self, chunk: bytes) -> bytes:
        """The decoded octets that ``chunk`` completes. After the end, ``ended`` is true and ``rest`` holds what follows."""
        data = self._pending + chunk
        end = data.find(_END)
        if end >= 0:
            self.ended = True
            self.rest = data[end + len(_END) :]
            self._pending = b""
            return self._without_virtual(data[: end + 2])
        keep = next(size for size in range(len(_END) - 1, -1, -1) if data.endswith(_END[:size]))
        cut = len(data) - keep
        self._pending = data[cut:]
        return self._without_virtual(data[:cut])

    def _without_virtual(self, data: bytes) -> bytes:
        plain = data.replace(b"\r\n.", b"\r\n")
        skipped = plain[self._virtual :]
        self._virtual = max(0, self._virtual - len(plain))
        return skipped


class HeaderSize:
    """Counts the octets of a mail's header, that is up to the first blank line, chunk by chunk."""

    def __init__(self) -> None:
        self.octets = 0
        self._ended = False
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Count what ``chunk`` adds."""
        if self._ended:
            return
        data = self._tail + chunk
        blank = _BLANK_LINE.search(data)
        self._ended = blank is not None
        self.octets += (blank.start() if blank else len(data)) - len(self._tail)
        self._tail = data[-3:]
