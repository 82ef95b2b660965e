"""Which policy is in force: caches hold old policies, so what counts is what senders change to."""

import datetime as dt

import msgspec
import pytest

from dashboard.evidence import Evidence, Policy, ServedPolicy, Sighting, StatedPolicy
from dashboard.policy_history import current_policy, expiry, held_enforcing, largest_max_age, propagation
from tests.verdict.worlds import ENFORCE, NONE, ON, OTHER, TESTING

DAY = dt.timedelta(days=1)
FIRST = ON - 40 * DAY
POLICIES = {"T": TESTING, "E": ENFORCE, "O": OTHER, "N": NONE, "F": msgspec.structs.replace(OTHER, mode="enforce")}


def seen(**reporters: str) -> Evidence:
    """A letter for each day and reporter, from FIRST on; "." is a day without a report, "B" both testing and enforce."""
    found = (
        Sighting(FIRST + number * DAY, name, name, POLICIES[one])
        for name, letters in reporters.items()
        for number, letter in enumerate(letters)
        for one in {".": "", "B": "TE", "M": "TO"}.get(letter, letter)
    )
    return Evidence("receiver.example", ON, sightings=tuple(found))


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
        # rolled back after two days, while b keeps the newer policy
        ({"a": "TTTEETT", "b": "TTTTEEE"}, "testing", 5),
        ({"a": "TTTEEBBT"}, "testing", 5),
        # a new reporter with an old cache changes nothing
        ({"a": "TTTEEE", "b": ".....T"}, "enforce", 3),
        # nobody reported for a while
        ({"a": "TTT", "b": "...........E"}, "enforce", 11),
    ],
)
def test_the_mode_in_force(reporters: dict[str, str], mode: str, mode_since: int) -> None:
    found = current_policy(seen(**reporters))
    assert found is not None
    assert (found.policy.mode, found.mode_since, found.since) == (mode, FIRST + mode_since * DAY, FIRST)


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
        # everybody in a way of its own: the last to appear
        ({"a": "T" * 30, "b": ".O" * 15, "c": "..N" * 10}, "nothing", 2),
    ],
)
def test_the_mx_patterns_in_force_and_since_when(reporters: dict[str, str], mx_digest: str, since: int) -> None:
    found = current_policy(seen(**reporters))
    assert found is not None
    assert (found.policy.mx_digest, found.since) == (mx_digest, FIRST + since * DAY)


@pytest.mark.parametrize(
    ("reporters", "mx_digest", "since"),
    [
        # who is new to a domain changes nothing, for one day or for long, while an older reporter contradicts
        ({"a": "T" * 30, "b": "T" * 30, "s": "." * 29 + "O"}, "both", 0),
        ({"a": "T" * 30, "b": "T" * 30, "s": "." * 20 + "O" * 10}, "both", 0),
        ({"a": "T" * 30, "s": "." * 20 + "TTTTTOOOOO"}, "both", 0),
        ({"a": "T" * 40, "s": "." * 15 + "O" * 25}, "both", 0),
        ({"a": "T......" * 4, "s": "." * 20 + "O" * 8}, "both", 0),
        # ... until the older one sees it too
        ({"a": "T" * 26 + "O" * 4, "s": "." * 24 + "O" * 6}, "nine", 26),
        ({"a": "T" * 26 + "MMMM", "s": "." * 24 + "O" * 6}, "nine", 26),
        # ... or is not heard any more, or most others have sided with the new one
        ({"a": "T" * 12, "s": "." * 20 + "OOO"}, "nine", 20),
        ({"a": "T" * 21, "s": "." * 20 + "O" * 15}, "both", 0),
        ({"a": "T" * 21, "s": "." * 20 + "O" * 16}, "nine", 20),
        ({"a": "T" * 40, "r": "." * 20 + "O" * 20, "s": "." * 20 + "O" * 20}, "nine", 20),
        ({"a": "T" * 35, "r": "." * 20 + "O" * 15, "s": "." * 20 + "O" * 15}, "both", 0),
        # nobody is older in a domain's first week
        ({"a": "T" * 12, "s": "......OOOOOO"}, "nine", 6),
        ({"a": "T" * 12, "s": ".......OOOOO"}, "both", 0),
        # who is known for two weeks is believed, and forgotten when nobody has followed
        ({"a": "T" * 30, "s": "." * 8 + "T" * 13 + "O" * 9}, "both", 0),
        ({"a": "T" * 30, "s": "." * 8 + "T" * 14 + "O" * 8}, "nine", 22),
        ({"a": "T" * 35, "s": "T" * 20 + "O"}, "nine", 20),
        ({"a": "T" * 36, "s": "T" * 20 + "O"}, "both", 0),
    ],
)
def test_whose_word_about_a_change_is_believed(reporters: dict[str, str], mx_digest: str, since: int) -> None:
    found = current_policy(seen(**reporters))
    assert found is not None
    assert (found.policy.mx_digest, found.since) == (mx_digest, FIRST + since * DAY)


