"""Faults that really signed mail tells of, from the mail to the verdict: which are over, which count, and from which day."""

import datetime as dt
from typing import Any

import pytest

from dashboard import verdicts
from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    Verdict,
)
from dashboard.queries.question import Question
from dashboard.words.next_step import next_step
from ingest.testimony.override_rules import MxHosts
from tests.dashboard.decision.signed_post import (
    BEGAN,
    DAY,
    DOMAIN,
    END,
    ENFORCE,
    GOOGLE,
    MAILER,
    MICROSOFT,
    ON,
    OTHER,
    STRANGER,
    TESTING,
    Post,
    blocking,
    headline,
    remarks_of,
)
from tests.reports import detail, entry

KNOWN = (GOOGLE, MICROSOFT)
# Of the previous policy: a week.
AGE = dt.timedelta(days=7)
FALSE_HOST = "mx.attacker.example"


def refusing(sessions: int = 3, lines: Any = TESTING, **changes: Any) -> dict[str, Any]:
    """Some sessions that enforce refuses, among twenty."""
    quoted = ... if lines is ... else list(lines)
    failed: dict[str, Any] = entry(20 - sessions, sessions, detail(sessions=sessions), policy_string=quoted, **changes)
    return failed


@pytest.mark.parametrize(
    ("last", "name"),
    [
        (END - 20 * DAY, READY),
        (END - 14 * DAY, READY),
        (END - 13 * DAY, NOT_READY),
    ],
)
def test_a_voice_that_saw_a_fault_once_and_fell_silent(post: Post, last: dt.date, name: str) -> None:
    """It had reported for a month and was heard; its last report is the one with the fault."""
    post.daily(KNOWN, BEGAN, ON - DAY)
    post.daily([MAILER], BEGAN - 35 * DAY, last - DAY)
    post.send(MAILER, last, refusing())
    verdict = post.verdict()
    (cause,) = verdict.causes
    assert (verdict.name, cause.over, cause.last_day) == (name, name == READY, last)
    if name == READY:
        assert cause.silent == ("Mailer GmbH",)
        assert "not-seen-again" in remarks_of(verdict)
    else:
        assert blocking(verdict) == ["refused-sessions"]


def test_silence_of_everybody_ends_nothing(post: Post) -> None:
    """Nobody who could have met the fault reports any more: silence is no success."""
    post.daily(KNOWN, BEGAN, ON - 20 * DAY)
    post.send(GOOGLE, ON - 19 * DAY, refusing())
    verdict = post.verdict()
    assert (verdict.name, blocking(verdict)) == (NOT_READY, ["refused-sessions"])


def unquoted(failed: int, successful: int = 20) -> dict[str, Any]:
    """Mail.ru's way: no policy-string at all."""
    failures = [detail(sessions=failed)] if failed else []
    value: dict[str, Any] = entry(successful, failed, *failures, policy_string=...)
    return value


SWITCH = ON - 12 * DAY


@pytest.mark.parametrize(
    ("day", "asked", "name", "code", "why"),
    [
        (SWITCH - DAY, ON, ENFORCING, "nothing-refused-so-far", "before the switch nothing was refused"),
        (SWITCH + DAY, SWITCH + 3 * DAY, ENFORCING_REFUSING, "will-be-refused", "its cache may still say testing"),
        (SWITCH + AGE - DAY, SWITCH + AGE, ENFORCING_REFUSING, "will-be-refused", "the longest cache ends"),
        (SWITCH + AGE, SWITCH + AGE + DAY, ENFORCING_REFUSING, "refused-lately", "no cache can say testing any more"),
        (SWITCH + AGE, ON, ENFORCING_REFUSING, "refused-sessions", "nor does it when the day is complete"),
        (SWITCH + DAY, ON, ENFORCING, "nothing-refused-so-far", "over: ten clean days of the voice that saw it"),
    ],
)
def test_refusals_without_a_policy_string_under_enforce(
    post: Post, day: dt.date, asked: dt.date, name: str, code: str, why: str
) -> None:
    post.daily(KNOWN, BEGAN, SWITCH - DAY)
    post.daily(KNOWN, SWITCH, ON - DAY, policy_string=list(ENFORCE))
    for number in range(1, 46):
        if ON - number * DAY != day:
            post.send(MAILER, ON - number * DAY, unquoted(0))
    clean = post.verdict(asked)
    assert (clean.name, clean.mode, clean.newcomers) == (ENFORCING, "enforce", ())
    post.send(MAILER, day, unquoted(3))
    verdict = post.verdict(asked)
    assert (verdict.name, blocking(verdict)) == (name, [code]), why


