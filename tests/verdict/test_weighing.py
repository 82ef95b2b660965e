"""The exact bound, against figures from tables and against its definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from dashboard.evidence import Thresholds
from dashboard.weighing import sessions_needed, upper_bound


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
