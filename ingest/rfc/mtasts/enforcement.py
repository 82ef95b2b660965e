"""What ``enforce`` would have done with a failed session (RFC 8461 section 5; docs/verdict.md)."""

import functools

from ingest.rfc.policy_types import NO_POLICY_FOUND, STS, TLSA
from ingest.rfc.result_types import DANE_ONLY, POLICY_UNUSABLE, REFUSED, kind_of, may_accuse_mx

_LONGEST_REASON = 100


def consequence(
    policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = ""
) -> str | None:
    """What a failed session says about ``enforce``: ``refused`` (it would have refused the session), ``policy-unusable``
    (senders could not get the policy; a cached one applies), ``dane-only`` (DANE senders refuse in every mode). None under a
    policy type of which nothing follows.
    """
    if len(failure_reason_code) > _LONGEST_REASON:
        return _consequence(policy_type, result_type, bool(receiving_mx_hostname), failure_reason_code)
    return _usual_consequence(policy_type, result_type, bool(receiving_mx_hostname), failure_reason_code)


def _consequence(policy_type: str, result_type: str, names_mx: bool, failure_reason_code: str) -> str | None:
    if policy_type == TLSA:
        return DANE_ONLY
    follows = kind_of(result_type, failure_reason_code).consequence
    if follows == DANE_ONLY:
        return DANE_ONLY
    if policy_type not in (STS, NO_POLICY_FOUND):
        return None
    # A row that names an MX host accuses the host: some senders file MX failures under these types. Fetch errors concern
    # the policy host only, whatever else the row says.
    if follows == POLICY_UNUSABLE and (names_mx and may_accuse_mx(result_type)):
        follows = REFUSED
    # A sender that found no policy would not refuse under any mode of it.
    return None if follows == REFUSED and policy_type != STS else follows


# Reports name the same few failures over and over; longer texts would fill the memory.
_usual_consequence = functools.lru_cache(2_000)(_consequence)


def refuses(policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = "") -> bool:
    """Whether ``enforce`` would have refused a session that failed so; only entries of type ``sts`` say anything about it."""
    return consequence(policy_type, result_type, receiving_mx_hostname, failure_reason_code) == REFUSED


def refused_sessions(failed_sessions: int | None, refused_in_details: int, unexplained_sessions: int) -> int:
    """Refused sessions of one policy entry: details may overlap, so they are capped by the summary's total (if it has one)."""
    refused = refused_in_details + unexplained_sessions
    return refused if failed_sessions is None else min(failed_sessions, refused)
