"""Strangers who really sign, from the mail to the verdict: they stand beside the headline with their figures and move nothing."""

import datetime as dt
import re
from typing import Any

import pytest

from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NO_POLICY,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    WITHDRAWN,
)
from dashboard.words import verdict_words
from ingest.testimony.trust import UNVERIFIED
from tests.dashboard.decision.conftest import MakeSettings
from tests.dashboard.decision.signed_post import (
    BEGAN,
    DAY,
    ENFORCE,
    GOOGLE,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    STRANGER,
    TESTING,
    Post,
    Sender,
    blocking,
    headline,
    remarks_of,
    strangers,
)
from tests.dashboard.decision.worlds import days
from tests.reports import detail, entry

KNOWN = (GOOGLE, MICROSOFT)
PATIENCE = 14
EXPIRED = detail("certificate-expired", 50)


def clean(count: int, lines: tuple[str, ...] = TESTING) -> dict[str, Any]:
    return entry(count, 0, policy_string=list(lines))


def test_a_stranger_is_no_second_voice(post_on_both: Post) -> None:
    post = post_on_both
    post.daily([GOOGLE], BEGAN, ON - DAY)
    before = post.verdict()
    assert (before.name, blocking(before), before.reporters) == (INSUFFICIENT, ["too-few-reporters"], 1)
    post.daily([STRANGER], ON - 28 * DAY, ON - DAY, successful=4_000)
    after = post.verdict()
    assert headline(after) == before
    (newcomer,) = after.newcomers
    assert (newcomer.voice, newcomer.organization, newcomer.signer) == (
        "stranger.example",
        "Stranger Ltd.",
        STRANGER.domain,
    )
    # From the first day of the window on, the newest days as well.
    assert (newcomer.sessions, newcomer.refused) == ((ON - before.window.start).days * 4_000, 0)
    assert (newcomer.first_day, newcomer.last_day) == (before.window.start, ON - DAY)
    assert after.with_newcomers == READY
    told = "\n".join(verdict_words.lines(after))
    assert f"Stranger Ltd. (stranger.example, signed by stranger.example): {newcomer.sessions:,} sessions" in told
    assert "With them the verdict would be ready." in told
    assert "override believe receiver.example stranger.example" in told
    assert "override dismiss receiver.example stranger.example" in told
    remark = next(reason for reason in after.reasons if reason.code == "newcomers")
    assert (remark.figure, remark.names, remark.voices) == (
        newcomer.sessions,
        ("Stranger Ltd.",),
        ("stranger.example",),
    )


def test_sub_domains_of_one_stranger_are_one_newcomer(post: Post) -> None:
    post.daily([GOOGLE], BEGAN, ON - DAY)
    before = post.verdict()
    for number in range(3):
        cover = Sender(f"Honest {number} Inc.", f"tls@mail{number}.stranger.example")
        post.daily([cover], ON - 14 * DAY, ON - DAY)
    after = post.verdict()
    assert headline(after) == before
    assert [(newcomer.voice, newcomer.sessions) for newcomer in after.newcomers] == [("stranger.example", 3 * 14 * 20)]


def test_sub_domains_of_a_known_voice_are_no_second_one(post: Post) -> None:
    below = Sender("Google LLC", "tls@smtp.google.com")
    parent = Sender("Google", "tls@reports.google.com", signs_as="google.com")
    post.daily([GOOGLE, below, parent], BEGAN, ON - DAY)
    verdict = post.verdict()
    assert (verdict.name, verdict.reporters, verdict.newcomers) == (INSUFFICIENT, 1, ())
    assert blocking(verdict) == ["too-few-reporters"]
    assert verdict.sessions == 14 * 3 * 20


@pytest.mark.parametrize("lines", [TESTING, ENFORCE], ids=["testing", "enforce"])
@pytest.mark.parametrize("count", [1, 5])
def test_strangers_with_two_weeks_of_patience(post: Post, count: int, lines: tuple[str, ...]) -> None:
    """Each reports every day: clean at first, then refusals and an absence."""
    post.daily(KNOWN, BEGAN, ON - DAY, policy_string=list(lines))
    asked = [ON - number * DAY for number in range(PATIENCE)]
    before = [post.verdict(on) for on in asked]
    assert before[0].name == (READY if lines == TESTING else ENFORCING)
    for sender in strangers(count):
        for day in days(ON - PATIENCE * DAY, ON - DAY):
            if day < ON - 7 * DAY:
                post.send(sender, day, clean(4_000, lines))
            elif day < ON - 3 * DAY:
                post.send(sender, day, entry(9, 50, EXPIRED, policy_string=list(lines)))
            else:
                post.send(sender, day, entry(30, 0, policy_type="no-policy-found", policy_string=...))
    after = [post.verdict(on) for on in asked]
    assert list(map(headline, after)) == before
    assert len(after[0].newcomers) == count
    assert {newcomer.refused for newcomer in after[0].newcomers} == {4 * 50}
    assert all(newcomer.finds_none for newcomer in after[0].newcomers)
    assert after[0].with_newcomers == (POLICY_BROKEN if lines == TESTING else ENFORCING_REFUSING)
    accusation = next(reason for reason in after[0].reasons if reason.code == "newcomers-refused")
    assert (accusation.figure, len(accusation.voices)) == (count * 4 * 50, count)
    if lines == ENFORCE:  # no sentence says that nothing was refused, without saying by whose word
        assert blocking(after[0]) == ["nothing-refused-by-known"]
        calming = [
            line for line in verdict_words.lines(after[0]) if re.search(r"\b(none|no mail|nothing)\b.*refused", line)
        ]
        assert calming
        assert [line for line in calming if "known reporter" not in line] == []


