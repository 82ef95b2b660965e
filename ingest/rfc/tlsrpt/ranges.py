"""Which UTC days the range of a report is about."""

import datetime as dt

_LONGEST_OF_ONE_DAY = dt.timedelta(hours=36)


def report_day(start: dt.datetime, end: dt.datetime) -> tuple[dt.date, bool]:
    """The UTC day a report belongs to, and whether its range is too long to lie in one.

    The day holds most of the range, of two that hold the same the earlier; 23:59:59Z and the next day's 00:00:00Z are the
    same end. Senders that work at intervals drift by seconds or minutes, and a local day with a change of the clock has
    25 hours, so this holds up to 36 hours. Longer ranges (Stalwart can send weekly) are marked and counted on their first
    day, their failures on the last (see ``failure_day``); nothing is spread by invention. A range that ends before it
    begins (SocketLabs) counts on its start day.
    """
    length = end - start
    if length > _LONGEST_OF_ONE_DAY:
        return start.date(), True
    before_the_middle = start + max(length - dt.timedelta.resolution, dt.timedelta(0)) // 2
    return before_the_middle.date(), False


def failure_day(start: dt.datetime, end: dt.datetime) -> dt.date:
    """The UTC day on which a report's failures count: the report's, or of a long range the last.

    A fault may have begun as late as that, and would be held to be over too early if it counted on the first day.
    """
    day, is_long = report_day(start, end)
    return (end - dt.timedelta.resolution).date() if is_long else day