def test_the_age_of_a_policy_is_told_by_those_who_are_known() -> None:
    endless = msgspec.structs.replace(TESTING, max_age=31_557_600)
    known = seen(a="T" * 29, s="." * 29 + "T").sightings
    sightings = tuple(msgspec.structs.replace(one, policy=endless) if one.reporter == "s" else one for one in known)
    found = current_policy(Evidence("receiver.example", ON, sightings=sightings))
    assert found is not None
    assert found.policy == TESTING


def test_a_newcomer_names_no_other_mode_either() -> None:
    found = current_policy(seen(a="T" * 10 + "E" * 20, s="." * 25 + "TTTTT"))
    assert found is not None
    assert (found.policy.mode, found.mode_since) == ("enforce", FIRST + 10 * DAY)
    found = current_policy(seen(a="T" * 30, s="." * 25 + "EEEEE"))
    assert found is not None
    assert found.policy.mode == "testing"


def test_reports_about_long_ago_that_come_today_make_nobody_older() -> None:
    letters = {"a": "T" * 30, "s": "T" * 25 + "OOOOO"}
    late = [
        msgspec.structs.replace(one, came=FIRST + 25 * DAY) if one.reporter == "s" else one
        for one in seen(**letters).sightings
    ]
    for sightings, mx_digest in ((seen(**letters).sightings, "nine"), (tuple(late), "both")):
        found = current_policy(Evidence("receiver.example", ON, sightings=sightings))
        assert found is not None
        assert found.policy.mx_digest == mx_digest
    # Nor is a policy in force for longer because somebody writes today about then.
    young = seen(a="." * 20 + "O" * 5, s="O" * 25).sightings
    for days, since in ((20, 0), (26, 0), (27, 20)):
        late = [msgspec.structs.replace(one, came=FIRST + days * DAY) if one.reporter == "s" else one for one in young]
        found = current_policy(Evidence("receiver.example", ON, sightings=tuple(late)))
        assert found is not None
        assert found.since == FIRST + since * DAY


def test_where_all_reports_come_at_once_the_days_they_are_about_tell_who_is_older() -> None:
    for letters, mx_digest in (({"a": "T" * 30, "s": "." * 28 + "OO"}, "both"), ({"a": "T" * 20 + "O" * 10}, "nine")):
        loaded = tuple(msgspec.structs.replace(one, came=ON) for one in seen(**letters).sightings)
        found = current_policy(Evidence("receiver.example", ON, sightings=loaded))
        assert found is not None
        assert found.policy.mx_digest == mx_digest


def test_after_a_change_the_older_ones_are_still_older() -> None:
    found = current_policy(seen(a="T" * 20 + "O" * 10, s="." * 21 + "F" * 9))
    assert found is not None
    assert (found.policy, found.since) == (OTHER, FIRST + 20 * DAY)


