"""The words of RFC 8460: policy types (section 4.4) and result types (section 4.3; the IANA registry lists the same 11).

Senders invent words of their own. An unknown word is kept as it came; only metric labels are bounded to these sets.
"""

STS = "sts"
TLSA = "tlsa"
NO_POLICY_FOUND = "no-policy-found"
POLICY_TYPES = frozenset({STS, TLSA, NO_POLICY_FOUND})

# Section 4.3.1: the session itself.
NEGOTIATION_FAILURES = frozenset(
    {
        "starttls-not-supported",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
    }
)
# Section 4.3.2.1: DANE.
DANE_FAILURES = frozenset({"tlsa-invalid", "dnssec-invalid", "dane-required"})
# Section 4.3.2.2: the MTA-STS policy could not be had or read; the MX host itself is not accused.
STS_POLICY_FAILURES = frozenset({"sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"})
RESULT_TYPES = NEGOTIATION_FAILURES | DANE_FAILURES | STS_POLICY_FAILURES

# Not an RFC word: failures counted in a summary that no detail explains.
UNEXPLAINED = "unexplained"
