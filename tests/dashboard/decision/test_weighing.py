"""What entries weigh: how many clean sessions are needed, and who lists the same sessions twice."""

import math

import pytest

from dashboard.decision.binomial import upper_bound
from dashboard.decision.evidence import Thresholds
from dashboard.decision.weighing import listing_twice, sessions_needed
from tests.dashboard.decision.worlds import END, GOOGLE, MAILRU, MICROSOFT, START, entry, failure


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
