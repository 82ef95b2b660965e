"""The exact bound, against figures from tables and against its definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from dashboard.decision.evidence import Thresholds
from dashboard.decision.weighing import listing_twice, sessions_needed, upper_bound
from tests.dashboard.decision.worlds import END, GOOGLE, MAILRU, MICROSOFT, START, entry, failure


@pytest.mark.parametrize(
    ("refused", "sessions", "bound"),
    [
        (0, 299, 0.00997),
        (0, 298, 0.01000),
        (0, 10, 0.2589),
        (1, 10, 0.3942),
        (5, 100, 0.1023),
        (10, 10, 1.0),
        (0, 0, 1.0),
    ],
)
def test_clopper_pearson(refused: int, sessions: int, bound: float) -> None:
    assert upper_bound(refused, sessions, 0.95) == pytest.approx(bound, abs=6e-5)


@given(st.integers(1, 5_000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_at_the_bound_so_few_would_be_seen_in_one_case_of_twenty(case: tuple[int, int]) -> None:
    refused, sessions = case
    assert binom.cdf(refused, sessions, upper_bound(refused, sessions, 0.95)) == pytest.approx(0.05, rel=1e-6)


@pytest.mark.parametrize(("bound", "needed"), [(0.01, 299), (0.001, 2_995), (0.05, 59)])
def test_how_many_clean_sessions_are_needed(bound: float, needed: int) -> None:
    limits = Thresholds(bound=bound)
    assert sessions_needed(limits) == needed
    assert upper_bound(0, needed, limits.confidence) <= bound < upper_bound(0, needed - 1, limits.confidence)
    assert math.isclose(limits.confidence, 0.95)


def test_who_lists_the_same_sessions_under_both_types() -> None:
    equal = [
        entry(day, MICROSOFT, 7, policy_type=policy_type, report=str(day))
        for day in (START, END)
        for policy_type in ("sts", "tlsa")
    ]
    # Failures count: 6 succeeded and 1 failed under tlsa.
    equal[1] = entry(START, MICROSOFT, 6, failure("tlsa-invalid"), policy_type="tlsa", report=str(START))
    assert listing_twice(equal) == {MICROSOFT}
    # One report with different totals: its types are different sessions, and so may be those of the others.
    other = entry(END, MICROSOFT, 1, policy_type="tlsa", report=str(END))
    assert listing_twice([*equal, other]) == frozenset()
    # Reports of one type alone say nothing, nor do those of others.
    alone = [entry(START, GOOGLE, 3), entry(START, MAILRU, 3, policy_type="tlsa"), entry(END, MICROSOFT, 3, report="x")]
    assert listing_twice([*equal, *alone]) == {MICROSOFT}
    assert listing_twice([]) == frozenset()
