"""When a mail came, by its own header."""

import datetime as dt
import email.utils
import re

_LOOK = 64 * 1024
_HEADER_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_TIME_FIELDS = re.compile(rb"^(received|date)[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)", re.IGNORECASE | re.MULTILINE)
_MAX_STAMPS = 100  # RFC 5321 section 6.3: a mail with as many Received fields goes round in circles
_EARLIEST, _LATEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


def arrival_time(mail: bytes) -> dt.datetime | None:
    """When a mail came (UTC): its topmost readable Received date, else its Date; None when neither is within 1990..2099.

    Looks at the first 64 KiB of the header only. A date without a zone is taken as UTC (RFC 5322 section 4.3).
    """
    start = mail[:_LOOK]
    end = _HEADER_END.search(start)
    fields = _TIME_FIELDS.findall(start[: end.start()] if end else start)[:_MAX_STAMPS]
    stamps = [value.rpartition(b";")[2] for name, value in fields if name.lower() == b"received"]
    stamps += [value for name, value in fields if name.lower() == b"date"]
    return next((moment for moment in map(_moment, stamps) if moment), None)


def _moment(stamp: bytes) -> dt.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(" ".join(stamp.decode("latin-1").split())[:100])
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError, TypeError, IndexError):  # what parsedate raises on garbage
        return None
    return moment if _EARLIEST <= moment < _LATEST else None
