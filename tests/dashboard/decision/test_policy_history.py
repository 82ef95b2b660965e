"""Which policy is in force: caches hold old policies, so what counts is what senders change to."""

import datetime as dt

import msgspec
import pytest

from dashboard.decision.evidence import Evidence, Probe, QuotedPolicy, ServedPolicy, Sighting, StatedPolicy
from dashboard.decision.facts.policy_history import (
    current_policy,
    expiry,
    held_enforcing,
    largest_max_age,
    previous_age,
    propagation,
    without_new_id,
)
from tests.dashboard.decision.worlds import DAY, ENFORCE, NONE, ON, OTHER, TESTING

FIRST = ON - 40 * DAY
POLICIES = {"T": TESTING, "E": ENFORCE, "O": OTHER, "N": NONE, "F": msgspec.structs.replace(OTHER, mode="enforce")}


def seen(**reporters: str) -> Evidence:
    """A letter for each day and reporter, from FIRST on; "." is a day without a report, "B" both testing and enforce."""
    sightings = (
        Sighting(FIRST + number * DAY, name, POLICIES[mark])
        for name, letters in reporters.items()
        for number, letter in enumerate(letters)
        for mark in {".": "", "B": "TE", "M": "TO"}.get(letter, letter)
    )
    return Evidence("receiver.example", ON, sightings=tuple(sightings))


@pytest.mark.parametrize(
    ("reporters", "mode", "mode_since"),
    [
        ({"a": "TTTT"}, "testing", 0),
        ({"a": "TTTEEE"}, "enforce", 3),
        # b's cache holds the old policy for a while
        ({"a": "TTTEEE", "b": "TTTTTE"}, "enforce", 3),
        ({"a": "TTTEEE", "b": "TTTTTT"}, "enforce", 3),
        # a large sender has a cache for each machine
        ({"a": "TTTBBB"}, "enforce", 3),
        ({"a": "TTTBBEBE"}, "enforce", 3),
        # rolled back after two days, while b keeps the newer policy: believed when it is quoted alone for five days
        ({"a": "TTTEETTTT", "b": "TTTTEEEEE"}, "enforce", 3),
        ({"a": "TTTEETTTTT", "b": "TTTTEEEEEE"}, "testing", 5),
        ({"a": "TTTEEBBTTTT"}, "enforce", 3),
        ({"a": "TTTEEBBTTTTT"}, "testing", 5),
        # ... or for two days by two voices
        ({"a": "TTTEET", "b": "TTTEET"}, "enforce", 3),
        ({"a": "TTTEETT", "b": "TTTEETT"}, "testing", 5),
        ({"a": "TTTEETT", "b": "TTTTEEETT"}, "testing", 5),
        ({"a": "TTTE" + "T" * 4 + "E" * 9, "b": "T" * 9 + "E" * 8}, "enforce", 3),
        # one sender whose caches alternate
        ({"a": "TTT" + "ET" * 10}, "enforce", 3),
        ({"a": "TTT" + "ETT" * 7}, "enforce", 3),
        ({"a": "TTT" + "EETT" * 6, "b": "T" * 27}, "enforce", 3),
        ({"a": "TTT" + "EEETTT" * 3 + "E"}, "enforce", 3),
        ({"a": "TTT" + "EEETTT" * 4}, "enforce", 3),
        ({"a": "TTT" + "EEETTT" * 4 + "T"}, "enforce", 3),
        ({"a": "TTT" + "EEEEETTTTT" * 2 + "EE"}, "enforce", 3),
        ({"a": "TTT" + "EEEEETTTTT" * 3}, "enforce", 3),
        ({"a": "BBBT"}, "testing", 0),
        # back to testing for long, and to enforce again
        ({"a": "TTT" + "E" * 5 + "T" * 16 + "EEEE"}, "testing", 8),
        ({"a": "TTT" + "E" * 5 + "T" * 16 + "EEEEE"}, "enforce", 24),
        # the id was changed for one sender only: it holds all the same
        ({"a": "T" * 5 + "E" * 35, "b": "T" * 40, "c": "T" * 40}, "enforce", 5),
        # a new reporter with an old cache changes nothing
        ({"a": "TTTEEE", "b": ".....T"}, "enforce", 3),
        # nobody reported for a while
        ({"a": "TTT", "b": "...........E"}, "enforce", 11),
    ],
)
def test_the_mode_in_force(reporters: dict[str, str], mode: str, mode_since: int) -> None:
    current = current_policy(seen(**reporters))
    assert current is not None
    assert (current.policy.mode, current.mode_since, current.since) == (mode, FIRST + mode_since * DAY, FIRST)


