"""What a mail or file is that holds no readable report: a damaged report, a report of another kind, or private and none of ours.

``load`` keeps the first in quarantine, counts the second, and passes over the third. All is judged from the beginnings of parts
and attachments, within a budget, whatever they unpack to.
"""

import binascii
import email
import email.header
import email.message
import email.policy
import enum
import io
import re
from collections.abc import Iterable

from ingest.rfc.packing import inflate, kinds

from . import archives, signs
from .signs import Sign


class SourceKind(enum.Enum):
    """What was recognised; the value is how one and how many of it are called."""

    REPORT = ("mail or file with signs of a TLS report", "mails and files with signs of a TLS report")
    MAIL = ("mail without a sign of a TLS report", "mails without a sign of a TLS report")
    FILE = ("file without a sign of a TLS report", "files without a sign of a TLS report")
    DMARC = ("DMARC aggregate report", "DMARC aggregate reports")
    FEEDBACK = ("abuse or DMARC failure report (ARF)", "abuse or DMARC failure reports (ARF)")
    DELIVERY = ("delivery status notification (DSN)", "delivery status notifications (DSN)")
    DISPOSITION = ("read receipt (MDN)", "read receipts (MDN)")

    @property
    def singular(self) -> str:
        """One of it, without an article."""
        return self.value[0]

    @property
    def plural(self) -> str:
        """Several of it."""
        return self.value[1]


# A mail beyond these is not taken apart; the reader of reports refuses it, too.
_MAX_HEADER_BYTES = 256 * 1024
_MAX_LINES = 400_000
_MAX_PARTS = 1_000
# The beginning of a part says what it is; archives are looked into a little deeper.
_LOOK = 64 * 1024
_LOOK_AT_ARCHIVES = 1024 * 1024
_MAX_LAYERS = 6
_MAX_PIECES = 2_000
# Of these; a block of bzip2 takes 50 ms, however little is wanted of it.
_PIECES_TO_UNPACK = 10
_MAX_MEMBERS = 100
_MAX_SUBJECT = 2_000

