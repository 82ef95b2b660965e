"""The decision table: what enforce would have done with a failed session."""

import pytest

from ingest.mtasts.enforcement import refused_sessions, refuses


@pytest.mark.parametrize(
    ("result_type", "mx", "reason", "refused"),
    [
        ("starttls-not-supported", "mx.receiver.example", "", True),
        ("certificate-host-mismatch", "", "", True),
        ("certificate-expired", "", "", True),
        ("certificate-not-trusted", "", "", True),
        ("CERTIFICATE-EXPIRED", "", "", True),
        ("validation-failure", "", "", True),
        ("validation-failure", "", "MX_HOSTS_MISMATCH", True),
        ("validation-failure", "", "STS_POLICY_FETCH_ERROR", False),
        ("validation-failure", "", "dnssec-invalid", False),
        ("sts-policy-fetch-error", "", "", False),
        ("sts-policy-fetch-error", "mx.receiver.example", "", False),
        ("sts-policy-invalid", "", "", False),
        ("sts-policy-invalid", "mx.receiver.example", "", True),
        ("sts-webpki-invalid", "", "", False),
        ("sts-webpki-invalid", "mx.receiver.example", "", True),
        ("tlsa-invalid", "mx.receiver.example", "", False),
        ("dnssec-invalid", "", "", False),
        ("dane-required", "", "", False),
        ("quantum-handshake-flux", "", "", True),
        ("unexplained", "", "", True),
        ("", "", "", True),
    ],
)
def test_result_types_under_sts(result_type: str, mx: str, reason: str, refused: bool) -> None:
    assert refuses("sts", result_type, mx, reason) is refused


@pytest.mark.parametrize("policy_type", ["tlsa", "no-policy-found", "bimi", ""])
def test_other_policy_types_say_nothing_about_enforce(policy_type: str) -> None:
    assert not refuses(policy_type, "certificate-expired", "mx.receiver.example")


@pytest.mark.parametrize(
    ("total", "in_details", "unexplained", "refused"),
    [(10, 4, 6, 10), (1, 2, 0, 1), (10, 4, 0, 4), (None, 3, 0, 3), (0, 0, 0, 0), (0, 5, 0, 0)],
)
def test_refused_sessions_are_capped_by_the_total(
    total: int | None, in_details: int, unexplained: int, refused: int
) -> None:
    assert refused_sessions(total, in_details, unexplained) == refused
