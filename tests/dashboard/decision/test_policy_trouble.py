"""A policy that cannot be fetched or read, that is no longer found, or that never was: how much of it is a broken policy."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from dashboard.decision.evidence import Acceptance, Entry, Probe, QuotedPolicy, Repair, StatedPolicy
from dashboard.decision.verdict import ENFORCING, INSUFFICIENT, NO_POLICY, POLICY_BROKEN, READY, WITHDRAWN
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    NONE,
    ON,
    START,
    TESTING,
    codes,
    daily,
    entry,
    failure,
    judge,
    reason,
)

LONG = dt.date(2026, 2, 1)
LOST = "sts-policy-fetch-error"


def lost(ago: int, voice: str = GOOGLE, sessions: int = 2) -> Entry:
    return entry(ON - ago * DAY, voice, 0, failure(LOST, sessions, mx=""), policy=None)


def absent(ago: int, voice: str = GOOGLE, sessions: int = 20, **changes: Any) -> Entry:
    return entry(ON - ago * DAY, voice, sessions, policy=None, policy_type="no-policy-found", **changes)


@pytest.mark.parametrize(
    ("errors", "is_broken", "why"),
    [
        ([lost(1)], False, "one voice, one day"),
        ([lost(1), lost(3)], False, "one voice, two days"),
        ([lost(1), lost(3), lost(7)], True, "one voice, three days"),
        ([lost(1), lost(3), lost(8)], False, "the third is no longer recent"),
        ([lost(1), lost(1, MICROSOFT)], True, "two voices, the same day"),
        ([lost(1), lost(2, MICROSOFT)], True, "two voices, neighbouring days"),
        ([lost(1), lost(3, MICROSOFT)], False, "two voices, other days"),
        (
            [lost(1, sessions=1), entry(ON - DAY, MICROSOFT, 170), lost(1, MICROSOFT, 1)],
            False,
            "below one in a hundred",
        ),
        ([lost(1, sessions=1), entry(ON - DAY, MICROSOFT, 150), lost(1, MICROSOFT, 1)], True, "above"),
        ([lost(6), lost(6, MICROSOFT)], False, "over: three clean days of both are complete"),
        ([lost(5), lost(5, MICROSOFT)], True, "two are"),
    ],
)
def test_single_errors_break_nothing(errors: list[Entry], is_broken: bool, why: str) -> None:
    verdict = judge(*daily(LONG), *errors)
    assert (verdict.name == POLICY_BROKEN) is is_broken, why
    assert ("policy-failures" in codes(verdict)) is is_broken
    assert ("few-policy-failures" in codes(verdict, blocking=False)) is not is_broken


def test_what_was_broken_and_is_over_holds_up_the_clock() -> None:
    broken = [lost(6), lost(6, MICROSOFT)]
    verdict = judge(*daily(LONG), *broken)
    assert (verdict.name, codes(verdict)) == (INSUFFICIENT, ["clean-days"])
    assert reason(verdict, "clean-days").until == ON - 6 * DAY + 17 * DAY
    # A fault that did not block does not reset it.
    assert judge(*daily(LONG), lost(6)).name == READY
    word = Acceptance(START, result_type=LOST)
    assert judge(*daily(LONG), *broken, acceptances=(word,)).name == READY


def test_three_days_of_one_voice_lie_within_a_week() -> None:
    spread = [lost(20), lost(17), lost(13)]
    assert judge(*daily(LONG), *spread).name == READY
    verdict = judge(*daily(LONG), lost(20), lost(17), lost(14))
    assert (verdict.name, reason(verdict, "clean-days").since) == (INSUFFICIENT, ON - 13 * DAY)


def test_repaired_errors_no_longer_break() -> None:
    broken = [lost(2), lost(2, MICROSOFT)]
    assert judge(*daily(LONG), *broken).name == POLICY_BROKEN
    repaired = Repair(ON - DAY, ON - 2 * DAY, LOST)
    assert judge(*daily(LONG), *broken, repairs=(repaired,)).name == INSUFFICIENT


def vanished(since: int, *voices: str, policy: QuotedPolicy = TESTING) -> list[Entry]:
    """Google and Microsoft quote the policy every day; ``voices`` find none since so many days ago."""
    known = [
        day_entry
        for day_entry in daily(LONG, policy=policy)
        if day_entry.voice not in voices or day_entry.day < ON - since * DAY
    ]
    return [*known, *(absent(ago, voice) for ago in range(since, 0, -1) for voice in voices)]


@pytest.mark.parametrize("policy", [TESTING, ENFORCE])
@pytest.mark.parametrize(
    ("since", "voices", "name"),
    [
        (1, (GOOGLE, MICROSOFT), POLICY_BROKEN),
        (30, (GOOGLE, MICROSOFT), POLICY_BROKEN),
        (3, (GOOGLE,), POLICY_BROKEN),
        (2, (GOOGLE,), None),
    ],
)
def test_a_policy_that_vanishes(policy: QuotedPolicy, since: int, voices: tuple[str, ...], name: str | None) -> None:
    verdict = judge(*vanished(since, *voices, policy=policy))
    assert verdict.name == (name or (READY if policy is TESTING else ENFORCING))
    gone = reason(verdict, "policy-gone" if name else "policy-not-found")
    assert (gone.voices, gone.since, gone.blocking) == (voices, ON - since * DAY, name is not None)


def test_it_is_there_again_when_it_is_quoted_again() -> None:
    back = [absent(ago, voice) for ago in (8, 7) for voice in (GOOGLE, MICROSOFT)]
    known = [day_entry for day_entry in daily(LONG) if day_entry.day not in (ON - 8 * DAY, ON - 7 * DAY)]
    verdict = judge(*known, *back)
    assert (verdict.name, reason(verdict, "clean-days").since) == (INSUFFICIENT, ON - 6 * DAY)
    # One voice that missed it for two days broke nothing.
    once = [absent(ago) for ago in (8, 7)]
    assert judge(*known, *once).name == READY


def test_a_report_that_holds_both_is_no_absence() -> None:
    both = [absent(ago, voice, 3) for ago in range(1, 8) for voice in (GOOGLE, MICROSOFT)]
    verdict = judge(*daily(LONG), *both)
    assert (verdict.name, codes(verdict, blocking=False)) == (READY, [])
    # Nor are two reports of one day, one of which quotes it.
    apart = [msgspec.structs.replace(day_entry, report="other") for day_entry in both]
    assert judge(*daily(LONG), *apart).name == READY


def test_a_report_that_quotes_nothing_and_finds_none_is_no_absence() -> None:
    known = [day_entry for day_entry in daily(LONG) if day_entry.voice != GOOGLE or day_entry.day < ON - 7 * DAY]
    mixed = [
        reported
        for ago in range(1, 8)
        for reported in (entry(ON - ago * DAY, GOOGLE, 20, policy=None, report=str(ago)), absent(ago, report=str(ago)))
    ]
    assert judge(*known, *mixed).name == READY
    assert judge(*known, *(reported for reported in mixed if reported.policy_type != "sts")).name == POLICY_BROKEN


def test_accepted_and_repaired_absences() -> None:
    gone = vanished(5, GOOGLE)
    accepted = Acceptance(START, result_type="no-policy-found", voice=GOOGLE)
    assert judge(*gone, acceptances=(accepted,)).name == READY
    assert judge(*gone, acceptances=(Acceptance(START, result_type=LOST),)).name == POLICY_BROKEN
    repaired = Repair(ON, ON - DAY, "no-policy-found")
    assert judge(*gone, repairs=(repaired,)).name == READY


def test_a_clean_probe_makes_it_a_remark() -> None:
    gone = vanished(5, GOOGLE, MICROSOFT)
    verdict = judge(*gone, probe=Probe(ON, policy=TESTING))
    assert (verdict.name, codes(verdict, blocking=False)[-1]) == (READY, "policy-not-found")
    assert judge(*gone, probe=Probe(ON - 2 * DAY, policy=TESTING)).name == POLICY_BROKEN
    assert judge(*gone, probe=Probe(ON, record_ok=False)).name == POLICY_BROKEN


def test_who_found_none_once_and_fell_silent() -> None:
    silent = [entry(ON - ago * DAY, MAILRU, 20) for ago in range(40, 25, -1)]
    silent += [absent(ago, MAILRU) for ago in (25, 24, 23)]
    assert judge(*daily(LONG), *silent).name == READY
    # Nobody has quoted it since: it may be gone.
    alone = judge(*[day_entry for day_entry in daily(LONG) if day_entry.day < ON - 25 * DAY], *silent)
    assert alone.name == POLICY_BROKEN


def test_after_a_withdrawal_there_is_none_to_be_found() -> None:
    off = [day_entry for day_entry in daily(LONG, policy=NONE) if day_entry.day < ON - 10 * DAY]
    gone = [absent(ago, voice) for ago in range(10, 0, -1) for voice in (GOOGLE, MICROSOFT)]
    assert judge(*off, *gone).name == WITHDRAWN


def test_no_policy_says_failures_first() -> None:
    looked = [absent(ago, voice) for ago in range(10, 0, -1) for voice in (GOOGLE, MICROSOFT)]
    verdict = judge(*looked)
    assert (verdict.name, codes(verdict)) == (NO_POLICY, ["no-policy-found"])
    bad = failure("certificate-expired", 4, policy_type="no-policy-found")
    failing = entry(ON - DAY, MAILRU, 5, bad, policy=None, policy_type="no-policy-found")
    verdict = judge(*looked, failing)
    assert codes(verdict) == ["failures-without-policy", "no-policy-found"]
    assert (verdict.reasons[0].figure, verdict.reasons[0].of) == (4, 409)
    assert verdict.reasons[0].names == ("certificate-expired",)


def test_a_sole_voice_may_know_dane_only() -> None:
    verdict = judge(*(absent(ago, MAILRU) for ago in range(10, 0, -1)))
    assert (verdict.name, codes(verdict), verdict.reasons[0].names) == (
        NO_POLICY,
        ["one-sender-found-none"],
        ("Mail.ru",),
    )


def test_what_a_probe_finds_broken() -> None:
    probe = Probe(ON, text_ok=False)
    verdict = judge(*daily(), probe=probe)
    assert (verdict.name, codes(verdict), len(verdict.reasons[0].names)) == (POLICY_BROKEN, ["policy-faulty"], 1)
    faulty = Probe(ON, faults=("two TXT records",))
    assert judge(*daily(), probe=faulty).reasons[0].names == ("two TXT records",)
    both = judge(*daily(), probe=faulty, stated=StatedPolicy(TESTING, ON, ("no version",)))
    assert both.reasons[0].names == ("no version", "two TXT records")


def test_the_last_day_of_a_withdrawn_policy() -> None:
    verdict = judge(*daily(LONG, END - 10 * DAY, policy=ENFORCE), *daily(END - 9 * DAY, policy=NONE), since=LONG)
    assert verdict.name == WITHDRAWN
    assert (verdict.reasons[0].code, verdict.reasons[0].until) == ("mode-none", LONG + 7 * DAY)