def test_a_strangers_refusals_without_a_policy_string_move_nothing(post: Post) -> None:
    post.daily(KNOWN, BEGAN, SWITCH - DAY)
    post.daily(KNOWN, SWITCH, ON - DAY, policy_string=list(ENFORCE))
    before = post.verdict()
    post.send(STRANGER, ON - 2 * DAY, unquoted(300))
    after = post.verdict()
    assert headline(after) == before
    assert (after.name, after.with_newcomers) == (ENFORCING, ENFORCING_REFUSING)


def test_a_weekly_report_with_a_late_fault(post: Post) -> None:
    """Seven days in one report: its successes count on the first day, its failures on the last."""
    weeks = [ON - number * DAY for number in (39, 32, 25, 18, 11)]
    post.daily(KNOWN, BEGAN, ON - DAY)
    for first in weeks[:-1]:
        post.send(
            GOOGLE, first, entry(140, 0, policy_string=list(TESTING)), last=first + 6 * DAY, report_id=f"w{first}"
        )
    clean = post.verdict()
    assert (clean.name, "long-ranges" in remarks_of(clean)) == (READY, True)
    first, last = weeks[-1], weeks[-1] + 6 * DAY
    post.send(GOOGLE, first, refusing(5), last=last, report_id=f"w{first}")
    verdict = post.verdict()
    assert (verdict.name, verdict.refused, blocking(verdict)) == (NOT_READY, 5, ["refused-sessions"])
    (cause,) = verdict.causes
    assert (cause.first_day, cause.last_day) == (last, last) == (ON - 5 * DAY, ON - 5 * DAY)
    # It had not arrived before the week's end, and on the next day the alarm is there.
    assert post.verdict(last).name == READY
    assert post.verdict(last + DAY).name == NOT_READY


def test_a_late_fault_of_a_week_is_not_over_by_days_of_that_week(post: Post) -> None:
    """Counted on its first day, it would be over six days too early. 15 of 20 sessions: few clean ones end it."""
    first, last = ON - 11 * DAY, ON - 5 * DAY
    post.daily(KNOWN, BEGAN, ON + 10 * DAY)
    post.send(GOOGLE, first, refusing(15), last=last, report_id="week")
    names = {day: post.verdict(last + day * DAY).name for day in range(1, 9)}
    assert [names[day] for day in range(1, 6)] == [NOT_READY] * 5
    assert (names[6], names[8]) == (INSUFFICIENT, INSUFFICIENT)
    again = post.verdict(last + 6 * DAY)
    assert (blocking(again), again.ready_on) == (["clean-days"], last + 17 * DAY)


@pytest.mark.parametrize("lines", [TESTING, ENFORCE], ids=["testing", "enforce"])
@pytest.mark.parametrize(
    ("together", "quotes"),
    [(True, True), (True, False), (False, False)],
    ids=["in one report", "in one report that quotes nothing", "in reports of its own"],
)
def test_sts_and_no_policy_found_in_one_report(
    post: Post, together: bool, quotes: bool, lines: tuple[str, ...]
) -> None:
    """Some of a sender's machines could not look: that is no absence, on however many days, whether the others quote or not."""
    quoting = entry(20, 0, policy_string=list(lines) if quotes else ...)
    none = entry(5, 0, policy_type="no-policy-found", policy_string=...)
    post.daily([MICROSOFT], BEGAN, ON - DAY, policy_string=list(lines))
    post.daily([GOOGLE], BEGAN, ON - 6 * DAY, policy_string=list(lines))
    for number in range(1, 6):
        post.send(GOOGLE, ON - number * DAY, *((quoting, none) if together else (none,)))
    verdict = post.verdict()
    fine = READY if lines == TESTING else ENFORCING
    assert verdict.name == (fine if together else POLICY_BROKEN)
    assert verdict.newcomers == ()
    if together:
        assert "policy-not-found" not in remarks_of(verdict)
    else:
        assert blocking(verdict)[0] == "policy-gone"
        assert next(reason.since for reason in verdict.reasons if reason.code == "policy-gone") == ON - 5 * DAY


