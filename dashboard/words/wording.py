"""Plain words for what reports and tables say in codes: result types, trust, doors, policy types, quarantine reasons."""

from collections.abc import Mapping
from typing import Any

import msgspec

from dashboard.queries.question import LANES
from ingest.rfc import policy_types
from ingest.rfc.result_types import DANE_ONLY, MX_NOT_IN_POLICY, POLICY_UNUSABLE, REFUSED, UNEXPLAINED
from ingest.spool import channels
from ingest.testimony import trust, unread

from .plain import plain

# Every page and export says so (docs/verdict.md, "What counts as evidence").
SESSIONS_NOTE = (
    "Counts are **sessions, not messages**: after a refused host a sender tries the next MX, then defers the mail and tries "
    "again. Mail bounces only when every MX keeps failing until the sender gives up."
)

# What a failure means for the step from testing to enforce.
CONSEQUENCES = {
    REFUSED: "enforce would refuse the session",
    POLICY_UNUSABLE: "enforce would not refuse it, but the policy cannot be read: repair it before any switch",
    DANE_ONLY: "DANE senders refuse it today, in every mode",
}


class ResultTypeWords(msgspec.Struct, frozen=True):
    """A result type of RFC 8460 section 4.3: its ``words``, its ``meaning``, and who repairs what."""

    words: str
    meaning: str
    repair: str


RESULT_TYPES: dict[str, ResultTypeWords] = {
    "starttls-not-supported": ResultTypeWords(
        "STARTTLS not offered",
        "The MX host did not offer STARTTLS.",
        "The receiving side: STARTTLS is off, or a firewall that inspects SMTP hides it. If only one sender sees it while "
        "the same MX serves others, it is on that sender's side or path, and may be an attack.",
    ),
    "certificate-host-mismatch": ResultTypeWords(
        "Certificate has another name",
        "The certificate of the MX host does not name that host.",
        "The receiving side: put the MX name into the certificate (subject alternative name).",
    ),
    "certificate-expired": ResultTypeWords(
        "Certificate expired",
        "The certificate of the MX host had expired.",
        "The receiving side: renew it, and reload it on every node. Often one node was missed.",
    ),
    "certificate-not-trusted": ResultTypeWords(
        "Certificate not trusted",
        "The sender could not follow the certificate to an authority it trusts.",
        "The receiving side: the chain is incomplete or self-signed. A self-signed certificate can be right for DANE and "
        "still fails MTA-STS.",
    ),
    "validation-failure": ResultTypeWords(
        "Validation failed",
        "Anything else that went wrong; the reason code should say what. An MX host that the policy does not list arrives "
        "here too.",
        "Read the reason code. If it speaks of MX hosts, compare the mx lines of the policy with your MX records.",
    ),
    "sts-policy-fetch-error": ResultTypeWords(
        "Policy could not be fetched",
        "The policy file could not be fetched from the policy host.",
        "The operator of the policy host (mta-sts under your domain): web server down, 404 or 500, a redirect, or a "
        "firewall in front of it.",
    ),
    "sts-policy-invalid": ResultTypeWords(
        "Policy not valid",
        "The policy file was fetched, but is not valid.",
        "The author of the policy file: a mistake in its syntax or its mode, or no mx line.",
    ),
    "sts-webpki-invalid": ResultTypeWords(
        "Policy host's certificate not valid",
        "The certificate of the policy host (not of the MX) was not accepted.",
        "The operator of the policy host (mta-sts under your domain): renew or correct the web server's certificate.",
    ),
    "tlsa-invalid": ResultTypeWords(
        "DANE: TLSA record does not match",
        "No TLSA record of the MX host matched its certificate.",
        "Who keeps the TLSA records: publish the new record before the certificate changes.",
    ),
    "dnssec-invalid": ResultTypeWords(
        "DANE: DNSSEC broken",
        "The DNS answers did not validate.",
        "Who keeps the DNS zone: signatures expired, or the DS record in the parent zone is wrong.",
    ),
    "dane-required": ResultTypeWords(
        "DANE: required, but there is none",
        "The sender insists on DANE for this destination and found no usable TLSA record.",
        "Who keeps the DNS zone, together with the sender that insists.",
    ),
    MX_NOT_IN_POLICY: ResultTypeWords(
        "MX host not in the policy",
        "The sender was led to a host that no mx line of the policy covers.",
        "Whoever keeps policy and MX records: add the host if it is yours. If it is not, somebody answers MX queries falsely "
        "on the way to that sender.",
    ),
    UNEXPLAINED: ResultTypeWords(
        "Failures without an explanation",
        "The report counts failures that none of its details explains.",
        "Nobody can tell from the report; ask the sender. Until then they are taken as refused.",
    ),
}
UNKNOWN_TYPE = ResultTypeWords(
    "A type that RFC 8460 does not know",
    "The sender uses a word of its own.",
    "Look at the reports. Until then it is taken as refused.",
)


def result_type(code: str) -> ResultTypeWords:
    """What a result type means; senders may use words of their own."""
    return RESULT_TYPES.get(code, UNKNOWN_TYPE)


