"""Number, shares, days and lists in words."""

import datetime as dt

import pytest

from dashboard.words import phrases

DAY = dt.date(2026, 3, 20)
LATER = dt.date(2026, 3, 24)


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 sessions"), (1, "1 session"), (2, "2 sessions"), (7_000_001, "7,000,001 sessions")]
)
def test_a_count_agrees_with_its_noun(number: int, words: str) -> None:
    assert phrases.counted(number, "session") == words


def test_an_odd_plural_can_be_named() -> None:
    assert [phrases.counted(number, "policy", "policies") for number in (1, 2)] == ["1 policy", "2 policies"]
    assert [phrases.was(number) for number in (0, 1, 2)] == ["were", "was", "were"]


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (0, 10, "0 %"),
        (0, 0, "0 %"),
        (1, 7_000_001, "<0.01 %"),
        (1, 10_000, "0.01 %"),
        (3, 1_000, "0.3 %"),
        (1, 100, "1 %"),
        (29, 1_000, "2.9 %"),
        (1, 10, "10 %"),
        (1, 3, "33 %"),
        (999, 1_000, "99.9 %"),
        (9_999_999, 10_000_000, ">99.99 %"),
        (5, 5, "100 %"),
    ],
)
def test_a_share_is_never_rounded_to_none_or_all(part: int, whole: int, words: str) -> None:
    assert phrases.share(part, whole) == words


@pytest.mark.parametrize(
    ("bound", "words"),
    [(0.0000004, "<0.01 %"), (0.00531, "0.54 %"), (0.01, "1 %"), (0.010001, "1.01 %"), (0.5, "50 %"), (1.0, "100 %")],
)
def test_a_bound_is_rounded_up_so_that_it_holds(bound: float, words: str) -> None:
    assert phrases.at_most(bound) == words


@pytest.mark.parametrize(
    ("part", "whole", "words"),
    [
        (1, 7_000_001, "1 of 7,000,001 sessions (<0.01 %)"),
        (1, 1, "1 of 1 session (100 %)"),
        (2, None, "2 sessions"),
        (1, 0, "1 session"),
        (3, 2, "3 sessions"),
    ],
)
def test_a_part_is_told_with_its_whole_where_that_holds_it(part: int, whole: int | None, words: str) -> None:
    assert phrases.part_of(part, whole) == words


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        (DAY, DAY, "on 2026-03-20"),
        (DAY, LATER, "from 2026-03-20 to 2026-03-24"),
        (DAY, None, "on 2026-03-20"),
        (None, LATER, "on 2026-03-24"),
        (None, None, ""),
    ],
)
def test_days(since: dt.date | None, until: dt.date | None, words: str) -> None:
    assert phrases.span(since, until) == words


def test_what_is_older_than_the_look_back_is_not_dated() -> None:
    assert phrases.since_day(DAY) == "since 2026-03-20"
    assert phrases.since_day(DAY, before=True) == "since before 2026-03-20"


@pytest.mark.parametrize(
    ("names", "words"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ("abcdefgh", "a, b, c, d, e, f and 2 more")],
)
def test_names_in_a_row(names: str, words: str) -> None:
    assert phrases.listed(names) == words