def published(post: Post, verdict: Verdict) -> str:
    """The policy file that the next step prints, "" when there is none."""
    evidence, _ = verdicts.case_of(post.engine, Question.of(post.settings, ON), DOMAIN)
    step = next_step(evidence, verdict, "2", "3")
    return step.publication.policy_text if step.publication else ""


def false_answers(lines: tuple[str, ...], result_type: str, reason: str) -> dict[str, Any]:
    """Somebody answers MX queries on the sender's path with a host of their own."""
    failed = detail(result_type, 6, receiving_mx_hostname=FALSE_HOST, failure_reason_code=reason)
    value: dict[str, Any] = entry(14, 6, failed, policy_string=list(lines))
    return value


@pytest.mark.parametrize(
    ("result_type", "reason"),
    [
        ("validation-failure", "MX_HOSTS_MISMATCH"),
        ("certificate-host-mismatch", ""),
        ("sts-policy-invalid", ""),
        ("sts-policy-fetch-error", "bad https response code 404"),
        ("x-own-word", "whatever"),
    ],
)
def test_false_mx_answers_on_one_senders_path(post: Post, result_type: str, reason: str) -> None:
    post.daily([MICROSOFT], BEGAN, ON - DAY)
    post.daily([GOOGLE], BEGAN, ON - 6 * DAY)
    for number in range(1, 6):
        post.send(GOOGLE, ON - number * DAY, false_answers(TESTING, result_type, reason))
    verdict = post.verdict()
    (cause,) = [cause for cause in verdict.causes if cause.blocks]
    assert (verdict.name, cause.result_type, cause.mx_host) == (NOT_READY, "mx-not-in-policy", FALSE_HOST)
    assert (cause.sessions, cause.is_listed, cause.voices) == (30, False, ("google.com",))
    assert "mx-not-in-policy" in remarks_of(verdict)
    # Nobody is advised to publish the attacker's host.
    assert FALSE_HOST not in published(post, verdict)
    assert verdict.mx_missing == ()


def test_a_host_of_the_operators_that_the_policy_lacks(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - 6 * DAY)
    for number in range(1, 6):
        post.send(GOOGLE, ON - number * DAY, false_answers(TESTING, "validation-failure", "MX_HOSTS_MISMATCH"))
    post.override(MxHosts(("mx1.receiver.example", FALSE_HOST)), ON)
    verdict = post.verdict()
    assert (verdict.name, verdict.mx_missing) == (NOT_READY, (FALSE_HOST,))
    (cause,) = [cause for cause in verdict.causes if cause.blocks]
    assert cause.is_listed
    assert f"mx: {FALSE_HOST}" in published(post, verdict)


def test_a_host_that_only_an_older_policy_lacks(post: Post) -> None:
    """A sender's cache holds the policy before the host was added: nothing is to repair."""
    both = (*TESTING[:3], "mx: mx2.receiver.example", TESTING[3])
    post.daily([MICROSOFT], BEGAN, ON - 21 * DAY)
    post.daily([MICROSOFT], ON - 20 * DAY, ON - DAY, policy_string=list(both))
    post.daily([GOOGLE], BEGAN, ON - 18 * DAY)
    failed = detail("validation-failure", 6, receiving_mx_hostname="mx2.receiver.example")
    post.send(GOOGLE, ON - 17 * DAY, entry(14, 6, failed, policy_string=list(TESTING)))
    post.daily([GOOGLE], ON - 16 * DAY, ON - DAY, policy_string=list(both))
    verdict = post.verdict()
    assert (verdict.name, verdict.refused) == (READY, 0)


@pytest.mark.parametrize("lines", [TESTING, ENFORCE], ids=["testing", "enforce"])
def test_a_strangers_false_mx_answers_move_nothing(post: Post, lines: tuple[str, ...]) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY, policy_string=list(lines))
    before = post.verdict()
    for number in range(1, 6):
        post.send(STRANGER, ON - number * DAY, false_answers(lines, "certificate-host-mismatch", ""))
        post.send(STRANGER, ON - number * DAY, false_answers(OTHER, "validation-failure", ""), report_id=f"n{number}")
    after = post.verdict()
    assert headline(after) == before
    assert after.mx_missing == ()
    assert after.newcomers[0].refused == 2 * 5 * 6
    assert FALSE_HOST not in published(post, after)
