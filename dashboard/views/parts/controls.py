"""Controls whose choice stands in the address: a page can be bookmarked, sent to a colleague, and left and found again."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from dashboard.queries.question import ALL_DAYS, DayRange
from dashboard.views.visit import Visit
from ingest.text.days import NoDay, read_day

from . import texts

RANGES = {"14": "14 days", "30": "30 days", "90": "90 days", "365": "1 year", "all": "All"}
# Which page the session shows.
SHOWN = "shown page"
# In an address: failures for which no MX host is named. No host name holds a blank.
NO_MX = "(none named)"
_LONGEST_FILTER = 300
# What ingest reads as the day of a report.
_FIRST_DAY, _LAST_DAY = dt.date(2010, 1, 1), dt.date(2199, 12, 31)


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


def range_selector(newest: pd.Timestamp, visit: Visit) -> DayRange:
    """The days to look at (``?days=90``). ``newest`` is the newest day there is: see ``default_range``."""
    return window_of(choice("Days", "days", RANGES, default_range(newest, visit)), visit.today)


def window_of(days: str, today: dt.date) -> DayRange:
    """The last complete days, and today, whose reports have hardly arrived; a word that is no number is all days."""
    return DayRange(today - dt.timedelta(days=int(days)), today) if days.isdigit() else ALL_DAYS


def default_range(newest: pd.Timestamp, visit: Visit) -> str:
    """14 days, or all of them when the newest report is older: an archive that was loaded should show something."""
    return "14" if newest.date() >= visit.today - dt.timedelta(days=14) else "all"


def nothing_recent(newest: pd.Timestamp, visit: Visit) -> None:
    """Say so when no report is about the last 14 days."""
    if default_range(newest, visit) == "all":
        st.caption(f"No report is about the last 14 days; the newest is about {texts.day(newest)}.")


def page_of(total: int, size: int, key: str) -> int:
    """The chosen page of a list as an offset; nothing is shown when it fits on one page."""
    pages = max(1, -(-total // size))
    if pages == 1:
        return 0
    return (st.pagination(pages, key=key) - 1) * size


def place(chosen_list: str) -> tuple[str, bool]:
    """Where in a list the address says to begin, and whether towards what is newer; ("", False) at its beginning.

    ``chosen_list`` tells it: when another one is chosen, it begins anew.
    """
    before = st.session_state.get(_key("list"))
    if before not in (None, chosen_list):
        _begin()
    st.session_state[_key("list")] = chosen_list
    newer = st.query_params.get("newer", "")
    return newer or st.query_params.get("older", ""), bool(newer)


def turn(newer: str, older: str) -> None:
    """Buttons for the pages beside this one, whose places go into the address; "" where there is none."""
    if not newer and not older and not (st.query_params.keys() & {"newer", "older"}):
        return
    with st.container(horizontal=True):
        for label, name, where in (("Newest", "", ""), ("Newer", "newer", newer), ("Older", "older", older)):
            off = not where if name else not (st.query_params.keys() & {"newer", "older"})
            if st.button(label, key=_key(f"turn {label}"), disabled=off):
                _begin()
                if name:
                    st.query_params[name] = where
                st.rerun()


def _begin() -> None:
    for name in ("newer", "older"):
        st.query_params.pop(name, None)
