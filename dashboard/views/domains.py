"""The start page: all domains, and the figures of the last days."""

import pandas as pd
import streamlit as st

from .. import figures
from ..plain import domain_parameter, domain_text, stored_domain
from ..queries import fleet
from ..queries.selection import TRUSTED, Window
from . import first_steps, parts
from .visit import Visit

_ON_A_PAGE = 500
_SEARCH_FROM = 10
_SORTS = {
    fleet.FAILURES: "Most failures",
    fleet.SESSIONS: "Most sessions",
    fleet.NEWEST: "Newest report",
    fleet.NAME: "Name",
}


def render(visit: Visit) -> None:
    """Show the page, or the first steps as long as there is no report."""
    newest = visit.read(fleet.newest_day)["day"].iloc[0]
    if pd.isna(newest):
        first_steps.render(visit)
        return
    st.title("Domains")
    window = parts.range_selector(newest, visit)
    parts.nothing_recent(newest, visit)
    _figures(visit, window)
    _table(visit, window)
    parts.sessions_note()


def _figures(visit: Visit, window: Window) -> None:
    totals, heard = visit.read(fleet.totals, window), visit.read(fleet.heard, window)
    sts = figures.sessions_of(totals, TRUSTED, "sts")
    domains, reporters = figures.heard_of(heard, TRUSTED)
    with st.container(horizontal=True):
        parts.metric("MTA-STS sessions", sts.total, "Sessions under an MTA-STS policy, in trusted reports.")
        parts.metric("Failed", sts.failed, "Of these, sessions that failed in any way.")
        parts.metric("Would be refused", sts.refused, "Of these, sessions that a policy in mode enforce refuses.")
        parts.metric("Reporters", reporters, "Organisations whose trusted reports are about these days.")
        parts.metric("Domains", domains, "Domains with a trusted report about these days.")
    for sentence in figures.counted_apart(totals, heard):
        st.caption(sentence)


def _table(visit: Visit, window: Window) -> None:
    every = visit.read(fleet.count_domains)
    search, sort = "", fleet.FAILURES
    if every > _SEARCH_FROM:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            search = parts.text_filter("Search", "search", "part of a domain name")
            if every > _ON_A_PAGE:
                sort = st.selectbox("Order", list(_SORTS), format_func=lambda name: _SORTS[name], key="order")
    search = stored_domain(search) if search else ""
    found = visit.read(fleet.count_domains, search) if search else every
    if not found:
        st.info("No domain with a report has this in its name.")
        return
    offset = parts.page_of(found, _ON_A_PAGE, "page")
    rows = visit.read(fleet.domains, window, search, sort=sort, limit=_ON_A_PAGE, offset=offset)
    shown = rows.assign(policy_domain=rows["policy_domain"].map(domain_text))
    chosen = parts.clickable_table(shown, _columns(shown), "Domains with their sessions", "domains")
    if chosen is not None:
        visit.go("domain", domain=domain_parameter(rows["policy_domain"].iloc[chosen]))
    st.caption("Click on a row to open the domain.")


def _columns(rows: pd.DataFrame) -> parts.Columns:
    columns = {
        "policy_domain": parts.text_column("Domain"),
        "sessions": parts.count_column("Sessions", "Sessions under MTA-STS in trusted reports about these days."),
        "failed_sessions": parts.count_column("Failed", "Of these, sessions that failed in any way."),
        "refused_sessions": parts.count_column("Would be refused", "Sessions that a policy in mode enforce refuses."),
        "reporters": parts.count_column("Reporters", "Organisations with trusted reports about these days."),
        "last_day": parts.day_column("Last report", "The newest day that a trusted report is about."),
        "dane_sessions": parts.count_column(
            "DANE sessions", "Counted apart: often the same sessions as under MTA-STS."
        ),
        "dane_failed": parts.count_column("DANE failed"),
        "without_policy": parts.count_column("Without a policy", "Sessions for which the sender found no policy."),
        "unproven_reports": parts.count_column(
            "Unproven reports", "Nothing vouches for these. They move no other figure."
        ),
    }
    return {name: column for name, column in columns.items() if name not in _RARE or rows[name].gt(0).any()}


# Columns that are left out as long as no domain has anything in them.
_RARE = frozenset({"dane_sessions", "dane_failed", "without_policy", "unproven_reports"})
