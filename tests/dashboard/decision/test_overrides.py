"""The operator's word: stored on both engines, in force on its days, in every verdict that is made from the database."""

import datetime as dt
import io
import json
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from dashboard import verdicts
from dashboard.commands.app import app
from dashboard.decision.evidence import NO_MX
from dashboard.decision.overrides.overrides import EXPIRED, IN_FORCE, REPLACED, TAKEN_BACK, state, with_overrides
from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    decide,
)
from dashboard.exports import writing
from dashboard.queries import overrides as queries
from dashboard.queries.evidence import evidence_of
from dashboard.queries.question import EVERYTHING, Question, Scope
from dashboard.words.verdict_words import sentence
from ingest.database import engines, models
from ingest.store import overrides
from ingest.store.overrides import NoSuchOverride
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    Content,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    OwnThresholds,
    RefusedOverride,
    RepairedCause,
)
from tests.dashboard.decision.test_from_the_database import (
    DAY,
    ENFORCE,
    ON,
    OTHER,
    SIGNERS,
    TESTING,
    World,
    codes,
    world,
)
from tests.reports import detail, entry

__all__ = ["world"]

DOMAIN = "receiver.example"
EXPIRED_AT_MX1 = AcceptedCause("certificate-expired", "mx1.receiver.example")


def at(day: dt.date, hour: int = 12, minute: int = 0, second: int = 0) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute, second), dt.UTC)


def give(world: World, content: Content, now: dt.datetime | None = None, **more: Any) -> str:
    act = overrides.Act(more.pop("who", "alice"), now or at(ON), more.pop("note", "known"))
    return overrides.give(world.engine, more.pop("domain", DOMAIN), content, act, **more)


def take_back(world: World, key: str, now: dt.datetime, who: str = "bob", note: str = "") -> int:
    return overrides.withdraw(world.engine, DOMAIN, key, overrides.Act(who, now, note))


def states(world: World) -> list[str]:
    """Of the overrides given, oldest first."""
    given = overrides.given(world.engine)
    return [state(override, given, ON) for override in given]


def file(lines: Iterable[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)


def remarks(verdict: Any) -> dict[str, float]:
    return {reason.code: reason.figure for reason in verdict.reasons if not reason.blocking}


def failing(world: World, *details: Any, day: dt.date = ON - 5 * DAY, signer: str = "google.com", **more: Any) -> None:
    world.report(day, signer, entry(5, len(details), *details, **({"policy_string": TESTING} | more)))


# Accepted causes


def test_an_accepted_cause_no_longer_blocks(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1))
    assert world.verdict().name == NOT_READY
    give(world, EXPIRED_AT_MX1)
    verdict = world.verdict()
    assert (verdict.name, verdict.refused, remarks(verdict)["accepted-sessions"]) == (READY, 0, 1)
    assert [(cause.sessions, cause.accepted) for cause in verdict.causes] == [(0, 1)]
    assert "apart from the causes that were accepted" in sentence(verdict)


@pytest.mark.parametrize(
    ("accepted", "blocks"),
    [
        (AcceptedCause(result_type="certificate-expired"), False),
        (AcceptedCause(mx_host="mx1.receiver.example"), False),
        (AcceptedCause(voice="google.com"), False),
        (AcceptedCause("certificate-expired", "mx1.receiver.example", "google.com"), False),
        (AcceptedCause("certificate-host-mismatch"), True),
        (AcceptedCause("certificate-expired", "mx2.receiver.example"), True),
        (AcceptedCause("certificate-expired", NO_MX), True),
        (AcceptedCause("certificate-expired", "mx1.receiver.example", "microsoft.com"), True),
    ],
)
def test_what_it_covers(world: World, accepted: AcceptedCause, blocks: bool) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1))
    give(world, accepted)
    assert world.verdict().name == (NOT_READY if blocks else READY)


def test_failures_without_a_host_are_accepted_apart_from_those_with_one(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1, receiving_mx_hostname=...))
    give(world, AcceptedCause("certificate-expired", NO_MX))
    assert world.verdict().name == READY
    failing(world, detail("certificate-expired", 1), day=ON - 6 * DAY)
    assert world.verdict().name == NOT_READY


