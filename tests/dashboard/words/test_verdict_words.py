"""The verdict in sentences: for each verdict and each reason, in the right number and tense, with the command to run."""

import ast
import datetime as dt
import re
from collections.abc import Iterator

import msgspec
import pytest

from dashboard.decision import verdict as rules
from dashboard.decision.verdict import Verdict, decide
from dashboard.words.faces import FACES
from dashboard.words.next_words import STEPS, next_words
from dashboard.words.reason_words import WORDS, in_words
from dashboard.words.verdict_words import evidence, in_brief, lines, policy_in_force, sentence
from tests.dashboard.decision.case_reports import evidence_on
from tests.dashboard.decision.field_cases import CASES, Case, day_of
from tests.dashboard.decision.scenes import SCENES, STRANGER, bad, quoting, scene
from tests.dashboard.decision.worlds import ENFORCE, GOOGLE, ON, TESTING, daily, with_strangers
from tests.dashboard.decision.worlds import evidence as of
from tests.support import ROOT

DOMAIN = "receiver.example"
NOTE = '--note "..."'
NEXT = f"starttally policy next {DOMAIN}"
LOOK = f"curl -i https://mta-sts.{DOMAIN}/.well-known/mta-sts.txt"
MX1, MX9 = f"mx1.{DOMAIN}", f"mx9.{DOMAIN}"
REPAIRED = f"starttally override repaired {DOMAIN} certificate-expired --mx {MX1} --on 2026-03-28 {NOTE}"
ACCEPT = f"starttally override accept {DOMAIN} certificate-expired --mx {MX1} {NOTE}"
ACCEPT_ONE = f"starttally override accept {DOMAIN} certificate-expired --mx {MX1} --voice google.com {NOTE}"
FEWER = f"starttally override thresholds {DOMAIN} --reporters 1 {NOTE}"

