"""The report mail (RFC 8460 section 5): where in a mail the report is, and what the mail says about it.

Content decides, not labels: senders, gateways and forwarders relabel parts, wrap them in forwarded messages, drop the
TLS-Report headers. Every part that could be a report is offered to the reader.
"""

import datetime as dt
import email
import email.message
import email.policy
import re
from collections.abc import Iterator

import msgspec

from . import fields, names
from .document import Document, NotAReport, may_hold_report
from .report import MAX_ROWS, Hints, Report, read

# Limits on the wrapping, far above any real report mail (the largest seen has 8 parts and 90 header lines).
MAX_PARTS = 1_000
MAX_LINES = 400_000
MAX_HEADER_BYTES = 256 * 1024
# Each part may be a bomb of its own, and trying it costs time.
MAX_UNREAD = 20
# What was unpacked in vain, in limits: a mail may hold a damaged report of the greatest size and another, but not 200 bombs.
_MAX_WASTED = 2
_MAX_VALUE = 2_000
# RFC 8460 section 5.1: sender "!" policy-domain "!" begin "!" end ["!" unique-id] "." extension
_FILE_NAME = re.compile(r"^[^!]*!(?P<domain>[^!]+)!(?P<start>\d{1,11})!(?P<end>\d{1,11})(?:!|\.|$)")
_END_OF_HEADER = re.compile(rb"\r?\n\r?\n")


class ReportMail(msgspec.Struct, frozen=True):
    """What a mail brought: its reports with their documents, and the names it gives (``""`` when it does not).

    ``unread`` says why parts that look like reports could not be read, when others could.
    """

    reports: tuple[tuple[Report, Document], ...]
    submitter: str = ""
    author: str = ""
    unread: str = ""


def read_mail(message: bytes, limit: int) -> ReportMail:
    """All reports in a mail, wherever they are in it. ``limit`` bounds the decompressed size of all together in bytes.

    Raises NotAReport with the reason when there is none.
    """
    mail = _parse(message)
    domain = _header(mail, "TLS-Report-Domain")
    reports: list[tuple[Report, Document]] = []
    refusals: list[str] = []
    held = wasted = 0
    rows = MAX_ROWS
    for part, data in _candidates(mail):
        name = _file_name(part)
        if len(refusals) >= MAX_UNREAD:
            break
        if held >= limit or rows <= 0:
            refusals.append(f"{_describe(part, name)} was not read: the mail has too much in it before")
            break
        try:
            found = read(data, limit - held, hints_from(domain, name), rows)
            held += sum(len(document.text) for _, document in found.reports)
            rows -= sum(report.weight for report, _ in found.reports)
            reports.extend(found.reports)
            refusals.extend(f"{_describe(part, name)} {refusal}" for refusal in found.refusals)
        except NotAReport as refusal:
            refusals.append(f"{_describe(part, name)} {refusal}")
            wasted += refusal.unpacked
            if wasted > _MAX_WASTED * limit:
                refusals[-1] += " (and what follows was not read: unpacking cost too much)"
                break
    unread = "; ".join(refusals[:3])
    if not reports:
        raise NotAReport(unread or f"no report is attached; the mail has {_inventory(mail)}")
    return ReportMail(tuple(reports), _header(mail, "TLS-Report-Submitter"), _value(mail, "From"), unread)


def subject(message: bytes) -> str:
    """The Subject, as it stands, for people who look through quarantine; ``""`` when it cannot be had."""
    header = message[: _header_length(message)]
    if len(header) > MAX_HEADER_BYTES:
        return ""
    return _value(email.message_from_bytes(header, policy=email.policy.compat32), "Subject")


def hints_from(domain_header: str, file_name: str) -> Hints:
    """What a TLS-Report-Domain header and a file name say, for a report that is silent itself."""
    header_domain = _domain(domain_header)
    match = _FILE_NAME.match(file_name.rpartition("/")[2])
    if not match:
        return Hints(header_domain)
    return Hints(header_domain, _domain(match["domain"]), _moment(match["start"]), _moment(match["end"]))


