"""What several pages show the same way: the range of days, tables, pages of a list, single facts, raw text."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.queries.frames import LONGEST_TEXT
from dashboard.queries.question import ALL_DAYS, Window
from dashboard.words import wording
from dashboard.words.commands_to_run import Run
from dashboard.words.plain import visible, visible_lines
from ingest.text.days import NoDay, read_day

from . import charts
from .visit import Visit

Columns = Mapping[str, Any]

RANGES = {"14": "14 days", "30": "30 days", "90": "90 days", "365": "1 year", "all": "All"}
# Of a raw report or message, what a browser shows at ease; the rest is in the download.
LONGEST_RAW = 100_000
# Which page the session shows.
SHOWN = "shown page"
_LONGEST_FILTER = 300
_LONGEST_COMMAND = 2_000
# The running number before each row of a table that can be clicked.
_NUMBER_PIXELS = 44
# What ingest reads as the day of a report.
_FIRST_DAY, _LAST_DAY = dt.date(2010, 1, 1), dt.date(2199, 12, 31)
_ROW_PIXELS, _MOST_ROWS = 35, 25
_LABEL_PIXELS = 110
_LONG_CODE = 20  # lines; beyond, it scrolls
# A heading's id in the page: Streamlit would make one of the domain's name, and an id of a stranger's choice is found by scripts.
THIS_DOMAIN = "this-domain"
# In an address: failures for which no MX host is named. No host name holds a blank.
NO_MX = "(none named)"


def _key(name: str) -> str:
    """The key of a control: of this page only, because Streamlit drops a control's value when the page is left."""
    return f"{st.session_state.get(SHOWN)} {name}"


def _from_address(key: str, name: str, value: Any) -> None:  # noqa: ANN401
    """Give a control ``value``, when it is new or the address has changed without it (a link, the browser's way back)."""
    asked = st.query_params.get(name)
    if key not in st.session_state or st.session_state.get(_address_of(name)) != asked:
        st.session_state[key] = value


def _to_address(name: str, value: str, default: str = "") -> None:
    """Keep a choice in the address, so that it can be bookmarked and sent to a colleague; a default leaves no trace."""
    if value == default:
        st.query_params.pop(name, None)
    elif st.query_params.get(name) != value:
        st.query_params[name] = value
    st.session_state[_address_of(name)] = st.query_params.get(name)


def _address_of(name: str) -> str:
    """Where the session keeps what the address said when a control was last drawn."""
    return f"{_key(name)} in the address"


def choice(label: str, name: str, options: Mapping[str, str], default: str, meaning: str = "") -> str:
    """One of ``options`` (word in the address to words for people), kept in the address as ``name``."""
    key = _key(name)
    asked = st.query_params.get(name, default)
    _from_address(key, name, asked if asked in options else default)
    if st.session_state[key] not in options:
        st.session_state[key] = default
    chosen = st.segmented_control(
        label, list(options), required=True, format_func=lambda word: options[word], key=key, help=meaning or None
    )
    _to_address(name, str(chosen), default)
    return str(chosen)


def text_filter(label: str, name: str, placeholder: str, meaning: str = "") -> str:
    """A text to look for, kept in the address as ``name``."""
    key = _key(name)
    _from_address(key, name, st.query_params.get(name, "")[:_LONGEST_FILTER])
    typed = st.text_input(label, placeholder=placeholder, key=key, help=meaning or None, max_chars=_LONGEST_FILTER)
    text = (typed or "").strip()
    _to_address(name, text)
    return text


def day_filter(label: str, name: str) -> dt.date | None:
    """A day, or none, kept in the address as ``name``."""
    key = _key(name)
    _from_address(key, name, _day_asked(name))
    chosen = st.date_input(label, value=None, min_value=_FIRST_DAY, max_value=_LAST_DAY, key=key, format="YYYY-MM-DD")
    day_chosen = chosen if isinstance(chosen, dt.date) else None
    _to_address(name, day_chosen.isoformat() if day_chosen else "")
    return day_chosen