# Scene, verdict, what its sentence says, what its next step says, the commands of it in order.
TOLD = [
    ("ready", "ready", "may go to enforce. Of 560 sessions that 2 independent", "in mode enforce", [NEXT]),
    ("ready-accused", "ready", "strangers, who are not known, tell of refused", "in mode enforce", [NEXT]),
    ("not-ready", "not-ready", "3 of 573 sessions (0.52 %) would not", f"Repair certificate-expired at {MX1} (3", [REPAIRED, ACCEPT]),
    ("not-ready-one-session", "not-ready", "1 of 566 sessions (0.18 %)", "(1 session).", [REPAIRED, ACCEPT_ONE]),
    ("not-ready-two-causes", "not-ready", "5 of 580 sessions", "(4 sessions), then 1 other cause.", [REPAIRED, ACCEPT]),
    ("not-ready-lately", "not-ready", "2 sessions of the newest days would", "(2 sessions)", None),
    ("not-ready-misfit", "not-ready", "3 of 568", "if it is yours; if not, somebody answers MX queries falsely.", None),
    ("not-ready-misfit-listed", "not-ready", "3 of 568", f'line to the policy: "mx: {MX9}".', None),
    ("not-ready-host-missing", "not-ready", "it would refuse mail to 1 MX host", f'this line: "mx: {MX9}".', [NEXT]),
    ("enforcing-early", "enforcing", "no mail has been refused so far.", "Wait until 2026-04-10", [NEXT]),
    ("enforcing-first-days", "enforcing", "no mail has been refused so far.", "keep max_age as it is", [NEXT]),
    ("enforcing", "enforcing", "no mail has been refused since 2026-01-01.", "Raise max_age step by step", [NEXT]),
    ("enforcing-long", "enforcing", "no mail has been refused since", "Nothing: the policy enforces", []),
    ("enforcing-past", "enforcing", "now: 1 of 23,206 sessions (<0.01 %) was refused on 2026-03-15", "Raise max_age", [NEXT]),
    ("enforcing-accused", "enforcing", "no mail that a known reporter sees has been refused", "Raise max_age", [NEXT]),
    ("enforcing-refusing", "enforcing-refusing", "1 session was refused, last on 2026-03-28.", "or go back to testing", [NEXT, REPAIRED, ACCEPT_ONE]),
    ("will-be-refused", "enforcing-refusing", "Mail will be turned away from 2026-04-03", "Do it at once", None),
    ("refusing-host-missing", "policy-broken", "leaves out 1 MX host", f'this line: "mx: {MX9}".', [NEXT]),
    ("rolled-back", "enforcing-refusing", "an older policy in mode enforce", "may refuse until 2026-04-01.", None),
    ("rolled-back-ageless", "enforcing-refusing", "an older policy", "until their max_age ends, which nobody quoted.", None),
    ("rolled-back-withdrawn", "enforcing-refusing", "an older policy", "go on serving its file", None),
    ("rolled-back-other", "enforcing-refusing", "an older policy", "Nothing is to be published again", None),
    ("withdrawn", "withdrawn", "mode none, since 2026-03-29", "until 2026-04-05, the last day on which a sender may", [LOOK]),
    ("withdrawn-long-ago", "withdrawn", "mode none", "Delete it: ", []),
    ("withdrawn-ageless", "withdrawn", "mode none", "for as long as the largest max_age", [LOOK]),
    ("policy-gone", "policy-broken", "Senders that knew this domain's policy find none since 2026-03-28", "Publish the TXT", None),
    ("policy-gone-one", "policy-broken", "A sender that knew this domain's policy finds none", "Publish the TXT record", None),
    ("policy-failures", "policy-broken", "cannot get or read", f"web server of mta-sts.{DOMAIN}", None),
    ("policy-faulty", "policy-broken", "is faulty", "Correct the policy file", None),
    ("policy-faulty-probe", "policy-broken", "is faulty", "Correct the policy file", [LOOK, "starttally policy lint FILE"]),
    ("no-policy", "no-policy", "Senders look for an MTA-STS policy and find none", "mode testing", [f"{NEXT} --mx HOST"]),
    ("no-policy-failing", "no-policy", "2 of 20 sessions (10 %) failed in TLS", "Repair what fails", [f"{NEXT} --mx HOST"]),
    ("one-found-none", "no-policy", "this sender found none", "mode testing", [f"{NEXT} --mx HOST"]),
    ("too-few-reporters", "insufficient-evidence", "1 of 2 independent reporters", "let a probe find", None),
    ("too-few-sessions", "insufficient-evidence", "28 of 299 clean sessions.", "brings no more sessions", []),
    ("clean-days", "insufficient-evidence", "ready on 2026-04-07 if it stays so", "ready on 2026-04-07 if it stays so", []),
    ("clean-days-repaired", "insufficient-evidence", "Sessions failed until 2026-03-28", "ready on 2026-04-14 if", []),
    ("policy-unknown", "insufficient-evidence", "Nobody quotes a policy", "Enter the policy", [f"starttally override policy {DOMAIN} FILE {NOTE}"]),
    ("no-known-voice", "insufficient-evidence", "No known reporter", "Believe a reporter", [f"starttally override believe {DOMAIN} {STRANGER} {NOTE}"]),
    ("nothing-arrived", "insufficient-evidence", "No known reporter", "Wait for reports", [f"starttally export reports --domain {DOMAIN}"]),
    ("probed", "insufficient-evidence", "280 of 299 clean sessions; ready on 2026-04-01", "ready on 2026-04-01", None),
    ("dane", "ready", "none would have been refused", "in mode enforce", [NEXT]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "verdict", "says", "asks", "commands"), TOLD, ids=[row[0] for row in TOLD])
def test_each_verdict_tells_what_is_so_and_what_to_do(
    name: str, verdict: str, says: str, asks: str, commands: list[str] | None
) -> None:
    judged = scene(name)
    assert judged.name == verdict
    assert says in sentence(judged)
    step = next_words(judged)
    assert asks in step.words
    if commands is not None:
        assert [command.command for command in step.commands] == commands


def test_every_scene_is_told() -> None:
    assert [row[0] for row in TOLD] == list(SCENES)


