"""Words as evidence: which policy counts when the operator has entered one and senders quote others."""

import datetime as dt

import msgspec
import pytest

from dashboard.decision.evidence import NO_MX, Acceptance, Evidence, ServedPolicy, Sighting, Thresholds
from dashboard.decision.overrides import overrides
from dashboard.decision.overrides.overrides import policy_of, with_overrides, with_stated_policy
from dashboard.decision.verdict import decide
from dashboard.decision.weighing import sessions_needed
from dashboard.queries.question import Scope
from dashboard.words.override_words import what
from ingest.testimony.override_rules import AcceptedCause, Content, EnteredPolicy, MxHosts, Override, OwnThresholds
from ingest.text.shares import percent

DAY = dt.timedelta(days=1)
ON = dt.date(2026, 3, 31)
STATED = ON - 10 * DAY
TEXTS = {
    "testing": "version: STSv1\nmode: testing\nmx: mx1.example\nmax_age: 604800\n",
    "enforce": "version: STSv1\nmode: enforce\nmx: mx1.example\nmax_age: 604800\n",
    "longer": "version: STSv1\nmode: enforce\nmx: mx1.example\nmax_age: 1209600\n",
    "other": "version: STSv1\nmode: testing\nmx: mx9.example\nmax_age: 604800\n",
}
POLICIES = {name: policy_of(text, ())[0] for name, text in TEXTS.items()}


def override(content: Content, day: dt.date = STATED, **more: object) -> Override:
    given = dt.datetime.combine(day, dt.time(9), dt.UTC)
    return msgspec.structs.replace(Override("receiver.example", str(day), content, "why", "alice", given), **more)


def quoted(*quotes: tuple[str, int, str]) -> Evidence:
    """(reporter, days before ON, policy) as evidence."""
    sightings = [Sighting(ON - ago * DAY, who, POLICIES[name]) for who, ago, name in quotes]
    served = []
    for name in dict.fromkeys(name for _, _, name in quotes):
        days = [seen.day for seen in sightings if seen.policy == POLICIES[name]]
        served.append(ServedPolicy(POLICIES[name], min(days), max(days)))
    return Evidence("receiver.example", ON, sightings=tuple(sightings), served=tuple(served))


def mode_in_force(evidence: Evidence, stated: str) -> str:
    """The text that the verdict takes for the policy in force, and a star when it is the entered one."""
    verdict = decide(with_stated_policy(evidence, [override(EnteredPolicy(TEXTS[stated]))]))
    assert verdict.current is not None
    (name,) = [name for name, policy in POLICIES.items() if policy == verdict.current.policy]
    return name + ("*" if verdict.current.stated else "")


@pytest.mark.parametrize(
    ("stated", "quotes", "in_force"),
    [
        ("enforce", [], "enforce*"),
        # Reports lag: the old policy, before and after.
        ("enforce", [("a", 20, "testing"), ("a", 3, "testing")], "enforce*"),
        # They have caught up.
        ("enforce", [("a", 20, "testing"), ("a", 3, "enforce")], "enforce*"),
        # They went on to another one, or back.
        ("enforce", [("a", 20, "testing"), ("a", 8, "enforce"), ("a", 2, "testing")], "enforce*"),
        (
            "enforce",
            [("a", 20, "testing"), ("a", 8, "enforce"), *(("a", ago, "testing") for ago in (6, 5, 4, 3, 2))],
            "testing",
        ),
        ("enforce", [("a", 20, "testing"), ("a", 8, "enforce"), ("a", 2, "other")], "other"),
        # They skipped the entered one.
        ("enforce", [("a", 20, "testing"), ("a", 2, "other")], "other"),
        # A change before the entered day, or on it, is older.
        ("enforce", [("a", 20, "testing"), ("a", 11, "other"), ("a", 2, "other")], "enforce*"),
        ("enforce", [("a", 20, "testing"), ("a", 10, "other"), ("a", 2, "other")], "enforce*"),
        # Who is heard for the first time may have an old policy in its cache.
        ("enforce", [("a", 3, "testing")], "enforce*"),
        ("enforce", [("a", 20, "testing"), ("b", 3, "other")], "enforce*"),
        ("enforce", [("b", 3, "testing"), ("b", 2, "enforce")], "enforce*"),
        # Only the age is another one: a text never quoted before the entered day is newer.
        ("enforce", [("a", 8, "enforce"), ("a", 2, "longer")], "longer"),
        ("enforce", [("a", 20, "longer"), ("a", 2, "longer")], "enforce*"),
    ],
)
def test_which_policy_counts(stated: str, quotes: list[tuple[str, int, str]], in_force: str) -> None:
    assert mode_in_force(quoted(*quotes), stated) == in_force


