"""Tables: of exactly the columns that a page names, with hidden characters made visible; some lead on with a click."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.words.plain import visible

from . import charts

Columns = Mapping[str, Any]

# The running number before each row of a table that can be clicked.
_NUMBER_PIXELS = 44
_ROW_PIXELS, _MOST_ROWS = 35, 25


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
    frame = _ready(rows, columns)
    st.dataframe(
        frame,
        height=height_of(len(rows)),
        hide_index=True,
        column_config=dict(columns),
        placeholder="\u2014",
        alt=alt,
        **options,
    )


def height_of(rows: int) -> int:
    """Pixels for a table that shows its rows without scrolling, up to _MOST_ROWS."""
    return _ROW_PIXELS * (min(rows, _MOST_ROWS) + 1) + 3


def clickable_table(
    rows: pd.DataFrame, columns: Columns, alt: str, key: str, colours: Mapping[str, Sequence[str]] | None = None
) -> int | None:
    """The same, where a click on a row chooses it: its position in ``rows``, or None. ``colours`` are CSS for columns' cells."""
    frame = _ready(rows, columns)
    # With a hidden index Streamlit takes a click on a header, which sorts, for one on the first row as well.
    frame.index = pd.RangeIndex(1, len(frame) + 1)
    chosen = st.dataframe(
        _coloured(frame, colours) if colours else frame,
        height=height_of(len(rows)),
        column_config={"_index": st.column_config.NumberColumn("", width=_NUMBER_PIXELS)} | dict(columns),
        placeholder="\u2014",
        alt=alt,
        key=key,
        on_select="rerun",
        selection_mode="single-cell",
    )
    chosen_cells = chosen["selection"]["cells"]
    # The table may have changed under an old selection.
    return int(chosen_cells[0][0]) if chosen_cells and chosen_cells[0][0] < len(rows) else None


def _coloured(frame: pd.DataFrame, colours: Mapping[str, Sequence[str]]) -> Any:  # noqa: ANN401
    return frame.style.apply(lambda column: list(colours[column.name]), subset=list(colours), axis="index")


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
    chosen_cells = chosen["selection"]["cells"]
    return (
        (int(chosen_cells[0][0]), str(chosen_cells[0][1]))
        if chosen_cells and chosen_cells[0][0] < len(counts)
        else None
    )


def _ready(rows: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    frame = rows[list(columns)].copy()
    for name in frame.columns:
        if frame[name].dtype == "str":
            frame[name] = frame[name].map(visible, na_action="ignore")
        elif frame[name].dtype == "float64":  # a sum of counts
            frame[name] = frame[name].round().astype("Int64") if frame[name].max() < 2**53 else frame[name]
    return frame
