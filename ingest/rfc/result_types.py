"""What fails (RFC 8460 section 4.3): one table of result types and reason codes. Each has a group, a consequence, and
somebody who can repair it. Words for people are in ``dashboard.words``, keyed by this table.

Senders invent words of their own. An unknown word is kept as it came; only metric labels are bounded.
"""

from collections.abc import Mapping

import msgspec

# What a failure means for the step from testing to enforce.
REFUSED, POLICY_UNUSABLE, DANE_ONLY = "refused", "policy-unusable", "dane-only"
# What failed.
STARTTLS, CERTIFICATE, MX_PATTERN, POLICY, DANE, OTHER = "starttls", "certificate", "mx", "policy", "dane", "other"
# Who can repair it: who runs the MX hosts, the policy's web server, the TLSA records; or nobody can tell without the reason.
RECEIVER, POLICY_HOST, DANE_OPERATOR, UNCLEAR = "receiver", "policy-host", "dane-operator", "unclear"

# Not an RFC word: the failing host matches no mx pattern of the policy, whatever the sender calls that.
MX_NOT_IN_POLICY = "mx-not-in-policy"
# Not an RFC word: failures counted in a summary that no detail explains.
UNEXPLAINED = "unexplained"
_FETCH_ERROR = "sts-policy-fetch-error"


class FailureKind(msgspec.Struct, frozen=True):
    """A kind of failure: its ``group``, what follows under ``enforce``, and who can repair it."""

    group: str
    consequence: str
    repairer: str


_UNKNOWN = FailureKind(OTHER, REFUSED, UNCLEAR)
_CERTIFICATE = FailureKind(CERTIFICATE, REFUSED, RECEIVER)
_STARTTLS = FailureKind(STARTTLS, REFUSED, RECEIVER)
_PATTERN = FailureKind(MX_PATTERN, REFUSED, RECEIVER)
# The policy could not be had: a cached enforce policy still applies, without one mail is delivered as if there were none
# (RFC 8461 section 3.3). DANE failures are refused today, whatever the policy's mode: the switch changes nothing.
_POLICY = FailureKind(POLICY, POLICY_UNUSABLE, POLICY_HOST)
_DANE = FailureKind(DANE, DANE_ONLY, DANE_OPERATOR)

RESULT_TYPES: Mapping[str, FailureKind] = {
    "starttls-not-supported": _STARTTLS,
    "certificate-host-mismatch": _CERTIFICATE,
    "certificate-expired": _CERTIFICATE,
    "certificate-not-trusted": _CERTIFICATE,
    "validation-failure": _UNKNOWN,
    _FETCH_ERROR: _POLICY,
    "sts-policy-invalid": _POLICY,
    "sts-webpki-invalid": _POLICY,
    "tlsa-invalid": _DANE,
    "dnssec-invalid": _DANE,
    "dane-required": _DANE,
    MX_NOT_IN_POLICY: _PATTERN,
    UNEXPLAINED: _UNKNOWN,
}
# The words of RFC 8460 section 4.3; the IANA registry lists the same 11.
OF_RFC = frozenset(RESULT_TYPES) - {MX_NOT_IN_POLICY, UNEXPLAINED}
# Reason codes seen in the wild, in lower case with hyphens; result types in their place stand for themselves.
REASON_CODES: Mapping[str, FailureKind] = {
    "mx-hosts-mismatch": _PATTERN,  # Microsoft, as MX_HOSTS_MISMATCH, without the host
    "mx-mismatch": _PATTERN,
}
# The same for codes that go on with particulars.
REASON_BEGINNINGS: Mapping[str, FailureKind] = {
    "bad https response code": _POLICY,  # Mail.ru, with the status
    "invalid peer certificate": _CERTIFICATE,  # Stalwart, in rustls's words
    "x509-v-err-": _CERTIFICATE,  # OpenSSL's names
    "tls-remote-alert-": _STARTTLS,  # mox: the MX host broke off the handshake
}


def kind_of(result_type: str, failure_reason_code: str = "") -> FailureKind:
    """The kind of a failure. A reason code counts where the result type says nothing: validation-failure and unknown types.

    Without a known reason these count as refused: the cautious reading.
    """
    kind = RESULT_TYPES.get(_folded(result_type), _UNKNOWN)
    if kind is not _UNKNOWN or not failure_reason_code:
        return kind
    return _of_reason(_folded(failure_reason_code)) or kind


def _of_reason(reason: str) -> FailureKind | None:
    exact = REASON_CODES.get(reason) or RESULT_TYPES.get(reason)
    beginnings = (kind for beginning, kind in REASON_BEGINNINGS.items() if reason.startswith(beginning))
    return exact or next(beginnings, None)


def _folded(code: str) -> str:
    return code.strip().lower().replace("_", "-")


def may_accuse_mx(result_type: str) -> bool:
    """Whether some senders file failures of an MX host under this word for failures of the policy host."""
    folded = _folded(result_type)
    return folded in RESULT_TYPES and RESULT_TYPES[folded] is _POLICY and folded != _FETCH_ERROR