def test_an_unusable_policy_can_be_accepted_too(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    fetch = entry(0, 4, detail("sts-policy-fetch-error", 4, receiving_mx_hostname=...), policy_string=...)
    for ago in (4, 5, 6):
        world.report(ON - ago * DAY, "microsoft.com", fetch)
    assert world.verdict().name == POLICY_BROKEN
    give(world, AcceptedCause("sts-policy-fetch-error", voice="google.com"))
    assert world.verdict().name == POLICY_BROKEN
    give(world, AcceptedCause("sts-policy-fetch-error", voice="microsoft.com"))
    assert world.verdict().name == READY


def test_refused_mail_that_was_accepted_is_not_called_delivered(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, policy_string=ENFORCE)
    failing(world, detail("certificate-expired", 1), policy_string=ENFORCE)
    assert world.verdict().name == ENFORCING_REFUSING
    give(world, EXPIRED_AT_MX1)
    verdict = world.verdict()
    assert verdict.name == ENFORCING
    assert "their sessions are refused all the same" in sentence(verdict)


def test_a_row_that_names_an_organisation_is_read_as_its_voice(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1))
    earlier = {"policy_domain": DOMAIN, "kind": "accept", "given_at": at(ON)}
    names = ["Google LLC", "mail.Google.com", "Microsoft Corporation", "Some Mailer GmbH", "!?"]
    with world.engine.begin() as connection:
        for number, name in enumerate(names):
            content = json.dumps({"result_type": "certificate-expired", "organization": name})
            connection.execute(
                sa.insert(models.operator_word).values(earlier | {"word_key": str(number), "content": content})
            )
    read = [override.content for override in overrides.given(world.engine)]
    voices = ["google.com", "google.com", "microsoft.com", "some mailer", "!?"]
    assert read == [AcceptedCause("certificate-expired", "", voice) for voice in voices]
    assert world.verdict().name == READY
    for number in (0, 1):
        take_back(world, str(number), at(ON, 13))
    assert world.verdict().name == NOT_READY, "what is left is about others"


def test_a_voice_known_by_its_name_is_accepted_under_its_domain_too(world: World) -> None:
    """Somebody accepted what a file without a signature said; since then the same sender's signed mail ties its name."""
    world.clean(ON - 60 * DAY, ON - DAY)
    for ago in range(60, 0, -1):
        world.report(ON - ago * DAY, "mailer.example", entry(5, 0, policy_string=TESTING))
    failing(world, detail("certificate-expired", 1), signer="mailer.example")
    (evidence,) = evidence_of(world.engine, Question.of(world.settings, ON), [DOMAIN])
    tied = msgspec.structs.replace(evidence, aliases={"some mailer": "mailer.example"})
    give(world, AcceptedCause("certificate-expired", voice="some mailer"))
    (given,) = overrides.given(world.engine)
    limits = Question.of(world.settings, ON).thresholds
    assert [decide(with_overrides(known, [given], limits)).name for known in (evidence, tied)] == [NOT_READY, READY]


# Repaired causes


def test_what_was_repaired_no_longer_blocks_and_blocks_again_later(world: World) -> None:
    world.clean(ON - 60 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1), day=ON - 4 * DAY)
    assert world.verdict().name == NOT_READY
    repair = give(world, RepairedCause(ON - 5 * DAY, "certificate-expired", "mx1.receiver.example"))
    assert world.verdict().name == NOT_READY, "it failed after that day"
    give(world, RepairedCause(ON - 4 * DAY, "certificate-expired", "mx2.receiver.example"), at(ON, 13))
    assert world.verdict().name == NOT_READY, "another host"
    give(world, RepairedCause(ON - 4 * DAY, "certificate-expired", "mx1.receiver.example"), at(ON, 14))
    verdict = world.verdict()
    assert (verdict.name, codes(verdict), remarks(verdict)["repaired-sessions"]) == (INSUFFICIENT, ["clean-days"], 1)
    failing(world, detail("certificate-expired", 1), day=ON - 2 * DAY)
    assert world.verdict().name == NOT_READY
    assert states(world) == [REPLACED, IN_FORCE, IN_FORCE]
    assert take_back(world, repair, at(ON, 15)) == 1


# Voices


def test_a_newcomer_is_believed_and_dismissed(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1), signer="new.example")
    before = world.verdict()
    assert (before.name, [newcomer.voice for newcomer in before.newcomers]) == (READY, ["new.example"])
    give(world, BelievedVoice("new.example"), at(ON, 1))
    assert (world.verdict().name, world.verdict().newcomers) == (NOT_READY, ())
    dismissed = give(world, DismissedVoice("new.example"), at(ON, 2))
    assert (world.verdict().name, world.verdict().newcomers) == (READY, ())
    give(world, DismissedVoice("google.com"), at(ON, 3))
    assert codes(world.verdict()) == ["too-few-reporters"], "a known voice can be dismissed as well"
    assert states(world) == [REPLACED, IN_FORCE, IN_FORCE]
    take_back(world, dismissed, at(ON, 4))
    give(world, BelievedVoice("google.com"), at(ON, 5))
    verdict = world.verdict()
    assert (verdict.name, verdict.reporters) == (NOT_READY, 3), "believed again, both"


def test_a_word_about_a_voice_holds_for_one_domain(world: World) -> None:
    for name in (DOMAIN, "other.example"):
        world.clean(ON - 30 * DAY, ON - DAY, policy_domain=name)
    give(world, DismissedVoice("google.com"))
    assert [world.verdict(domain=name).name for name in (DOMAIN, "other.example")] == [INSUFFICIENT, READY]


# Thresholds


