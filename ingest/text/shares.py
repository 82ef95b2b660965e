"""Shares as people write and read them: ``0.02`` and ``2 %`` are the same everywhere. Pure."""

import re
from decimal import Decimal

# Longer numbers are typed by nobody.
_LONGEST = 40
_SHARE = re.compile(r"(?P<number>\d{1,20}(?:\.\d{1,20})?(?:[eE]-?\d{1,3})?)\s*(?P<percent>%?)", re.ASCII)


class NoShare(ValueError):
    """The text is no share. Show it; a command exits with 2."""


def read_share(text: str) -> float:
    """The share that ``0.02``, ``2%`` or ``2 %`` stands for, whatever its size. Raises NoShare."""
    typed = _SHARE.fullmatch(text.strip())
    if typed is None:
        raise NoShare(f"{text[:_LONGEST]!r} is no share: write it as 0.02 or 2%")
    number = Decimal(typed["number"])
    return float(number / 100 if typed["percent"] else number)


def percent(share: float) -> str:
    """A share with as many digits as it has, for ``read_share`` to read: ``0.5 %``."""
    return f"{share * 100:.6g} %"