@pytest.mark.parametrize(
    ("reporters", "mx_digest", "since"),
    [
        ({"a": "TTTOOO", "b": "TTTTTO"}, "nine", 3),
        ({"a": "TTTOOOTTT", "b": "TTTTOOOTT"}, "both", 6),
        ({"a": "TTTMMO"}, "nine", 3),
        # c quotes in a way of its own, from its first report on; two others do not
        ({"a": "T" * 30, "b": "T" * 30, "c": "..." + "O" * 27}, "both", 0),
        # two against one for a few days is a change on its way
        ({"a": "T" * 12, "b": "T" * 12, "c": "TTTTTTTTTTOO"}, "nine", 10),
        # everybody in a way of its own: nobody has changed to anything
        ({"a": "T" * 30, "b": ".O" * 15, "c": "..N" * 10}, "both", 0),
        # everybody changes to something else, and most are odd: the newest word counts
        ({"a": "T" * 10 + "O" * 20, "b": "T" * 10 + "N" * 20, "c": "T" * 30}, "nine", 10),
    ],
)
def test_the_mx_patterns_in_force_and_since_when(reporters: dict[str, str], mx_digest: str, since: int) -> None:
    current = current_policy(seen(**reporters))
    assert current is not None
    assert (current.policy.mx_digest, current.since) == (mx_digest, FIRST + since * DAY)


@pytest.mark.parametrize(
    ("reporters", "mx_digest", "since"),
    [
        # what a voice quotes from its first report on is no change, while others go on quoting something else
        ({"a": "T" * 30, "b": "T" * 30, "s": "." * 29 + "O"}, "both", 0),
        ({"a": "T" * 30, "b": "T" * 30, "s": "." * 20 + "O" * 10}, "both", 0),
        ({"a": "T" * 40, "s": "." * 15 + "O" * 25}, "both", 0),
        ({"a": "T......" * 4, "s": "." * 20 + "O" * 8}, "both", 0),
        # ... until one of the others changes, too
        ({"a": "T" * 26 + "O" * 4, "s": "." * 24 + "O" * 6}, "nine", 26),
        ({"a": "T" * 26 + "MMMM", "s": "." * 24 + "O" * 6}, "nine", 26),
        # ... or they are not heard any more, or most have sided with the new one
        ({"a": "T" * 12, "s": "." * 20 + "OOO"}, "nine", 20),
        ({"a": "T" * 21, "s": "." * 20 + "O" * 15}, "both", 0),
        ({"a": "T" * 21, "s": "." * 20 + "O" * 16}, "nine", 20),
        ({"a": "T" * 40, "r": "." * 20 + "O" * 20, "s": "." * 20 + "O" * 20}, "nine", 20),
        # who changes is believed at once, and forgotten when nobody has followed
        ({"a": "T" * 30, "s": "." * 8 + "T" * 13 + "O" * 9}, "nine", 21),
        ({"a": "T" * 35, "s": "T" * 20 + "O"}, "nine", 20),
        ({"a": "T" * 36, "s": "T" * 20 + "O"}, "both", 0),
    ],
)
def test_who_shows_a_change(reporters: dict[str, str], mx_digest: str, since: int) -> None:
    current = current_policy(seen(**reporters))
    assert current is not None
    assert (current.policy.mx_digest, current.since) == (mx_digest, FIRST + since * DAY)


