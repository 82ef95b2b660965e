"""What several pages show the same way: the range of days, tables, pages of a list, single facts, raw text."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from .. import charts, wording
from ..plain import visible, visible_lines
from ..queries.selection import ALL_DAYS, Window
from .visit import Visit

Columns = Mapping[str, Any]

RANGES = {14: "14 days", 30: "30 days", 90: "90 days", 365: "1 year", 0: "All"}
# Of a raw report or message, what a browser shows at ease; the rest is in the download.
LONGEST_RAW = 100_000


def range_selector(default: int, visit: Visit, key: str = "days") -> Window:
    """The days to look at; the choice is part of the address (``?days=90``). Today's reports have hardly arrived."""
    chosen = st.segmented_control(
        "Days",
        list(RANGES),
        default=default,
        required=True,
        format_func=lambda days: RANGES[days],
        key=key,
        bind="query-params",
    )
    return window_of(chosen or 0, visit.today)


def window_of(days: int, today: dt.date) -> Window:
    """The last ``days`` complete days and today; 0 is all days."""
    return Window(today - dt.timedelta(days=days), today) if days else ALL_DAYS


def default_range(newest: pd.Timestamp, visit: Visit) -> int:
    """14 days, or all of them when the newest report is older: an archive that was loaded should show something."""
    return 14 if newest.date() >= visit.today - dt.timedelta(days=14) else 0


def nothing_recent(newest: pd.Timestamp, visit: Visit) -> None:
    """Say so when no report is about the last 14 days."""
    if default_range(newest, visit) == 0:
        st.caption(f"No report is about the last 14 days; the newest is about {day(newest)}.")


def metric(label: str, count: float, meaning: str) -> None:
    """One figure in a row of figures, which wraps on narrow screens."""
    st.metric(label, wording.sessions(count), help=meaning, border=True, width=170)


def count_column(label: str, meaning: str = "") -> Any:  # noqa: ANN401
    """A column of counts."""
    return st.column_config.NumberColumn(label, help=meaning or None, format="localized")


def day_column(label: str, meaning: str = "") -> Any:  # noqa: ANN401
    """A column of days."""
    return st.column_config.DateColumn(label, help=meaning or None, format="YYYY-MM-DD")


def instant_column(label: str, meaning: str = "") -> Any:  # noqa: ANN401
    """A column of moments, in UTC."""
    return st.column_config.DatetimeColumn(label, help=meaning or None, format="YYYY-MM-DD HH:mm", timezone="UTC")


def text_column(label: str, meaning: str = "", width: Any = None) -> Any:  # noqa: ANN401
    """A column of text, which is shown as it is: no Markdown, no links."""
    return st.column_config.TextColumn(label, help=meaning or None, width=width)


def table(rows: pd.DataFrame, columns: Columns, alt: str, **options: Any) -> None:  # noqa: ANN401
    """A table of exactly ``columns``, with hidden characters made visible."""
    shown = _ready(rows, columns)
    st.dataframe(shown, hide_index=True, column_config=dict(columns), placeholder="\u2014", alt=alt, **options)


def clickable_table(rows: pd.DataFrame, columns: Columns, alt: str, key: str) -> int | None:
    """The same, where a click on a row chooses it: its position in ``rows``, or None."""
    chosen = st.dataframe(
        _ready(rows, columns),
        hide_index=True,
        column_config=dict(columns),
        placeholder="\u2014",
        alt=alt,
        key=key,
        on_select="rerun",
        selection_mode=("single-row", "single-cell"),
    )
    cells, whole = chosen["selection"]["cells"], chosen["selection"]["rows"]
    found = [row for row, _ in cells] or list(whole)
    # The table may have changed under an old selection.
    return int(found[0]) if found and found[0] < len(rows) else None


def clickable_cell(
    cells: pd.DataFrame, names: Sequence[str], columns: Columns, alt: str, key: str
) -> tuple[int, str] | None:
    """A heat table of counts, with ``names`` (column ``what``) before each row; the chosen row and column, or None."""
    colours = charts.heat(cells)
    counts = cells.astype("Int64")
    counts.insert(0, "what", list(names))
    styled = counts.style.apply(lambda _: colours.reindex(columns=counts.columns, fill_value=""), axis=None)
    chosen = st.dataframe(
        styled,
        hide_index=True,
        column_config=dict(columns),
        placeholder="",
        alt=alt,
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
    )
    found = chosen["selection"]["cells"]
    return (int(found[0][0]), str(found[0][1])) if found and found[0][0] < len(counts) else None


def _ready(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    shown = rows[list(columns)].copy()
    for name in shown.columns:
        if shown[name].dtype == "str":
            shown[name] = shown[name].map(visible, na_action="ignore")
        elif shown[name].dtype == "float64":  # a sum of counts
            shown[name] = shown[name].round().astype("Int64") if shown[name].max() < 2**53 else shown[name]
    return shown


def page_of(total: int, size: int, key: str) -> int:
    """The chosen page of a list as an offset; nothing is shown when it fits on one page."""
    pages = max(1, -(-total // size))
    if pages == 1:
        return 0
    return (st.pagination(pages, key=key) - 1) * size


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; values are shown as text, whatever they hold."""
    for name, value in pairs:
        label, text = st.columns([1, 3], gap="small")
        label.caption(name)
        text.text(visible(value) if value else "\u2014")


def raw_text(content: bytes, size: int, language: str | None = None) -> None:
    """The beginning of a raw report or message, with hidden characters written out."""
    st.code(visible_lines(content.decode("utf-8", "replace"), LONGEST_RAW), language=language, height=400)
    if size > LONGEST_RAW:
        st.caption(f"The first {wording.size(LONGEST_RAW)} of {wording.size(size)}; the download has everything.")


def instant(moment: pd.Timestamp | dt.datetime) -> str:
    """A moment for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def day(value: pd.Timestamp | dt.date) -> str:
    """A day for people; a dash when there is none."""
    return "\u2014" if pd.isna(value) else f"{value:%Y-%m-%d}"


def sessions_note() -> None:
    """What the counts on a page are."""
    st.caption(wording.SESSIONS_NOTE)
