"""What would help: days that come true, and options that suffice."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from dashboard.decision.evidence import Entry, QuotedPolicy, Thresholds
from dashboard.decision.verdict import INSUFFICIENT, READY, Missing, Verdict, decide
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    GOOGLE,
    MICROSOFT,
    ON,
    OTHER,
    START,
    TESTING,
    daily,
    days,
    entry,
    evidence,
    quotes_of,
)

BEGIN = dt.date(2026, 2, 1)


def on_day(day: dt.date, entries: list[Entry], **changes: Any) -> Verdict:
    arrived = [day_entry for day_entry in entries if day_entry.day < day]
    return decide(evidence(*arrived, on=day, sightings=quotes_of(arrived), **changes))


def lacks(verdict: Verdict) -> dict[str, Missing]:
    return {lack.code: lack for lack in verdict.missing}


@pytest.mark.parametrize("successful", [2, 5, 10, 11, 40])
def test_the_day_that_is_named_comes_true(successful: int) -> None:
    """With steady senders each day names the same one, and on it the domain is ready, not before."""
    entries = daily(BEGIN, BEGIN + 120 * DAY, successful=successful)
    named = set()
    for number in range(4, 120):
        verdict = on_day(BEGIN + number * DAY, entries)
        if verdict.name == READY:
            break
        named.add(verdict.ready_on)
    assert named == {verdict.on}


def test_small_domains_are_told_what_suffices() -> None:
    # One session a day of each: 88 days hold 176.
    entries = daily(BEGIN, BEGIN + 120 * DAY, successful=1)
    verdict = on_day(BEGIN + 120 * DAY, entries)
    lack = lacks(verdict)["too-few-sessions"]
    assert (verdict.name, lack.have, lack.by, lack.options) == (INSUFFICIENT, 180, None, ("--bound 0.017",))
    assert verdict.sessions == 180
    bound = float(lack.options[0].removeprefix("--bound "))
    assert on_day(BEGIN + 120 * DAY, entries, thresholds=Thresholds(bound=bound)).name == READY
    # Before a week is known nothing is never.
    early = lacks(on_day(BEGIN + 7 * DAY, entries))["too-few-sessions"]
    assert early.by == BEGIN + 7 * DAY + 145 * DAY
    # An option that asks to believe a tenth is none.
    assert (
        lacks(on_day(BEGIN + 18 * DAY, daily(BEGIN, BEGIN + 20 * DAY, signers=[GOOGLE], successful=1)))[
            "too-few-sessions"
        ].options
        == ()
    )


def test_the_window_reaches_back_only_when_that_is_what_it_takes() -> None:
    assert on_day(ON, daily(BEGIN)).window.days == 14
    few = on_day(ON, daily(BEGIN, successful=10))
    assert (few.name, few.window.days, few.sessions) == (READY, 15, 300)
    # A voice that reports rarely is found further back.
    rare = [*daily(BEGIN, signers=[GOOGLE], successful=30), entry(END - 20 * DAY, MICROSOFT, 5)]
    verdict = on_day(ON, rare)
    assert (verdict.name, verdict.window.start, verdict.reporters) == (READY, END - 20 * DAY, 2)
    # What does not help is left out.
    alone = on_day(ON, daily(BEGIN, signers=[GOOGLE], successful=30))
    assert (alone.name, alone.window.days) == (INSUFFICIENT, 14)
    # No further than the look-back, the last change, and the last refusal.
    assert on_day(ON, daily(BEGIN, successful=1), thresholds=Thresholds(lookback_days=30)).window.days == 30


def test_one_voice_lacks_another_one() -> None:
    verdict = on_day(ON, daily(BEGIN, signers=[GOOGLE], successful=40))
    lack = lacks(verdict)["too-few-reporters"]
    assert (lack.have, lack.need, lack.by, lack.options, lack.probe) == (1, 2, None, ("--reporters 1",), True)
    assert verdict.ready_on is None
    assert on_day(ON, daily(BEGIN)).ready_on is None
    three = on_day(ON, daily(BEGIN, signers=[GOOGLE], successful=40), thresholds=Thresholds(reporters=3))
    assert lacks(three)["too-few-reporters"].probe is False
    none = on_day(ON, daily(BEGIN, successful=0))
    assert lacks(none)["too-few-reporters"].options == ()
    assert (lacks(none)["too-few-sessions"].by, lacks(none)["too-few-sessions"].options) == (None, ())


CHANGE = ON - 17 * DAY


def ramp(old: QuotedPolicy, change: dt.date = CHANGE) -> list[Entry]:
    """Google changes at once; Microsoft's cache holds the older policy for its whole age."""
    last = change + 20 * DAY
    microsoft = [
        entry(day, MICROSOFT, 30, policy=old if day <= last else TESTING) for day in days(BEGIN, ON + 30 * DAY)
    ]
    google = [entry(day, GOOGLE, 5, policy=old if day < change else TESTING) for day in days(BEGIN, ON + 30 * DAY)]
    return [*google, *microsoft]


def test_caches_run_out() -> None:
    entries = ramp(msgspec.structs.replace(OTHER, max_age=20 * 86_400))
    verdict = on_day(ON, entries)
    assert verdict.name == INSUFFICIENT
    ends = CHANGE + 20 * DAY
    assert lacks(verdict)["too-few-reporters"].by == ends + 4 * DAY
    assert lacks(verdict)["too-few-sessions"].by == ends + 9 * DAY
    # These come true.
    assert [lack.code for lack in on_day(ends + 3 * DAY, entries).missing] == ["too-few-reporters", "too-few-sessions"]
    assert [lack.code for lack in on_day(ends + 4 * DAY, entries).missing] == ["too-few-sessions"]
    assert on_day(ends + 8 * DAY, entries).name == INSUFFICIENT
    assert on_day(ends + 9 * DAY, entries).name == READY
    # Of a policy whose age nobody quoted, and of one whose age is over, nothing can be expected.
    for age in (None, 86_400):
        unknown = on_day(ON, ramp(msgspec.structs.replace(OTHER, max_age=age)))
        assert lacks(unknown)["too-few-reporters"].by is None


def test_a_new_policy_has_no_rate_yet() -> None:
    entries = daily(ON - 2 * DAY, ON, successful=30)
    verdict = on_day(ON, entries)
    assert (lacks(verdict)["clean-days"].by, lacks(verdict)["too-few-sessions"].by) == (ON + 14 * DAY, None)
    assert lacks(verdict)["clean-days"].have == 0
    assert START < ON