def test_of_policies_quoted_since_the_look_back_begins_the_one_served_later_is_newer() -> None:
    reports = seen(a="E" * 30, b="T" * 30)
    for first, later in ((TESTING, ENFORCE), (ENFORCE, TESTING)):
        known = (ServedPolicy(first, FIRST - 90 * DAY, ON), ServedPolicy(later, FIRST - 60 * DAY, ON))
        current = current_policy(msgspec.structs.replace(reports, served=known, first_day=FIRST))
        assert current is not None
        assert (current.policy, current.mode_since_before, current.since_before) == (later, True, True)
    young = current_policy(seen(a="T" * 20 + "E" * 20))
    assert young is not None
    assert (young.since_before, young.mode_since_before) == (False, False)


def holders(**reporters: str) -> list[tuple[str, str, int | None]]:
    """Who may hold an older enforcing policy, which, and until which day from FIRST on."""
    reports = seen(**reporters)
    held = held_enforcing(reports, current_policy(reports))
    return [(holder.voice, holder.mx_digest, (holder.until - FIRST).days if holder.until else None) for holder in held]


def test_who_may_go_on_enforcing_an_older_policy() -> None:
    # For max_age, a week, from the day of the change.
    assert holders(a="E" * 20 + "T" * 5, b="E" * 25) == [("a", "both", 27), ("b", "both", 27)]
    assert holders(a="E" * 20 + "N" * 5, b="T" * 25) == [("a", "both", 27)]
    # Nobody, as long as that is the present one, or when it never was in force.
    assert holders(a="T" * 20 + "E" * 5, b="T" * 25) == []
    assert holders(a="T" * 25 + "O" * 5, s="." * 22 + "E" * 4) == []
    assert holders(a="T" * 30, s="." * 22 + "F" * 4) == holders(a="T" * 20 + "O" * 5, s="." * 19 + "F") == []
    assert holders(a="T" * 5, s="." * 4 + "E") == holders() == []
    # Only who quoted it before the change can have it.
    assert holders(a="E" * 20 + "T" * 5, s="." * 22 + "EEE") == [("a", "both", 27)]


def test_whose_cache_may_still_refuse() -> None:
    reports = seen(a="E" * 20 + "T" * 5, b="E" * 22, c="E" * 20 + "B" * 5)
    held = held_enforcing(reports, current_policy(reports))
    assert [(holder.voice, holder.changed) for holder in held] == [("a", True), ("b", False), ("c", False)]


def test_a_probe_of_the_last_day_names_the_policy() -> None:
    reports = seen(a="T" * 40)
    for age, source in ((0, "probe"), (1, "probe"), (2, "reports")):
        probe = Probe(ON - age * DAY, policy=ENFORCE, since=ON - 5 * DAY)
        current = current_policy(msgspec.structs.replace(reports, probe=probe))
        assert current is not None
        assert (current.source, current.policy.mode) == (source, "enforce" if age < 2 else "testing")
        assert (current.since, current.stated) == (FIRST, age < 2)
        assert current.mode_since == (ON - 5 * DAY if age < 2 else FIRST)
    # One that could read no policy names none; the operator's word comes first.
    unread = current_policy(msgspec.structs.replace(reports, probe=Probe(ON, text_ok=False)))
    assert unread is not None
    assert unread.source == "reports"
    both = msgspec.structs.replace(reports, probe=Probe(ON, policy=ENFORCE), stated=StatedPolicy(OTHER, ON))
    stated = current_policy(both)
    assert stated is not None
    assert (stated.source, stated.policy) == ("operator", OTHER)


def test_who_did_not_notice_a_new_id() -> None:
    reports = seen(a="T" * 30 + "E" * 10, b="T" * 40, c="T" * 33, d="T" * 29 + "O")
    current = current_policy(msgspec.structs.replace(reports, stated=StatedPolicy(ENFORCE, FIRST + 30 * DAY)))
    seen_last = propagation(reports, current)
    assert [reporter.voice for reporter in without_new_id(seen_last, current)] == ["b"]
    assert without_new_id(seen_last, None) == ()