@pytest.mark.parametrize(
    ("first", "reported", "name", "why"),
    [
        (29, 29, READY, "29 days of reports are not yet a month"),
        (30, 10, NOT_READY, "ten days, the first of them 30 days ago"),
        (31, 9, READY, "a month, but nine reports"),
        (31, 10, NOT_READY, "who reports for a month is heard: docs/verdict.md says so"),
        (31, 31, NOT_READY, "every day for a month"),
    ],
)
def test_who_is_heard_for_a_month_is_no_stranger(post: Post, first: int, reported: int, name: str, why: str) -> None:
    """``first`` is how many days ago the first report arrived; the newest one accuses."""
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    arrivals = [ON - first * DAY, *(ON - number * DAY for number in range(reported - 1))]
    for arrived in arrivals[:1] + arrivals[2:]:
        post.send(STRANGER, arrived - DAY, clean(4_000))
    post.send(STRANGER, ON - DAY, entry(9, 50, EXPIRED, policy_string=list(TESTING)))
    after = post.verdict()
    assert after.name == name, why
    if name == READY:
        assert headline(after) == before
        assert (after.with_newcomers, len(after.newcomers)) == (NOT_READY, 1)
    else:
        assert after.newcomers == ()
        assert (after.refused_lately, blocking(after)) == (50, ["refused-lately"])


