"""Charts over days. Fields have fixed names and reporters' text never enters a chart."""

from typing import Literal

import altair as alt
import pandas as pd

from dashboard.queries.question import DayRange
from dashboard.words.faces import FACES, Face

# Readable on light and on dark, and told apart by people who do not see red and green as different.
SUCCESSFUL, OTHER_FAILED, WOULD_BE_REFUSED = "Successful", "Failed", "Would be refused"
_COLOURS = {SUCCESSFUL: "#4c9bd6", OTHER_FAILED: "#e3a33b", WOULD_BE_REFUSED: "#d1495b"}
# Days that still make a bar each on a screen of 390 pixels; longer ranges are summed by week or month.
_MOST_DAYS, _MOST_WEEKS = 100, 100
_LEGEND = alt.Legend(title=None, orient="top", labelLimit=0)
Step = Literal["day", "week", "month"]
_Unit = Literal["utcyearmonthdate", "utcyearweek", "utcyearmonth"]
_UNITS: dict[Step, _Unit] = {
    "day": "utcyearmonthdate",
    "week": "utcyearweek",
    "month": "utcyearmonth",
}


def sessions_per_day(days: pd.DataFrame, window: DayRange) -> alt.Chart:
    """All sessions, stacked by outcome. ``days`` has day, successful_sessions, failed_sessions, refused_sessions."""
    return _bars(days, window, list(_COLOURS), "Sessions", 300, legend=True)


def failures_per_day(days: pd.DataFrame, window: DayRange) -> alt.Chart:
    """Failed sessions only, on their own scale: three in ten thousand cannot be seen among the successful ones."""
    return _bars(days, window, [OTHER_FAILED, WOULD_BE_REFUSED], "Failed sessions", 200)


def step(days: pd.DataFrame, window: DayRange) -> Step:
    """What one bar stands for: ``day``, ``week`` or ``month``."""
    first = window.since or (days["day"].min().date() if len(days) else None)
    last = window.until or (days["day"].max().date() if len(days) else None)
    span = (last - first).days if first and last else 0
    if span <= _MOST_DAYS:
        return "day"
    return "week" if span <= 7 * _MOST_WEEKS else "month"


def _bars(
    days: pd.DataFrame, window: DayRange, outcomes: list[str], title: str, height: int, *, legend: bool = False
) -> alt.Chart:
    every = step(days, window)
    unit = _UNITS[every]
    known = alt.Scale(domain=outcomes, range=[_COLOURS[name] for name in outcomes])
    axis_format, date_format = ("%b %Y", "%Y-%m") if every == "month" else ("%-d %b", "%Y-%m-%d")
    chart: alt.Chart = (
        alt.Chart(_long(days, outcomes))
        .mark_bar()
        .encode(
            x=_days_axis(window, unit, axis_format),
            y=alt.Y("sum(sessions):Q", title=title, axis=alt.Axis(format="~s", tickMinStep=1)),
            color=alt.Color("outcome:N", scale=known, legend=_LEGEND if legend else None),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("day:T", timeUnit=unit, title=every.capitalize(), format=date_format),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("sum(sessions):Q", title="Sessions", format=","),
            ],
        )
        .properties(height=height)
    )
    return chart


def _days_axis(window: DayRange, unit: _Unit, label_format: str) -> alt.X:
    axis = alt.Axis(format=label_format, labelOverlap=True)
    return alt.X("day:T", timeUnit=unit, title=None, scale=_days_scale(window), axis=axis)


def _days_scale(window: DayRange) -> alt.Scale:
    """The whole window, so that days without a report are seen as such."""
    if window.since is None or window.until is None:
        return alt.Scale(type="utc")
    ends = (pd.Timestamp(window.since), pd.Timestamp(window.until) + pd.Timedelta(days=1))
    return alt.Scale(type="utc", domain=[alt.DateTime(year=e.year, month=e.month, date=e.day, utc=True) for e in ends])