def test_thresholds_of_a_domain(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, ["google.com"])
    give(world, OwnThresholds(bound=0.001))
    assert codes(world.verdict()) == ["too-few-reporters", "too-few-sessions"]
    give(world, OwnThresholds(bound=0.02), at(ON, 12, 30))
    assert codes(world.verdict()) == ["too-few-reporters"]
    give(world, OwnThresholds(reporters=1), at(ON, 13))
    verdict = world.verdict()
    assert (verdict.name, verdict.thresholds.bound, verdict.thresholds.reporters) == (READY, 0.02, 1)
    assert [reason.names for reason in verdict.reasons if reason.code == "own-thresholds"] == [("bound", "reporters")]
    give(world, OwnThresholds(bound=0.001, window_days=7, late_days=0, confidence=0.99), at(ON, 14))
    verdict = world.verdict()
    # As far back as there is evidence, because a week is not enough.
    assert (verdict.name, verdict.window.start, verdict.window.end) == (INSUFFICIENT, ON - 30 * DAY, ON - DAY)
    assert verdict.bound == pytest.approx(1 - (1 - 0.99) ** (1 / 600))


def test_the_confidence_is_said(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, OwnThresholds(confidence=0.9))
    verdict = world.verdict()
    assert verdict.name == READY
    assert verdict.bound == pytest.approx(1 - 0.1 ** (1 / 560))
    assert [reason.names for reason in verdict.reasons if reason.code == "enough-evidence"] == [("90 %",)]


def test_a_longer_window_of_one_domain_does_not_change_its_neighbours(world: World) -> None:
    for name in ("a.example", "b.example"):
        world.clean(ON - 60 * DAY, ON - DAY, policy_domain=name)
    question = Question.of(world.settings, ON)

    def of(*domains: str) -> list[Any]:
        return evidence_of(world.engine, question, domains)

    before = of("a.example")
    give(world, OwnThresholds(window_days=45), domain="b.example")
    assert of("a.example", "b.example") == [*before, *of("b.example")]
    by_domain = {
        verdict.domain: verdict for verdict in verdicts.verdicts(world.engine, question, ["a.example", "b.example"])
    }
    assert (by_domain["a.example"].sessions, by_domain["b.example"].sessions) == (14 * 40, 45 * 40)


def test_a_bound_next_to_nothing_is_no_accident(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, OwnThresholds(bound=1e-300))
    (lack,) = world.verdict().missing
    assert (lack.code, lack.by) == ("too-few-sessions", None)


# The policy


def test_a_policy_entered_by_hand_outranks_what_reports_still_quote(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, EnteredPolicy(file(ENFORCE)), at(ON - 2 * DAY))
    assert world.verdict().name == ENFORCING
    # What failed before the switch is history; what fails after it while caches still say testing will be refused.
    failing(world, detail("certificate-expired", 1), day=ON - 4 * DAY)
    assert world.verdict().name == ENFORCING
    failing(world, detail("certificate-expired", 1), day=ON - DAY)
    verdict = world.verdict()
    assert (verdict.name, verdict.mode, remarks(verdict)["stated-policy"]) == (ENFORCING_REFUSING, "enforce", 2)
    assert verdict.current is not None
    assert (verdict.current.stated, verdict.current.since, verdict.current.mode_since) == (
        True,
        ON - 30 * DAY,
        ON - 2 * DAY,
    )


def test_a_policy_with_other_hosts_begins_the_count_anew(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, EnteredPolicy(file(OTHER)), at(ON - 3 * DAY))
    verdict = world.verdict()
    assert codes(verdict) == ["clean-days", "too-few-reporters", "too-few-sessions"]
    assert verdict.current is not None
    assert verdict.current.since == ON - 3 * DAY


