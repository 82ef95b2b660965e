"""What names the domain of an entry that names none."""

import pytest

from ingest.rfc.tlsrpt.domains import MOST_LOOKED_AT, NOWHERE, OTHER_ENTRIES, REPORT_ID, InferredDomain, inferred_domain
from tests.goldens import entry

NAMED = entry(1, policy_domain="receiver.example")


@pytest.mark.parametrize(
    ("report_id", "policies", "expected"),
    [
        ("1", [NAMED], InferredDomain("receiver.example", OTHER_ENTRIES)),
        ("1", [NAMED, entry(1, policy_domain="other.example")], InferredDomain()),
        (
            "1",
            [NAMED, entry(1, policy_type="tlsa", policy_domain="mx.example")],
            InferredDomain("receiver.example", OTHER_ENTRIES),
        ),
        ("1", [NAMED, entry(1, policy_domain="x" * 300)], InferredDomain("receiver.example", OTHER_ENTRIES)),
        ("2026-03-14T00:00:00Z_id.example", [NAMED], InferredDomain("id.example", REPORT_ID)),
        ("1", ["text", {"policy": "text"}, {"policy": {"policy-domain": 7}}], InferredDomain("", NOWHERE)),
        ("1", [{}] * MOST_LOOKED_AT + [NAMED], InferredDomain()),
        ("1", "text", InferredDomain()),
    ],
)
def test_the_report_itself_may_name_it(report_id: str, policies: object, expected: InferredDomain) -> None:
    assert inferred_domain("", report_id, policies) == expected
