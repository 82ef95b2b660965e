"""Plain words for what reports and tables say in codes: result types, trust, doors, policy types, quarantine reasons."""

import msgspec

from ingest import intake, trace
from ingest.tlsrpt import vocabulary

from .plain import plain

# Every page and export says so (decision.md section 2).
SESSIONS_NOTE = (
    "Counts are **sessions, not messages**: after a refused host a sender tries the next MX, then defers the mail and tries "
    "again. Mail bounces only when every MX keeps failing until the sender gives up."
)

# What a failure means for the step from testing to enforce.
REFUSED, BLOCKS, REFUSED_TODAY = "refused", "blocks", "refused-today"
CONSEQUENCES = {
    REFUSED: "enforce would refuse the session",
    BLOCKS: "enforce would not refuse it, but the policy cannot be read: repair it before any switch",
    REFUSED_TODAY: "DANE senders refuse it today, in every mode",
}


class ResultType(msgspec.Struct, frozen=True):
    """A result type of RFC 8460 section 4.3: its ``words``, its ``meaning``, what follows, and who repairs what."""

    words: str
    meaning: str
    consequence: str
    repair: str


RESULT_TYPES: dict[str, ResultType] = {
    "starttls-not-supported": ResultType(
        "STARTTLS not offered",
        "The MX host did not offer STARTTLS.",
        REFUSED,
        "The receiving side: STARTTLS is off, or a firewall that inspects SMTP hides it. If only one sender sees it while "
        "the same MX serves others, it is on that sender's side or path, and may be an attack.",
    ),
    "certificate-host-mismatch": ResultType(
        "Certificate has another name",
        "The certificate of the MX host does not name that host.",
        REFUSED,
        "The receiving side: put the MX name into the certificate (subject alternative name).",
    ),
    "certificate-expired": ResultType(
        "Certificate expired",
        "The certificate of the MX host had expired.",
        REFUSED,
        "The receiving side: renew it, and reload it on every node. Often one node was missed.",
    ),
    "certificate-not-trusted": ResultType(
        "Certificate not trusted",
        "The sender could not follow the certificate to an authority it trusts.",
        REFUSED,
        "The receiving side: the chain is incomplete or self-signed. A self-signed certificate can be right for DANE and "
        "still fails MTA-STS.",
    ),
    "validation-failure": ResultType(
        "Validation failed",
        "Anything else that went wrong; the reason code should say what. An MX host that the policy does not list arrives "
        "here too.",
        REFUSED,
        "Read the reason code. If it speaks of MX hosts, compare the mx lines of the policy with your MX records.",
    ),
    "sts-policy-fetch-error": ResultType(
        "Policy could not be fetched",
        "The policy file could not be fetched from the policy host.",
        BLOCKS,
        "The operator of the policy host (mta-sts under your domain): web server down, 404 or 500, a redirect, or a firewall in front of it.",
    ),
    "sts-policy-invalid": ResultType(
        "Policy not valid",
        "The policy file was fetched, but is not valid.",
        BLOCKS,
        "The author of the policy file: a mistake in its syntax or its mode, or no mx line.",
    ),
    "sts-webpki-invalid": ResultType(
        "Policy host's certificate not valid",
        "The certificate of the policy host (not of the MX) was not accepted.",
        BLOCKS,
        "The operator of the policy host (mta-sts under your domain): renew or correct the web server's certificate.",
    ),
    "tlsa-invalid": ResultType(
        "DANE: TLSA record does not match",
        "No TLSA record of the MX host matched its certificate.",
        REFUSED_TODAY,
        "Who keeps the TLSA records: publish the new record before the certificate changes.",
    ),
    "dnssec-invalid": ResultType(
        "DANE: DNSSEC broken",
        "The DNS answers did not validate.",
        REFUSED_TODAY,
        "Who keeps the DNS zone: signatures expired, or the DS record in the parent zone is wrong.",
    ),
    "dane-required": ResultType(
        "DANE: required, but there is none",
        "The sender insists on DANE for this destination and found no usable TLSA record.",
        REFUSED_TODAY,
        "Who keeps the DNS zone, together with the sender that insists.",
    ),
    vocabulary.UNEXPLAINED: ResultType(
        "Failures without an explanation",
        "The report counts failures that none of its details explains.",
        REFUSED,
        "Nobody can tell from the report; ask the sender. Until then they are taken as refused.",
    ),
}
UNKNOWN_TYPE = ResultType(
    "A type that RFC 8460 does not know",
    "The sender uses a word of its own.",
    REFUSED,
    "Look at the reports. Until then it is taken as refused.",
)


