"""Single values and texts on a page: figures, facts, commands, raw text, days and moments."""

import datetime as dt
from collections.abc import Iterable

import pandas as pd
import streamlit as st

from dashboard.queries.frames import LONGEST_TEXT
from dashboard.words import wording
from dashboard.words.commands_to_run import Run
from dashboard.words.plain import visible, visible_lines

# Of a raw report or message, what a browser shows at ease; the rest is in the download.
LONGEST_RAW = 100_000
# A heading's id in the page: Streamlit would make one of the domain's name, and an id of a stranger's choice is found by scripts.
THIS_DOMAIN = "this-domain"
_LONGEST_COMMAND = 2_000
_LABEL_PIXELS = 110
_LONG_CODE = 20  # lines; beyond, it scrolls


def commands(runs: Iterable[Run]) -> None:
    """Commands to copy, each under a comment that says when to run it."""
    lines = [line for run in runs for line in (f"# {visible(run.when, 300)}", visible(run.command, _LONGEST_COMMAND))]
    if lines:
        st.code("\n".join(lines), language=None, wrap_lines=True)


def metric(label: str, count: float, meaning: str) -> None:
    """One figure in a row of figures, which wraps on narrow screens."""
    st.metric(label, wording.sessions(count), help=meaning, border=True, width=170)


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
