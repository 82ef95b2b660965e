"""Golden pairs: each input in tests/data is read as its .expected.json says, and the inputs are what their builder makes."""

import json
from pathlib import Path

import pytest

from tests import goldens


@pytest.mark.parametrize("path", goldens.inputs(), ids=lambda path: path.name)
def test_each_input_is_read_as_written_down(path: Path) -> None:
    assert goldens.reading_of(path) == json.loads(goldens.expected_of(path).read_text())


def test_inputs_are_what_the_builder_makes() -> None:
    assert {path.name: path.read_bytes() for path in goldens.inputs()} == goldens.INPUTS


def test_the_human_readings_hold_without_our_reader() -> None:
    """A few readings said twice, so that --accept cannot write a wrong one down unnoticed."""
    readings = {path.name: json.loads(goldens.expected_of(path).read_text()) for path in goldens.inputs()}
    overlap = readings["mailru-overlap.json"]["reports"][0]["entries"][0]
    assert (overlap["failed_sessions"], [detail["failed_sessions"] for detail in overlap["details"]]) == (1, [1, 1])
    pair = readings["microsoft-tlsa-and-sts.json.gz"]["reports"][0]["entries"]
    assert [(entry["policy_type"], entry["successful_sessions"]) for entry in pair] == [("sts", 7), ("tlsa", 7)]
    assert pair[1]["policy_strings"] == ["3 1 1 AB0CDE", "2 0 1 FF"]
    absurd = readings["counts-absurd.json"]["reports"][0]["entries"]
    assert [(entry["successful_sessions"], entry["failed_sessions"]) for entry in absurd] == [
        (None, None),
        (2**53 - 1, None),
    ]
    mixed = readings["entries-bad-among-good.json"]["reports"][0]["entries"]
    assert [entry["successful_sessions"] for entry in mixed] == [1, 2, None, 3]
    assert readings["postfix-no-policy.eml"]["reports"][0]["entries"][0]["policy_domain"] == "receiver.example"
    assert all("quarantine" in readings[name] for name in readings if name.startswith("none-"))
    assert not [name for name in readings if "quarantine" in readings[name] and not name.startswith("none-")]
