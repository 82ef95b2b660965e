"""What holds for any evidence: the verdict never fails, its figures agree, and strangers move nothing."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dashboard.decision.evidence import Acceptance, Entry, Evidence, Probe, Repair, StatedPolicy, Voice
from dashboard.decision.verdict import READY, URGENCY, decide, reasons_text
from dashboard.words import reason_words, verdict_words
from tests.dashboard.decision.worlds import (
    DAY,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    TESTING,
    entry,
    evidence,
    failure,
    quotes_of,
)

STRANGERS = ("stranger.example", "other.example")
POLICIES = [TESTING, ENFORCE, NONE, OTHER, msgspec.structs.replace(TESTING, mode=""), None]
TYPES = ["certificate-expired", "sts-policy-fetch-error", "dnssec-invalid", "new-type", "sts-policy-invalid"]
HOSTS = ["", "mx1.receiver.example", "mx9.receiver.example", "elsewhere.example", "mta-sts.receiver.example", "x"]

failures = st.builds(failure, st.sampled_from(TYPES), st.integers(0, 9), st.sampled_from(HOSTS))


@st.composite
def entries(draw: st.DrawFn, voices: tuple[str, ...]) -> Entry:
    """An entry of a report of one of the voices, about one of the last forty days."""
    policy_type = draw(st.sampled_from(["sts", "sts", "sts", "no-policy-found", "tlsa", "new"]))
    day = ON - draw(st.integers(0, 40)) * DAY
    more: dict[str, Any] = {}
    if draw(st.booleans()):
        more["failed"] = draw(st.sampled_from([None, 0, 3, 50]))
        more["unexplained"] = draw(st.integers(0, 3))
    if draw(st.integers(0, 9)) == 0:
        more |= {"long_range": True, "failure_day": min(ON, day + 6 * DAY)}
    policy = draw(st.sampled_from(POLICIES)) if policy_type == "sts" else None
    made = draw(st.lists(failures, max_size=2))
    sessions = draw(st.sampled_from([0, 1, 60, 400]))
    return entry(day, draw(st.sampled_from(voices)), sessions, *made, policy=policy, policy_type=policy_type, **more)


@st.composite
def domains(draw: st.DrawFn) -> Evidence:
    """Any evidence of known voices, with words of the operator and a probe."""
    reports = draw(st.lists(entries((GOOGLE, MICROSOFT, MAILRU)), max_size=40))
    more: dict[str, Any] = {}
    if draw(st.integers(0, 4)) == 0:
        more["stated"] = StatedPolicy(draw(st.sampled_from([TESTING, ENFORCE, NONE])), ON - 9 * DAY)
    if draw(st.integers(0, 4)) == 0:
        more["probe"] = Probe(ON, policy=draw(st.sampled_from([TESTING, ENFORCE, None])), text_ok=draw(st.booleans()))
    if draw(st.integers(0, 4)) == 0:
        more["acceptances"] = (Acceptance(ON - 20 * DAY, result_type=draw(st.sampled_from(TYPES))),)
        more["repairs"] = (Repair(ON, ON - 5 * DAY, draw(st.sampled_from(TYPES))),)
    return evidence(*reports, sightings=quotes_of(reports), **more)


@settings(max_examples=300, deadline=None)
@given(domains())
def test_any_evidence_has_one_verdict_and_figures_that_agree(known: Evidence) -> None:
    verdict = decide(known)
    assert verdict.name in URGENCY
    in_window = [day for day in verdict.daily if verdict.window.holds(day.day)]
    assert (
        verdict.sessions
        == sum(voice.sessions for voice in verdict.by_reporter)
        == sum(day.sessions for day in in_window)
    )
    assert (
        verdict.refused == sum(voice.refused for voice in verdict.by_reporter) == sum(day.refused for day in in_window)
    )
    assert 0 <= verdict.refused <= verdict.sessions
    assert all(cause.first_day <= cause.last_day <= known.on for cause in verdict.causes)
    if verdict.name == READY:
        assert (verdict.refused, verdict.mode) == (0, "testing")
        assert verdict.bound <= known.thresholds.bound
        assert not any(cause.blocks for cause in verdict.causes)
    for reason in verdict.reasons:
        assert reason_words.in_words(reason, verdict)
    assert reasons_text(verdict)
    assert list(verdict_words.lines(verdict))
    assert msgspec.json.encode(verdict)


@settings(max_examples=200, deadline=None)
@given(domains(), st.lists(entries(STRANGERS), min_size=1, max_size=30))
def test_strangers_move_nothing(known: Evidence, strange: list[Entry]) -> None:
    before = decide(known)
    reported = {name: tuple(day_entry.day for day_entry in strange if day_entry.voice == name) for name in STRANGERS}
    after = decide(
        msgspec.structs.replace(
            known,
            entries=(*known.entries, *strange),
            sightings=(*known.sightings, *quotes_of(strange)),
            reported={**known.reported, **reported},
            voices={**known.voices, **{name: Voice(name, name, known=False) for name in STRANGERS}},
        )
    )
    unmoved = {"reasons": before.reasons, "newcomers": (), "with_newcomers": ""}
    assert msgspec.structs.replace(after, **unmoved) == before
    codes = [
        reason.code.replace("-by-known", "") for reason in after.reasons if not reason.code.startswith("newcomers")
    ]
    assert codes == [reason.code for reason in before.reasons]