def test_what_is_overtaken_is_said() -> None:
    evidence = with_stated_policy(
        quoted(("a", 20, "enforce"), ("a", 2, "other")), [override(EnteredPolicy(TEXTS["enforce"]))]
    )
    assert (evidence.stated, evidence.overtaken and evidence.overtaken.day) == (None, STATED)
    reasons = {reason.code: reason for reason in decide(evidence).reasons}
    assert (reasons["stated-policy-overtaken"].figure, reasons["stated-policy-overtaken"].blocking) == (10, False)


def test_acceptances_keep_their_days() -> None:
    until = ON + DAY
    evidence = with_overrides(quoted(), [override(AcceptedCause("x", NO_MX, "y"), until=until)], Thresholds())
    assert evidence.acceptances == (Acceptance(STATED, until, "x", NO_MX, "y"),)


@pytest.mark.parametrize(
    ("accepted", "host", "covered"),
    [
        (NO_MX, "", True),
        (NO_MX, "mx1.example", False),
        ("", "", True),
        ("", "mx1.example", True),
        ("mx1.example", "", False),
    ],
)
def test_the_host_of_an_acceptance(accepted: str, host: str, covered: bool) -> None:
    assert Acceptance(ON, mx_host=accepted).covers(ON, "x", host, "y") is covered


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (AcceptedCause("certificate-expired"), "Accepted: certificate-expired"),
        (AcceptedCause(mx_host=NO_MX), "Accepted: any failure without an MX host"),
        (AcceptedCause("x", "mx1.example", "Google"), "Accepted: x at mx1.example, reported by Google"),
        (OwnThresholds(0.005, 1), "Own thresholds: at most 0.5 % refused, 1 independent reporter"),
        (OwnThresholds(window_days=1, late_days=0), "Own thresholds: 1 complete day, the newest 0 left out"),
        (OwnThresholds(reporters=3, confidence=0.999), "Own thresholds: 3 independent reporters, at 99.9 % confidence"),
        (EnteredPolicy(TEXTS["testing"]), "Policy entered by hand: mode testing, mx mx1.example, max_age 604800"),
        (EnteredPolicy("mode: none\n", ("a.b",)), "Policy entered by hand (faulty): mode none, mx -; MX hosts a.b"),
        (EnteredPolicy("mx: a.b\n"), "Policy entered by hand (faulty): mode unknown, mx a.b"),
        (MxHosts(tuple("abcdefghij")), "MX hosts: a, b, c, d, e, f, g, h and 2 more"),
    ],
)
def test_a_word_in_words(content: Content, words: str) -> None:
    assert what(content) == words


def test_result_types_have_names() -> None:
    assert what(AcceptedCause("x"), str.upper) == "Accepted: X"
    assert percent(1e-7) == "1e-05 %"


def test_a_long_mode_is_cut_as_in_reports() -> None:
    assert policy_of(f"mode: {'x' * 99}\n", ())[0].mode == "x" * 32


def test_a_word_that_is_not_in_force_yet_has_no_later_ones() -> None:
    later = override(MxHosts(("a.b",)), ON)
    assert overrides.state(override(MxHosts(("a.c",))), [later], ON) == overrides.IN_FORCE


@pytest.mark.parametrize(
    ("thresholds", "sessions"),
    [
        (Thresholds(), 299),
        (Thresholds(bound=0.05), 59),
        (Thresholds(confidence=0.9), 230),
        (Thresholds(bound=5e-324), 2**53),
    ],
)
def test_sessions_needed(thresholds: Thresholds, sessions: int) -> None:
    assert sessions_needed(thresholds) == sessions


@pytest.mark.parametrize(
    ("patterns", "domain", "holds"),
    [
        (None, "a.example", True),
        (("*",), "a.example", True),
        ((), "a.example", False),
        (("A.example",), "a.example", True),
        (("a.example",), "x.a.example", False),
        (("*.a.example",), "a.example", False),
        (("*.a.example",), "ba.example", False),
        (("*.A.example",), "x.y.a.example", True),
    ],
)
def test_who_may_speak_about_a_domain(patterns: tuple[str, ...] | None, domain: str, holds: bool) -> None:
    assert Scope(patterns).holds(domain) is holds
