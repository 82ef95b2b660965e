"""Which policy is in force: caches hold old policies, so what counts is what senders change to."""

import datetime as dt

import msgspec
import pytest

from dashboard.evidence import Evidence, Policy, ServedPolicy, Sighting, StatedPolicy
from dashboard.policy_history import current_policy, expiry, largest_max_age, propagation
from tests.verdict.worlds import ENFORCE, NONE, ON, OTHER, TESTING

DAY = dt.timedelta(days=1)
FIRST = ON - 40 * DAY
POLICIES = {"T": TESTING, "E": ENFORCE, "O": OTHER, "N": NONE}


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