# RFC 3462's report-type, of RFC 5965, RFC 3464 and RFC 8098; the type of the part that says so where the parameter is lost.
_NOTIFICATIONS = {
    "feedback-report": SourceKind.FEEDBACK,
    "delivery-status": SourceKind.DELIVERY,
    "disposition-notification": SourceKind.DISPOSITION,
}
_NOTIFICATION_PART = re.compile(
    rb"^Content-Type:[ \t]*message/(?:global-)?(feedback-report|delivery-status|disposition-notification)\b",
    re.IGNORECASE | re.MULTILINE,
)
# A look before the header is taken apart: each of them has one of these.
_MAY_NOTIFY = re.compile(
    rb"feedback-report|delivery-status|disposition-notification|report-type\*|X-Failed-Recipients|Hi\. This is the",
    re.IGNORECASE,
)
# qmail's bounces have no parts (QSBMF).
_QMAIL_BOUNCE = re.compile(rb"\s*Hi\. This is the [\w.-]{1,50} program at ")
_FROM_A_SERVER = re.compile("mailer-daemon|postmaster", re.IGNORECASE)
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")
# What makes a text a mail, unlike notes of the form "word: text".
_FIELDS = re.compile(
    rb"^(?:From|To|Date|Received|Return-Path|Message-ID|MIME-Version|Content-Type|Delivered-To)[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_FIELD_LINE = re.compile(rb"(?:\xef\xbb\xbf|[ \t]*\r?\n)*[A-Za-z][A-Za-z0-9-]{0,75}[ \t]*:")


def notification(mail: bytes) -> SourceKind | None:
    """DELIVERY, DISPOSITION or FEEDBACK for such a mail, by its header; a report that is returned within one is none of ours.

    None for every other mail.
    """
    end = _END_OF_HEADER.search(mail)
    header = mail[: end.end() if end else len(mail)]
    if len(header) > _MAX_HEADER_BYTES or not _MAY_NOTIFY.search(mail, 0, len(header) + _LOOK):
        return None
    top = _parsed(header)
    if top is None:
        return None
    body = mail[len(header) : len(header) + _LOOK]
    report_type = _parameter(top, "report-type")
    if report_type:
        return _NOTIFICATIONS.get(report_type)
    from_a_server = _FROM_A_SERVER.search(str(top.get("From", ""))[:_MAX_SUBJECT])
    part = _NOTIFICATION_PART.search(body)
    if part and (top.get_content_type() == "multipart/report" or from_a_server):
        return _NOTIFICATIONS[part[1].decode().lower()]
    bounced = top.get("X-Failed-Recipients") or _QMAIL_BOUNCE.match(body)  # Exim, qmail
    return SourceKind.DELIVERY if bounced else None


def of_mail(mail: bytes) -> SourceKind:
    """What a mail is in which no report could be read; ``mail`` may be cut."""
    mail = kinds.without_preamble(mail)
    kind = notification(mail)
    if kind is not None:
        return kind
    return _kind(_Look().mail(mail), SourceKind.MAIL if is_mail(mail) else SourceKind.FILE)


def of_file(data: bytes, name: str) -> SourceKind:
    """The same for a file of that name."""
    return _kind(_Look().file(data, name), SourceKind.FILE)


def is_mail(data: bytes) -> bool:
    """Whether a text is a mail, and not only notes that begin like a header."""
    end = _END_OF_HEADER.search(data)
    return bool(_FIELDS.search(data[: end.start() if end else _LOOK][:_LOOK]))


def _kind(sign: Sign, otherwise: SourceKind) -> SourceKind:
    if sign == Sign.DMARC:
        return SourceKind.DMARC
    return SourceKind.REPORT if sign else otherwise


class _Look:
    """One look at a message, with what is left of its budget."""

    def __init__(self) -> None:
        self._pieces = _MAX_PIECES

    def mail(self, data: bytes, layers: int = _MAX_LAYERS) -> Sign:
        """The strongest sign in a mail, forwarded ones and attachments included."""
        header = _END_OF_HEADER.search(data)
        lines = max(data.count(b"\n"), data.count(b"\r"))
        large = (header.start() if header else len(data)) > _MAX_HEADER_BYTES
        if large or lines > _MAX_LINES or data.count(b"\n--") > _MAX_PARTS:
            return signs.in_raw(data)
        top = _parsed(data)
        if top is None:
            return signs.in_raw(data)
        return _strongest(self._part(part, layers) for part in _parts(top))

    def file(self, data: bytes, name: str, layers: int = _MAX_LAYERS) -> Sign:
        """The strongest sign in a file or attachment, whatever it is packed in."""
        self._pieces -= 1
        if layers == 0 or self._pieces < 0:
            return Sign.NONE
        return max(signs.in_name(name), self._content(data, name, layers - 1))

    def _part(self, part: email.message.Message, layers: int) -> Sign:
        sign = Sign.HINT if _is_labelled(part) else Sign.NONE
        if part.is_multipart():
            return sign
        payload = part.get_payload(decode=True)
        content = self.file(payload, _file_name(part), layers) if isinstance(payload, bytes) else Sign.NONE
        if content < Sign.DMARC and part.get_content_type().startswith("application/tlsrpt"):
            return Sign.REPORT
        return max(sign, content)

    def _content(self, data: bytes, name: str, layers: int) -> Sign:
        if signs.is_compressed(data):
            return self._compressed(data, name, layers)
        if inflate.is_zip(data):
            return self._zip(data, layers)
        if archives.is_tar(data[:512]):
            return self._tar(data, layers)
        if _FIELD_LINE.match(data) and (is_mail(data) or name.lower().endswith(".eml")):
            return self.mail(data, layers)
        start = data[:_LOOK]
        if signs.is_opaque(start):
            return self._opaque(data[:_LOOK_AT_ARCHIVES], layers)
        if signs.is_cut_short(data) and signs.may_be_damaged_report(name):
            return max(Sign.HINT, signs.in_text(start))
        return max(signs.in_text(start), self._encoded(start, layers))

    def _compressed(self, data: bytes, name: str, layers: int) -> Sign:
        self._pieces -= _PIECES_TO_UNPACK
        inner = archives.first_bytes(data[:_LOOK_AT_ARCHIVES], _LOOK)
        if not inner:
            return Sign.HINT if signs.may_be_damaged_report(name) else Sign.NONE
        if archives.is_tar(inner):
            inner = archives.first_bytes(data[:_LOOK_AT_ARCHIVES], _LOOK_AT_ARCHIVES)
        return self.file(inner, signs.unpacked_name(name), layers)

    def _zip(self, data: bytes, layers: int) -> Sign:
        try:
            archive = inflate.open_archive(io.BytesIO(data))
        except inflate.InflateError:
            return self._damaged_zip(data, layers)
        sign = Sign.NONE
        with archive:
            for member in archive.infolist()[:_MAX_MEMBERS]:
                try:
                    with inflate.open_member(archive, member) as file:
                        start = file.read(_LOOK)
                except (inflate.InflateError, *archives.DAMAGED):
                    start = b""
                sign = max(sign, self.file(start, member.filename, layers))
        return sign

    def _damaged_zip(self, data: bytes, layers: int) -> Sign:
        """The first file of a zip archive without its table of contents: the local header says enough."""
        name, packed, is_deflated = archives.first_of_zip(data)
        start = archives.inflated(packed[:_LOOK], _LOOK) if is_deflated else packed[:_LOOK]
        return self.file(start, name, layers)

    def _tar(self, data: bytes, layers: int) -> Sign:
        sign = Sign.NONE
        try:
            members = zip(range(_MAX_MEMBERS), archives.tar_members(io.BytesIO(data), seeks=True), strict=False)
            for _, member in members:
                sign = max(sign, signs.in_name(member.name))
                sign = max(sign, self.file(member.file.read1(_LOOK), member.name, layers))
        except (archives.ArchiveError, EOFError):
            return sign
        return sign

    def _opaque(self, data: bytes, layers: int) -> Sign:
        """Containers that are not opened here (Outlook's, S/MIME): what lies in them as it is."""
        plain = data.replace(b"\0", b"")  # names in UTF-16
        packed = (self.file(data[place : place + _LOOK], "", layers) for place in signs.gzip_places(data))
        return _strongest([signs.in_raw(plain), signs.in_text(plain), *packed])

    def _encoded(self, text: bytes, layers: int) -> Sign:
        """Base64 and uuencode in a text, where no header announces them."""
        return _strongest(self.file(data, name, layers) for name, data in signs.encoded_in(text))


def _parsed(data: bytes) -> email.message.Message | None:
    """The mail; None where the parser gives up: over mails nested too deeply, and RFC 2231 parameters with absurd numbers."""
    try:
        return email.message_from_bytes(data, policy=email.policy.compat32)
    except (RecursionError, ValueError):
        return None


def _strongest(signs_seen: Iterable[Sign]) -> Sign:
    return max(signs_seen, default=Sign.NONE)


def _parts(top: email.message.Message) -> list[email.message.Message]:
    """All parts, those of forwarded messages included."""
    parts = [top]
    for part in parts:  # which grows meanwhile
        inside = part.get_payload() if part.is_multipart() else []
        parts += [child for child in inside if isinstance(child, email.message.Message)]
    return parts


def _is_labelled(part: email.message.Message) -> bool:
    """Whether the header of a mail or part says TLS report (RFC 8460 section 5.3)."""
    if any(name.lower().startswith("tls-report-") for name in part):
        return True
    return _parameter(part, "report-type") == "tlsrpt" or signs.is_subject(_subject(part))


def _parameter(part: email.message.Message, name: str) -> str:
    try:
        value = part.get_param(name, "")
    except ValueError:  # absurd numbers in RFC 2231 parameters, or a charset with NUL
        return ""
    return str(value[2] if isinstance(value, tuple) else value).strip().lower()


def _subject(part: email.message.Message) -> str:
    raw = str(part.get("Subject", "") or "")
    if "=?" not in raw or len(raw) > _MAX_SUBJECT:
        return raw[:_MAX_SUBJECT]
    try:
        return str(email.header.make_header(email.header.decode_header(raw)))
    except (UnicodeError, LookupError, ValueError, binascii.Error):  # unknown charsets, broken encoded words
        return raw


def _file_name(part: email.message.Message) -> str:
    if len(str(part.get("Content-Disposition", "")) + str(part.get("Content-Type", ""))) > _MAX_SUBJECT:
        return ""
    try:
        return part.get_filename("") or ""
    except (UnicodeError, LookupError, ValueError, TypeError):
        return ""