TRUST = {
    trust.VERIFIED: "verified",
    trust.IMPORTED: "loaded by you",
    trust.UNVERIFIED: "not verified",
    trust.UNAUTHENTICATED: "not authenticated",
}
TRUST_MEANING = {
    trust.VERIFIED: "signed by its sender (DKIM), and the signature holds",
    trust.IMPORTED: "loaded by the operator, who vouches for it",
    trust.UNVERIFIED: "mail without a valid signature of its sender: anyone could have written it",
    trust.UNAUTHENTICATED: "uploaded over HTTPS, where nothing proves who sent it",
}

TRUSTED = trust.EVIDENCE
# Choices of a filter: lanes first, then each kind of trust by itself.
TRUST_CHOICES = {
    "": "Any",
    "trusted": "Trusted",
    "unproven": "Unproven",
} | TRUST


def trusts_of(choice: str) -> tuple[str, ...]:
    """What a choice of TRUST_CHOICES stands for."""
    return LANES.get(choice) or ((choice,) if choice in TRUST else trust.TRUST_ORDER)


DKIM = {
    trust.VERIFIED: "signature holds",
    trust.UNSIGNED: "no signature",
    trust.FAILED: "signature does not hold",
    trust.UNDETERMINED: "not decided yet; looked at again later",
}

DOORS = {
    channels.SMTP: "mail (SMTP door)",
    channels.HTTPS: "upload (HTTP door)",
    channels.LOAD: "loaded from a file",
    channels.MAILDIR: "mail (delivered into the spool)",
}

POLICY_TYPES = {
    policy_types.STS: "MTA-STS",
    policy_types.TLSA: "DANE",
    policy_types.NO_POLICY_FOUND: "No policy",
    "": "Nothing to report",
}

MODES = {"enforce": "enforce", "testing": "testing", "none": "none", "": "no mode"}

QUARANTINE_REASONS = {
    unread.NO_REPORT: "No report in it",
    unread.PARTLY_READ: "Read in part",
    unread.FOREIGN_DOMAIN: "About a domain that is not yours",
    unread.KILLED_READER: "Stopped the reader",
    unread.POSTMASTER: "Letter to postmaster",
}


def result_title(code: str) -> str:
    """A result type in a few words, fit for a label (read as Markdown)."""
    return RESULT_TYPES[code].words if code in RESULT_TYPES else plain(code, 60)


def policy_type(code: str) -> str:
    """A policy type, fit for a label (read as Markdown)."""
    return POLICY_TYPES.get(code) or plain(code, 40)


def quarantine_reason(code: str) -> str:
    """A reason of the quarantine, fit for a label (read as Markdown)."""
    return QUARANTINE_REASONS.get(code) or plain(code, 40)


def standing(row: Mapping[Any, Any]) -> str:
    """Whether a report counts beside others with its id and range; ``row`` has counts, accuses and contradicted."""
    if row["counts"]:
        return "yes" if row["accuses"] else "its sessions, not its failures"
    if row["accuses"]:
        return "its failures, not its sessions"
    return "no: another one contradicts it" if row["contradicted"] else "no: a copy of another one"


def remarks(row: Mapping[Any, Any]) -> str:
    """What is special about a report of ``report_pages.list_reports``."""
    marks = {
        "contradicted": "contradicted by another report",
        "long_range": "more than 36 hours",
        "defective": "departs from RFC 8460",
    }
    return ", ".join(words for name, words in marks.items() if row[name])


def counts(row: Mapping[Any, Any]) -> str:
    """The session counts of a report or an entry in a sentence."""
    counted = f"{sessions(row['successful_sessions'])} successful, {sessions(row['failed_sessions'])} failed"
    return counted + (f", {sessions(row['refused_sessions'])} would be refused" if row["refused_sessions"] else "")


def sessions(count: float | None) -> str:
    """A count for people: ``12,345``; a dash when the report has none."""
    import pandas as pd  # the words of a verdict need none

    return "\u2014" if count is None or pd.isna(count) else f"{count:,.0f}"


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def outcome(failed: float, refused: float, consequence: str, under: str) -> str:
    """One cause in a sentence. ``under`` is the policy type: only MTA-STS says anything about enforce."""
    counted = f"{sessions(failed)} {'session' if failed == 1 else 'sessions'}"
    if consequence == DANE_ONLY:
        return f"{counted}; {CONSEQUENCES[DANE_ONLY]}"
    if under != policy_types.STS:
        return f"{counted} failed"
    if consequence == REFUSED or refused:
        others = "" if refused == failed else f"; {sessions(failed - refused)} others would not be"
        return f"{sessions(refused)} {'session' if refused == 1 else 'sessions'} would be refused by enforce{others}"
    return f"{counted}; {CONSEQUENCES[POLICY_UNUSABLE]}"


def policy_title(code: str, mode: str, text: object) -> str:
    """A line about a policy text (missing or empty when not quoted), fit for a label (read as Markdown)."""
    if code in (policy_types.NO_POLICY_FOUND, ""):
        return "No policy was found" if code else "No policy is named"
    if not isinstance(text, str) or not text:
        return f"{policy_type(code)}, the text is not quoted"
    if code != policy_types.STS:
        return f"{policy_type(code)} records"
    return f"{policy_type(code)}, mode {plain(mode, 40) if mode else 'not readable'}"
