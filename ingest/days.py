"""A day as people type it: on the command line, and in the addresses of the dashboard."""

import datetime as dt
import re

# fromisoformat alone reads the week form, the form without hyphens and, since Python 3.11, more; strptime reads 2026-3-1.
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class NoDay(ValueError):
    """The text is no day. Show it as it is; on the command line exit with 2."""


def read_day(text: str) -> dt.date:
    """The day that ``text`` names, written as YYYY-MM-DD in ASCII digits and in no other way. Raises NoDay."""
    try:
        if not _DAY.fullmatch(text):
            raise ValueError(text)
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise NoDay(f"{text[:100]!r} is no day; write it as YYYY-MM-DD, for example 2026-03-14") from error
