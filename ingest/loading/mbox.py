"""Where the messages of an mbox begin and end."""

import re
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

_LINE = 64 * 1024
# What is kept of a message that is too large, to tell what it is.
_BEGINNING = 64 * 1024
_BOM = b"\xef\xbb\xbf"
_BLANK_LINES = (b"\n", b"\r\n")
FROM = b"From "
# "From a@b Sat Mar 14 10:00:00 2026", "From - Sat, 14 Mar 2026 10:00:00": a day of the week, then a time.
_DATED_FROM = re.compile(rb"From [^\n]{0,250}\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b[^\n]{0,20}\d{1,2}:\d\d")
_QUOTED_FROM = re.compile(rb"^>(?=>*From )", re.MULTILINE)
# RFC 5322 section 2.2 allows more characters in a name; nobody uses them, and JSON texts would match.
FIELD_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]{0,75}[ \t]*:")


class Message(NamedTuple):
    """A message without its "From " line; only its beginning when it is too large (not ``whole``)."""

    data: bytes
    whole: bool


def messages(file: BinaryIO, limit: int) -> Iterator[Message]:
    """The messages of an mbox (one at least), as they were before they were quoted. Those beyond ``limit`` bytes are cut."""
    message = bytearray()
    size = 0
    started, after_blank, fresh = False, True, True  # fresh: this is the beginning of a line, not more of a long one
    line = file.readline(_LINE).removeprefix(_BOM)
    while line:
        following = file.readline(_LINE)
        if fresh and line.startswith(FROM) and (not started or _begins_message(line, after_blank, following)):
            if started:
                yield _finished(message, size, limit)
            message.clear()
            size, started = 0, True
        elif started or line not in _BLANK_LINES:
            started = True
            size += len(line)
            if size <= limit + 2:
                message += line
            else:
                del message[_BEGINNING:]
        after_blank = fresh and line in _BLANK_LINES
        fresh = line.endswith(b"\n")
        line = following
    yield _finished(message, size, limit)


def _begins_message(line: bytes, after_blank: bool, following: bytes) -> bool:
    """Whether a "From " line begins a message. Thunderbird leaves out the date, and some programs do not quote such text.

    A dated line does, even without the blank line before it that concatenated files lack; an undated one only between a
    blank line and a header field.
    """
    return bool(_DATED_FROM.match(line)) or (after_blank and bool(FIELD_LINE.match(following)))


def _finished(message: bytearray, size: int, limit: int) -> Message:
    """The message without the blank line that separates it from the next one."""
    if size <= limit + 2:
        separator = 2 if message.endswith(b"\n\r\n") else 1 if message.endswith(b"\n\n") else 0
        size -= separator
        del message[len(message) - separator :]
    return Message(_QUOTED_FROM.sub(b"", bytes(message)), size <= limit)
