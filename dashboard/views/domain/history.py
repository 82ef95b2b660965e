"""What became of a domain's policy: who sees which, until when older ones live in caches, and the verdict day by day."""

import pandas as pd
import streamlit as st

from dashboard import verdicts
from dashboard.decision.evidence import Evidence
from dashboard.decision.facts.policy_history import Seen, expiry
from dashboard.decision.verdict import Verdict
from dashboard.queries.report_pages import exactly
from dashboard.views.parts import charts, tables
from dashboard.views.visit import Visit
from dashboard.words import verdict_words
from dashboard.words.faces import FACES
from dashboard.words.phrases import counted
from dashboard.words.plain import visible

from . import causes

_DAYS = 60


def render(visit: Visit, evidence: Evidence, verdict: Verdict) -> None:
    """Show the policy's history and the verdict's."""
    st.subheader("The policy, as senders see it")
    _caches(evidence, verdict)
    if verdict.propagation:
        _propagation(visit, verdict)
    _day_by_day(visit, verdict)


def _caches(evidence: Evidence, verdict: Verdict) -> None:
    current = verdict.current
    if current is None:
        st.text("No report has quoted a policy that can be read.")
        return
    st.text(visible(verdict_words.policy_in_force(verdict), 1_000))
    last = expiry(evidence.served, current.policy, current.mode_since)
    if last is not None and last >= verdict.on:
        st.text(
            f"A sender may go on applying an older policy until {last}: that is the last day on which it can have been fetched "
            "plus its max_age. Keep serving a policy, and keep hosts and certificates in order, until then."
        )


def _propagation(visit: Visit, verdict: Verdict) -> None:
    behind = sum(not seen.current for seen in verdict.propagation)
    of = len(verdict.propagation)
    every = "The only reporter" if of == 1 else f"All {of:,} reporters"
    st.text(f"{behind:,} of {counted(of, 'reporter')} saw another policy last." if behind else f"{every} saw it last.")
    rows = pd.DataFrame(
        {
            "reporter": [seen.organization for seen in verdict.propagation],
            "sees": ["the policy in force" if seen.current else "another one" for seen in verdict.propagation],
            "mode": [seen.policy.mode or "\u2014" for seen in verdict.propagation],
            "mx": [", ".join(seen.policy.mx) for seen in verdict.propagation],
            "max_age": pd.array([seen.policy.max_age for seen in verdict.propagation], dtype="Int64"),
            "day": pd.to_datetime([seen.day for seen in verdict.propagation]),
        }
    ).astype(dict.fromkeys(("reporter", "sees", "mode", "mx"), "str"))
    columns = {
        "reporter": tables.text_column("Reporter"),
        "sees": tables.text_column("Sees"),
        "mode": tables.text_column("Mode"),
        "day": tables.day_column("Last quoted for"),
        "max_age": tables.count_column("max_age", "Seconds for which the sender may keep it."),
        "mx": tables.text_column("MX patterns", width="large"),
    }
    chosen = tables.clickable_table(rows, columns, "Which policy each reporter saw last", "propagation")
    if chosen is not None:
        visit.go("reports", **_reports_of(verdict, verdict.propagation[chosen]))
    st.caption("Click on a row for that reporter's reports of the day.")


def _reports_of(verdict: Verdict, seen: Seen) -> dict[str, str]:
    day = str(seen.day)
    return causes.reports_about(verdict) | {"reporter": exactly(seen.organization), "since": day, "until": day}


def _day_by_day(visit: Visit, verdict: Verdict) -> None:
    """The verdict of each of the last days, as it was on that day."""
    days = visit.judge(verdicts.by_day, verdict.domain, verdict.name, _DAYS)
    rows = pd.DataFrame(
        {
            "day": pd.to_datetime([day for day, _ in days]),
            "verdict": [FACES[name].title for _, name in days],
        }
    )
    st.subheader("The verdict, day by day")
    st.altair_chart(charts.verdict_history(rows), alt="The verdict of each day")
    st.caption("Each day's verdict is computed from what had arrived by then.")
