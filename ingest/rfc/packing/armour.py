"""Base64 (RFC 4648) and uuencode in a text: a transfer encoding that its label denies, or something pasted into a mail.

A block is taken for one only when what it decodes to begins like something that may hold a report; of pictures, keys and
long words nothing comes of it. The work is linear in the length of the text.
"""

import binascii
import re
import string
from collections.abc import Iterator

from . import kinds

# Before the first block somebody writes a few lines, no more.
_LOOK = 64 * 1024
# Mail programs break base64 after 60 to 76 characters; quoting puts ">" before each line.
_BEGINNING = re.compile(
    rb"^(?:[> \t]*(?=[A-Za-z0-9+/]{40})|(?P<uu>begin [0-7]{3,4} [^\r\n]{1,255}\r?\n))", re.MULTILINE
)
_ENDING = re.compile(rb"[^A-Za-z0-9+/=> \t\r\n]|\n[> \t]*\r?\n")
_ALPHABET = string.ascii_letters.encode() + string.digits.encode() + b"+/="
_NO_LETTERS = bytes(octet for octet in range(256) if octet not in _ALPHABET)
# Of a block this much is decoded to see what it begins with (a tar header has 512 bytes), twice encoded or not.
_SAMPLE = 1_024
_MAX_TRIES = 2_000
_MAX_UU_LINES = 400_000
_JSON = re.compile(rb"\s*[{\[]\s*[\"{\[\]}]")
_FIELD = re.compile(
    rb"(?:from |(?:from|to|date|subject|received|return-path|delivered-to|message-id|mime-version|content-[a-z-]+"
    rb"|dkim-signature|[ax][a-z]*-[a-z-]+|tls-report-[a-z]+):)",
    re.IGNORECASE,
)


def begins(text: bytes) -> bool:
    """Whether there is a block in ``text`` that may hold a report."""
    return any(True for _ in blocks(text))


def blocks(text: bytes) -> Iterator[bytes]:
    """What each block in ``text`` decodes to. The first begins in its first 64 KiB."""
    position, end = 0, _LOOK
    for _ in range(_MAX_TRIES):
        match = _BEGINNING.search(text, position, end)
        if match is None:
            return
        plain, position = _uu_block(text, match.end()) if match["uu"] else _base64_block(text, match.end())
        if plain:
            yield plain
            end = len(text)


def _is_promising(sample: bytes) -> bool:
    name, _ = kinds.encoding(sample)
    text = sample.decode(name, "ignore").encode() if name else sample
    packed = kinds.is_packed(sample) if sample[:1] != b"\x78" else sample[:2] in kinds.ZLIB_HEADERS
    return (
        packed
        or kinds.is_signed_cms(sample)
        or bool(kinds.unopened(sample))
        or bool(_JSON.match(text) or _FIELD.match(text))
        or begins(text)
    )


def _base64_block(text: bytes, start: int) -> tuple[bytes, int]:
    """What the block at ``start`` decodes to, ``b""`` for what is none, and where to look on."""
    piece = text[start : start + _SAMPLE + _SAMPLE // 4]
    stop = _ENDING.search(piece)
    if not _is_promising(base64(piece[: stop.start()] if stop else piece)):
        return b"", start + 1
    stop = _ENDING.search(text, start)
    end = stop.start() if stop else len(text)
    return base64(text[start:end]), end


def _uu_block(text: bytes, start: int) -> tuple[bytes, int]:
    plain, end = _uudecoded(text, start)
    return (plain if _is_promising(plain[:_SAMPLE]) else b""), end


def base64(text: bytes) -> bytes:
    """What base64 decodes to; other characters are left out (RFC 2045 section 6.8). Padding ends it, and need not be there: a
    wrong quoted-printable label eats it.
    """
    letters = text.translate(None, _NO_LETTERS).partition(b"=")[0]
    return binascii.a2b_base64(letters[: len(letters) - (len(letters) % 4 == 1)] + b"==")


def _uudecoded(text: bytes, start: int) -> tuple[bytes, int]:
    """The file whose first line is at ``start``, and where it ends: at the line "end", or at what is no uuencode."""
    pieces: list[bytes] = []
    for _ in range(_MAX_UU_LINES):
        end = text.find(b"\n", start)
        line = text[start : end if end >= 0 else len(text)].rstrip(b"\r")
        if line == b"end" or not line or len(line) > 100:
            break
        try:
            pieces.append(binascii.a2b_uu(line))
        except binascii.Error:
            break
        if end < 0:
            break
        start = end + 1
    return b"".join(pieces), start