# One of many: "1 sessions" and its like, but "1 of 5 sessions".
WRONG_NUMBER = re.compile(
    r"(?<![\d,.])1 (?!of\b)(?:[a-z]+ ){0,2}(?:sessions|reporters|days|causes|hosts|senders|reports|strangers|were|have)\b"
)
UNTOLD = re.compile(r"\bNone\b|\{|\}|  |\(\)| ,| \.(?!well-known)|\.\.(?!\.\")")


def faults_of(verdict: Verdict) -> Iterator[str]:
    for line in lines(verdict):
        words = line.strip()
        if WRONG_NUMBER.search(words) or UNTOLD.search(words.replace('"..."', "")) or "below" in words:
            yield words


@pytest.mark.parametrize("name", SCENES)
def test_number_and_form_are_right(name: str) -> None:
    assert list(faults_of(scene(name))) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.domain)
def test_number_and_form_are_right_in_every_case(case: Case) -> None:
    for number in range(2, 60, 4):
        verdict = decide(evidence_on(case.domain, case.reports, day_of(number)))
        assert list(faults_of(verdict)) == []
        assert in_brief(verdict)


def test_a_wrong_number_would_be_found() -> None:
    for wrong in ("1 sessions", "of 1 independent reporters", "1 clean days", "1 were refused"):
        assert WRONG_NUMBER.search(wrong), wrong
    for right in ("1 session", "1 of 14 clean days", "11 sessions", "0.1 reports", "7,001 sessions"):
        assert not WRONG_NUMBER.search(right), right


