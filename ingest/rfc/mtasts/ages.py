"""``max_age``: how long senders keep a policy (RFC 8461 section 3.2), and what Google makes of it."""

import re
from collections.abc import Iterator

from ingest.rfc.faults import ERROR, NOTE, WARNING, Fault, quoted

# Section 3.2: at most about one year.
MAX_MAX_AGE = 31_557_600
# Google Workspace help: one day at least, and one to two weeks in testing.
LEAST_MAX_AGE, LEAST_TESTING_MAX_AGE, TESTING_MAX_AGE = 86_400, 604_800, 1_209_600
DAY, WEEK = 86_400, 604_800

_WITH_UNIT = re.compile(r"([0-9]{1,8})[ \t]*(s|sec|second|h|hour|d|day|w|week)s?", re.IGNORECASE)
_GROUPED = re.compile(r"[0-9]{1,3}(?:[,._' ][0-9]{3})+")
_UNITS = {"s": 1, "h": 3_600, "d": DAY, "w": WEEK}


def seconds(text: str) -> int | None:
    """The value of a max_age; None for what is none. The grammar is 1 to 10 digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        return None
    return int(text) if int(text) <= MAX_MAX_AGE else None


def span(value: int) -> str:
    """Seconds as people say them: the largest unit that comes out even, or days to a tenth."""
    hours = [(3_600, "hour")] if value < DAY else []
    for unit, name in ((WEEK, "week"), (DAY, "day"), *hours):
        if value and value % unit == 0:
            count = value // unit
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return f"{value / DAY:.1f} days" if value > DAY else f"{value} seconds"


def age_faults(text: str | None, max_age: int | None, mode: str, line: int) -> Iterator[Fault]:
    """What is wrong with a max_age. ``text`` is its value as it stands, None when absent; ``max_age`` what was read of it.

    ``mode`` is the one that is meant; "" when that cannot be told: then what holds in every mode is said.
    """
    if text is None:
        usual = LEAST_MAX_AGE if mode == "none" else WEEK
        yield Fault("no-max-age", ERROR, "no max_age", f"write max_age: {usual}")
    elif max_age is None:
        problem = f"max_age: {quoted(text)}; it must be a number of seconds from 0 to {MAX_MAX_AGE}"
        yield Fault("max-age", ERROR, problem, _meant(text), line)
    elif mode == "none":
        if max_age != LEAST_MAX_AGE:
            problem = (
                f"max_age of {span(max_age)}; to switch off, Google wants one day (RFC 8461 section 8.3: a small value)"
            )
            yield Fault("max-age-none", NOTE, problem, f"write max_age: {LEAST_MAX_AGE}", line)
    else:
        yield from _unwise(mode, max_age, line)


def _unwise(mode: str, max_age: int, line: int) -> Iterator[Fault]:
    best = f"{LEAST_TESTING_MAX_AGE} to {TESTING_MAX_AGE} (one to two weeks)"
    if max_age < LEAST_MAX_AGE:
        problem = (
            f"max_age of {span(max_age)}; below {LEAST_MAX_AGE} (one day), Google's least, it protects hardly anybody"
        )
        yield Fault("max-age-short", WARNING, problem, f"write max_age: {WEEK} (one week)", line)
    elif mode == "testing" and max_age > TESTING_MAX_AGE:
        problem = f"max_age of {span(max_age)} in testing; Google's range is {best}"
        yield Fault("max-age-long", WARNING, problem, f"write max_age: {TESTING_MAX_AGE} or less", line)
    elif mode == "testing" and max_age < LEAST_TESTING_MAX_AGE:
        problem = f"max_age of {span(max_age)} in testing; Google's range is {best}"
        yield Fault("max-age-testing", WARNING, problem, f"write max_age: {LEAST_TESTING_MAX_AGE}", line)
    elif mode == "enforce" and max_age < WEEK:
        problem = (
            f"max_age of {span(max_age)}; RFC 8461 section 3.2 expects weeks or more, "
            "so that an attacker cannot wait it out"
        )
        yield Fault("max-age-weeks", NOTE, problem, f"write max_age: {WEEK} or more", line)


def _meant(text: str) -> str:
    """What to write instead of a value that is none."""
    value = seconds("".join(filter(str.isdigit, text))) if _GROUPED.fullmatch(text) else None
    if unit := _WITH_UNIT.fullmatch(text):
        value = seconds(str(int(unit[1]) * _UNITS[unit[2][0].lower()]))
    if value is not None:
        return f"write max_age: {value}"
    if text.isascii() and text.isdigit():
        return f"write max_age: {MAX_MAX_AGE} or less"
    return f"write max_age: {WEEK} (one week), digits only"
