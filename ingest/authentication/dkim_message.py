"""A mail as DKIM reads it (RFC 6376 sections 2.8 and 3.4): its header fields and its body's hash, in linear time.

dkimpy reads and canonicalises whole messages itself, with expressions that need time by the square on long runs of blanks
(17 s for 10 MiB). So it is given the header fields only, bounded here, and the body is hashed here.

Line ends: mails that other servers deliver into a Maildir, and files people keep, end their lines with LF alone. A message
whose first line does so is read as if every line ended with CRLF, which is how it was signed. In any other message a bare
CR or LF is content like any other byte, and not allowed in the header.
"""

import functools
import hashlib
import re

Field = tuple[bytes, bytes]

# The largest header of a real report mail seen (Microsoft) has 13 KiB; a forwarder or list adds some.
MAX_HEADER_BYTES = 64 * 1024
MAX_FIELD_BYTES = 32 * 1024
# Each name in h= is searched among all fields.
MAX_FIELDS = 1_000
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# What an mbox has above each mail; "From :" would be an author to other readers.
_SEPARATOR = re.compile(rb">?From [^\s:]")
_FIELD = re.compile(rb"([\x21-\x39\x3b-\x7e]+):")


def is_plainly_unsigned(message: bytes) -> bool:
    """Whether a glance tells that the mail has a header within the limits, and no signature in it."""
    start = message[: MAX_HEADER_BYTES + 4]
    end = start.find(b"\r\n\r\n" if b"\r" in start else b"\n\n")
    within_limits = 0 < end < MAX_FIELD_BYTES and start.count(b"\n", 0, end) < MAX_FIELDS
    return within_limits and _FIELD.match(start) is not None and b"dkim-signature" not in start.lower()


class ParsedMail:
    """``message`` cut into header fields and body. ``fault`` says in words why its header cannot be verified, else ``""``.

    ``fields`` are (name, value) in order; values keep their folding and end with CRLF. With a fault they are those that
    could be read.
    """

    def __init__(self, message: bytes) -> None:
        self._message = message
        start = message[: MAX_HEADER_BYTES + 4]
        self._bare_lf = start.find(b"\n") != -1 and start[start.find(b"\n") - 1 : start.find(b"\n")] != b"\r"
        header, self._body_at = self._split(start)
        self.fault = "the header is too large to verify" if len(header) > MAX_HEADER_BYTES else ""
        self.fields: tuple[Field, ...] = ()
        if not self.fault:
            self.fields, self.fault = _fields(_with_crlf(header) if self._bare_lf else header)

    def _split(self, start: bytes) -> tuple[bytes, int]:
        if start.startswith((b"\r\n", b"\n")):
            return b"", start.index(b"\n") + 1
        if self._bare_lf:
            blank = _BLANK_LINE.search(start)
            return (start[: blank.start()], blank.end()) if blank else (start, len(start))
        end = start.find(b"\r\n\r\n")
        return (start[:end], end + 4) if end != -1 else (start, len(start))

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields called ``name`` (given in lower case)."""
        return [value for field, value in self.fields if field.lower() == name]

    @functools.cached_property
    def simple_body_hash(self) -> bytes:
        """SHA-256 of the body in "simple" canonicalisation (RFC 6376 section 3.4.3)."""
        body = self._body()
        return _hash(body, _end_without_blank_lines(body), empty=b"\r\n")

    @functools.cached_property
    def relaxed_body_hash(self) -> bytes:
        """SHA-256 of the body in "relaxed" canonicalisation (RFC 6376 section 3.4.4)."""
        body = self._body().replace(b"\t", b" ")
        while b"  " in body:  # each round halves the runs: 24 rounds at most, however long they are
            body = body.replace(b"  ", b" ")
        body = body.replace(b" \r\n", b"\r\n").removesuffix(b" ")
        return _hash(body, _end_without_blank_lines(body), empty=b"")

    def _body(self) -> bytes:
        body = self._message[self._body_at :]
        return _with_crlf(body) if self._bare_lf else body


def _with_crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


def _fields(header: bytes) -> tuple[tuple[Field, ...], str]:
    """Header fields, and what is wrong with the header in words."""
    lines = header.removesuffix(b"\r\n").split(b"\r\n")
    fields: list[tuple[bytes, list[bytes]]] = []
    fault = ""
    for number, line in enumerate(lines):
        match = _FIELD.match(line)
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
        elif match:
            fields.append((match[1], [line[match.end() :]]))
        elif line and not (number == 0 and _SEPARATOR.match(line)):
            fault = "the header has a line that is no header field"
    if b"\r" in header.replace(b"\r\n", b"") or b"\n" in header.replace(b"\r\n", b""):
        fault = "the header has a line break that is not CRLF"
    if len(fields) > MAX_FIELDS:
        return (), f"the header has more than {MAX_FIELDS} fields, too many to verify"
    joined = tuple((name, b"\r\n".join(parts) + b"\r\n") for name, parts in fields)
    if any(len(value) > MAX_FIELD_BYTES for _, value in joined):
        return (), "the header is too large to verify"
    return joined, fault


def _end_without_blank_lines(body: bytes) -> int:
    """Where the body ends when all CRLFs at its end are left out."""
    text = len(body.rstrip(b"\r\n"))
    tail = body[text:]
    if not tail.endswith(b"\n"):
        return len(body)
    # Whole CRLFs only: they begin behind the last place where CR follows CR, or LF follows LF.
    broken = max(tail.rfind(b"\r\r"), tail.rfind(b"\n\n")) + 1
    return text + broken + (tail[broken : broken + 1] == b"\n")


def _hash(body: bytes, end: int, empty: bytes) -> bytes:
    if not end:
        return hashlib.sha256(empty).digest()
    digest = hashlib.sha256(memoryview(body)[:end])
    digest.update(b"\r\n")
    return digest.digest()
