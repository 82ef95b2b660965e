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


def refuses(policy_type: str, result_type: str, receiving_mx_hostname: str = "", failure_reason_code: str = "") -> bool:
    """Whether ``enforce`` would have refused a session that failed so.

    Only entries of policy type ``sts`` say anything about it. Unknown result types, and failures that no detail explains,
    count as refused: the cautious reading.
    """
    if policy_type != "sts":
        return False
    cause = result_type.lower()
    if cause in _POLICY_LEVEL:
        # A row that names an MX host accuses the host: some senders file MX failures under these types. Fetch errors
        # concern the policy host only, whatever else the row says.
        return cause != "sts-policy-fetch-error" and bool(receiving_mx_hostname)
    if cause == "validation-failure":
        return failure_reason_code.strip().lower().replace("_", "-") not in _POLICY_LEVEL | _DANE
    return cause not in _DANE


def refused_sessions(failed_sessions: int | None, refused_in_details: int, unexplained_sessions: int) -> int:
    """Refused sessions of one policy entry: details may overlap, so they are capped by the summary's total (if it has one)."""
    refused = refused_in_details + unexplained_sessions
    return refused if failed_sessions is None else min(failed_sessions, refused)
