"""The decision table: what enforce would have done with a failed session."""

import pytest

from ingest.rfc import result_types
from ingest.rfc.mtasts.enforcement import consequence, refused_sessions, refuses
from ingest.rfc.result_types import (
    CERTIFICATE,
    DANE,
    DANE_ONLY,
    DANE_OPERATOR,
    MX_PATTERN,
    OTHER,
    POLICY,
    POLICY_HOST,
    POLICY_UNUSABLE,
    RECEIVER,
    REFUSED,
    RESULT_TYPES,
    STARTTLS,
    UNCLEAR,
    kind_of,
)


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
        # the reason code says more than the result type
        ("unexplained", "", "tlsa-invalid", False),
        ("quantum-handshake-flux", "", "sts_webpki_invalid", False),
        ("validation-failure", "", " Bad HTTPS response code: 404", False),
        ("validation-failure", "", "VALIDATION_FAILURE", True),
        ("validation-failure", "", "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED", True),
        ("validation-failure", "", "421 4.7.0", True),
        ("STS_POLICY_FETCH_ERROR", "", "", False),
        # ... and less than a result type that says something
        ("certificate-expired", "", "sts-policy-fetch-error", True),
        ("sts-policy-fetch-error", "", "tls-remote-alert-80-internal-error", False),
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


@pytest.mark.parametrize(
    ("policy_type", "result_type", "mx", "reason", "follows"),
    [
        ("sts", "certificate-expired", "", "", REFUSED),
        ("sts", "sts-policy-fetch-error", "mx.receiver.example", "", POLICY_UNUSABLE),
        ("sts", "sts-policy-invalid", "mx.receiver.example", "", REFUSED),
        ("sts", "validation-failure", "", "STS_POLICY_FETCH_ERROR", POLICY_UNUSABLE),
        ("sts", "validation-failure", "", "tlsa-invalid", DANE_ONLY),
        ("sts", "tlsa-invalid", "", "", DANE_ONLY),
        # under tlsa every failure is one of DANE, whatever its name
        ("tlsa", "certificate-expired", "", "", DANE_ONLY),
        # no cached policy, and none to be had
        ("no-policy-found", "sts-policy-fetch-error", "", "", POLICY_UNUSABLE),
        # a sender without a policy refuses nothing under any mode of it
        ("no-policy-found", "certificate-expired", "", "", None),
        ("bimi", "certificate-expired", "", "", None),
    ],
)
def test_what_follows_from_a_failure(
    policy_type: str, result_type: str, mx: str, reason: str, follows: str | None
) -> None:
    assert consequence(policy_type, result_type, mx, reason) == follows


def test_a_reason_of_any_length_is_read() -> None:
    """Such texts are kept in no cache."""
    long = "X509_V_ERR_CERT_HAS_EXPIRED" + " and so on" * 50
    assert consequence("sts", "validation-failure", "", long) == REFUSED
    assert consequence("tlsa", "validation-failure", "", long) == DANE_ONLY


@pytest.mark.parametrize(
    ("result_type", "reason", "group", "repairer"),
    [
        ("starttls-not-supported", "", STARTTLS, RECEIVER),
        ("certificate-not-trusted", "", CERTIFICATE, RECEIVER),
        ("validation-failure", "", OTHER, UNCLEAR),
        ("validation-failure", "MX_HOSTS_MISMATCH", MX_PATTERN, RECEIVER),  # Microsoft
        ("validation-failure", "mx-mismatch", MX_PATTERN, RECEIVER),
        ("validation-failure", "invalid peer certificate: UnknownIssuer", CERTIFICATE, RECEIVER),  # Stalwart
        ("validation-failure", "tls-remote-alert-80-internal-error", STARTTLS, RECEIVER),  # mox
        ("sts-policy-fetch-error", "bad https response code: 500", POLICY, POLICY_HOST),  # Mail.ru
        ("dane-required", "", DANE, DANE_OPERATOR),
        ("mx-not-in-policy", "", MX_PATTERN, RECEIVER),
        ("something-new", "123", OTHER, UNCLEAR),
    ],
)
def test_what_failed_and_who_can_repair_it(result_type: str, reason: str, group: str, repairer: str) -> None:
    kind = kind_of(result_type, reason)
    assert (kind.group, kind.repairer) == (group, repairer)


def test_every_result_type_of_the_registry_is_in_the_table() -> None:
    assert RESULT_TYPES.keys() >= result_types.OF_RFC