def test_the_age_of_what_was_in_force_before() -> None:
    older = msgspec.structs.replace(OTHER, max_age=10**7)
    reports = seen(a="T" * 30 + "E" * 10)
    first = Sighting(FIRST - 30 * DAY, "a", older)
    reports = msgspec.structs.replace(reports, sightings=(first, *reports.sightings))
    current = current_policy(reports)
    assert current is not None
    assert previous_age(reports, current) == dt.timedelta(seconds=604_800)
    only = seen(a="E" * 10)
    now = current_policy(only)
    assert now is not None
    assert previous_age(only, now) == dt.timedelta(0)


def test_an_older_policy_whose_age_nobody_quoted() -> None:
    ageless = msgspec.structs.replace(ENFORCE, max_age=None)
    endless = msgspec.structs.replace(ENFORCE, max_age=10**15)
    for policy, until in ((ageless, None), (endless, FIRST + 3 * DAY + dt.timedelta(seconds=31_557_600))):
        sightings = [Sighting(FIRST + number * DAY, "a", policy if number < 3 else TESTING) for number in range(6)]
        reports = Evidence("receiver.example", ON, sightings=tuple(sightings))
        (holder,) = held_enforcing(reports, current_policy(reports))
        assert holder.until == until


def test_nobody_has_named_a_policy() -> None:
    assert current_policy(seen()) is None
    assert propagation(seen(), None) == ()


def test_the_newest_quote_of_the_policy_in_force_is_shown() -> None:
    longer = msgspec.structs.replace(TESTING, max_age=1_209_600)
    sightings = [Sighting(FIRST + number * DAY, "a", TESTING if number < 3 else longer) for number in range(6)]
    current = current_policy(Evidence("receiver.example", ON, sightings=tuple(sightings)))
    assert current is not None
    assert (current.policy, current.since) == (longer, FIRST)


def test_what_is_stated_outranks_reports() -> None:
    reports = seen(a="TTTEEE")
    stated = msgspec.structs.replace(reports, stated=StatedPolicy(TESTING, ON - DAY))
    current = current_policy(stated)
    assert current is not None
    # The mx patterns are the ones reported since FIRST; the mode is not the one that reports name.
    assert (current.policy, current.since, current.mode_since, current.stated) == (TESTING, FIRST, ON - DAY, True)
    same = current_policy(msgspec.structs.replace(reports, stated=StatedPolicy(ENFORCE, ON)))
    assert same is not None
    assert same.mode_since == FIRST + 3 * DAY
    other = current_policy(msgspec.structs.replace(reports, stated=StatedPolicy(OTHER, ON)))
    assert other is not None
    assert (other.since, other.mode_since) == (ON, ON)


def test_who_sees_which_policy() -> None:
    reports = seen(a="TTEE", b="TTT", c="TTTB")
    reporters = propagation(reports, current_policy(reports))
    assert [(reporter.organization, reporter.policy.mode, reporter.current) for reporter in reporters] == [
        ("b", "testing", False),
        ("a", "enforce", True),
        ("c", "enforce", True),
    ]
    assert reporters[0].day == FIRST + 2 * DAY


def served(policy: QuotedPolicy, last: int, **changes: int | None) -> ServedPolicy:
    return ServedPolicy(msgspec.structs.replace(policy, **changes), FIRST, FIRST + last * DAY)


def test_until_when_an_old_policy_may_be_applied() -> None:
    history = [served(ENFORCE, 10), served(ENFORCE, 5, max_age=30 * 86_400), served(NONE, 20), served(TESTING, 20)]
    # The longest-lived is not the one that was served last.
    assert expiry(history, TESTING) == FIRST + 35 * DAY
    # Caches quote it for long; since the present one came, nobody could fetch it.
    assert expiry(history, TESTING, FIRST + 3 * DAY) == FIRST + 33 * DAY
    assert expiry([served(TESTING, 20), served(ENFORCE, 3, max_age=None)], TESTING) is None
    assert expiry([served(msgspec.structs.replace(ENFORCE, mode="enforced"), 3)], TESTING) is None
    assert largest_max_age(history) == 30 * 86_400
    assert largest_max_age([served(NONE, 3)]) is None
