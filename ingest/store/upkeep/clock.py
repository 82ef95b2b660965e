"""Whether this host's clock can be believed: what is stored says what day it is at least (docs/reliability.md row 22).

Reporters write the day that they report about by clocks of their own, and reports come every day. So when the newest of them is
far behind our clock, either no report has come for long, or our clock is ahead.
"""

import datetime as dt

import sqlalchemy as sa

from ingest.database.models import quarantine_origin, report
from ingest.testimony.trust import EVIDENCE

# Reports come a day or two after the day they are about, and pauses of a week happen.
LONGEST_SILENCE = dt.timedelta(days=30)
# Between what our clock and a sender's say; what is later is from another day.
LARGEST_ERROR = dt.timedelta(days=1)


def doubt(connection: sa.Connection, now: dt.datetime) -> str:
    """Why the clock may be ahead, in words; "" when what is stored agrees with it, or nothing is stored."""
    newest = _newest_day(connection, now.date())
    if newest is None or now.date() - newest <= LONGEST_SILENCE:
        return ""
    return (
        f"it is {now:%Y-%m-%d} by this host's clock, and the newest stored report is about {newest:%Y-%m-%d}: "
        "either the clock is wrong, or no report has come since"
    )


def _newest_day(connection: sa.Connection, today: dt.date) -> dt.date | None:
    """The newest day that a report is about, and not later than the clock says: of reports that prove where they come from, else
    of any, else the day on which something came into quarantine.
    """
    day = report.c.day
    newest = sa.select(day).where(day <= today).order_by(day.desc()).limit(1)
    for query in (newest.where(report.c.trust.in_(EVIDENCE)), newest):
        day_reported: dt.date | None = connection.execute(query).scalar_one_or_none()
        if day_reported is not None:
            return day_reported
    arrived_at: dt.datetime | None = connection.execute(
        sa.select(sa.func.max(quarantine_origin.c.came_at))
    ).scalar_one()
    return arrived_at.date() if arrived_at else None
