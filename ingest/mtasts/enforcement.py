"""What ``enforce`` would have done with a failed session (RFC 8461 section 5; shared decision table, README)."""

# RFC 8460 section 4.3: failures that accuse the MX host, so a sender under ``enforce`` must not deliver to it.
_REFUSED = frozenset(
    {
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
    }
)
# The policy could not be had: a cached enforce policy still applies, without one mail is delivered as if there were none
# (RFC 8461 section 3.3). DANE failures are refused today, whatever the policy's mode: the switch changes nothing.
_POLICY_LEVEL = frozenset({"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"})
_DANE = frozenset({"tlsa-invalid", "dnssec-invalid", "dane-required"})


# What a failure means for the step from testing to enforce.
REFUSED, POLICY_UNUSABLE, DANE_ONLY = "refused", "policy-unusable", "dane-only"


def consequence(
    policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = ""
) -> str | None:
    """What a failed session says about ``enforce``: ``refused`` (it would have refused the session), ``policy-unusable``
    (senders could not get the policy, so it protects nobody and cannot be rolled back), ``dane-only`` (DANE senders refuse
    in every mode). None under a policy type of which nothing follows.

    Unknown result types, and failures that no detail explains, count as refused: the cautious reading.
    """
    cause = result_type.lower()
    if cause in _DANE or policy_type == "tlsa":
        return DANE_ONLY
    if policy_type not in ("sts", "no-policy-found"):
        return None
    if cause == "validation-failure":
        reason = failure_reason_code.strip().lower().replace("_", "-")
        if reason in _DANE:
            return DANE_ONLY
        if reason in _POLICY_LEVEL:
            return POLICY_UNUSABLE
    # A row that names an MX host accuses the host: some senders file MX failures under these types. Fetch errors concern
    # the policy host only, whatever else the row says.
    if cause in _POLICY_LEVEL and (cause == "sts-policy-fetch-error" or not receiving_mx_hostname):
        return POLICY_UNUSABLE
    # A sender that found no policy would not refuse under any mode of it.
    return REFUSED if policy_type == "sts" else None


def refuses(policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = "") -> bool:
    """Whether ``enforce`` would have refused a session that failed so; only entries of type ``sts`` say anything about it."""
    return consequence(policy_type, result_type, receiving_mx_hostname, failure_reason_code) == REFUSED


def refused_sessions(failed_sessions: int | None, refused_in_details: int, unexplained_sessions: int) -> int:
    """Refused sessions of one policy entry: details may overlap, so they are capped by the summary's total (if it has one)."""
    refused = refused_in_details + unexplained_sessions
    return refused if failed_sessions is None else min(failed_sessions, refused)