def test_a_month_of_reports_that_came_in_one_day_is_no_month(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    today = dt.datetime.combine(ON, dt.time(3), dt.UTC)
    for day in days(ON - 60 * DAY, ON - DAY):
        post.send(STRANGER, day, entry(9, 50, EXPIRED, policy_string=list(OTHER)), received_at=today)
    after = post.verdict()
    assert headline(after) == before
    assert len(after.newcomers) == 1


CLAIMS = [
    ("none", entry(40, 0, policy_string=list(NONE)), WITHDRAWN),
    ("enforce", entry(40, 0, policy_string=list(ENFORCE)), ENFORCING),
    ("testing", entry(40, 0, policy_string=list(TESTING)), READY),
    ("other hosts", entry(40, 0, policy_string=list(OTHER)), INSUFFICIENT),
    ("absence", entry(40, 0, policy_type="no-policy-found", policy_string=...), POLICY_BROKEN),
]


@pytest.mark.parametrize("lines", [TESTING, ENFORCE], ids=["testing", "enforce"])
@pytest.mark.parametrize(("claim", "with_them"), [claim[1:] for claim in CLAIMS], ids=[claim[0] for claim in CLAIMS])
def test_a_stranger_names_no_mode_no_policy_and_no_absence(
    post: Post, claim: dict[str, Any], with_them: str, lines: tuple[str, ...]
) -> None:
    """It quotes the policy in force for a while, as honest senders do, and then changes."""
    post.daily(KNOWN, BEGAN, ON - DAY, policy_string=list(lines))
    before = post.verdict()
    assert before.name == (READY if lines == TESTING else ENFORCING)
    post.daily([STRANGER], ON - 14 * DAY, ON - 6 * DAY, policy_string=list(lines))
    for day in days(ON - 5 * DAY, ON - DAY):
        post.send(STRANGER, day, claim)
    after = post.verdict()
    assert headline(after) == before
    assert after.mode == before.mode
    (newcomer,) = after.newcomers
    quoted = {line for line in lines if line.startswith("mode")} | {
        line for line in claim["policy"].get("policy-string", ()) if line.startswith("mode")
    }
    assert {f"mode: {mode}" for mode in newcomer.modes} == quoted
    assert newcomer.finds_none == (with_them == POLICY_BROKEN)
    if lines == TESTING:
        assert after.with_newcomers == with_them


def test_a_domain_that_only_strangers_report_about(post: Post) -> None:
    post.daily(strangers(3), ON - 20 * DAY, ON - DAY, successful=4_000)
    verdict = post.verdict()
    assert (verdict.name, blocking(verdict), verdict.sessions, verdict.mode) == (
        INSUFFICIENT,
        ["no-known-voice"],
        0,
        "",
    )
    assert (len(verdict.newcomers), verdict.with_newcomers) == (3, READY)


def test_strangers_make_no_absence_of_a_domain_without_a_policy(post: Post) -> None:
    none: dict[str, Any] = {"policy_type": "no-policy-found", "policy_string": ...}
    post.daily([STRANGER], ON - 14 * DAY, ON - DAY, **none)
    assert post.verdict().name == INSUFFICIENT
    post.daily([GOOGLE], ON - 14 * DAY, ON - DAY, **none)
    verdict = post.verdict()
    assert (verdict.name, blocking(verdict), verdict.with_newcomers) == (
        NO_POLICY,
        ["one-sender-found-none"],
        NO_POLICY,
    )


def test_who_signs_with_the_name_of_another_ties_nothing(post: Post) -> None:
    """A stranger calls itself Google Inc. and gives Google's contact address, but signs with its own domain."""
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    forger = Sender("Google Inc.", "reports@stranger.example")
    for day in days(ON - 14 * DAY, ON - DAY):
        bad = entry(9, 50, EXPIRED, policy_string=list(TESTING))
        post.send(forger, day, bad, contact_info=f"mailto:{GOOGLE.address}")
    after = post.verdict()
    assert headline(after) == before
    assert [(newcomer.voice, newcomer.organization, newcomer.refused) for newcomer in after.newcomers] == [
        ("stranger.example", "Google Inc.", 14 * 50)
    ]


def test_who_signs_for_another_domain_is_not_verified(post: Post) -> None:
    """The mail says that it is from Google and is signed by a stranger: RFC 8460 section 3 wants the reporting domain."""
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    forger = Sender("Google Inc.", GOOGLE.address, signs_as="stranger.example")
    for day in days(ON - 14 * DAY, ON - DAY):
        post.send(forger, day, entry(9, 50, EXPIRED, policy_string=list(TESTING)), report_id=f"{day}-forged")
    assert post.verdict() == before
    assert before.newcomers == ()
    assert [trust for (trust,) in post.rows("trust")].count(UNVERIFIED) == 14


@pytest.mark.parametrize(("pause", "name"), [(90, NOT_READY), (91, READY)])
def test_who_fell_silent_for_long_is_a_stranger_again(post: Post, pause: int, name: str) -> None:
    """A domain that somebody else has registered since signs as well as ever. It was heard for forty days before."""
    back = ON - DAY
    post.daily(KNOWN, BEGAN, ON - DAY)
    before = post.verdict()
    post.daily([STRANGER], back - (pause + 40) * DAY, back - pause * DAY)
    post.send(STRANGER, back, entry(9, 50, EXPIRED, policy_string=list(TESTING)))
    after = post.verdict()
    assert after.name == name
    assert [newcomer.voice for newcomer in after.newcomers] == (["stranger.example"] if name == READY else [])
    assert name == NOT_READY or headline(after) == before


def test_the_list_of_signers_is_a_setting(
    post: Post, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    post.daily([GOOGLE, STRANGER], BEGAN + 5 * DAY, ON - DAY)
    assert post.verdict().name == INSUFFICIENT
    monkeypatch.setenv("STARTTALLY_VERDICT_SIGNERS", "Google.com stranger.example")
    post.settings = settings_for()
    assert (post.verdict().name, post.verdict().newcomers) == (READY, ())
    monkeypatch.setenv("STARTTALLY_VERDICT_SIGNERS", "mailer.example")
    post.settings = settings_for()
    verdict = post.verdict()
    assert (verdict.name, blocking(verdict), len(verdict.newcomers)) == (INSUFFICIENT, ["no-known-voice"], 2)


def test_the_operators_list_knows_nobody_else(post: Post) -> None:
    post.daily(KNOWN, BEGAN, ON - DAY)
    post.daily([STRANGER], ON - 14 * DAY, ON - DAY)
    assert [newcomer.voice for newcomer in post.verdict().newcomers] == ["stranger.example"]
    listed = post.verdict(verdict_signers=("google.com", "stranger.example"))
    assert (listed.name, [newcomer.voice for newcomer in listed.newcomers]) == (READY, ["microsoft.com"])
    assert {voice.voice for voice in listed.by_reporter} == {"google.com", "stranger.example"}
    alone = post.verdict(verdict_signers=("stranger.example",))
    assert (alone.name, alone.sessions) == (INSUFFICIENT, 12 * 20)
    assert remarks_of(alone).count("newcomers") == 1


@pytest.mark.parametrize("lines", [TESTING, ENFORCE], ids=["testing", "enforce"])
def test_a_stranger_is_not_the_only_one_who_names_a_policy(post: Post, lines: tuple[str, ...]) -> None:
    """The known voices quoted the policy last before the look-back; the one that still reports quotes none."""
    post.daily(KNOWN, ON - 130 * DAY, ON - 110 * DAY, policy_string=list(lines))
    post.daily([GOOGLE], ON - 20 * DAY, ON - DAY, policy_string=...)
    before = post.verdict()
    assert before.mode == lines[1].removeprefix("mode: ")
    post.daily([STRANGER], ON - 14 * DAY, ON - DAY, policy_string=list(OTHER))
    after = post.verdict()
    assert (after.mode, after.name) == (before.mode, before.name)
    assert headline(after) == before