def test_a_faulty_policy_is_a_broken_one(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    key = give(world, EnteredPolicy("version: STSv1\nmode: enforced\nmx: mx1.receiver.example\nmax_age: 604800\n"))
    verdict = world.verdict()
    assert (verdict.name, codes(verdict)) == (POLICY_BROKEN, ["policy-faulty"])
    assert verdict.reasons[0].names[0].startswith("line 2: mode: enforced")
    take_back(world, key, at(ON, 15))
    assert world.verdict().name == READY


def test_hosts_that_the_entered_policy_does_not_cover(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, MxHosts(("mx1.receiver.example", "Backup.receiver.example.")))
    verdict = world.verdict()
    assert (verdict.name, verdict.mx_without_evidence) == (
        NOT_READY,
        ("backup.receiver.example", "mx1.receiver.example"),
    )
    assert (codes(verdict), verdict.mx_missing) == (["mx-missing"], ("backup.receiver.example",))
    give(world, EnteredPolicy(file(TESTING)), at(ON, 13))
    assert (world.verdict().name, codes(world.verdict())) == (NOT_READY, ["mx-missing"])
    give(world, EnteredPolicy(file(ENFORCE)), at(ON, 13, 30))
    assert (world.verdict().name, codes(world.verdict())) == (POLICY_BROKEN, ["mx-missing"])
    give(world, EnteredPolicy(file(TESTING), ("mx1.receiver.example",)), at(ON, 14))
    assert world.verdict().name == READY, "the hosts named with the newer policy count"


def test_senders_that_change_to_a_newer_policy_overtake_the_entered_one(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - 8 * DAY)
    world.clean(ON - 7 * DAY, ON - DAY, policy_string=ENFORCE)
    give(world, EnteredPolicy(file(TESTING)), at(ON - 20 * DAY))
    verdict = world.verdict()
    assert (verdict.name, verdict.mode, remarks(verdict)["stated-policy-overtaken"]) == (ENFORCING, "enforce", 20)
    assert "stated-policy" not in remarks(verdict)
    # On the days before the change it still counted.
    before = world.verdict(ON - 9 * DAY)
    assert (before.mode, remarks(before)["stated-policy"]) == ("testing", 11)


# Days


def test_a_word_counts_from_the_day_on_which_it_was_given(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1), day=ON - 13 * DAY)
    given = ON - 6 * DAY
    give(world, EXPIRED_AT_MX1, at(given, 23, 59, 59))
    names = {ago: world.verdict(ON - ago * DAY).name for ago in range(8)}
    assert names == {ago: READY if ago <= 6 else NOT_READY for ago in range(8)}
    assert verdicts.by_day(world.engine, Question.of(world.settings, ON), DOMAIN, names[0], 8) == [
        (ON - ago * DAY, names[ago]) for ago in range(7, -1, -1)
    ]


def test_thresholds_and_policies_count_from_their_day_too(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    for content in (OwnThresholds(reporters=1), EnteredPolicy(file(ENFORCE))):
        give(world, content, at(ON - 3 * DAY))
    before, on = world.verdict(ON - 4 * DAY), world.verdict(ON - 3 * DAY)
    assert [(verdict.mode, verdict.thresholds.reporters) for verdict in (before, on)] == [
        ("testing", 2),
        ("enforce", 1),
    ]


def test_a_word_given_at_midnight_belongs_to_the_new_day(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1))
    give(world, EXPIRED_AT_MX1, at(ON, 0))
    assert [world.verdict(ON - DAY).name, world.verdict(ON).name] == [NOT_READY, READY]


def test_taking_back_leaves_the_days_before_as_they_were(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1), day=ON - 13 * DAY)
    key = give(world, EXPIRED_AT_MX1, at(ON - 6 * DAY))
    past = [world.verdict(ON - ago * DAY) for ago in range(7, 2, -1)]
    assert take_back(world, key, at(ON - 2 * DAY, 0), note="it was ours") == 1
    assert [world.verdict(ON - ago * DAY) for ago in range(7, 2, -1)] == past
    assert [world.verdict(ON - ago * DAY).name for ago in (3, 2, 1, 0)] == [
        READY,
        INSUFFICIENT,
        INSUFFICIENT,
        INSUFFICIENT,
    ]


