"""What enforce would have refused, day by day, and why: each cause at each MX host, who saw it, whose fault, what repairs it."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.decision.facts.causes import Cause
from dashboard.decision.verdict import Verdict
from dashboard.queries.question import TRUSTED, DayRange
from dashboard.queries.report_pages import exactly
from dashboard.views.parts import charts, controls, tables, texts
from dashboard.views.visit import Visit
from dashboard.words import cause_words, wording
from dashboard.words.phrases import counted
from dashboard.words.plain import domain_parameter, plain, visible
from ingest.rfc.policy_types import STS, TLSA
from ingest.rfc.result_types import DANE_ONLY, REFUSED

_MOST_CAUSES, _MOST_COLUMNS, _MOST_ROWS = 6, 12, 30
_LONGEST = 1_000


def render(visit: Visit, verdict: Verdict) -> None:
    """Show the causes behind a verdict: first those that the switch is about, then the others."""
    refused = [cause for cause in verdict.causes if cause.consequence == REFUSED]
    others = [cause for cause in verdict.causes if cause.consequence != REFUSED]
    st.subheader("What enforce refused" if verdict.mode == "enforce" else "What enforce would have refused")
    if refused:
        _day_by_day(verdict)
        _table(visit, verdict, refused, "refused")
        _repairs(verdict, refused)
        _who_saw_what(visit, verdict, refused)
    elif verdict.sessions:
        st.text(f"None of {counted(verdict.sessions, 'session')} that known reporters tell of.")
    else:
        st.text("Nothing is known: no session counts.")
    if others:
        st.subheader("What the switch would not change")
        _table(visit, verdict, others, "unchanged")
        _repairs(verdict, others)


def reports_about(verdict: Verdict) -> dict[str, str]:
    """The part of an address of the Reports page that all figures of a verdict have in common."""
    days = {"since": str(verdict.window.start), "until": str(verdict.on)}
    return {"domain": domain_parameter(verdict.domain), "trust": TRUSTED} | days


def _day_by_day(verdict: Verdict) -> None:
    days = pd.DataFrame(
        [(day.day, day.sessions, day.refused, day.accepted) for day in verdict.daily],
        columns=["day", "sessions", "refused", "accepted"],
    ).astype({"day": "datetime64[s]"})
    if not days[["refused", "accepted"]].to_numpy().any():
        return
    bad = int((days["refused"] > 0).sum())
    st.text(
        f"Refused on {bad:,} of {counted(len(days), 'day')} with reports, newest days included. A refused session is tried "
        "again at the next MX host, or later."
    )
    st.altair_chart(
        charts.refused_per_day(days, DayRange(verdict.window.start, verdict.on)), alt="Refused sessions by day"
    )


def _words(result_type: str) -> str:
    return wording.result_type(result_type).words if result_type in wording.RESULT_TYPES else result_type


def _table(visit: Visit, verdict: Verdict, causes: list[Cause], key: str) -> None:
    rows = pd.DataFrame(
        {
            "cause": [_words(c.result_type) for c in causes],
            "now": ["over" if c.over else "accepted" if not c.sessions else "not over" for c in causes],
            "mx": [c.mx_host or "\u2014" for c in causes],
            "sessions": pd.Series([c.sessions for c in causes], dtype="float64"),
            "accepted": pd.Series([c.accepted for c in causes], dtype="float64"),
            "seen": [f"{c.reporters} of {c.of_reporters}" for c in causes],
            "by": [", ".join(c.organizations) for c in causes],
            "first": pd.to_datetime([c.first_day for c in causes]),
            "last": pd.to_datetime([c.last_day for c in causes]),
        }
    ).astype(dict.fromkeys(("cause", "now", "mx", "seen", "by"), "str"))
    columns = {
        "cause": tables.text_column("What failed"),
        "now": tables.text_column("Now", width=90),
        "mx": tables.text_column("MX host"),
        "sessions": tables.count_column("Sessions"),
        "accepted": tables.count_column("Accepted", "Sessions whose cause you have accepted; they no longer block."),
        "seen": tables.text_column("Seen by", "Reporters that saw it, of those heard in these days."),
        "by": tables.text_column("Reporters"),
        "first": tables.day_column("First seen"),
        "last": tables.day_column("Last seen"),
    }
    if not rows["accepted"].any():
        del columns["accepted"]
    chosen = tables.clickable_table(rows, columns, "Causes of failed sessions", f"causes {key}")
    if chosen is not None:
        visit.go("reports", **_behind(verdict, causes[chosen]))
    st.caption("Click on a row for the reports behind it.")


def _behind(verdict: Verdict, cause: Cause) -> dict[str, str]:
    policy = TLSA if cause.consequence == DANE_ONLY else STS
    where = {"policy": policy, "result": cause.result_type, "mx": cause.mx_host or controls.NO_MX}
    return reports_about(verdict) | where


def _repairs(verdict: Verdict, causes: Sequence[Cause]) -> None:
    """What to do about each, those that last first; whose fault with the evidence for it, and the commands."""
    for cause in causes[:_MOST_CAUSES]:
        head, *further = cause_words.sentences(cause, verdict)
        known = cause.result_type in wording.RESULT_TYPES
        what = wording.result_type(cause.result_type).words if known else plain(cause.result_type)
        st.markdown(f"**{what}**" + (f" at {plain(cause.mx_host)}" if cause.mx_host else ""))
        for words in (head, *further):
            st.text(visible(words, _LONGEST))
        if cause_words.is_live(cause) and not cause_words.mx_line(cause):
            st.text(wording.result_type(cause.result_type).repair)
        texts.commands(cause_words.commands(cause, verdict))
    if len(causes) > _MOST_CAUSES:
        more = counted(len(causes) - _MOST_CAUSES, "more cause")
        st.caption(f"{more} with fewer sessions: see the table.")


def _who_saw_what(visit: Visit, verdict: Verdict, causes: Sequence[Cause]) -> None:
    """Cause by reporter: one column that is full is ours, one row that is full is theirs."""
    compared = causes[:_MOST_COLUMNS]
    names = sorted({name for cause in compared for name, _ in cause.by_organization})
    if len(names) < 2:
        return
    names = names[:_MOST_ROWS]
    counts = [dict(cause.by_organization) for cause in compared]
    cells = pd.DataFrame({f"cause{n}": [count.get(name) for name in names] for n, count in enumerate(counts)})
    columns = {"what": tables.text_column("Reporter", width="medium")}
    for number, cause in enumerate(compared):
        where = f" at {visible(cause.mx_host, 60)}" if cause.mx_host else ""
        columns[f"cause{number}"] = tables.count_column(visible(_words(cause.result_type), 60) + where)
    st.text("Who saw which cause, in sessions:")
    texts = [visible(name, 60) for name in names]
    chosen = tables.clickable_cell(cells, texts, columns, "Sessions by reporter and cause", "who saw what")
    if chosen:
        row, column = chosen
        address = reports_about(verdict) | {"reporter": exactly(names[row])}
        if column.startswith("cause"):
            address |= _behind(verdict, compared[int(column.removeprefix("cause"))])
        visit.go("reports", **address)
    st.caption(
        "A full column points to this side, a full row to that sender or its path. Click on a figure for its reports."
    )
