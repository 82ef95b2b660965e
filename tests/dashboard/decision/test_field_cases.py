"""Cases from the field: our own, and the shared ones where they are there."""

import datetime as dt
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dashboard.decision.verdict import ENFORCING, READY, decide
from tests.dashboard.decision.case_reports import evidence_on
from tests.dashboard.decision.field_cases import CASES, Case, day_of
from tests.support import ROOT

SHARED = ROOT.parent / "shared" / "field" / "verdict_cases.py"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_what_may_be_said(case: Case) -> None:
    for number, allowed in case.allowed:
        verdict = decide(evidence_on(case.domain, case.reports, day_of(number)))
        assert verdict.name in allowed, (case.story, number, verdict.reasons)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_figures_of_a_case_agree_on_every_day(case: Case) -> None:
    for number in range(2, 60):
        verdict = decide(evidence_on(case.domain, case.reports, day_of(number)))
        in_window = [day for day in verdict.daily if verdict.window.holds(day.day)]
        assert verdict.sessions == sum(day.sessions for day in in_window)
        assert verdict.refused == sum(day.refused for day in in_window)
        assert verdict.sessions == sum(voice.sessions for voice in verdict.by_reporter)
        assert verdict.refused == sum(voice.refused for voice in verdict.by_reporter)
        figures = {reason.code: reason for reason in verdict.reasons}
        blocking = figures["refused-sessions"].figure if "refused-sessions" in figures else 0
        past = figures["refused-until"].figure if "refused-until" in figures else 0
        assert blocking + past == verdict.refused
        if verdict.name == READY:
            assert (verdict.refused, verdict.bound <= 0.01, verdict.reporters >= 2) == (0, True, True)
        if verdict.name == ENFORCING:
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
    return {shared.dom: (shared.reports, shared.wanted) for shared in cases}


@pytest.mark.skipif(not SHARED.exists(), reason="needs the shared cases beside the checkout")
def test_the_shared_cases() -> None:
    wrong = []
    for domain, (reports, wanted) in _shared().items():
        for day, allowed in wanted.items():
            verdict = decide(evidence_on(domain, reports, dt.date.fromisoformat(day)))
            if verdict.name not in allowed:
                wrong.append((domain, day, verdict.name, allowed))
    assert not wrong