def _day_asked(name: str) -> dt.date | None:
    try:
        asked = read_day(st.query_params.get(name, ""))
    except NoDay:
        return None
    return asked if _FIRST_DAY <= asked <= _LAST_DAY else None


def selected(label: str, name: str, options: Mapping[str, str]) -> str:
    """One of many ``options`` in a list, the first by default; kept in the address as ``name``."""
    key, first = _key(name), next(iter(options))
    asked = st.query_params.get(name, first)
    _from_address(key, name, asked if asked in options else first)
    chosen = st.selectbox(label, list(options), format_func=lambda word: options[word], key=key)
    _to_address(name, str(chosen), first)
    return str(chosen)


def switch(label: str, name: str) -> bool:
    """Yes or no, kept in the address as ``name=1``."""
    key = _key(name)
    _from_address(key, name, st.query_params.get(name) == "1")
    chosen = st.toggle(label, key=key)
    _to_address(name, "1" if chosen else "")
    return chosen


def range_selector(newest: pd.Timestamp, visit: Visit) -> Window:
    """The days to look at (``?days=90``). ``newest`` is the newest day there is: see ``default_range``."""
    return window_of(choice("Days", "days", RANGES, default_range(newest, visit)), visit.today)


def window_of(days: str, today: dt.date) -> Window:
    """The last complete days, and today, whose reports have hardly arrived; a word that is no number is all days."""
    return Window(today - dt.timedelta(days=int(days)), today) if days.isdigit() else ALL_DAYS


def default_range(newest: pd.Timestamp, visit: Visit) -> str:
    """14 days, or all of them when the newest report is older: an archive that was loaded should show something."""
    return "14" if newest.date() >= visit.today - dt.timedelta(days=14) else "all"


def nothing_recent(newest: pd.Timestamp, visit: Visit) -> None:
    """Say so when no report is about the last 14 days."""
    if default_range(newest, visit) == "all":
        st.caption(f"No report is about the last 14 days; the newest is about {day(newest)}.")


def commands(runs: Iterable[Run]) -> None:
    """Commands to copy, each under a comment that says when to run it."""
    lines = [line for run in runs for line in (f"# {visible(run.when, 300)}", visible(run.command, _LONGEST_COMMAND))]
    if lines:
        st.code("\n".join(lines), language=None, wrap_lines=True)


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


def page_of(total: int, size: int, key: str) -> int:
    """The chosen page of a list as an offset; nothing is shown when it fits on one page."""
    pages = max(1, -(-total // size))
    if pages == 1:
        return 0
    return (st.pagination(pages, key=key) - 1) * size


def facts(pairs: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; values are shown as text, whatever they hold."""
    for name, value in pairs:
        with st.container(horizontal=True, gap="small", wrap=False):
            st.caption(name, width=_LABEL_PIXELS)
            st.text(visible(value) if value else "\u2014", width="stretch")


def raw_text(content: bytes, size: int, language: str | None = None) -> None:
    """The beginning of a raw report or message, with hidden characters written out."""
    text = visible_lines(content.decode("utf-8", "replace"), LONGEST_RAW)
    st.code(text, language=language, height=400 if text.count("\n") > _LONG_CODE else "content", wrap_lines=True)
    if size > LONGEST_RAW:
        st.caption(f"The first {wording.size(LONGEST_RAW)} of {wording.size(size)}; the download has everything.")


def json_text(text: str) -> None:
    """A small piece of JSON from a report."""
    st.code(visible_lines(text, LONGEST_TEXT), language="json", wrap_lines=True)


def instant(moment: pd.Timestamp | dt.datetime) -> str:
    """A moment for people."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def day(value: pd.Timestamp | dt.date) -> str:
    """A day for people; a dash when there is none."""
    return "\u2014" if pd.isna(value) else f"{value:%Y-%m-%d}"


def sessions_note() -> None:
    """What the counts on a page are."""
    st.caption(wording.SESSIONS_NOTE)
