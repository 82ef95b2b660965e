"""Counts, shares, days and lists of names in words: number and tense in one place. Pure."""

import datetime as dt
import math
from collections.abc import Iterable

_MOST_NAMED = 6
# Below a hundredth of a percent a share is only said to be below it.
_SMALLEST = 0.0001


def counted(number: float, noun: str, plural: str = "") -> str:
    """A count with its noun: ``1 session``, ``12,345 sessions``, ``0 sessions``."""
    return f"{number:,.0f} {noun if number == 1 else plural or f'{noun}s'}"


def was(number: float) -> str:
    """The verb that goes with so many in the past tense."""
    return "was" if number == 1 else "were"


def share(part: float, whole: float) -> str:
    """A part as a share: ``<0.01 %``, ``0.3 %``, ``12 %``, ``99.4 %``. All is 100 %, and nothing less is; none is 0 %."""
    if part <= 0 or whole <= 0:
        return "0 %"
    value = part / whole
    if value < _SMALLEST:
        return "<0.01 %"
    if part < whole and value > 1 - _SMALLEST:
        return ">99.99 %"
    percent = value * 100
    digits = 2 if percent < 1 or percent > 99 else 1 if percent < 10 or percent > 90 else 0
    return f"{percent:.{digits}f}".rstrip("0").rstrip(".") + " %" if digits else f"{percent:.0f} %"


def at_most(bound: float) -> str:
    """An upper bound as a share, rounded up, so that it holds as it is written: ``0.54 %``, ``1 %``."""
    if bound < _SMALLEST:
        return "<0.01 %"
    return f"{math.ceil(bound * 10_000 - 1e-9) / 100:g} %"


def part_of(part: float, whole: float | None, noun: str = "session") -> str:
    """A part of a whole with its share: ``1 of 7,000,001 sessions (<0.01 %)``; without a whole that holds it, ``1 session``."""
    if not whole or part > whole:
        return counted(part, noun)
    return f"{part:,.0f} of {counted(whole, noun)} ({share(part, whole)})"


def span(since: dt.date | None, until: dt.date | None) -> str:
    """The days between two: ``on 2026-03-20``, or ``from 2026-03-20 to 2026-03-24``; "" without any."""
    if since is None or until is None:
        return f"on {since or until}" if since or until else ""
    return f"on {since}" if since == until else f"from {since} to {until}"


def since_day(day: dt.date, *, before: bool = False) -> str:
    """``since 2026-03-20``; ``before``: the look-back ends on that day, so it may be older."""
    return f"since before {day}" if before else f"since {day}"


def listed(names: Iterable[str], most: int = _MOST_NAMED) -> str:
    """Names in a row: ``a, b and c``; of many, the first and how many more."""
    every = list(names)
    if len(every) > most:
        return f"{', '.join(every[:most])} and {len(every) - most:,} more"
    return " and ".join([", ".join(every[:-1]), every[-1]]) if len(every) > 1 else "".join(every)