def test_a_word_ends_after_its_last_day(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    failing(world, detail("certificate-expired", 1), day=ON - 8 * DAY)
    give(world, EXPIRED_AT_MX1, at(ON - 4 * DAY), until=ON - 2 * DAY)
    assert [world.verdict(ON - ago * DAY).name for ago in (5, 4, 2, 1)] == [NOT_READY, READY, READY, INSUFFICIENT]
    for content in (OwnThresholds(reporters=1), EnteredPolicy(file(ENFORCE))):
        give(world, content, at(ON - 4 * DAY, 13), until=ON - 2 * DAY)
    on, after = world.verdict(ON - 2 * DAY), world.verdict(ON - DAY)
    assert [(verdict.mode, verdict.thresholds.reporters) for verdict in (on, after)] == [("enforce", 1), ("testing", 2)]


def test_taking_back_brings_the_word_before_it_back(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    first = give(world, EnteredPolicy(file(ENFORCE)), at(ON, 1))
    second = give(world, EnteredPolicy(file(OTHER)), at(ON, 2))
    in_force = queries.in_force(world.engine, EVERYTHING, DOMAIN, ON)
    assert [state(word, in_force, ON) for word in in_force] == [REPLACED, IN_FORCE]
    assert world.verdict().mode == "testing", "the newest counts"
    take_back(world, second, at(ON, 3))
    assert world.verdict().mode == "enforce"
    take_back(world, first, at(ON, 4))
    assert world.verdict().mode == "testing"


# What is stored


def test_words_are_added_and_never_changed(world: World) -> None:
    key = give(world, EXPIRED_AT_MX1, note=" not\0 ours\ud800 " + "x" * 2_000, who="al\0ice", until=ON + 9 * DAY)
    (before,) = overrides.given(world.engine)
    assert (before.note, before.author) == ("not\ufffd ours? " + "x" * 989, "al\ufffdice")
    assert (before.domain, before.kind, before.given_at, before.until) == (DOMAIN, "accept", at(ON), ON + 9 * DAY)
    assert before.content == EXPIRED_AT_MX1
    assert overrides.withdraw(world.engine, "other.example", key, overrides.Act("mallory", at(ON, 13), "")) == 0
    assert take_back(world, key, at(ON, 13), note="wrong host") == 1
    assert take_back(world, key, at(ON, 14), who="mallory") == 0
    (after,) = overrides.given(world.engine)
    assert (after.withdrawn_at, after.withdrawn_by, after.withdrawal_note) == (at(ON, 13), "bob", "wrong host")
    assert msgspec.structs.replace(after, withdrawn_at=None, withdrawn_by="", withdrawal_note="") == before
    give(world, EXPIRED_AT_MX1, at(ON, 16))
    assert len(overrides.given(world.engine)) == 2


def test_the_same_act_twice_is_one_word(world: World) -> None:
    assert give(world, EXPIRED_AT_MX1) == give(world, EXPIRED_AT_MX1)
    assert len(overrides.given(world.engine, DOMAIN)) == 1


@pytest.mark.parametrize(
    ("content", "more", "reason"),
    [
        (AcceptedCause(), {}, "every failure"),
        (AcceptedCause("x" * 256), {}, "longer"),
        (AcceptedCause("x", voice=" "), {}, "name a voice"),
        (AcceptedCause("x", voice="x" * 256), {}, "name a voice"),
        (RepairedCause(ON), {}, "every failure"),
        (RepairedCause(ON + DAY, "x"), {}, "not there yet"),
        (RepairedCause(ON, "x" * 256), {}, "longer"),
        (BelievedVoice(""), {}, "name a voice"),
        (DismissedVoice("x" * 256), {}, "name a voice"),
        (AcceptedCause(mx_host="x" * 254), {}, "longer"),
        (EXPIRED_AT_MX1, {"note": "  "}, "a note is needed"),
        (EXPIRED_AT_MX1, {"until": ON - DAY}, "must not lie before today"),
        (EXPIRED_AT_MX1, {"domain": ""}, "a policy domain"),
        (OwnThresholds(), {}, "no threshold"),
        (OwnThresholds(bound=1.0), {}, "bound 100 %: input should be less than 1"),
        (OwnThresholds(bound=float("nan")), {}, "bound nan %"),
        (OwnThresholds(reporters=0), {}, "reporters 0"),
        (OwnThresholds(window_days=91), {}, "window days 91"),
        (OwnThresholds(late_days=15), {}, "late days 15"),
        (OwnThresholds(confidence=0.4), {}, "confidence 40 %"),
        (OwnThresholds(confidence=1.0), {}, "confidence 100 %"),
        (EnteredPolicy(""), {}, "no policy file"),
        (EnteredPolicy("<html>404</html>"), {}, "no policy file"),
        (EnteredPolicy("mode: testing\n" + "x" * 65_536), {}, "larger than 65536"),
        (EnteredPolicy(file(TESTING), ("10 mx1.example",)), {}, "MX host"),
        (EnteredPolicy(file(TESTING), ("192.0.2.1",)), {}, "no MX host"),
        (MxHosts(()), {}, "at least 1"),
        (MxHosts(tuple(f"mx{n}.example" for n in range(201))), {}, "at most 200"),
    ],
)
def test_what_cannot_be_a_word(world: World, content: Content, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(RefusedOverride, match=reason):
        give(world, content, **more)
    assert overrides.given(world.engine) == []


def test_there_is_an_end_to_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overrides, "MOST_IN_FORCE", 2)
    keys = [give(world, EXPIRED_AT_MX1, at(ON, hour)) for hour in (1, 2)]
    with pytest.raises(RefusedOverride, match="take some back"):
        give(world, EXPIRED_AT_MX1, at(ON, 3))
    give(world, EXPIRED_AT_MX1, at(ON, 3), domain="other.example")
    take_back(world, keys[0], at(ON, 4))
    give(world, EXPIRED_AT_MX1, at(ON, 5))


def test_a_kind_of_a_later_version_is_passed_over(world: World) -> None:
    give(world, EXPIRED_AT_MX1)
    with world.engine.begin() as connection:
        later = {"word_key": "0" * 32, "kind": "probe", "content": "[1]", "given_at": at(ON), "policy_domain": DOMAIN}
        connection.execute(sa.insert(models.operator_word).values(later))
    assert [word.kind for word in overrides.given(world.engine)] == ["accept"]
    assert world.verdict().name == INSUFFICIENT


def test_a_word_is_found_by_the_beginning_of_its_number(world: World) -> None:
    key = give(world, EXPIRED_AT_MX1)
    assert overrides.find(world.engine, f" {key[:8].upper()} ").key == key
    give(world, EXPIRED_AT_MX1, at(ON, 13))
    for beginning, words in (("", "several overrides"), ("%", "no override begins")):
        with pytest.raises(NoSuchOverride, match=words):
            overrides.find(world.engine, beginning)


def test_a_database_that_is_away_is_said_to_be() -> None:
    engine = engines.open_engine("postgresql://starttally@127.0.0.1:1/x")
    for ask in (
        lambda: overrides.withdraw(engine, DOMAIN, "0", overrides.Act("alice", at(ON), "")),
        lambda: overrides.given(engine),
        lambda: overrides.give(engine, DOMAIN, EXPIRED_AT_MX1, overrides.Act("alice", at(ON), "x")),
    ):
        with pytest.raises(engines.DatabaseAway):
            ask()
    engine.dispose()


# Who may see them


def test_words_about_foreign_domains_are_not_seen(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    give(world, EnteredPolicy(file(ENFORCE)))
    give(world, MxHosts(("mx.other.example",)), domain="other.example")
    for scope, seen in ((Scope(("other.example",)), 0), (Scope(("*.example",)), 1), (Scope(()), 0), (EVERYTHING, 1)):
        assert len(queries.in_force(world.engine, scope, DOMAIN, ON)) == seen
        assert len(queries.every_override(world.engine, scope, DOMAIN, 9)) == seen
        assert world.verdict(scope=scope).mode == ("enforce" if seen else "")


def test_states_of_past_words(world: World) -> None:
    give(world, EXPIRED_AT_MX1, at(ON - 9 * DAY), until=ON - DAY)
    gone = give(world, OwnThresholds(bound=0.05), at(ON - 8 * DAY))
    take_back(world, gone, at(ON - 7 * DAY))
    give(world, OwnThresholds(bound=0.02), at(ON - 6 * DAY))
    give(world, OwnThresholds(bound=0.03, reporters=1), at(ON - 5 * DAY))
    give(world, MxHosts(("mx1.example",)), at(ON - 4 * DAY))
    give(world, EnteredPolicy(file(TESTING), ("mx2.example",)), at(ON - 3 * DAY))
    in_force = queries.in_force(world.engine, EVERYTHING, DOMAIN, ON)
    words = queries.every_override(world.engine, EVERYTHING, DOMAIN, 99)
    states = [(word.kind, state(word, in_force, ON)) for word in reversed(words)]
    assert states == [
        ("accept", EXPIRED),
        ("thresholds", TAKEN_BACK),
        ("thresholds", REPLACED),
        ("thresholds", IN_FORCE),
        ("mx-hosts", REPLACED),
        ("policy", IN_FORCE),
    ]
    assert queries.every_override(world.engine, EVERYTHING, DOMAIN, 2) == words[:2]


# Exports


def test_the_export_of_domains_has_them(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, ["google.com"])
    give(world, OwnThresholds(bound=0.02, reporters=1))
    target = io.BytesIO()
    filters = writing.Filters(question=Question.of(world.settings, ON))
    writing.write(world.engine, "domains", "json", filters, target)
    (row,) = json.loads(target.getvalue())
    assert (row["verdict"], row["reasons"]) == (READY, "enough-evidence=0.01064 own-thresholds=2")


# The commands

Command = Callable[..., Any]


@pytest.fixture
def starttally(world: World, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs a command over the world's database."""
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", world.settings.database_url)
    monkeypatch.setattr("dashboard.commands.override.os_user", lambda: "alice")

    def run(*arguments: str, code: int = 0, typed: str | None = None) -> Any:
        answer = CliRunner().invoke(app, list(arguments), input=typed)
        assert answer.exit_code == code, answer.output
        return answer.output

    return run


def test_a_word_on_the_command_line(world: World, starttally: Command) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY)
    failing(world, detail("certificate-expired", 1), day=today - 5 * DAY)
    assert starttally("override", "list") == "no override is in force\n"
    cause = ["certificate-expired", "--mx", "MX1.receiver.example.", "--voice", "Google Inc."]
    until = str(today + 3 * DAY)
    given = starttally("override", "accept", "Receiver.example", *cause, "--note", "they know", "--until", until)
    what = "Accepted: certificate-expired at mx1.receiver.example, reported by google.com"
    key = given.split("kept: ")[1].split()[0]
    covers = f"covers 1 session of 1 voice since {today - 5 * DAY}"
    assert given == (
        "'Google Inc.' is the reporter google.com\n"
        f"kept: {key}  {what}\n"
        f"    {covers}\n"
        "verdict of receiver.example today: not-ready (565 sessions, 1 would be refused) "
        "-> ready (565 sessions, 0 would be refused)\n"
    ).replace("not-ready (565", "not-ready (566")
    assert starttally("verdict", DOMAIN).startswith("receiver.example: ready\n")
    line = f"{key}  receiver.example  {what}\n    in force, since {today} until {until}, by alice: they know\n    {covers}\n"
    assert (
        starttally("override", "list")
        == starttally("override", "list", "receiver.example")
        == starttally("override", "list", "--all")
        == line
    )
    assert starttally("override", "list", "other.example") == "no override is in force\n"
    back = starttally("override", "withdraw", key[:6], "--note", "repaired")
    assert back.startswith(f"taken back: {key}  {what}\nverdict of receiver.example today: ready")
    assert starttally("override", "list") == "no override is in force\n"
    assert "    taken back, since" in starttally("override", "list", "--all")
    assert starttally("override", "list", "--all").endswith("by alice: repaired\n")
    assert "taken back before" in starttally("override", "withdraw", key, code=2)
    starttally("verdict", DOMAIN, code=1)


def test_thresholds_hosts_and_a_policy_on_the_command_line(world: World, starttally: Command) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY, ["google.com"])
    options = ["--bound", "2%", "--reporters", "1", "--window-days", "13", "--late-days", "1", "--confidence", "0.9"]
    given = starttally("override", "thresholds", DOMAIN, *options, "--note", "small")
    assert (
        "Own thresholds: at most 2 % refused, 1 independent reporter, 13 complete days, the newest 1 left out, "
        "at 90 % confidence"
    ) in given
    assert "insufficient-evidence (300 sessions, 0 would be refused) -> ready (260 sessions" in given
    given = starttally("override", "policy", DOMAIN, "-", "--note", "served now", typed=file(ENFORCE))
    assert "-> enforcing (" in given
    # Since today: max_age is raised after two clean weeks of it.
    assert "and keep max_age as it is." in starttally("policy", "next", DOMAIN, code=1)
    given = starttally(
        "override", "policy", DOMAIN, "-", "--mx", "mx9.receiver.example", "--note", "x", typed=file(ENFORCE)
    )
    assert "policy-broken" in given
    assert "the policy is faulty: no mx line covers the MX host mx9.receiver.example" in given
    given = starttally("override", "mx", DOMAIN, "mx1.receiver.example", "mx2.receiver.example", "--note", "x")
    assert "MX hosts: mx1.receiver.example, mx2.receiver.example" in given
    listed = starttally("override", "list")
    assert [line.split("  ")[2].partition(":")[0] for line in listed.splitlines()[::3]] == [
        "Own thresholds",
        "Policy entered by hand",
        "MX hosts",
    ]
    assert starttally("override", "list", "--all").count("replaced by a newer one") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["accept", DOMAIN, "--note", "x"],
        ["accept", DOMAIN, "", "--note", "x"],
        ["accept", DOMAIN, "certificate-expired"],
        ["accept", DOMAIN, "certificate-expired", "--voice", "Nobody Inc.", "--note", "x"],
        ["accept", "not a domain", "certificate-expired", "--note", "x"],
        ["accept", DOMAIN, "certificate-expired", "--note", "x", "--until", "tomorrow"],
        ["accept", DOMAIN, "certificate-expired", "--note", "x", "--until", "2020-01-01"],
        ["repaired", DOMAIN, "certificate-expired", "--note", "x"],
        ["repaired", DOMAIN, "certificate-expired", "--on", "2999-01-01", "--note", "x"],
        ["repaired", DOMAIN, "certificate-expired", "--on", "20260301", "--note", "x"],
        ["repaired", DOMAIN, "certificate-expired", "--on", "2026-03-01"],
        ["believe", DOMAIN, "", "--note", "x"],
        ["believe", DOMAIN, "Nobody Inc.", "--note", "x"],
        ["dismiss", DOMAIN, "google.com"],
        ["thresholds", DOMAIN, "--note", "x"],
        ["thresholds", DOMAIN, "--bound", "2", "--note", "x"],
        ["thresholds", DOMAIN, "--bound", "a little", "--note", "x"],
        ["thresholds", DOMAIN, "--confidence", "100%", "--note", "x"],
        ["policy", DOMAIN, "no-such-file", "--note", "x"],
        ["mx", DOMAIN, "192.0.2.1", "--note", "x"],
        ["withdraw", "0"],
        ["list", "not a domain"],
    ],
)
def test_wrong_words_on_the_command_line(world: World, starttally: Command, arguments: list[str]) -> None:
    starttally("override", *arguments, code=2)
    assert overrides.given(world.engine) == []


