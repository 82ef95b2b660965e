"""The report mail (RFC 8460 section 5): where in a mail the report is, and what the mail says about it.

Content decides, not labels: senders, gateways and forwarders relabel parts, wrap them in forwarded messages, drop the
TLS-Report headers. Every part that could be a report is offered to the reader.
"""

import datetime as dt
import email
import email.policy
import re
from collections.abc import Iterator

import msgspec

from ingest.rfc import names
from ingest.rfc.packing import inflate, kinds

from . import fields, parts, signed
from .document import Document, NotAReport, may_hold_report, refused
from .parts import MAX_HEADER_BYTES, Part
from .report import MAX_ROWS, Defect, Hints, Report, read
from .usual import mail as usual_mail

__all__ = ["MAX_HEADER_BYTES", "MAX_UNREAD", "ReportMail", "hints_from", "read_mail", "subject"]

# Each part may be a bomb of its own, and trying it costs time.
MAX_UNREAD = 20
# What was unpacked in vain, in limits: a mail may hold a damaged report of the greatest size and another, but not 200 bombs.
_MAX_WASTED = 2
# Mails within mails are parsed anew, up to one limit together.
_MAX_PARSED = 1
# How deep they may be: a forwarded mail in base64 that holds an archive of mails is two deep.
MAX_DEPTH = 5
# Files, texts and mails that are looked into, of all archives and parts together.
MAX_OPENED = 1_000
# Kinds of parts that are named when nothing is found.
_MAX_KINDS = 5
# Reasons that are given for one part, and for a whole mail.
_MAX_REASONS = 3
# RFC 8460 section 5.1: sender "!" policy-domain "!" begin "!" end ["!" unique-id] "." extension
_FILE_NAME = re.compile(r"^[^!]*!(?P<domain>[^!]+)!(?P<start>\d{1,11})!(?P<end>\d{1,11})(?:!|\.|$)")


class ReportMail(msgspec.Struct, frozen=True):
    """What a mail brought: its reports with their documents, and the names it gives (``""`` when it does not).

    ``unread`` says why parts that look like reports could not be read, when others could.
    """

    reports: tuple[tuple[Report, Document], ...]
    submitter: str = ""
    author: str = ""
    unread: str = ""


def read_mail(message: bytes, limit: int, rows: int = MAX_ROWS) -> ReportMail:
    """All reports in a mail, wherever they are in it.

    ``limit`` bounds the decompressed size of all together in bytes, ``rows`` their policies and failure details.
    Raises NotAReport with the reason when there is none.
    """
    bare = kinds.without_preamble(message)
    if usual := usual_mail.read(bare, limit, rows):
        return ReportMail(((usual.report, usual.document),), usual.submitter, usual.author)
    search = _Search(limit, rows)
    mail = search.parse(bare)
    try:
        search.look_through(mail, search.only_domain_in(mail), 0)
    except _EnoughError as enough:
        search.refusals[_MAX_REASONS - 1 :] = [str(enough)]
    if not search.reports:
        raise NotAReport(search.why_nothing_was_found())
    unread = "; ".join(search.refusals[:_MAX_REASONS])
    return ReportMail(tuple(search.reports), search.submitter(), parts.value(mail, "From"), unread)


def subject(message: bytes) -> str:
    """The Subject, as it stands, for people who look through quarantine; ``""`` when it cannot be had."""
    mail = kinds.without_preamble(message)
    header = mail[: parts.header_length(mail)]
    if len(header) > MAX_HEADER_BYTES:
        return ""
    return parts.value(email.message_from_bytes(header, policy=email.policy.compat32), "Subject")


def hints_from(domain_header: str, file_name: str) -> Hints:
    """What a TLS-Report-Domain header and a file name say, for a report that is silent itself."""
    header_domain = _domain(domain_header)
    match = _FILE_NAME.match(_base_name(file_name))
    if not match:
        return Hints(header_domain)
    return Hints(header_domain, _domain(match["domain"]), _moment(match["start"]), _moment(match["end"]))


def _base_name(path: str) -> str:
    return path.rpartition("/")[2]


def _moment(seconds: str) -> dt.datetime | None:
    moment = dt.datetime.fromtimestamp(int(seconds), dt.UTC)  # at most 11 digits: the year 5138
    return moment if fields.plausible(moment) else None


