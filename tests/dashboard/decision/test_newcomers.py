"""Strangers who sign: they stand beside the headline, with figures and with what it would be, and move nothing."""

from typing import Any

import msgspec
import pytest

from dashboard.decision.evidence import Entry, QuotedPolicy, Voice
from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NOT_READY,
    READY,
    WITHDRAWN,
    Verdict,
    decide,
    reasons_text,
)
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    START,
    codes,
    daily,
    entry,
    evidence,
    failure,
    quotes_of,
    reason,
)

STRANGER = "stranger.example"


def judge(*entries: Entry, strangers: tuple[str, ...] = (STRANGER,), **changes: Any) -> Verdict:
    known = evidence(*entries, **changes)
    new = {name: Voice(name, f"{name} Ltd.", known=False, signer=name) for name in strangers}
    return decide(msgspec.structs.replace(known, voices={**known.voices, **new}))


def test_a_stranger_is_no_second_voice() -> None:
    verdict = judge(*daily(signers=[GOOGLE, STRANGER], successful=400))
    assert (verdict.name, codes(verdict), verdict.reporters) == (INSUFFICIENT, ["too-few-reporters"], 1)
    assert verdict.with_newcomers == READY
    (newcomer,) = verdict.newcomers
    assert (newcomer.voice, newcomer.organization, newcomer.signer) == (STRANGER, f"{STRANGER} Ltd.", STRANGER)
    assert (newcomer.sessions, newcomer.refused, newcomer.modes) == (17 * 400, 0, ("testing",))
    assert (newcomer.first_day, newcomer.last_day, newcomer.finds_none) == (START, ON, False)
    assert codes(verdict, blocking=False) == ["newcomers"]


def test_an_accusation_of_a_stranger_is_a_remark() -> None:
    bad = entry(END, STRANGER, 90, failure("certificate-expired", 7), policy=ENFORCE)
    verdict = judge(*daily(policy=ENFORCE), bad)
    assert (verdict.name, verdict.with_newcomers, verdict.refused) == (ENFORCING, ENFORCING_REFUSING, 0)
    # No sentence says that nothing was refused.
    assert codes(verdict) == ["nothing-refused-by-known"]
    remark = reason(verdict, "newcomers-refused")
    assert (remark.figure, remark.of, remark.voices) == (7, 97, (STRANGER,))
    assert "nothing-refused=" not in reasons_text(verdict)
    young = judge(*daily(ON - 8 * DAY, policy=ENFORCE), bad, since=ON - 8 * DAY)
    assert codes(young) == ["nothing-refused-by-known-so-far"]


def test_five_strangers_with_two_weeks_of_patience() -> None:
    five = tuple(f"s{number}.example" for number in range(5))
    bad = [entry(END, name, 90, failure("certificate-expired", 7)) for name in five]
    verdict = judge(*daily(), *daily(signers=five), *bad, strangers=five)
    assert (verdict.name, verdict.with_newcomers, len(verdict.newcomers)) == (READY, NOT_READY, 5)
    none = [entry(day, name, 9, policy=None, policy_type="no-policy-found") for name in five for day in (ON, ON - DAY)]
    verdict = judge(*daily(), *daily(last=END, signers=five), *none, strangers=five)
    assert (verdict.name, verdict.with_newcomers) == (READY, "policy-broken")
    assert all(newcomer.finds_none for newcomer in verdict.newcomers)


@pytest.mark.parametrize(("claimed", "with_them"), [(NONE, WITHDRAWN), (ENFORCE, ENFORCING), (OTHER, INSUFFICIENT)])
def test_a_stranger_names_no_mode_and_no_policy(claimed: QuotedPolicy, with_them: str) -> None:
    turncoat = [
        *daily(START, ON - 3 * DAY, signers=[STRANGER]),
        *daily(ON - 2 * DAY, signers=[STRANGER], policy=claimed),
    ]
    verdict = judge(*daily(), *turncoat, sightings=(*evidence(*daily()).sightings, *quotes_of(turncoat)))
    assert (verdict.name, verdict.mode, verdict.with_newcomers) == (READY, "testing", with_them)


def test_without_any_known_voice() -> None:
    verdict = judge(*daily(signers=[STRANGER, "other.example"]), strangers=(STRANGER, "other.example"))
    assert (verdict.name, codes(verdict), verdict.mode) == (INSUFFICIENT, ["no-known-voice"], "")
    assert (verdict.with_newcomers, verdict.sessions, verdict.missing[0].code) == (READY, 0, "no-known-voice")


def test_believed_and_dismissed() -> None:
    proof = daily(signers=[GOOGLE, STRANGER])
    assert judge(*proof, believed={STRANGER: ON}).name == READY
    verdict = judge(*proof, dismissed={STRANGER: ON})
    assert (verdict.name, verdict.newcomers, verdict.with_newcomers) == (INSUFFICIENT, (), "")
    # A known voice can be dismissed as well.
    bad = entry(END, MICROSOFT, 5, failure("certificate-expired", 2))
    assert judge(*daily(), bad).name == NOT_READY
    assert judge(*daily(signers=[GOOGLE]), bad, dismissed={MICROSOFT: ON}).name == INSUFFICIENT


def test_a_stranger_that_is_unknown_even_by_name() -> None:
    known = evidence(*daily(), *daily(signers=[STRANGER], organization="Google Inc."))
    nameless = Voice(STRANGER, "", known=False)
    verdict = decide(msgspec.structs.replace(known, voices={**known.voices, STRANGER: nameless}))
    assert (verdict.newcomers[0].organization, verdict.newcomers[0].signer) == (STRANGER, "")


def test_who_was_heard_long_ago_only_is_not_mentioned() -> None:
    old = entry(START - 20 * DAY, STRANGER, 5, failure("certificate-expired", 2))
    assert judge(*daily(), old).newcomers == ()
    late = entry(START - 6 * DAY, STRANGER, 5, failed=2, unexplained=2, failure_day=START, long_range=True)
    (newcomer,) = judge(*daily(), late).newcomers
    assert (newcomer.refused, newcomer.last_day) == (2, START)
    endless = entry(END, STRANGER, 5, failure("certificate-expired", 2), failed=None)
    assert judge(*daily(), endless).newcomers[0].refused == 2
