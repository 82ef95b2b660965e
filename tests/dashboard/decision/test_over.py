"""Now, then, over: when a cause stops blocking, in which tense it is told, and how long the clock runs after it."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from dashboard.decision.evidence import Acceptance, Entry, QuotedPolicy, Repair
from dashboard.decision.verdict import ENFORCING, ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, READY, Verdict, decide
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    ON,
    TESTING,
    codes,
    daily,
    days,
    entry,
    evidence,
    failure,
    quotes_of,
    reason,
)

BAD = dt.date(2026, 3, 1)


def on_day(day: dt.date, *entries: Entry, **changes: Any) -> Verdict:
    """The verdict on ``day`` from the entries of the days before it."""
    arrived = [day_entry for day_entry in entries if day_entry.failed_on < day]
    known = evidence(*arrived, on=day, **changes)
    sightings = tuple(seen for seen in known.sightings if seen.day < day)
    return decide(msgspec.structs.replace(known, sightings=sightings) if "sightings" not in changes else known)


def month(policy: QuotedPolicy = TESTING, **changes: Any) -> list[Entry]:
    return daily(dt.date(2026, 2, 1), dt.date(2026, 4, 20), policy=policy, **changes)


def expired(day: dt.date, voice: str = GOOGLE, successful: int = 20, sessions: int = 10, **changes: Any) -> Entry:
    return entry(day, voice, successful, failure("certificate-expired", sessions), **changes)


@pytest.mark.parametrize(
    ("after", "name", "blocking"),
    [
        (1, NOT_READY, ["refused-lately"]),
        (3, NOT_READY, ["refused-sessions"]),
        (5, NOT_READY, ["refused-sessions"]),
        # three clean days are complete
        (6, INSUFFICIENT, ["clean-days"]),
        (16, INSUFFICIENT, ["clean-days"]),
        (17, READY, ["enough-evidence"]),
    ],
)
def test_a_fault_of_one_day(after: int, name: str, blocking: list[str]) -> None:
    verdict = on_day(BAD + after * DAY, *month(), expired(BAD))
    assert (verdict.name, codes(verdict)) == (name, blocking)


def test_what_is_over_is_told_in_the_past_tense() -> None:
    verdict = on_day(BAD + 8 * DAY, *month(), expired(BAD - DAY), expired(BAD))
    clean = reason(verdict, "clean-days")
    assert (clean.figure, clean.threshold, clean.since, clean.until) == (5, 14, BAD + DAY, BAD + 17 * DAY)
    past = reason(verdict, "refused-until")
    assert (past.figure, past.since, past.until, past.names) == (20, BAD - DAY, BAD, ("Google Inc.",))
    (cause,) = verdict.causes
    assert (cause.over, cause.blocks, cause.sessions, cause.silent) == (True, False, 20, ())
    # Figures on one screen: refused, sessions and bound come from the same sessions.
    assert (verdict.refused, past.of) == (20, verdict.sessions)
    assert verdict.sessions == sum(day.sessions for day in verdict.daily if day.day <= verdict.window.end)
    assert verdict.refused == sum(day.refused for day in verdict.daily)


def test_clean_sessions_must_outweigh_the_share_that_failed() -> None:
    # 1 of 100 failed: 300 clean sessions are asked for, which take 15 days at 20 a day.
    rare = entry(BAD, GOOGLE, 79, failure("certificate-expired", 1))
    assert on_day(BAD + 17 * DAY, *month(), rare).name == NOT_READY
    assert on_day(BAD + 18 * DAY, *month(), rare).name == READY
    # The fault is over when everybody who saw it says so.
    also = entry(BAD, MICROSOFT, 0, failure("certificate-expired", 20))
    assert on_day(BAD + 17 * DAY, *month(), rare, also).name == NOT_READY
    assert on_day(BAD + 6 * DAY, *month(), also).name == INSUFFICIENT


def test_overlapping_details_are_no_more_than_the_total_when_they_are_over() -> None:
    # Mail.ru: two details for one failed session.
    twice = entry(BAD, MAILRU, 9, failure("certificate-expired"), failure("validation-failure"), failed=1)
    clean = [entry(BAD + number * DAY, MAILRU, 20) for number in range(1, 8)]
    verdict = on_day(BAD + 8 * DAY, *month(), twice, *clean)
    assert (verdict.name, verdict.refused, reason(verdict, "refused-until").figure) == (INSUFFICIENT, 1, 1)


def test_a_fault_that_comes_back_begins_anew() -> None:
    flapping = [expired(BAD), expired(BAD + 5 * DAY)]
    assert on_day(BAD + 10 * DAY, *month(), *flapping).name == NOT_READY
    verdict = on_day(BAD + 11 * DAY, *month(), *flapping)
    assert (verdict.name, reason(verdict, "clean-days").until) == (INSUFFICIENT, BAD + 22 * DAY)
    # Another one is another cause: what is over stays over.
    other = entry(BAD + 8 * DAY, MICROSOFT, 20, failure("starttls-not-supported", 3))
    verdict = on_day(BAD + 9 * DAY, *month(), expired(BAD), other)
    assert (verdict.name, verdict.reasons[0].figure) == (NOT_READY, 3)
    assert [(cause.result_type, cause.over) for cause in verdict.causes] == [
        ("starttls-not-supported", False),
        ("certificate-expired", True),
    ]


def test_who_saw_it_once_and_fell_silent() -> None:
    seen_once = expired(BAD, MAILRU)
    assert on_day(BAD + 16 * DAY, *month(), seen_once).name == NOT_READY
    verdict = on_day(BAD + 17 * DAY, *month(), seen_once)
    assert (verdict.name, reason(verdict, "not-seen-again").names) == (READY, ("Mail.ru",))
    assert verdict.causes[0].silent == ("Mail.ru",)
    # Two clean days and silence are no end, until the others speak for it.
    hardly = [seen_once, entry(BAD + DAY, MAILRU, 20), entry(BAD + 2 * DAY, MAILRU, 20)]
    assert on_day(BAD + 18 * DAY, *month(), *hardly).name == NOT_READY
    assert on_day(BAD + 19 * DAY, *month(), *hardly).name == READY
    # Nobody else is there to speak for it.
    alone = [day_entry for day_entry in month(signers=[GOOGLE]) if day_entry.day <= BAD]
    assert on_day(BAD + 30 * DAY, *alone, expired(BAD)).name == NOT_READY


def test_the_window_reaches_back_to_what_still_blocks() -> None:
    rare = entry(BAD, GOOGLE, 9_999, failure("certificate-expired", 1))
    verdict = on_day(BAD + 30 * DAY, *month(), rare)
    assert (verdict.name, verdict.window.start, verdict.refused) == (NOT_READY, BAD, 1)
    assert reason(verdict, "refused-sessions").of == verdict.sessions


def test_a_weekly_report_has_its_faults_on_its_last_day() -> None:
    weekly = expired(BAD - 6 * DAY, MAILRU, 70, 5, long_range=True, failure_day=BAD)
    later = [entry(BAD + (1 + 7 * week) * DAY, MAILRU, 70, long_range=True) for week in range(5)]
    verdict = on_day(BAD + 2 * DAY, *month(), weekly)
    assert (verdict.name, reason(verdict, "refused-lately").since, verdict.causes[0].last_day) == (NOT_READY, BAD, BAD)
    # Three reports later it is over, and the clock has run from its last day.
    assert on_day(BAD + 17 * DAY, *month(), weekly, *later).name == NOT_READY
    verdict = on_day(BAD + 18 * DAY, *month(), weekly, *later)
    assert (verdict.name, reason(verdict, "long-ranges").figure) == (READY, 2)


SWITCH = BAD + 5 * DAY


def switched(*more: Entry) -> list[Entry]:
    """In testing until SWITCH, enforcing since."""
    before = [day_entry for day_entry in month() if day_entry.day < SWITCH]
    return [*before, *(day_entry for day_entry in month(ENFORCE) if day_entry.day >= SWITCH), *more]


def quoting(*entries: Entry) -> dict[str, Any]:
    return {"sightings": quotes_of(entries)}


def after_switch(after: int, *more: Entry) -> Verdict:
    entries = switched(*more)
    day = SWITCH + after * DAY
    return on_day(day, *entries, **quoting(*(day_entry for day_entry in entries if day_entry.day < day)))


@pytest.mark.parametrize("after", [1, 3, 6, 14, 20])
def test_what_failed_before_the_switch_is_history(after: int) -> None:
    verdict = after_switch(after, *(expired(BAD + number * DAY) for number in range(5)))
    assert (verdict.name, verdict.refused, verdict.causes) == (ENFORCING, 0, ())
    assert verdict.reasons[0].code == ("nothing-refused-so-far" if after < 17 else "nothing-refused")
    assert (verdict.window.start, verdict.reasons[0].since) == (SWITCH, SWITCH)
    assert verdict.sessions == max(0, after - 2) * 40


def test_what_quotes_enforce_is_refused() -> None:
    bad = expired(SWITCH + 3 * DAY, policy=ENFORCE)
    verdict = after_switch(5, bad)
    assert (verdict.name, codes(verdict)) == (ENFORCING_REFUSING, ["refused-lately"])
    verdict = after_switch(9, bad)
    assert (verdict.name, codes(verdict)) == (ENFORCING, ["nothing-refused-so-far"])
    assert (verdict.reasons[0].figure, verdict.reasons[0].since) == (3 * 40, SWITCH + 4 * DAY)
    assert (reason(verdict, "refused-until").figure, reason(verdict, "refused-until").until) == (10, SWITCH + 3 * DAY)
    assert (verdict.refused, verdict.sessions) == (10, 7 * 40 + 20 + 10)


def test_what_quotes_testing_after_the_switch_will_be_refused() -> None:
    cached = expired(SWITCH + 3 * DAY, MAILRU, policy=TESTING)
    verdict = after_switch(5, cached)
    assert (verdict.name, codes(verdict), verdict.refused, verdict.refused_lately) == (
        ENFORCING_REFUSING,
        ["will-be-refused"],
        0,
        0,
    )
    ahead = verdict.reasons[0]
    # From the day on which its cache ends at the latest.
    assert (ahead.figure, ahead.names, ahead.until) == (10, ("Mail.ru",), SWITCH + 7 * DAY)
    assert after_switch(11, cached).reasons[0].until == SWITCH + 12 * DAY
    clean = [entry(SWITCH + number * DAY, MAILRU, 20) for number in (4, 5, 6)]
    assert after_switch(9, cached, *clean).name == ENFORCING
    ageless = expired(SWITCH + 3 * DAY, MAILRU, policy=msgspec.structs.replace(TESTING, max_age=None))
    assert after_switch(5, ageless).reasons[0].until is None


def test_who_quotes_nothing_quotes_enforce_when_no_cache_can_hold_testing() -> None:
    early = expired(SWITCH + 3 * DAY, MAILRU, policy=None)
    assert codes(after_switch(5, early)) == ["will-be-refused"]
    late = expired(SWITCH + 8 * DAY, MAILRU, policy=None)
    verdict = after_switch(11, late)
    assert (verdict.name, codes(verdict), verdict.refused) == (ENFORCING_REFUSING, ["refused-sessions"], 10)
    # It accuses; its successes prove nothing.
    assert verdict.sessions == 9 * 40 + 10


def test_repaired() -> None:
    bad = [expired(BAD - DAY), expired(BAD)]
    word = Repair(BAD + 2 * DAY, BAD, "certificate-expired")
    verdict = on_day(BAD + 3 * DAY, *month(), *bad, repairs=(word,))
    assert (verdict.name, codes(verdict), reason(verdict, "repaired-sessions").figure) == (
        INSUFFICIENT,
        ["clean-days"],
        20,
    )
    assert (verdict.causes[0].repaired, verdict.causes[0].over) == (20, True)
    # The clean days are counted all the same: they show that it was.
    assert reason(verdict, "clean-days").until == BAD + 17 * DAY
    assert on_day(BAD + 17 * DAY, *month(), *bad, repairs=(word,)).name == READY
    # It does not speak on the days before it was given, nor about what came later.
    assert on_day(BAD + DAY, *month(), *bad, repairs=(word,)).name == NOT_READY
    again = expired(BAD + DAY)
    assert on_day(BAD + 3 * DAY, *month(), *bad, again, repairs=(word,)).name == NOT_READY
    other = Repair(BAD + 2 * DAY, BAD, "starttls-not-supported")
    assert on_day(BAD + 3 * DAY, *month(), *bad, repairs=(other,)).name == NOT_READY
    at_host = Repair(BAD + 2 * DAY, BAD, mx_host="mx1.receiver.example")
    assert on_day(BAD + 3 * DAY, *month(), *bad, repairs=(at_host,)).name == INSUFFICIENT


def test_what_was_accepted_did_not_block() -> None:
    bad = expired(BAD)
    word = Acceptance(BAD, result_type="certificate-expired")
    verdict = on_day(BAD + 4 * DAY, *month(), bad, acceptances=(word,))
    assert (verdict.name, reason(verdict, "accepted-sessions").figure) == (READY, 10)
    assert verdict.refused == 0


def test_a_change_of_the_hosts_after_the_fault_begins_the_clock() -> None:
    """The days of faults under the older hosts do not count any more."""
    other = QuotedPolicy("testing", ("mx1.receiver.example", "old.receiver.example"), "older", 604_800)
    change = BAD + 4 * DAY
    entries = [day_entry for day_entry in month(other) if day_entry.day < change]
    lost = [
        entry(change - 3 * DAY, voice, 0, failure("sts-policy-fetch-error", 9, mx=""), policy=None)
        for voice in (GOOGLE, MICROSOFT)
    ]
    entries += [day_entry for day_entry in month() if day_entry.day >= change]
    verdict = on_day(change + 10 * DAY, *entries, *lost, **quoting(*entries[: (10 + 28 + 4 + 4) * 2]))
    assert (verdict.name, reason(verdict, "clean-days").since) == (INSUFFICIENT, change)
    assert reason(verdict, "clean-days").until == change + 16 * DAY


def test_a_fault_of_an_older_set_of_hosts_says_nothing() -> None:
    other = QuotedPolicy("testing", ("mx1.receiver.example", "old.receiver.example"), "older", 604_800)
    verdict = on_day(END + 3 * DAY, *month(), expired(END, policy=other), sightings=evidence(*month(), on=ON).sightings)
    assert (verdict.name, verdict.refused) == (READY, 0)


def test_what_quoted_testing_on_the_day_of_the_switch_came_before_it() -> None:
    bad = expired(SWITCH, MAILRU, policy=TESTING)
    assert after_switch(2, bad).name == ENFORCING
    assert after_switch(2, expired(SWITCH, MAILRU, policy=ENFORCE)).name == ENFORCING_REFUSING


def test_who_leaves_out_the_mode_quotes_nothing() -> None:
    modeless = msgspec.structs.replace(TESTING, mode="")
    verdict = on_day(BAD + 3 * DAY, *month(), expired(BAD, MAILRU, policy=modeless))
    assert (verdict.name, verdict.mode, verdict.refused, verdict.reporters) == (NOT_READY, "testing", 10, 2)
    assert reason(verdict, "policy-not-quoted").figure == 30


def test_one_sender_whose_caches_alternate_moves_nothing() -> None:
    """Google's caches hold testing and enforce in turn, for weeks; Microsoft enforces."""
    mixed = [
        entry(day, GOOGLE, 20, policy=ENFORCE if number % 3 else TESTING)
        for number, day in enumerate(days(SWITCH, dt.date(2026, 4, 20)))
    ]
    steady = [day_entry for day_entry in switched() if day_entry.voice == MICROSOFT or day_entry.day < SWITCH]
    entries = [*steady, *mixed]
    for after in range(1, 40):
        day = SWITCH + after * DAY
        verdict = on_day(day, *entries, **quoting(*(day_entry for day_entry in entries if day_entry.day < day)))
        # On the day of the switch Google's first cache still said testing; Microsoft had changed.
        assert (verdict.name, verdict.current and verdict.current.mode_since) == (ENFORCING, SWITCH), after
