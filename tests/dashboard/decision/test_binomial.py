"""The exact bound: against figures from tables, its definition in exact arithmetic, and SciPy where SciPy is exact.

SciPy's ``betaincinv`` is right up to some 100,000 sessions; of more it is up to one part in ten million away from the definition.
"""

import bisect
import math
from decimal import Decimal, localcontext
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betaincinv
from scipy.stats import beta

from dashboard.decision.binomial import upper_bound

MOST = 2**53
CONFIDENCES = (0.5, 0.8, 0.9, 0.95, 0.975, 0.99, 0.999, 0.9999)

confidences = st.sampled_from(CONFIDENCES) | st.floats(0.5, 0.9999)
# As many small counts as large ones.
sizes = st.integers(0, 53).flatmap(lambda bits: st.integers(max(1, 2 ** (bits - 1)), 2**bits))


def by_scipy(refused: int, sessions: int, confidence: float) -> float:
    return float(betaincinv(refused + 1, sessions - refused, confidence))


@pytest.mark.parametrize(
    ("refused", "sessions", "bound"),
    [
        (0, 299, 0.00997),
        (0, 298, 0.01000),
        (0, 10, 0.2589),
        (1, 10, 0.3942),
        (5, 100, 0.1023),
        (9, 10, 0.9949),
        (10, 10, 1.0),
        (0, 0, 1.0),
    ],
)
def test_clopper_pearson(refused: int, sessions: int, bound: float) -> None:
    assert upper_bound(refused, sessions, 0.95) == pytest.approx(bound, abs=6e-5)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_scipy_says_the_same_of_all_small_counts(confidence: float) -> None:
    for sessions in range(1, 65):
        for refused in range(sessions):
            wanted = by_scipy(refused, sessions, confidence)
            assert upper_bound(refused, sessions, confidence) == pytest.approx(wanted, rel=1e-13, abs=0)


@given(st.integers(1, 99_999).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))), confidences)
def test_scipy_says_the_same_up_to_100_000_sessions(counts: tuple[int, int], confidence: float) -> None:
    assert upper_bound(*counts, confidence) == pytest.approx(by_scipy(*counts, confidence), rel=1e-12, abs=0)


@given(sizes, st.integers(0, 400), st.booleans(), st.floats(0.5, 1, exclude_max=True))
def test_the_exact_bound_is_within_the_last_digits(size: int, few: int, mirrored: bool, confidence: float) -> None:
    """Few refused sessions, or few that were not, among any number; in exact arithmetic."""
    few = min(few, size - 1)
    refused = size - 1 - few if mirrored else few
    bound = Decimal(upper_bound(refused, size, confidence))
    wanted = 1 - Decimal(confidence)
    margin = Decimal("2e-15")
    assert exact_tail(refused, size, bound * (1 - margin)) > wanted > exact_tail(refused, size, bound * (1 + margin))


def exact_tail(refused: int, sessions: int, rate: Decimal) -> Decimal:
    """The probability of so few refused sessions, to 80 digits."""
    if 2 * refused >= sessions:
        with localcontext(prec=80):
            return 1 - exact_tail(sessions - refused - 1, sessions, 1 - rate)
    with localcontext(prec=80):
        if rate <= 0:
            return Decimal(1)
        odds = rate / (1 - rate)
        total = term = (1 - rate) ** sessions
        for seen in range(refused):
            term *= (sessions - seen) * odds / (seen + 1)
            total += term
        return total


@given(st.integers(10**10, MOST - 10**10), st.integers(10**10, MOST), confidences)
def test_of_many_it_is_nearly_normal(refused: int, passed: int, confidence: float) -> None:
    """The first terms of Cornish and Fisher's expansion, whose next one is below the last digit here."""
    a, b = refused + 1, passed
    total = a + b
    normal = NormalDist().inv_cdf(confidence)
    deviation = math.sqrt(a / total * (b / total) / (total + 1))
    skewness = 2 * (b - a) / (total + 2) * math.sqrt((total + 1) / a / b)
    wanted = a / total + deviation * (normal + skewness * (normal * normal - 1) / 6)
    assert upper_bound(refused, refused + passed, confidence) == pytest.approx(wanted, rel=2e-15, abs=0)


many = st.integers(9, 53).flatmap(lambda bits: st.integers(2 ** (bits - 1), 2**bits))


@given(many, many, confidences)
def test_of_many_it_is_where_scipys_distribution_has_the_confidence(
    refused: int, passed: int, confidence: float
) -> None:
    a, b = refused + 1, passed
    bound = upper_bound(refused, refused + passed, confidence)
    density = float(beta.pdf(bound, a, b))
    assert abs(float(beta.cdf(bound, a, b)) - confidence) <= 5e-15 * bound * density or bound == 1


@given(st.integers(0, 5_000), st.integers(1, 5_000), confidences)
def test_it_grows_with_refused_sessions_and_shrinks_with_others(refused: int, passed: int, confidence: float) -> None:
    bound = upper_bound(refused, refused + passed, confidence)
    assert refused / (refused + passed) < bound < upper_bound(refused + 1, refused + 1 + passed, confidence)
    assert upper_bound(refused, refused + passed + 1, confidence) < bound


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("threshold", [0.001, 0.01, 0.02, 0.05, 0.5])
def test_a_threshold_is_met_by_as_many_sessions_as_with_scipy(threshold: float, confidence: float) -> None:
    """The verdict asks no more than this: whether the bound is at most the threshold."""
    for refused in (*range(12), 15, 16, 17, 40):
        most = 200 + math.ceil(4 * refused / threshold + 20 / threshold)
        needed = bisect.bisect_left(
            range(refused + 1, most), True, key=lambda n: upper_bound(refused, n, confidence) <= threshold
        )
        needed += refused + 1
        assert needed < most
        assert by_scipy(refused, needed, confidence) <= threshold
        assert needed == refused + 1 or by_scipy(refused, needed - 1, confidence) > threshold