def test_a_policy_that_is_no_text(world: World, starttally: Command) -> None:
    with open("policy", "wb") as target:  # noqa: PTH123
        target.write(b"mode: testing\nmx: \xff\n")
    assert "UTF-8" in starttally("override", "policy", DOMAIN, "policy", "--note", "x", code=2)


def test_hostile_text_on_the_command_line(world: World, starttally: Command) -> None:
    give(world, AcceptedCause("\x1b[31mred", voice="evil\nreporter\u202e"), note="\x1b]0;x\x07", who="e\x1bve")
    listed = starttally("override", "list", "--all")
    assert "\x1b" not in listed
    assert "evil\\nreporter\\u202e" in listed


def test_a_result_type_that_does_not_exist_is_refused_with_the_nearest(world: World, starttally: Command) -> None:
    failing(world, detail("sts-policy-fetch-err", 1))
    refused = starttally("override", "accept", DOMAIN, "certificate-expird", "--note", "x", code=2)
    assert "the nearest is certificate-expired" in refused
    refused = starttally("override", "repaired", DOMAIN, "mx-not-in-plan", "--on", "2026-03-01", "--note", "x", code=2)
    assert "the nearest is mx-not-in-policy" in refused
    # Those of no report, other spellings, and what a sender has invented.
    for name, result_type in (
        ("unexplained", "unexplained"),
        ("no-policy-found", "no-policy-found"),
        (" Certificate_Expired", "certificate-expired"),
        ("sts-policy-fetch-err", "sts-policy-fetch-err"),
    ):
        starttally("override", "accept", DOMAIN, name, "--note", "x")
        assert [override.content for override in overrides.given(world.engine)][-1:] == [AcceptedCause(result_type)]
    starttally("override", "accept", "other.example", "sts-policy-fetch-err", "--note", "x", code=2)


