"""The exact bound of a rate from a count, one-sided (Clopper and Pearson, 1934): a quantile of the beta distribution. Pure.

With r of n sessions refused, the bound is the rate p at which the tail, the probability of r or fewer, is 1 - confidence. Few are
added up. Of many the tail is the integral of the beta density x^r (1 - x)^(n-r-1) from p to 1 (NIST DLMF 8.17.5), in two factors
that keep their digits for any counts; differences of ``lgamma`` lose all of them at 2^53:

* the density at p, by Stirling's series and deviances (Loader, Fast and Accurate Computation of Binomial Probabilities, 2000);
* the integral over it, by Gauss-Legendre quadrature (DLMF 3.5(v)). The continued fraction (DLMF 8.17.22) would need as many steps
  as the root of the counts.

An error of the tail moves p by that error over the root of r, so what large counts cancel costs p no digit.
"""

import functools
import math
from typing import NamedTuple

# So many refused sessions are added up.
_FEW = 15
# From here on, five terms of Stirling's series give all digits.
_STIRLING = 16
# The integral ends where the density is e^-38 of that at p.
_NOTHING = 38.0
_NODES = 24
# Halley's steps are of the third order: the one after such an error leaves none.
_CLOSE = 1e-6


class _Rate(NamedTuple):
    """A rate p with q = 1 - p beside it, each with all its digits."""

    p: float
    q: float


class _Tail(NamedTuple):
    """The probability of so few refused sessions, and what it loses as p grows."""

    probability: float
    density: float


def upper_bound(refused: int, sessions: int, confidence: float) -> float:
    """The exact one-sided Clopper-Pearson bound of the refusal rate. 0 of n gives about 3/n at 95 %; without sessions, 1.

    ``confidence`` is 0.5 to below 1. The bound is right to some units of its last digit.
    """
    if refused >= sessions:
        return 1.0
    if not refused:
        return -math.expm1(math.log1p(-confidence) / sessions)
    if refused == sessions - 1:
        return math.exp(math.log(confidence) / sessions)
    tail_of = _few if refused <= _FEW and 2 * refused < sessions else _many
    passed = sessions - refused
    odds = _estimate(refused + 1, passed, confidence)
    while True:
        rate = _Rate(odds / (1 + odds), 1 / (1 + odds))
        tail = tail_of(refused, passed, rate)
        # Halley's method on the tail's logarithm by that of the odds: concave, and nearly a line at either end.
        error = math.log(tail.probability / (1 - confidence))
        slope = tail.density / tail.probability * rate.p * rate.q
        bend = refused * rate.q - (passed - 1) * rate.p + rate.q - rate.p + slope
        step = error / slope
        odds *= math.exp(step / (1 + step * bend / 2))
        if abs(error) < _CLOSE:
            return odds / (1 + odds)


def _estimate(a: int, b: int, confidence: float) -> float:
    """The odds at a quantile of the beta distribution, to two or three digits (Abramowitz and Stegun, 26.2.23 and 26.5.22)."""
    t = math.sqrt(-2 * math.log(1 - confidence))
    normal = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)))
    left, right = 1 / (2 * a - 1), 1 / (2 * b - 1)
    h = 2 / (left + right)
    curvature = (normal * normal - 3) / 6
    w = normal * math.sqrt(h + curvature) / h - (left - right) * (curvature + 5 / 6 - 2 / (3 * h))
    return a / b * math.exp(2 * w)


def _few(refused: int, passed: int, rate: _Rate) -> _Tail:
    """The probabilities of 0 to ``refused``, added up."""
    sessions = refused + passed
    odds = rate.p / rate.q
    total = term = math.exp(sessions * math.log1p(-rate.p))
    for seen in range(refused):
        term *= (sessions - seen) / (seen + 1) * odds
        total += term
    return _Tail(total, passed / rate.q * term)


def _many(refused: int, passed: int, rate: _Rate) -> _Tail:
    density = _density(refused, passed, rate)
    return _Tail(density * _width(refused, passed - 1, rate), density)


def _density(refused: int, passed: int, rate: _Rate) -> float:
    """The density of the beta distribution at p."""
    sessions = refused + passed
    # Both deviances from the same difference, so that their larger parts cancel.
    excess = sessions * rate.p - refused if rate.p < rate.q else passed - sessions * rate.q
    deviance = refused * math.log1p(excess / refused) + passed * math.log1p(-excess / passed)
    corrections = _stirling(sessions) - _stirling(refused) - _stirling(passed)
    scale = passed / rate.q * math.sqrt(sessions / (math.tau * refused * passed))
    return scale * math.exp(deviance + corrections)


def _stirling(count: int) -> float:
    """The logarithm of count!, less Stirling's formula of it."""
    if count < _STIRLING:
        return math.log(math.factorial(count) / math.sqrt(math.tau * count) * (math.e / count) ** count)
    square = 1 / (count * count)
    return (1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))) / count


def _width(a: int, b: int, rate: _Rate) -> float:
    """The integral of the density x^a (1 - x)^b above p, over the density at p."""
    p, q = rate
    end = _end(a, b, rate)
    up, down, log1p, exp = end / p, -end / q, math.log1p, math.exp
    return end * sum([weight * exp(a * log1p(up * node) + b * log1p(down * node)) for node, weight in _legendre()])


def _end(a: int, b: int, rate: _Rate) -> float:
    """How far above p anything is left of the integral.

    By the density's slope and curvature at p, then by a tangent: the logarithm is concave, so that never ends too early.
    """
    p, q = rate
    slope, curvature = a / p - b / q, a / (p * p) + b / (q * q)
    end = (slope + math.sqrt(slope * slope + 2 * _NOTHING * curvature)) / curvature
    if end < q:
        end -= (a * math.log1p(end / p) + b * math.log1p(-end / q) + _NOTHING) / (a / (p + end) - b / (q - end))
    return min(end, q)


@functools.cache
def _legendre() -> tuple[tuple[float, float], ...]:
    """Nodes and weights of the quadrature on 0 to 1 (DLMF 3.5.19), the nodes by Newton's method."""
    pairs = []
    for number in range(_NODES):
        x = math.cos(math.pi * (number + 0.75) / (_NODES + 0.5))
        for _ in range(5):
            before, value = 1.0, x
            for k in range(2, _NODES + 1):
                before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
            derivative = _NODES * (x * value - before) / (x * x - 1)
            x -= value / derivative
        pairs.append(((1 - x) / 2, 1 / ((1 - x * x) * derivative * derivative)))
    return tuple(pairs)
