"""A day as people type it: on the command line, and in the addresses of the dashboard."""

import datetime as dt
import re

# fromisoformat alone reads the week form, the form without hyphens and, since Python 3.11, more; strptime reads 2026-3-1.
_FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
# No report is about a day outside (`tlsrpt.fields.plausible`), and arithmetic with days near the ends of the calendar overflows.
FIRST_DAY, LAST_DAY = dt.date(1970, 1, 1), dt.date(2199, 12, 31)


class NoDay(ValueError):
    """The text is no day. Show it as it is; on the command line exit with 2."""


def read_day(text: str) -> dt.date:
    """The day that ``text`` names, written as YYYY-MM-DD in ASCII digits and in no other way.

    Raises NoDay, also for days before FIRST_DAY and after LAST_DAY.
    """
    try:
        if not _FORM.fullmatch(text):
            raise ValueError(text)
        day = dt.date.fromisoformat(text)
    except ValueError as error:
        raise NoDay(f"{text[:100]!r} is no day; write it as YYYY-MM-DD, for example 2026-03-14") from error
    if not FIRST_DAY <= day <= LAST_DAY:
        raise NoDay(f"{text} is not between {FIRST_DAY} and {LAST_DAY}")
    return day