def _domain(text: str) -> str:
    try:
        return names.domain_name(text)
    except ValueError:
        return ""


class _EnoughError(Exception):
    """The search ends here. The text says why."""


class _Leaf(msgspec.Struct):
    """A part with content: the domain that the headers around it give, and how many mails deep it is."""

    part: Part
    domain: str
    depth: int

    def __str__(self) -> str:
        name = parts.file_name(self.part)
        return f"the part {self.part.get_content_type()}{f' ({name})' if name else ''}"


class _Search:
    """A search for reports in a mail and the mails within it: what it has found, and what it may still cost."""

    def __init__(self, limit: int, rows: int) -> None:
        self.reports: list[tuple[Report, Document]] = []
        self.refusals: list[str] = []
        self._unopened: list[str] = []
        self._submitter = ""
        self._kinds: list[str] = []
        self._limit = limit
        self._held = self._wasted = self._parsed = self._opened = 0
        self._rows = rows
        self._budget = parts.Budget()

    def parse(self, mail: bytes) -> Part:
        """The parts of a mail. Raises NotAReport."""
        parsed = self._budget.parse(mail)
        for part in _all(parsed) if not self._submitter else ():
            if submitter := parts.words(part, "TLS-Report-Submitter"):
                self._submitter = submitter
                break
        return parsed

    def look_through(self, mail: Part, domain: str, depth: int) -> None:
        """Read what is in a mail that is ``depth`` mails deep; ``domain`` is what the surroundings give. Raises _EnoughError.

        The innermost header counts: in a digest of forwarded reports each message has its own.
        """
        domains: dict[tuple[Part, ...], str] = {}
        for part, messages in parts.leaves(mail):
            if messages not in domains:
                domains[messages] = next(filter(None, map(self._domain_header, reversed(messages))), domain)
            self._look_at(_Leaf(part, domains[messages], depth))

    def only_domain_in(self, mail: Part) -> str:
        """The TLS-Report-Domain of all parts that have one, if they agree: programs move attachments out of messages."""
        if domain := self._domain_header(mail):
            return domain
        every = {self._domain_header(part) for part in _all(mail)} - {""}
        return every.pop() if len(every) == 1 else ""

    def submitter(self) -> str:
        """TLS-Report-Submitter of the mail or, in a forwarded one, of the message inside; a domain is in A-labels."""
        submitter = self._submitter
        return submitter if submitter.isascii() else _domain(submitter) or submitter.encode("ascii", "replace").decode()

    def why_nothing_was_found(self) -> str:
        """The reason for quarantine."""
        if self.refusals:
            return "; ".join((self.refusals + self._unopened)[:_MAX_REASONS])
        return "; ".join([f"no report is attached; the mail has {self._inventory()}", *self._unopened[:_MAX_REASONS]])

    def _domain_header(self, part: Part) -> str:
        return parts.words(part, "TLS-Report-Domain")

    def _look_at(self, leaf: _Leaf) -> None:
        if len(self._kinds) < _MAX_KINDS:
            self._kinds.append(leaf.part.get_content_type())
        data = parts.content(leaf.part)
        if not kinds.begins_plainly(data) and parts.stands_as_it_is(leaf.part):
            data = parts.as_written(leaf.part)
        if whole := kinds.mail_in(data) or parts.with_visible_boundary(leaf.part, data):
            self._refuse(self._look_into(whole, leaf), leaf)
        elif kinds.is_signed_cms(data):
            self._refuse(self._read(inflate.Plain("", data), leaf), leaf)
        elif leaf.part.get_content_type().startswith("application/tlsrpt") or may_hold_report(data):
            self._unpack(data, leaf)
        elif why := kinds.unopened(data):
            self._unopened.append(f"{leaf} {why}")

    def _unpack(self, data: bytes, leaf: _Leaf) -> None:
        if self._held >= self._limit or self._rows <= 0:
            raise _EnoughError(f"{leaf} was not read: the mail has too much in it before")
        refusals: list[NotAReport] = []
        opened, reports = self._opened, len(self.reports)
        unpacking = inflate.Unpacking(self._limit - self._held)
        try:
            for plain in unpacking.documents(data):
                refusals += self._read(plain, leaf)
        except inflate.InflateError as error:
            refusals.append(_refusal(str(error), error.unpacked))
        wasted = unpacking.slow
        if len(self.reports) > reports:
            wasted += sum(refusal.unpacked for refusal in refusals)
            refusals = [refusal for refusal in refusals if refusal.meant]
        else:
            wasted += max(unpacking.unpacked, sum(refusal.unpacked for refusal in refusals))
            nothing = "has nothing in it" if self._opened == opened else "has no report in it"
            refusals = refusals or [NotAReport(nothing)]
        self._refuse(refusals, leaf, wasted)

    def _read(self, plain: inflate.Plain, leaf: _Leaf) -> list[NotAReport]:
        """Read something unpacked: a report, a mail, a signed mail. What could not be read is returned."""
        self._opened += 1
        if self._opened > MAX_OPENED:
            raise _EnoughError(f"{leaf} was not read to its end: the mail has more than {MAX_OPENED} things in it")
        if plain.failure:
            return [NotAReport(refused(plain, NotAReport(plain.failure)))]
        if mail := kinds.mail_in(plain.data):
            return self._look_into(mail, leaf)
        try:
            if kinds.is_signed_cms(plain.data):
                return self._look_into(signed.content(plain.data), leaf)
            reading = read(plain.data, self._limit - self._held, self._hints(plain, leaf), self._rows)
        except signed.SignedError as error:
            return [_refusal(str(error), len(plain.data))]
        except NotAReport as refusal:
            return [_refusal(refused(plain, refusal), refusal.unpacked, meant=refusal.meant)]
        self._held += sum(len(document.text) for _, document in reading.reports)
        self._rows -= sum(report.weight for report, _ in reading.reports)
        self.reports += [_from(plain, report, document) for report, document in reading.reports]
        return [_refusal(refused(plain, refusal), refusal.unpacked) for refusal in reading.refusals]

    def _hints(self, plain: inflate.Plain, leaf: _Leaf) -> Hints:
        """The name of a file in an archive says as much as that of an attachment."""
        name = plain.name if _FILE_NAME.match(_base_name(plain.name)) else parts.file_name(leaf.part)
        return hints_from(leaf.domain, name)

    def _look_into(self, mail: bytes, leaf: _Leaf) -> list[NotAReport]:
        self._parsed += len(mail)
        if leaf.depth == MAX_DEPTH:
            return [NotAReport(f"is a mail within more than {MAX_DEPTH} others")]
        if self._parsed > _MAX_PARSED * self._limit:
            return [NotAReport("was not read: the mails within are too large together")]
        try:
            parsed = self.parse(mail)
        except NotAReport as refusal:
            return [NotAReport(f"was not read: {refusal}")]
        self.look_through(parsed, leaf.domain, leaf.depth + 1)
        return []

    def _refuse(self, refusals: list[NotAReport], leaf: _Leaf, wasted: int = 0) -> None:
        """Note what could not be read, after ``wasted`` bytes were unpacked in vain. Raises _EnoughError when it is too much."""
        self.refusals += [f"{leaf} {refusal}" for refusal in refusals[:_MAX_REASONS]]
        self._wasted += wasted
        if self._wasted > _MAX_WASTED * self._limit:
            raise _EnoughError("what follows was not read: unpacking cost too much")
        if len(self.refusals) >= MAX_UNREAD:
            raise _EnoughError("what follows was not read: too much before it cannot be read")

    def _inventory(self) -> str:
        if len(self._kinds) > 1:
            return "the parts " + ", ".join(self._kinds)
        return f"only {self._kinds[0]}" if self._kinds else "no parts"


def _all(mail: Part) -> Iterator[Part]:
    """The parts of a mail, those within come after those around them."""
    waiting = [mail]
    for part in waiting:
        yield part
        waiting += parts.children(part)


def _refusal(why: str, unpacked: int, *, meant: bool = True) -> NotAReport:
    refusal = NotAReport(why)
    refusal.unpacked, refusal.meant = unpacked, meant
    return refusal


def _from(plain: inflate.Plain, report: Report, document: Document) -> tuple[Report, Document]:
    """A report with what was odd about its packing, and its document with the name it has in an archive."""
    if not plain.name and not plain.notes:
        return report, document
    defects = (*(Defect("", note) for note in plain.notes), *report.defects)
    notes = (*plain.notes, *document.notes)
    return msgspec.structs.replace(report, defects=defects), msgspec.structs.replace(
        document, name=plain.name, notes=notes
    )
