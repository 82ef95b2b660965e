"""What ``enforce`` would have done with a failed session (RFC 8461 section 5; decision.md section 3): one table for everything.

A result type (RFC 8460 section 4.3) or a reason code belongs to a group, has a consequence, and names who can repair it.
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
_FETCH_ERROR = "sts-policy-fetch-error"


class Kind(msgspec.Struct, frozen=True):
    """A kind of failure: its ``group``, what follows under ``enforce``, and who can repair it."""

    group: str
    consequence: str
    repairer: str


_UNKNOWN = Kind(OTHER, REFUSED, UNCLEAR)
_CERTIFICATE = Kind(CERTIFICATE, REFUSED, RECEIVER)
_STARTTLS = Kind(STARTTLS, REFUSED, RECEIVER)
_PATTERN = Kind(MX_PATTERN, REFUSED, RECEIVER)
# The policy could not be had: a cached enforce policy still applies, without one mail is delivered as if there were none
# (RFC 8461 section 3.3). DANE failures are refused today, whatever the policy's mode: the switch changes nothing.
_POLICY = Kind(POLICY, POLICY_UNUSABLE, POLICY_HOST)
_DANE = Kind(DANE, DANE_ONLY, DANE_OPERATOR)

RESULT_TYPES: Mapping[str, Kind] = {
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
}
# Reason codes seen in the wild, in lower case with hyphens; result types in their place stand for themselves.
REASON_CODES: Mapping[str, Kind] = {
    "mx-hosts-mismatch": _PATTERN,  # Microsoft, as MX_HOSTS_MISMATCH, without the host
    "mx-mismatch": _PATTERN,
}
# The same for codes that go on with particulars.
REASON_BEGINNINGS: Mapping[str, Kind] = {
    "bad https response code": _POLICY,  # Mail.ru, with the status
    "invalid peer certificate": _CERTIFICATE,  # Stalwart, in rustls's words
    "x509-v-err-": _CERTIFICATE,  # OpenSSL's names
    "tls-remote-alert-": _STARTTLS,  # mox: the MX host broke off the handshake
}


def kind_of(result_type: str, failure_reason_code: str = "") -> Kind:
    """The kind of a failure. A reason code counts where the result type says nothing: validation-failure and unknown types.

    Without a known reason these count as refused: the cautious reading.
    """
    kind = RESULT_TYPES.get(_folded(result_type), _UNKNOWN)
    return (_of_reason(_folded(failure_reason_code)) or kind) if kind is _UNKNOWN else kind


def _of_reason(reason: str) -> Kind | None:
    exact = REASON_CODES.get(reason) or RESULT_TYPES.get(reason)
    beginnings = (kind for beginning, kind in REASON_BEGINNINGS.items() if reason.startswith(beginning))
    return exact or next(beginnings, None)


def _folded(code: str) -> str:
    return code.strip().lower().replace("_", "-")


def consequence(
    policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = ""
) -> str | None:
    """What a failed session says about ``enforce``: ``refused`` (it would have refused the session), ``policy-unusable``
    (senders could not get the policy; a cached one applies), ``dane-only`` (DANE senders refuse in every mode). None under a
    policy type of which nothing follows.
    """
    if policy_type == "tlsa":
        return DANE_ONLY
    follows = kind_of(result_type, failure_reason_code).consequence
    if follows == DANE_ONLY:
        return DANE_ONLY
    if policy_type not in ("sts", "no-policy-found"):
        return None
    # A row that names an MX host accuses the host: some senders file MX failures under these types. Fetch errors concern
    # the policy host only, whatever else the row says.
    if follows == POLICY_UNUSABLE and (_is_result_type_of_mx(result_type) and receiving_mx_hostname):
        follows = REFUSED
    # A sender that found no policy would not refuse under any mode of it.
    return None if follows == REFUSED and policy_type != "sts" else follows


def _is_result_type_of_mx(result_type: str) -> bool:
    folded = _folded(result_type)
    return folded in RESULT_TYPES and RESULT_TYPES[folded] is _POLICY and folded != _FETCH_ERROR


def refuses(policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = "") -> bool:
    """Whether ``enforce`` would have refused a session that failed so; only entries of type ``sts`` say anything about it."""
    return consequence(policy_type, result_type, receiving_mx_hostname, failure_reason_code) == REFUSED


def refused_sessions(failed_sessions: int | None, refused_in_details: int, unexplained_sessions: int) -> int:
    """Refused sessions of one policy entry: details may overlap, so they are capped by the summary's total (if it has one)."""
    refused = refused_in_details + unexplained_sessions
    return refused if failed_sessions is None else min(failed_sessions, refused)
