"""The spine: one message from bytes to a Submission, or to quarantine with a reason. Follow a report through here.

extract and decode (tlsrpt.message) -> authenticate -> Submission. Decoding comes before authentication, because a mail
without a report should cost no DNS look-up.
"""

import datetime as dt
from typing import Protocol

import msgspec

from ingest.authentication.signatures import UNDETERMINED, UNSIGNED, VERIFIED, Authentication
from ingest.rfc.tlsrpt import message as report_mail
from ingest.rfc.tlsrpt.document import Document, NotAReport
from ingest.rfc.tlsrpt.report import PolicyEntry, Report, read, without_header
from ingest.settings.settings import Settings
from ingest.spool import trace
from ingest.spool.trace import Arrival
from ingest.testimony.trust import IMPORTED, UNAUTHENTICATED, UNVERIFIED

# decision.md section 1: a bare file is taken to have arrived one day after its range's end.
FILE_DELAY = dt.timedelta(days=1)

# Reasons that group the quarantine.
NO_REPORT, PARTLY_READ, FOREIGN_DOMAIN, KILLED_READER = "no-report", "partly-read", "foreign-domain", "killed-reader"
# People write to postmaster, whom RFC 5321 section 4.5.1 wants reached: kept apart, for the operator to read.
POSTMASTER = "postmaster"


class Authenticate(Protocol):
    """What intake asks of authentication: the verdict on a mail as it stood at ``now``."""

    def __call__(self, message: bytes, now: dt.datetime) -> Authentication:
        """The verdict; never raises, whatever the message holds."""


class Decoded(msgspec.Struct, frozen=True):
    """A message with at least one report in it, not authenticated yet. ``message`` is as its sender wrote it.

    ``file_name`` is that of a bare report file, None for a mail; ``unread`` says why parts of it could not be read.
    """

    arrival: Arrival
    message: bytes
    reports: tuple[tuple[Report, Document], ...]
    submitter: str = ""
    author: str = ""
    file_name: str | None = None
    unread: str = ""

    @property
    def held(self) -> int:
        """Bytes of message and reports: what keeping it costs, roughly."""
        return len(self.message) + sum(len(document.text) for _, document in self.reports)


class Submission(msgspec.Struct, frozen=True):
    """A message ready for the store: its reports, how it came, and how far it is trusted."""

    decoded: Decoded
    authentication: Authentication
    trust: str

    @property
    def undetermined(self) -> bool:
        """Whether the message must be kept, to be authenticated again later."""
        return self.authentication.dkim == UNDETERMINED

    @property
    def unread(self) -> "Quarantined | None":
        """The message once more, for quarantine, when a part that looks like a report could not be read."""
        decoded = self.decoded
        if not decoded.unread:
            return None
        refused = quarantined(decoded.message, decoded.arrival, PARTLY_READ, decoded.unread)
        return msgspec.structs.replace(refused, signer=_signer(self.authentication))


class Quarantined(msgspec.Struct, frozen=True):
    """A message that could not be read. ``reason`` is a short code, ``explanation`` a sentence for people.

    ``file_name`` is that of a bare file, None for a mail; ``signer`` the domain whose signature holds, "" when none does, None
    when nobody has looked or could.
    """

    arrival: Arrival
    message: bytes
    reason: str
    explanation: str
    subject: str = ""
    file_name: str | None = None
    signer: str | None = None

    @property
    def asks_for_key(self) -> bool:
        """Whether its signature is worth a look: not where reading it ended its reader, and only mail has one."""
        mail = self.arrival.door not in (trace.HTTPS, trace.LOAD) and self.file_name is None
        return mail and self.reason != KILLED_READER

    @property
    def held(self) -> int:
        """Bytes of the message."""
        return len(self.message)


def decode_mail(message: bytes, arrival: Arrival, settings: Settings) -> Decoded | Quarantined:
    """The reports in a mail (or in an HTTPS body wrapped as one)."""
    try:
        mail = report_mail.read_mail(message, settings.max_report_bytes)
    except NotAReport as refusal:
        if arrival.letter:
            return quarantined(message, arrival, POSTMASTER, "a letter to postmaster: read it, then discard it")
        what = "the upload: " if arrival.door == trace.HTTPS else ""
        return quarantined(message, arrival, NO_REPORT, what + str(refusal))
    return _accepted(Decoded(arrival, message, mail.reports, mail.submitter, mail.author, unread=mail.unread), settings)