def _moment(seconds: str) -> dt.datetime | None:
    moment = dt.datetime.fromtimestamp(int(seconds), dt.UTC)  # at most 11 digits: the year 5138
    return moment if fields.plausible(moment) else None


def _domain(text: str) -> str:
    try:
        return names.domain_name(text)
    except ValueError:
        return ""


def _header_length(message: bytes) -> int:
    end = _END_OF_HEADER.search(message)
    return end.start() if end else len(message)


def _parse(message: bytes) -> email.message.Message:
    """Parse with compat32: policy.default needs 20 s for a 640 KB Subject of encoded words."""
    if message.count(b"\n--") > MAX_PARTS:
        raise NotAReport(f"the mail has more than {MAX_PARTS} parts")
    if max(message.count(b"\n"), message.count(b"\r")) > MAX_LINES:
        raise NotAReport(f"the mail has more than {MAX_LINES} lines")
    if _header_length(message) > MAX_HEADER_BYTES:
        raise NotAReport(f"the mail's header is larger than {MAX_HEADER_BYTES} bytes")
    try:
        return email.message_from_bytes(message, policy=email.policy.compat32)
    except RecursionError as error:
        raise NotAReport("the mail's parts are nested too deeply") from error


def _leaves(mail: email.message.Message) -> Iterator[email.message.Message]:
    """The parts that hold content, forwarded messages included."""
    waiting = [mail]
    while waiting:
        part = waiting.pop(0)
        waiting[:0] = _children(part)
        if not part.is_multipart():
            yield part


def _children(part: email.message.Message) -> list[email.message.Message]:
    """The parts within. Of text, get_payload is not asked: it would decode it, and fails over a charset with a NUL in it."""
    inside = part.get_payload() if part.is_multipart() else []
    return [child for child in inside if isinstance(child, email.message.Message)]


def _candidates(mail: email.message.Message) -> Iterator[tuple[email.message.Message, bytes]]:
    for part in _leaves(mail):
        data = _content(part)
        if _may_be_report(part, data):
            yield part, data


def _content(part: email.message.Message) -> bytes:
    """A part's bytes with the transfer encoding undone."""
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _may_be_report(part: email.message.Message, data: bytes) -> bool:
    if part.get_content_type().startswith("application/tlsrpt"):
        return True
    return may_hold_report(data)


def _file_name(part: email.message.Message) -> str:
    """Content-Disposition's filename, else Content-Type's name."""
    raw = str(part.get("Content-Disposition", "")) + str(part.get("Content-Type", ""))
    if len(raw) > _MAX_VALUE:  # decoding encoded words is the expensive part of a hostile header
        return ""
    try:
        return part.get_filename("") or ""
    except (UnicodeError, LookupError, ValueError, TypeError):  # unknown charsets and broken RFC 2231 parts
        return ""


def _value(mail: email.message.Message, name: str) -> str:
    """A header as text on one line, cut to a sane length."""
    return " ".join(str(mail.get(name, "") or "").encode("ascii", "replace").decode("ascii").split())[:_MAX_VALUE]


def _header(mail: email.message.Message, name: str) -> str:
    """A header of the mail or, in a forwarded one, of the message inside."""
    waiting = [mail]
    while waiting:
        part = waiting.pop(0)
        if part.get(name):
            return _value(part, name)
        waiting.extend(_children(part))
    return ""


def _describe(part: email.message.Message, name: str) -> str:
    return f"the part {part.get_content_type()}{f' ({name})' if name else ''}"


def _inventory(mail: email.message.Message) -> str:
    kinds = [part.get_content_type() for part in _leaves(mail)][:5]
    return "the parts " + ", ".join(kinds) if len(kinds) > 1 else f"only {kinds[0]}" if kinds else "no parts"
