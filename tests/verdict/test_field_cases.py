"""Cases from the field: our own, and the shared ones where they are there."""

import datetime as dt
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboard.verdict import ENFORCING, READY, decide
from tests.support import ROOT
from tests.verdict.case_reports import evidence_on
from tests.verdict.field_cases import CASES, Case, day_of

SHARED = ROOT.parent / "shared" / "field" / "verdict_cases.py"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_what_may_be_said(case: Case) -> None:
    for number, allowed in case.allowed:
        found = decide(evidence_on(case.domain, case.reports, day_of(number)))
        assert found.name in allowed, (case.story, number, found.reasons)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_figures_of_a_case_agree_on_every_day(case: Case) -> None:
    for number in range(2, 60):
        found = decide(evidence_on(case.domain, case.reports, day_of(number)))
        in_window = [day for day in found.daily if found.window.holds(day.day)]
        assert found.sessions == sum(day.sessions for day in in_window)
        assert found.refused == sum(day.refused for day in in_window)
        assert found.sessions == sum(voice.sessions for voice in found.by_reporter)
        assert found.refused == sum(voice.refused for voice in found.by_reporter)
        figures = {reason.code: reason for reason in found.reasons}
        blocking = figures["refused-sessions"].figure if "refused-sessions" in figures else 0
        past = figures["refused-until"].figure if "refused-until" in figures else 0
        assert blocking + past == found.refused
        if found.name == READY:
            assert (found.refused, found.bound <= 0.01, found.reporters >= 2) == (0, True, True)
        if found.name == ENFORCING:
            assert blocking == 0


def _shared() -> Mapping[str, tuple[list[Any], dict[str, list[str]]]]:
    """The shared cases: reports and allowed verdicts by day, by domain. Empty where they are not there."""
    if not SHARED.exists():
        return {}
    spec = importlib.util.spec_from_file_location("verdict_cases", SHARED)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases: list[Any] = []

    def case(name: str, why: str) -> Any:
        cases.append(module.Case(Path(), name, why))
        return cases[-1]

    module.public(case)
    return {one.dom: (one.reports, one.wanted) for one in cases}


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared cases beside the checkout")
def test_the_shared_cases() -> None:
    wrong = []
    for domain, (reports, wanted) in _shared().items():
        for day, allowed in wanted.items():
            found = decide(evidence_on(domain, reports, dt.date.fromisoformat(day)))
            if found.name not in allowed:
                wrong.append((domain, day, found.name, allowed))
    assert not wrong
