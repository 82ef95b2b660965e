"""Overrides of a domain: what is in force and what it covers, what was, and forms to give another."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard import verdicts
from dashboard.decision.evidence import Evidence
from dashboard.decision.overrides.coverage import coverage
from dashboard.decision.overrides.overrides import IN_FORCE, state
from dashboard.decision.verdict import Verdict
from dashboard.queries import overrides as queries
from dashboard.views import acts
from dashboard.views.parts import tables
from dashboard.views.visit import Visit
from dashboard.words import override_words
from dashboard.words.plain import plain, visible
from ingest.testimony import override_rules
from ingest.testimony.override_rules import Override

from . import override_forms
from .override_acts import LONGEST_WHAT, control_key, in_words, say_what_was_done, take_back

_MOST_PAST = 200


def render(visit: Visit, domain: str, verdict: Verdict) -> None:
    """Show the overrides of ``domain``, and the forms to users who may give one. ``verdict`` is today's."""
    st.subheader("Overrides")
    st.caption(
        "What you know and reports cannot say. An override changes the verdict from today on, is kept with your name, and can be "
        "taken back."
    )
    say_what_was_done(verdict)
    in_force = visit.read(queries.in_force, domain, visit.today)
    evidence, _ = visit.judge(verdicts.case_of, domain)
    may = acts.allowed(visit, domain)
    counting = [override for override in in_force if state(override, in_force, visit.today) == IN_FORCE]
    for override in reversed(counting):
        _override(visit, override, evidence, may)
    if not counting:
        st.text("None is in force.")
    _past(visit, domain, in_force, counting)
    if may:
        override_forms.render(visit, evidence, verdict)


def _override(visit: Visit, override: Override, evidence: Evidence, may: bool) -> None:
    until = f"until {override.until}" if override.until else "until taken back"
    with st.container(border=True):
        # Columns, because these stand below each other on a narrow screen.
        text, button = st.columns((5, 1), vertical_alignment="center") if may else (st.container(), None)
        with text:
            st.text(visible(in_words(override.content), LONGEST_WHAT))
            st.text(visible(override.note, override_rules.LONGEST_NOTE))
            covers = override_words.covers(coverage(evidence, override))
            st.caption(
                f"By {plain(override.author)}, since {override.since} ({_age(visit, override)}), {until}; {covers}"
            )
        if button:
            with button, st.popover("Take back", icon=":material/undo:"):
                key = control_key(override.key)
                note = st.text_input("Why (may stay empty)", max_chars=override_rules.LONGEST_NOTE, key=key)
                st.caption("From today on it no longer counts. It stays among the past overrides.")
                if st.button("Take this override back", type="primary", key=control_key(f"{override.key} back")):
                    take_back(visit, override, note)


def _age(visit: Visit, override: Override) -> str:
    days = (visit.today - override.since).days
    return "today" if not days else "1 day" if days == 1 else f"{days:,} days"


def _past(visit: Visit, domain: str, in_force: Sequence[Override], counting: Sequence[Override]) -> None:
    """Overrides that no longer count: taken back, expired, replaced."""
    past = [override for override in visit.read(queries.every_override, domain, _MOST_PAST) if override not in counting]
    if not past:
        return
    taken = [override.withdrawn_at for override in past]
    rows = pd.DataFrame(
        {
            "what": [in_words(override.content) for override in past],
            "how": [state(override, in_force, visit.today).capitalize() for override in past],
            "note": [override.note for override in past],
            "author": [override.author for override in past],
            "since": pd.to_datetime([override.since for override in past]),
            "until": pd.Series([override.until for override in past], dtype="datetime64[s]"),
            "taken": pd.Series(taken, dtype="datetime64[s, UTC]"),
            "by": [override.withdrawn_by for override in past],
            "why": [override.withdrawal_note for override in past],
        }
    ).astype(dict.fromkeys(("what", "how", "note", "author", "by", "why"), "str"))
    columns = {
        "what": tables.text_column("Override", width="large"),
        "how": tables.text_column("Now"),
        "note": tables.text_column("Note"),
        "author": tables.text_column("By"),
        "since": tables.day_column("Since"),
        "until": tables.day_column("Last day"),
        "taken": tables.instant_column("Taken back (UTC)"),
        "by": tables.text_column("Taken back by"),
        "why": tables.text_column("Why"),
    }
    with st.expander(f"Past overrides ({len(past):,})"):
        tables.table(rows, columns, "Overrides that no longer count")
