"""The report mail as RFC 8460 section 5.3 shows it: texts beside one compressed report, nothing torn, nothing mislabelled.

To read such a mail by its shape costs a tenth of taking any mail apart.
"""

import binascii
import re
from typing import NamedTuple

from ingest.rfc.packing import kinds
from ingest.rfc.tlsrpt.document import Document, may_hold_report
from ingest.rfc.tlsrpt.model import Report
from ingest.rfc.tlsrpt.parts import MAX_VALUE

from . import report

# Far above the usual mail. Beyond, the limits of ``message`` have to be asked.
_MAX_MAIL = 1024 * 1024
_MAX_LINES = 20_000
_MAX_PARTS = 8
_MAX_HEADER = 32 * 1024
_HEADER = re.compile(rb"(?:[!-9;-~]++:[\t -~]*+\r?\n(?:[ \t][\t -~]*+\r?\n)*+)*+(?=\r?\n)")
_VALUE = re.compile(r"[ \t]*+([^\n]*+(?:\n[ \t][^\n]*+)*+)")
_PARAMETER = r";\s*+([a-z-]++)=(?:\"([^\"\\\s]*+)\"|([A-Za-z0-9!#$%&'+.^_`{|}~-]++))\s*+"
_TYPE = re.compile(rf"([a-z]++/[a-z0-9.+-]++)\s*+((?:{_PARAMETER})*+)", re.IGNORECASE)
_PARAMETERS = re.compile(_PARAMETER, re.IGNORECASE)
_MULTIPART = ("multipart/report", "multipart/mixed")
_BASE64 = re.compile(rb"[A-Za-z0-9+/\r\n]*+={0,2}+[\r\n]*+")
_LINE_ENDS = b"\r\n"
_AS_IT_STANDS = ("", "7bit", "8bit", "binary")


class UsualMail(NamedTuple):
    """The one report of a mail with its document, and the names that the mail gives (``""`` when it does not)."""

    report: Report
    document: Document
    submitter: str
    author: str


class _Part(NamedTuple):
    """A mail or a part of one: its header, also in lower case, media type with parameters, body."""

    header: str
    lowered: str
    media_type: str
    parameters: str
    body: bytes


class _UnusualError(Exception):
    """There is something in the mail that must be looked at more closely."""


def read(mail: bytes, limit: int, rows: int) -> UsualMail | None:
    """The report in a mail; None for what ``message.read_mail`` must take apart, whose limits these are."""
    if len(mail) > _MAX_MAIL or mail.count(b"\n") > _MAX_LINES:
        return None
    try:
        root = _part(mail)
        inside = _parts_of(root) if root.media_type.startswith("multipart/") else [root]
        (packed,) = (part for part in inside if part.media_type.startswith("application/"))
        if not all(part is packed or _holds_nothing(part) for part in inside):
            return None
        reading = report.read(_content(packed), limit, rows)
        submitters = (_value(part, "tls-report-submitter") for part in (root, *inside))
        names = next(filter(None, submitters), ""), _value(root, "from")
    except (_UnusualError, ValueError):
        return None
    return reading and UsualMail(*reading, *names)


def _part(entity: bytes) -> _Part:
    match = _HEADER.match(entity, 0, _MAX_HEADER)
    if match is None or b"=?" in match[0]:  # encoded words (RFC 2047)
        raise _UnusualError
    header = "\n" + match[0].decode("ascii")
    lowered = header.lower()
    media_type = _TYPE.fullmatch(_field(header, lowered, "content-type") or "text/plain")
    if media_type is None:
        raise _UnusualError
    body = entity[match.end() + (2 if entity.startswith(b"\r", match.end()) else 1) :]
    return _Part(header, lowered, media_type[1].lower(), media_type[2], body)


def _field(header: str, lowered: str, name: str) -> str:
    """The value of the first field of a name (in lower case), ``""`` when there is none."""
    place = lowered.find(f"\n{name}:")
    if place < 0:
        return ""
    value = _VALUE.match(header, place + len(name) + 2)
    return value[1].rstrip("\r") if value else ""


def _parts_of(root: _Part) -> list[_Part]:
    """The parts of a multipart (RFC 2046 section 5.1.1): each line that begins with two hyphens is one of its boundaries."""
    if root.media_type not in _MULTIPART or root.body.count(b"\r") != root.body.count(b"\r\n"):
        raise _UnusualError
    parameters = ((name.lower(), quoted or bare) for name, quoted, bare in _PARAMETERS.findall(root.parameters))
    boundary = next((value for name, value in parameters if name == "boundary"), "").encode()
    _, *pieces = (b"\n" + root.body).split(b"\n--", _MAX_PARTS + 2)
    if not boundary or len(pieces) < 2 or pieces.pop().rstrip(_LINE_ENDS) != boundary + b"--":
        raise _UnusualError
    return [_part(_without_boundary(piece, boundary)) for piece in pieces]


def _without_boundary(piece: bytes, boundary: bytes) -> bytes:
    """A part; the line end before the next boundary belongs to that."""
    line, _, part = piece.partition(b"\n")
    if line.removesuffix(b"\r") != boundary:
        raise _UnusualError
    return part.removesuffix(b"\r")


def _content(part: _Part) -> bytes:
    encoding = _field(part.header, part.lowered, "content-transfer-encoding").lower()
    if encoding == "base64":
        if not _BASE64.fullmatch(part.body):
            raise _UnusualError
        return binascii.a2b_base64(part.body)
    if encoding == "quoted-printable" and part.media_type.startswith("text/"):
        return binascii.a2b_qp(part.body)
    if encoding not in _AS_IT_STANDS:
        raise _UnusualError
    return part.body


def _holds_nothing(part: _Part) -> bool:
    """Whether it is a text in which nobody would look for a report."""
    data = _content(part)
    if not part.media_type.startswith("text/") or data.startswith(b"--") or b"\n--" in data:
        return False
    mislabelled = data is not part.body and kinds.begins_plainly(part.body)
    return not (mislabelled or kinds.mail_in(data) or kinds.is_signed_cms(data) or may_hold_report(data))


def _value(part: _Part, name: str) -> str:
    """A field as text on one line."""
    value = _field(part.header, part.lowered, name)
    if len(value) > MAX_VALUE:
        raise _UnusualError
    return " ".join(value.split())