def test_repaired_on_the_command_line(world: World, starttally: Command) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY)
    failing(world, detail("certificate-expired", 1), detail("certificate-expired", 1), day=today - 4 * DAY)
    bad = str(today - 4 * DAY)
    given = starttally("override", "repaired", DOMAIN, "certificate-expired", "--on", bad, "--note", "renewed")
    assert f"Repaired on {bad}: certificate-expired\n    covers 2 sessions of 1 voice since {bad}\n" in given
    assert "not-ready (567 sessions, 2 would be refused) -> insufficient-evidence (" in given
    failing(world, detail("certificate-expired", 1), day=today - DAY)
    assert f"covers 2 sessions of 1 voice since {bad}\n" in starttally("override", "list", DOMAIN)
    assert starttally("verdict", DOMAIN, code=1).startswith("receiver.example: not-ready\n")


def test_voices_on_the_command_line(world: World, starttally: Command) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY)
    failing(world, detail("certificate-expired", 1), day=today - 4 * DAY, signer="new.example")
    given = starttally("override", "believe", DOMAIN, "TLS <tls@mail.New.example>", "--note", "our customer")
    assert given.startswith("'TLS <tls@mail.New.example>' is the reporter new.example\nkept: ")
    assert f"Believed: new.example\n    covers 6 sessions of 1 voice since {today - 4 * DAY}\n" in given
    assert "ready (560 sessions, 0 would be refused) -> not-ready (566 sessions, 1 would be refused)" in given
    assert "-> ready (" in starttally("override", "dismiss", DOMAIN, "new.example", "--note", "not ours")
    assert starttally("override", "list").count("Believed") == 0
    assert "is the reporter google.com" in starttally("override", "dismiss", DOMAIN, "Google Inc.", "--note", "x")
    given = starttally("override", "believe", DOMAIN, "silent.example", "--note", "x")
    assert "covers nothing that has been reported" in given