def decode_file(data: bytes, file_name: str, arrival: Arrival, settings: Settings) -> Decoded | Quarantined:
    """The reports in a bare report file, whose name may say what the report does not."""
    try:
        reading = read(data, settings.max_report_bytes, report_mail.hints_from("", file_name))
    except NotAReport as refusal:
        return Quarantined(arrival, data, NO_REPORT, f"{file_name or 'the file'} {refusal}", "", file_name)
    # A bare file says nothing about when it came.
    end = max(report.end for report, _ in reading.reports)
    arrival = msgspec.structs.replace(arrival, received_at=end + FILE_DELAY, estimated=True)
    unread = "; ".join(f"{file_name or 'the file'} {refusal}" for refusal in reading.refusals[:3])
    return _accepted(Decoded(arrival, data, reading.reports, file_name=file_name, unread=unread), settings)


def authenticated(decoded: Decoded, authenticate: Authenticate | None) -> Submission:
    """A decoded message with its trust. ``authenticate=None`` is for what carries no signature: HTTPS bodies, bare files."""
    if authenticate is None or decoded.arrival.door == trace.HTTPS:
        verdict = Authentication(UNSIGNED)
    else:
        verdict = authenticate(decoded.message, decoded.arrival.received_at)
        # Nobody looks at loaded mail again, and its time of arrival is not this host's word.
        verdict = verdict.for_good if decoded.arrival.door == trace.LOAD else verdict
    if not verdict.names_domain:
        reports = tuple((without_header(report), document) for report, document in decoded.reports)
        decoded = msgspec.structs.replace(decoded, reports=reports)
    return Submission(decoded, verdict, trust_of(verdict, decoded.arrival.door))


def with_signer(refused: Quarantined, authenticate: Authenticate) -> Quarantined:
    """A message on its way to quarantine, with who signed it: how long it is kept depends on that."""
    if refused.arrival.door == trace.HTTPS:
        return msgspec.structs.replace(refused, signer="")
    if not refused.asks_for_key:
        return refused
    verdict = authenticate(refused.message, refused.arrival.received_at)
    return msgspec.structs.replace(refused, signer=_signer(verdict))


def _signer(verdict: Authentication) -> str | None:
    return None if verdict.dkim == UNDETERMINED else verdict.signer


def trust_of(verdict: Authentication, door: str) -> str:
    """verified | imported | unverified | unauthenticated (design.md, "Public interface").

    What the operator loads is vouched for, but not where its signature shows that somebody has changed it.
    """
    if verdict.dkim == VERIFIED:
        return VERIFIED
    if door == trace.LOAD:
        return UNVERIFIED if verdict.wrong else IMPORTED
    return UNAUTHENTICATED if door == trace.HTTPS else UNVERIFIED


def quarantined(message: bytes, arrival: Arrival, reason: str, explanation: str) -> Quarantined:
    """A message on its way to quarantine."""
    return Quarantined(arrival, message, reason, explanation, report_mail.subject(message))


def _accepted(decoded: Decoded, settings: Settings) -> Decoded | Quarantined:
    """Only what concerns the operator's policy domains (and the hosts below them: DANE entries name the MX host)."""
    if not settings.domains:
        return decoded
    accepted = []
    for report, document in decoded.reports:
        ours = _only_about(report, settings.domains)
        if ours.entries or not report.entries:
            accepted.append((ours, document))
    if not accepted:
        domains = sorted({entry.policy_domain or "(none)" for report, _ in decoded.reports for entry in report.entries})
        why = f"the report is about {', '.join(domains[:5])}, which STARTTALLY_DOMAINS does not list"
        refused = quarantined(decoded.message, decoded.arrival, FOREIGN_DOMAIN, why)
        return msgspec.structs.replace(refused, file_name=decoded.file_name)
    return msgspec.structs.replace(decoded, reports=tuple(accepted))


def _only_about(report: Report, domains: tuple[str, ...]) -> Report:
    def ours(entry: PolicyEntry) -> bool:
        name = entry.policy_domain
        return not name or any(name == domain or name.endswith("." + domain) for domain in domains)

    return msgspec.structs.replace(report, entries=tuple(filter(ours, report.entries)))