def _long(days: pd.DataFrame, outcomes: list[str]) -> pd.DataFrame:
    """One row for each day and outcome: day, outcome, sessions, order (of the stack)."""
    refused = days["refused_sessions"]
    by_outcome = {
        SUCCESSFUL: days["successful_sessions"],
        OTHER_FAILED: (days["failed_sessions"] - refused).clip(lower=0),
        WOULD_BE_REFUSED: refused,
    }
    parts = [
        pd.DataFrame({"day": days["day"], "outcome": name, "sessions": by_outcome[name], "order": order})
        for order, name in enumerate(outcomes)
    ]
    return pd.concat(parts, ignore_index=True)


_ACCEPTED = "Refused, cause accepted"
_REFUSALS = {WOULD_BE_REFUSED: "#d1495b", _ACCEPTED: "#9aa5b1"}


def refused_per_day(days: pd.DataFrame, window: DayRange) -> alt.Chart:
    """What enforce refuses on each day, on a scale of its own. ``days`` has day, sessions, refused, accepted."""
    outcomes = pd.concat(
        [
            pd.DataFrame({"day": days["day"], "outcome": name, "refused": days[column], "of": days["sessions"]})
            for name, column in ((WOULD_BE_REFUSED, "refused"), (_ACCEPTED, "accepted"))
        ],
        ignore_index=True,
    )
    accepted = bool(days["accepted"].any())
    known = alt.Scale(domain=list(_REFUSALS), range=list(_REFUSALS.values()))
    chart: alt.Chart = (
        alt.Chart(outcomes)
        .mark_bar()
        .encode(
            x=_days_axis(window, _UNITS["day"], "%-d %b"),
            y=alt.Y("refused:Q", title="Refused sessions", axis=alt.Axis(format="~s", tickMinStep=1)),
            color=alt.Color("outcome:N", scale=known, legend=_LEGEND if accepted else None),
            tooltip=[
                alt.Tooltip("day:T", timeUnit="utcyearmonthdate", title="Day", format="%Y-%m-%d"),
                alt.Tooltip("outcome:N", title="Outcome"),
                alt.Tooltip("refused:Q", title="Sessions", format=","),
                alt.Tooltip("of:Q", title="Of all that count", format=","),
            ],
        )
        .properties(height=180)
    )
    return chart


def verdict_text(face: Face) -> str:
    """CSS for a verdict in a table: bad and good stand out, the rest is as other text."""
    return f"color: {face.text_colour}; font-weight: 600" if face.text_colour else ""


def verdict_history(days: pd.DataFrame) -> alt.Chart:
    """A strip with a block for each day, coloured by its verdict. ``days`` has day and verdict (its title)."""
    faces = [face for face in FACES.values() if (days["verdict"] == face.title).any()]
    known = alt.Scale(domain=[face.title for face in faces], range=[face.colour for face in faces])
    chart: alt.Chart = (
        alt.Chart(days)
        .mark_rect()
        .encode(
            x=alt.X(
                "day:T", timeUnit="utcyearmonthdate", title=None, axis=alt.Axis(format="%-d %b", labelOverlap=True)
            ),
            color=alt.Color("verdict:N", scale=known, legend=_LEGEND),
            tooltip=[
                alt.Tooltip("day:T", timeUnit="utcyearmonthdate", title="Day", format="%Y-%m-%d"),
                alt.Tooltip("verdict:N", title="Verdict"),
            ],
        )
        .properties(height=170)
    )
    return chart


def heat(table: pd.DataFrame) -> pd.DataFrame:
    """Background colours (CSS) for a table of counts: the more, the redder; transparent, so that both themes show through."""
    most = float(table.max().max()) if table.size else 0.0

    def colour(count: float) -> str:
        return (
            f"background-color: rgba(209, 73, 91, {0.12 + 0.55 * count / most:.2f})"
            if pd.notna(count) and count and most
            else ""
        )

    return table.map(colour)