def holders(**reporters: str) -> list[tuple[str, str, int | None]]:
    """Who may hold an older enforcing policy, which, and until which day from FIRST on."""
    reports = seen(**reporters)
    found = held_enforcing(reports, current_policy(reports))
    return [(one.reporter, one.mx_digest, (one.until - FIRST).days if one.until else None) for one in found]


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
    reports = seen(a="E" * 20 + "T" * 5, s="E")
    late = tuple(
        msgspec.structs.replace(one, came=FIRST + 23 * DAY) if one.reporter == "s" else one for one in reports.sightings
    )
    reports = msgspec.structs.replace(reports, sightings=late)
    assert [one.reporter for one in held_enforcing(reports, current_policy(reports))] == ["a"]


def test_an_older_policy_whose_age_nobody_quoted() -> None:
    ageless = msgspec.structs.replace(ENFORCE, max_age=None)
    endless = msgspec.structs.replace(ENFORCE, max_age=10**15)
    for policy, until in ((ageless, None), (endless, FIRST + 3 * DAY + dt.timedelta(seconds=31_557_600))):
        sightings = [Sighting(FIRST + number * DAY, "a", "a", policy if number < 3 else TESTING) for number in range(6)]
        reports = Evidence("receiver.example", ON, sightings=tuple(sightings))
        (found,) = held_enforcing(reports, current_policy(reports))
        assert found.until == until


def test_nobody_has_named_a_policy() -> None:
    assert current_policy(seen()) is None
    assert propagation(seen(), None) == ()


def test_the_newest_quote_of_the_policy_in_force_is_shown() -> None:
    longer = msgspec.structs.replace(TESTING, max_age=1_209_600)
    sightings = [Sighting(FIRST + number * DAY, "a", "a", TESTING if number < 3 else longer) for number in range(6)]
    found = current_policy(Evidence("receiver.example", ON, sightings=tuple(sightings)))
    assert found is not None
    assert (found.policy, found.since) == (longer, FIRST)


def test_what_is_stated_outranks_reports() -> None:
    reports = seen(a="TTTEEE")
    stated = msgspec.structs.replace(reports, stated=StatedPolicy(TESTING, ON - DAY))
    found = current_policy(stated)
    assert found is not None
    # The mx patterns are the ones reported since FIRST; the mode is not the one that reports name.
    assert (found.policy, found.since, found.mode_since, found.stated) == (TESTING, FIRST, ON - DAY, True)
    same = current_policy(msgspec.structs.replace(reports, stated=StatedPolicy(ENFORCE, ON)))
    assert same is not None
    assert same.mode_since == FIRST + 3 * DAY
    other = current_policy(msgspec.structs.replace(reports, stated=StatedPolicy(OTHER, ON)))
    assert other is not None
    assert (other.since, other.mode_since) == (ON, ON)


def test_who_sees_which_policy() -> None:
    reports = seen(a="TTEE", b="TTT", c="TTTB")
    found = propagation(reports, current_policy(reports))
    assert [(one.organization, one.policy.mode, one.current) for one in found] == [
        ("b", "testing", False),
        ("a", "enforce", True),
        ("c", "enforce", True),
    ]
    assert found[0].day == FIRST + 2 * DAY


def served(policy: Policy, last: int, **changes: int | None) -> ServedPolicy:
    return ServedPolicy(msgspec.structs.replace(policy, **changes), FIRST, FIRST + last * DAY)


def test_until_when_an_old_policy_may_be_applied() -> None:
    history = [served(ENFORCE, 10), served(ENFORCE, 5, max_age=30 * 86_400), served(NONE, 20), served(TESTING, 20)]
    # The longest-lived is not the one that was served last.
    assert expiry(history, TESTING) == FIRST + 35 * DAY
    assert expiry([served(TESTING, 20), served(ENFORCE, 3, max_age=None)], TESTING) is None
    assert expiry([served(msgspec.structs.replace(ENFORCE, mode="enforced"), 3)], TESTING) is None
    assert largest_max_age(history) == 30 * 86_400
    assert largest_max_age([served(NONE, 3)]) is None