def test_a_name_that_a_sender_chose_is_no_voice(
    world: World, starttally: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    monkeypatch.setitem(SIGNERS, "stranger.example", "Trusted Mail Ltd.")
    world.clean(today - 3 * DAY, today - DAY, ["stranger.example"])
    refused = starttally("override", "believe", DOMAIN, "Trusted Mail", "--note", "x", code=2)
    assert "stranger.example" in refused
    assert overrides.given(world.engine) == []
    starttally("override", "believe", DOMAIN, "stranger.example", "--note", "x")
    assert [override.content for override in overrides.given(world.engine)] == [BelievedVoice("stranger.example")]


def test_an_override_for_a_domain_without_reports(world: World, starttally: Command) -> None:
    given = starttally("override", "mx", "new-domain.example", "mx1.new-domain.example", "--note", "to come")
    assert given.endswith(
        "    covers nothing that has been reported\n"
        "verdict of new-domain.example today: none without a report about it, as before\n"
    )


@pytest.mark.parametrize(
    ("typed", "host"),
    [(NO_MX, NO_MX), ("MX1.Receiver.example.", "mx1.receiver.example"), ("[192.0.2.1]", "[192.0.2.1]")],
)
def test_hosts_as_typed(world: World, starttally: Command, typed: str, host: str) -> None:
    """As reports have them: also what is no host name."""
    starttally("override", "accept", DOMAIN, "certificate-expired", "--mx", typed, "--note", "x")
    assert [override.content for override in overrides.given(world.engine)] == [
        AcceptedCause("certificate-expired", host)
    ]


def test_every_override_in_force_says_what_it_covers(world: World, starttally: Command) -> None:
    today = dt.datetime.now(dt.UTC).date()
    for name in ("b.example", "a.example"):
        world.clean(today - 3 * DAY, today - DAY, ["google.com"], policy_domain=name)
        give(world, DismissedVoice("google.com"), domain=name)
    gone = give(world, AcceptedCause("x"), domain="a.example")
    overrides.withdraw(world.engine, "a.example", gone, overrides.Act("bob", at(ON, 13), ""))
    listed = [line.strip() for line in starttally("override", "list", "--all").splitlines()]
    covers = f"covers 60 sessions of 1 voice since {today - 3 * DAY}"
    assert [line for line in listed if line.startswith("covers")] == [covers, covers]
