"""Real reports and report mails (shared corpus): each is read as an independent reader found it."""

import datetime as dt
import json
from typing import Any

import pytest

from ingest import intake, submissions
from ingest.settings import settings
from ingest.spool import channels, trace
from tests.support import CORPUS


def _cases() -> list[dict[str, Any]]:
    expected = CORPUS / "EXPECTED.jsonl"
    return [json.loads(line) for line in expected.read_text().splitlines()] if expected.exists() else []


@pytest.mark.skipif(not CORPUS.exists(), reason="needs the shared corpus beside the checkout")
def test_the_corpus_is_whole() -> None:
    assert len(_cases()) >= 59


_ABSENT = pytest.param({"file": ""}, marks=pytest.mark.skip(reason="needs the shared corpus beside the checkout"))


@pytest.mark.parametrize("case", _cases() or [_ABSENT], ids=lambda case: case["file"])
def test_corpus_file(case: dict[str, Any]) -> None:
    path = CORPUS / case["file"]
    data = path.read_bytes()
    arrival = trace.Arrival(channels.LOAD, dt.datetime(2026, 11, 1, tzinfo=dt.UTC), trace.digest(data))
    decode = intake.decode_mail if path.suffix == ".eml" else None
    chosen = settings.load()
    decoded = decode(data, arrival, chosen) if decode else intake.decode_file(data, path.name, arrival, chosen)
    if case["report"] is None:
        assert isinstance(decoded, submissions.Quarantined)
        return
    assert isinstance(decoded, submissions.Decoded)
    ((report, _),) = decoded.reports
    expected = case["report"]
    assert report.organization == expected["organization"]
    assert report.report_id == expected["report_id"]
    assert report.start == dt.datetime.fromisoformat(expected["start"])
    assert report.end == dt.datetime.fromisoformat(expected["end"])
    assert len(report.entries) == len(expected["entries"])
    inferred = {defect.where for defect in report.defects if "taken from" in defect.what}
    for position, (entry, expected_entry) in enumerate(zip(report.entries, expected["entries"], strict=True)):
        assert entry.policy_type == expected_entry["policy_type"]
        if expected_entry["policy_domain"] is None:
            assert entry.policy_domain == "" or f"policies[{position}].policy.policy-domain" in inferred
        else:
            assert entry.policy_domain == expected_entry["policy_domain"]
        assert (entry.successful_sessions, entry.failed_sessions) == (
            expected_entry["successful"],
            expected_entry["failed"],
        )
        assert len(entry.details) == expected_entry["details"]
        assert sum(detail.failed_sessions or 0 for detail in entry.details) == expected_entry["details_failed"]
        assert sorted({detail.result_type for detail in entry.details}) == expected_entry["result_types"]
