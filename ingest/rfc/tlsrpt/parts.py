"""The parts of a mail (RFC 2045, 2046), as they were meant: gateways lose boundaries and mislabel transfer encodings."""

import binascii
import copy
import email
import email.errors
import email.header
import email.message
import email.policy
import re
from collections.abc import Iterator

from ingest.rfc.packing import armour, kinds

from .document import NotAReport

# Limits on the wrapping, far above any real report mail (the largest seen has 8 parts and 90 header lines). They hold for
# a mail and those within it together.
MAX_PARTS = 1_000
MAX_LINES = 400_000
MAX_HEADER_BYTES = 256 * 1024
MAX_VALUE = 2_000
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
# RFC 2046 section 5.1.1: a boundary that no header names, before a part.
_BOUNDARY = re.compile(
    rb"^--([0-9A-Za-z'()+_,./:=?-][0-9A-Za-z'()+_,./:=? -]{0,69})\r?\n(?=content-[a-z-]+[ \t]*:)",
    re.IGNORECASE | re.MULTILINE,
)
_USUAL_FILE_NAME = re.compile(r"attachment;\s*filename=\"([A-Za-z0-9.!_@+~-]{1,300})\"", re.IGNORECASE)

Part = email.message.Message


class Budget:
    """What a mail and those within it may still have."""

    def __init__(self) -> None:
        self._parts = MAX_PARTS
        self._lines = MAX_LINES

    def parse(self, mail: bytes) -> Part:
        """Parse with compat32: policy.default needs 20 s for a 640 KB Subject of encoded words. Raises NotAReport."""
        self._parts -= mail.count(b"\n--")
        if self._parts < 0:
            raise NotAReport(f"the mail has more than {MAX_PARTS} parts")
        self._lines -= max(mail.count(b"\n"), mail.count(b"\r"))
        if self._lines < 0:
            raise NotAReport(f"the mail has more than {MAX_LINES} lines")
        if header_length(mail) > MAX_HEADER_BYTES:
            raise NotAReport(f"the mail's header is larger than {MAX_HEADER_BYTES} bytes")
        try:
            return email.message_from_bytes(mail, policy=email.policy.compat32)
        except RecursionError as error:
            raise NotAReport("the mail's parts are nested too deeply") from error


def header_length(mail: bytes) -> int:
    """Octets before the empty line that ends the header."""
    end = _END_OF_HEADER.search(mail)
    return end.start() if end else len(mail)


def leaves(mail: Part) -> Iterator[tuple[Part, tuple[Part, ...]]]:
    """The parts that hold content, each with the messages it is in: the mail itself first, then forwarded ones."""
    waiting: list[tuple[Part, tuple[Part, ...]]] = [(mail, (mail,))]
    while waiting:
        part, messages = waiting.pop()
        if not part.is_multipart():
            yield part, messages
            continue
        inside = children(part)
        holds_messages = part.get_content_maintype() == "message"
        if holds_messages and _is_encoded(part, inside):
            yield part, messages
        else:
            waiting += [(child, (*messages, child) if holds_messages else messages) for child in reversed(inside)]


def children(part: Part) -> list[Part]:
    """The parts within. Of text, get_payload is not asked: it would decode it, and fails over a charset with a NUL in it."""
    inside = part.get_payload() if part.is_multipart() else []
    return [child for child in inside if isinstance(child, Part)]


def content(part: Part) -> bytes:
    """A part's bytes with the transfer encoding undone; of a message that should have none (RFC 2046 section 5.2.1), too."""
    if part.is_multipart():
        return _decoded_message(part)
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def as_written(part: Part) -> bytes:
    """A part's bytes as they stand in the mail, whatever transfer encoding they claim to have."""
    bare = copy.copy(part)
    del bare["Content-Transfer-Encoding"]  # of the copy: the headers of the part itself stay
    return content(bare)


def with_visible_boundary(part: Part, data: bytes) -> bytes:
    """A multipart whose boundary parameter is missing or wrong, with the one that its body shows; ``b""`` when none does.

    ``data`` is the part's content, which a body without any Content-Type is, too.
    """
    if b"--" not in data or part.get_content_maintype() not in ("multipart", "text"):
        return b""
    boundary = _BOUNDARY.search(data)
    return b'Content-Type: multipart/mixed; boundary="%s"\r\n\r\n%s' % (boundary[1].rstrip(), data) if boundary else b""


def file_name(part: Part) -> str:
    """Content-Disposition's filename, else Content-Type's name."""
    disposition = str(part.get("Content-Disposition", ""))
    if usual := _USUAL_FILE_NAME.fullmatch(disposition):  # the library takes ten times as long for it
        return usual[1]
    if (
        len(disposition) + len(str(part.get("Content-Type", ""))) > MAX_VALUE
    ):  # decoding is expensive in a hostile header
        return ""
    try:
        return part.get_filename("") or ""
    except (UnicodeError, LookupError, ValueError, TypeError):  # unknown charsets and broken RFC 2231 parts
        return ""


def value(part: Part, name: str) -> str:
    """A header as text on one line, cut to a sane length."""
    return " ".join(str(part.get(name, "") or "").encode("ascii", "replace").decode("ascii").split())[:MAX_VALUE]


def words(part: Part, name: str) -> str:
    """The same, with encoded words (RFC 2047) and bare UTF-8 (RFC 6532) read: tlsrpt-reporter encodes domains so."""
    given: object = part.get(name, "")
    if isinstance(given, str):
        value = given
    else:  # bytes outside ASCII: the library gives them in a wrapping of its own
        raw = next(raw for key, raw in part.raw_items() if key.lower() == name.lower())
        value = raw.encode("ascii", "surrogateescape").decode("utf-8", "replace")
    value = value[:MAX_VALUE]
    if "=?" in value:
        try:
            pieces = email.header.decode_header(value)
            value = "".join(
                piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
                for piece, charset in pieces
            )
        except (email.errors.MessageError, LookupError, ValueError):  # broken base64, unknown charsets
            return value
    return " ".join(value.split())


def stands_as_it_is(part: Part) -> bool:
    """Whether the part claims base64, and is no such thing but begins like a report or something packed."""
    return _claims_base64(part) and not part.is_multipart() and kinds.begins_plainly(as_written(part))


def _claims_base64(part: Part) -> bool:
    return _encoding(part) == "base64"


def _encoding(part: Part) -> str:
    return str(part.get("Content-Transfer-Encoding", "")).strip().lower()


def _is_encoded(part: Part, inside: list[Part]) -> bool:
    """Gmail encodes attached mails in base64; the library then takes the encoded text for the message."""
    if len(inside) != 1 or inside[0].is_multipart():
        return False
    (inner,) = inside
    if _encoding(part) == "quoted-printable":
        return any("=3D" in str(line) or str(line).endswith("=") for line in inner.values())
    return _claims_base64(part) and not inner.keys()


def _decoded_message(part: Part) -> bytes:
    (inner,) = children(part)
    header = "".join(f"{name}: {line}\n" for name, line in inner.raw_items())
    torn = any(isinstance(defect, email.errors.MissingHeaderBodySeparatorDefect) for defect in inner.defects)
    written = (header + ("" if torn else "\n")).encode("ascii", "surrogateescape") + as_written(inner)
    if _encoding(part) == "quoted-printable":
        return binascii.a2b_qp(written)
    return armour.base64(written)