def result_type(code: str) -> ResultType:
    """What a result type means; senders may use words of their own."""
    return RESULT_TYPES.get(code, UNKNOWN_TYPE)


TRUST = {
    intake.VERIFIED: "verified",
    intake.IMPORTED: "loaded by you",
    intake.UNVERIFIED: "not verified",
    intake.UNAUTHENTICATED: "not authenticated",
}
TRUST_MEANING = {
    intake.VERIFIED: "signed by its sender (DKIM), and the signature holds",
    intake.IMPORTED: "loaded by the operator, who vouches for it",
    intake.UNVERIFIED: "mail without a valid signature of its sender: anyone could have written it",
    intake.UNAUTHENTICATED: "uploaded over HTTPS, where nothing proves who sent it",
}

DKIM = {
    "verified": "signature holds",
    "unsigned": "no signature",
    "failed": "signature does not hold",
    "undetermined": "key could not be looked up yet; tried again later",
}

DOORS = {
    trace.SMTP: "mail (SMTP door)",
    trace.HTTPS: "upload (HTTP door)",
    trace.LOAD: "loaded from a file",
    trace.MAILDIR: "mail (delivered into the spool)",
}

POLICY_TYPES = {
    vocabulary.STS: "MTA-STS",
    vocabulary.TLSA: "DANE",
    vocabulary.NO_POLICY_FOUND: "No policy",
    "": "Nothing to report",
}

MODES = {"enforce": "enforce", "testing": "testing", "none": "none", "": "no mode"}

QUARANTINE_REASONS = {
    intake.NO_REPORT: "No report in it",
    intake.PARTLY_READ: "Read in part",
    intake.FOREIGN_DOMAIN: "About a domain that is not yours",
    intake.KILLED_READER: "Stopped the reader",
}


def sessions(count: float | None) -> str:
    """A count for people: ``12,345``; a dash when the report has none."""
    return "\u2014" if count is None or count != count else f"{count:,.0f}"  # noqa: PLR0124


def size(count: int) -> str:
    """Bytes for people."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def outcome(failed: float, refused: float, consequence: str, policy_type: str) -> str:
    """One cause in a sentence. Only MTA-STS entries say anything about enforce."""
    counted = f"{sessions(failed)} {'session' if failed == 1 else 'sessions'}"
    if consequence == REFUSED_TODAY:
        return f"{counted}; {CONSEQUENCES[REFUSED_TODAY]}"
    if policy_type != vocabulary.STS:
        return f"{counted} failed"
    if consequence == REFUSED or refused:
        rest = "" if refused == failed else f"; {sessions(failed - refused)} others would not be"
        return f"{sessions(refused)} {'session' if refused == 1 else 'sessions'} would be refused by enforce{rest}"
    return f"{counted}; {CONSEQUENCES[BLOCKS]}"


def policy_title(policy_type: str, mode: str, text: str) -> str:
    """A line about a policy text, fit for a label (read as Markdown)."""
    kind = POLICY_TYPES.get(policy_type) or plain(policy_type, 40)
    if policy_type == vocabulary.NO_POLICY_FOUND or not policy_type:
        return "No policy was found"
    if not text:
        return f"{kind}, the text is not quoted"
    return f"{kind}, mode {plain(mode, 40) if mode else 'not readable'}" if policy_type == vocabulary.STS else f"{kind} records"
