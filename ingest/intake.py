"""The spine: one message from bytes to a Submission, or to quarantine with a reason. Follow a report through here.

extract and decode (tlsrpt.message) -> authenticate -> Submission. Decoding comes before authentication, because a mail
without a report should cost no DNS look-up.
"""

import datetime as dt
from typing import Protocol

import msgspec

from ingest.authentication.verdict import Authentication
from ingest.rfc.tlsrpt import message as report_mail
from ingest.rfc.tlsrpt.document import NotAReport
from ingest.rfc.tlsrpt.report import MAX_ROWS, PolicyEntry, Report, read, without_header
from ingest.settings.settings import Settings
from ingest.spool.channels import Channel
from ingest.spool.trace import Arrival
from ingest.testimony.trust import UNSIGNED, UNVERIFIED, VERIFIED
from ingest.testimony.unread import FOREIGN_DOMAIN, NO_REPORT, POSTMASTER

from .submissions import FILE_DELAY, Decoded, Quarantined, Submission, quarantined, signer_of


class Authenticate(Protocol):
    """What intake asks of authentication: the verdict on a mail as it stood at ``now``."""

    def __call__(self, message: bytes, now: dt.datetime) -> Authentication:
        """The verdict; never raises, whatever the message holds."""


def decode_mail(message: bytes, arrival: Arrival, settings: Settings, rows: int = MAX_ROWS) -> Decoded | Quarantined:
    """The reports in a mail (or in an HTTPS body wrapped as one); ``rows`` as for ``read_mail``."""
    try:
        mail = report_mail.read_mail(message, settings.max_report_bytes, rows)
    except NotAReport as refusal:
        if arrival.letter:
            return quarantined(message, arrival, POSTMASTER, "a letter to postmaster: read it, then discard it")
        what = "" if arrival.channel.is_signed else "the upload: "
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
    if authenticate is None or not decoded.arrival.channel.is_signed:
        verdict = Authentication(UNSIGNED)
    else:
        verdict = authenticate(decoded.message, decoded.arrival.received_at)
        verdict = verdict if decoded.arrival.channel.waits_for_dns else verdict.for_good
    if not verdict.names_domain:
        reports = tuple((without_header(report), document) for report, document in decoded.reports)
        decoded = msgspec.structs.replace(decoded, reports=reports)
    return Submission(decoded, verdict, trust_of(verdict, decoded.arrival.channel))


def with_signer(refused: Quarantined, authenticate: Authenticate) -> Quarantined:
    """A message on its way to quarantine, with who signed it: how long it is kept depends on that."""
    if not refused.arrival.channel.is_signed:
        return msgspec.structs.replace(refused, signer="")
    if not refused.asks_for_key:
        return refused
    verdict = authenticate(refused.message, refused.arrival.received_at)
    return msgspec.structs.replace(refused, signer=signer_of(verdict))


def trust_of(verdict: Authentication, channel: Channel) -> str:
    """verified | imported | unverified | unauthenticated (docs/exports.md).

    What the operator loads is vouched for, but not where its signature shows that somebody has changed it.
    """
    if verdict.dkim == VERIFIED:
        return VERIFIED
    return UNVERIFIED if verdict.wrong else channel.trust


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
