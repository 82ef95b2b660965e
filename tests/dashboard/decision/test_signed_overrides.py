"""What the operator says beside what signed mail says: who overtakes a stated policy, and whom it believes."""

from dashboard.decision.verdict import ENFORCING, INSUFFICIENT, READY
from ingest.testimony.override_rules import BelievedVoice, DismissedVoice, EnteredPolicy
from tests.dashboard.decision.signed_post import (
    BEGAN,
    DAY,
    ENFORCE,
    GOOGLE,
    MICROSOFT,
    ON,
    OTHER,
    STRANGER,
    TESTING,
    Post,
    Sender,
    headline,
    remarks_of,
)

KNOWN = (GOOGLE, MICROSOFT)


def file_of(lines: tuple[str, ...]) -> EnteredPolicy:
    return EnteredPolicy("".join(f"{line}\r\n" for line in lines))


def test_a_known_voice_that_changes_overtakes_the_stated_policy(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - 6 * DAY)
    post.override(file_of(TESTING), ON - 20 * DAY)
    assert post.verdict(ON - 5 * DAY).mode == "testing"
    post.daily(KNOWN, ON - 5 * DAY, ON - DAY, policy_string=list(ENFORCE))
    verdict = post.verdict()
    assert (verdict.name, "stated-policy-overtaken" in remarks_of(verdict)) == (ENFORCING, True)


def test_a_stranger_that_changes_does_not(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    post.override(file_of(TESTING), ON - 20 * DAY)
    before = post.verdict()
    assert (before.name, "stated-policy" in remarks_of(before)) == (READY, True)
    post.daily([STRANGER], ON - 14 * DAY, ON - 4 * DAY)
    post.daily([STRANGER], ON - 3 * DAY, ON - DAY, policy_string=list(OTHER))
    assert headline(post.verdict()) == before


def test_a_stranger_that_changes_to_what_a_known_voice_has_cached_does_not(post: Post) -> None:
    """Microsoft is heard for the first time and quotes what it may have in its cache: that alone overtakes nothing."""
    post.daily([GOOGLE], ON - 60 * DAY, ON - 25 * DAY)
    post.override(file_of(ENFORCE), ON - 5 * DAY)
    post.daily([MICROSOFT], ON - 3 * DAY, ON - DAY, policy_string=list(OTHER))
    before = post.verdict()
    assert (before.name, before.mode) == (ENFORCING, "enforce")
    post.daily([STRANGER], ON - 14 * DAY, ON - 4 * DAY)
    post.daily([STRANGER], ON - 3 * DAY, ON - DAY, policy_string=list(OTHER))
    assert headline(post.verdict()) == before


def test_a_longer_age_overtakes_the_stated_policy(post: Post) -> None:
    """The operator entered the first step of the ladder, and has published the next one since: `policy next` must not print it
    again.
    """
    first_step = (*ENFORCE[:3], "max_age: 86400")
    post.daily(KNOWN, BEGAN, ON - 11 * DAY, policy_string=list(first_step))
    post.override(file_of(first_step), ON - 20 * DAY)
    post.daily(KNOWN, ON - 10 * DAY, ON - DAY, policy_string=list(ENFORCE))
    verdict = post.verdict()
    assert verdict.current is not None
    assert (verdict.current.policy.max_age, "stated-policy-overtaken" in remarks_of(verdict)) == (604_800, True)


def test_a_stranger_is_believed_and_dismissed_by_its_domain(post: Post) -> None:
    """It calls itself as Google does: what is said about its voice is said about nobody else."""
    alias = Sender("Google Inc.", STRANGER.address)
    post.daily([GOOGLE], BEGAN, ON - DAY)
    post.daily([alias], ON - 14 * DAY, ON - DAY)
    before = post.verdict()
    assert (before.name, before.with_newcomers) == (INSUFFICIENT, READY)
    post.override(BelievedVoice("stranger.example"), ON - DAY)
    believed = post.verdict()
    assert (believed.name, believed.reporters, believed.newcomers) == (READY, 2, ())
    # On the day before the operator said so, nothing had changed.
    assert post.verdict(ON - 2 * DAY).name == INSUFFICIENT
    post.override(DismissedVoice("stranger.example"), ON)
    dismissed = post.verdict()
    assert (dismissed.name, dismissed.newcomers, dismissed.with_newcomers) == (INSUFFICIENT, (), "")
    assert dismissed.sessions == before.sessions
