"""What names the domain of an entry that names none."""

import pytest

from ingest.rfc.tlsrpt.domains import MOST_LOOKED_AT, NOWHERE, OTHER_ENTRIES, REPORT_ID, Inferred, inferred_domain
from tests.goldens import entry

NAMED = entry(1, policy_domain="receiver.example")


@pytest.mark.parametrize(
    ("report_id", "policies", "expected"),
    [
        ("1", [NAMED], Inferred("receiver.example", OTHER_ENTRIES)),
        ("1", [NAMED, entry(1, policy_domain="other.example")], Inferred()),
        (
            "1",
            [NAMED, entry(1, policy_type="tlsa", policy_domain="mx.example")],
            Inferred("receiver.example", OTHER_ENTRIES),
        ),
        ("1", [NAMED, entry(1, policy_domain="x" * 300)], Inferred("receiver.example", OTHER_ENTRIES)),
        ("2026-03-14T00:00:00Z_id.example", [NAMED], Inferred("id.example", REPORT_ID)),
        ("1", ["text", {"policy": "text"}, {"policy": {"policy-domain": 7}}], Inferred("", NOWHERE)),
        ("1", [{}] * MOST_LOOKED_AT + [NAMED], Inferred()),
        ("1", "text", Inferred()),
    ],
)
def test_the_report_itself_may_name_it(report_id: str, policies: object, expected: Inferred) -> None:
    assert inferred_domain("", report_id, policies) == expected