def code_literals() -> set[str]:
    """What stands in the modules that make reasons and looks like a code."""
    literals = set()
    for module in ("verdict", "naming", "remarks", "outlook"):
        for node in ast.walk(ast.parse((ROOT / "dashboard" / "decision" / f"{module}.py").read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                literals.add(node.value)
    return {text for text in literals if re.fullmatch(r"[a-z\d]+(-[a-z\d]+)+", text)}


def test_every_reason_has_words() -> None:
    assert code_literals() - set(FACES) <= set(WORDS)
    # One is made of two others; one is a single word.
    assert set(WORDS) - code_literals() == {"nothing-refused-by-known-so-far", "newcomers"}


def test_every_verdict_has_a_face_and_a_sentence() -> None:
    assert set(FACES) == set(rules.URGENCY)
    assert {scene(name).name for name in SCENES if sentence(scene(name))} == set(rules.URGENCY)
    assert len({face.title for face in FACES.values()}) == len(FACES)


def test_every_reason_that_can_make_a_verdict_has_a_step() -> None:
    blocking = {reason.code for name in SCENES for reason in scene(name).reasons if reason.blocking}
    assert blocking <= set(STEPS) <= set(WORDS)
    # What no scene can show: both kinds of remarks become reasons together.
    assert set(STEPS) - blocking == {"nothing-refused-by-known-so-far"}


def test_every_reason_can_be_told_without_days_names_or_figures() -> None:
    verdict = scene("ready")
    for code in WORDS:
        for figure in (0, 1, 2):
            bare = rules.Reason(code, figure)
            assert in_words(bare, verdict)


def test_the_sentence_has_no_text_of_strangers() -> None:
    """It stands where Markdown is read."""
    hostile = "evil [x](http://x) :material/check:"
    for name in SCENES:
        known = SCENES[name]()
        voices = {
            voice: msgspec.structs.replace(speaker, organization=hostile) for voice, speaker in known.voices.items()
        }
        verdict = decide(msgspec.structs.replace(known, voices=voices, mx_hosts=tuple(known.mx_hosts)))
        assert "evil" not in sentence(verdict)


def test_what_is_over_is_told_in_the_past_tense_with_its_days() -> None:
    text = "\n".join(lines(scene("enforcing-past")))
    assert f"certificate-expired at {MX1}: 1 session failed on 2026-03-15; over since." in text
    assert "Enforce refused it. Seen by 1 of 2 reporters: Google Inc. 1 (google.com)." in text
    assert "- 1 of 23,206 sessions (<0.01 %) was refused on 2026-03-15, clean since (reported by Google Inc.)." in text
    assert "override repaired" not in text
    assert "override accept" not in text


def test_the_figures_of_the_window_and_of_the_newest_days_stand_apart() -> None:
    assert evidence(scene("not-ready-lately")) == (
        "Evidence, from 2026-03-15 to 2026-03-28: none of 560 sessions by 2 independent reporters would have been refused; "
        "apart from these, 2 sessions of the newest days (from 2026-03-29 to 2026-03-31) would have been refused."
    )
    assert evidence(scene("not-ready")) == (
        "Evidence, from 2026-03-15 to 2026-03-28: 3 of 573 sessions by 2 independent reporters would have been refused "
        "(0.52 %), at most 1.35 % with 95 % confidence."
    )
    assert evidence(scene("enforcing-first-days")) == "Evidence: no complete day since the switch is known yet."
    assert evidence(scene("policy-unknown")).endswith(": no session counts.")


def test_where_no_session_succeeded_nothing_is_said_to_speak_for_enforce() -> None:
    case = next(case for case in CASES if case.domain == "all-failed.example")
    assert sentence(decide(evidence_on(case.domain, case.reports, day_of(25)))).startswith(
        "No session that counts has succeeded, so too little is known yet: 0 of 2 independent reporters, "
    )


def test_what_was_refused_before_a_roll_back_was_refused() -> None:
    change = ON - 20 * dt.timedelta(days=1)
    day = dt.timedelta(days=1)
    before = daily(change - 20 * day, change - day, policy=ENFORCE, successful=200)
    entries = [*before, bad(change - day, GOOGLE, 1, ENFORCE), *daily(change, ON, successful=200)]
    verdict = decide(quoting(*entries, on=change + 10 * day))
    assert verdict.mode == "testing"
    told = "\n".join(lines(verdict))
    assert "Enforce refused it." in told
    assert "was refused or would have been" in told


@pytest.mark.parametrize(("first", "words"), [(89, "since 2026-01-01"), (92, "since before 2025-12-29")])
def test_what_is_older_than_the_look_back_is_not_dated(first: int, words: str) -> None:
    since = ON - dt.timedelta(days=first) if first > 90 else dt.date(2026, 1, 1)
    verdict = decide(of(*daily(), since=since))
    assert (
        policy_in_force(verdict)
        == f"Policy in force (by what senders quote): mode testing {words}, its mx lines {words}."
    )


def test_nothing_speaks_against_it_is_not_told_while_somebody_does() -> None:
    accused = decide(with_strangers(of(*daily(signers=[GOOGLE]), bad(ON, STRANGER, 7)), STRANGER))
    assert sentence(accused).startswith("Known reporters tell of nothing against enforce, but")
    text = "\n".join(lines(accused))
    assert "stranger.example Ltd., not known, says that 7 of 12 sessions (58 %) would have been refused." in text
    assert f"starttally override dismiss {DOMAIN} {STRANGER} {NOTE}" in text
    assert "With them the verdict would be not-ready." in text


def test_a_single_reporter_can_be_made_enough() -> None:
    verdict = decide(of(*daily(signers=[GOOGLE], successful=100)))
    step = next_words(verdict)
    assert [command.command for command in step.commands] == [FEWER]
    assert step.commands[0].when == "If 1 reporter is enough for this domain"


def test_the_order_of_the_lines() -> None:
    """Sentence, figures, reasons, causes with their commands, remarks, next step."""
    told = list(lines(scene("not-ready-misfit")))
    heads = [re.match(r"(\* |- |    |  |Next: |Policy |Evidence)?", line)[0] for line in told]  # type: ignore[index]
    assert heads == ["", "Policy ", "Evidence", "* ", "  ", *["    "] * 4, "- ", "- ", "Next: ", "    ", "    "]


def test_accepted_sessions_are_told_of() -> None:
    from dashboard.decision.evidence import Acceptance

    verdict = decide(of(*daily(), bad(ON - dt.timedelta(days=5)), acceptances=(Acceptance(ON),)))
    assert verdict.name == rules.READY
    assert sentence(verdict).endswith("their sessions are refused all the same.")
    text = "\n".join(lines(verdict))
    assert "2 refused sessions are left out, because the cause was accepted." in text
    assert "2 sessions failed on 2026-03-26 (accepted)." in text
    assert TESTING.mode == verdict.mode
