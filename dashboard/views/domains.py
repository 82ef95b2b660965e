"""The start page: what is to be done about which domain, the most urgent first."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from dashboard.decision.verdict import ENFORCING_REFUSING, READY
from dashboard.fleet_verdicts import Ranking, ranking
from dashboard.queries import fleet
from dashboard.queries.assessed import Summary
from dashboard.queries.question import ALL_DAYS, TRUSTED, DayRange
from dashboard.views.parts import charts, controls, figures, tables, texts
from dashboard.words.faces import FACES
from dashboard.words.plain import domain_label, domain_parameter, domain_text, stored_domain

from . import first_steps
from .visit import Visit

_ON_A_PAGE = 500
_SEARCH_FROM = 10
_MOST_NAMED = 5
_ALL = "all"


def render(visit: Visit) -> None:
    """Show the page, or the first steps as long as there is no report."""
    newest = visit.read(fleet.newest_day)["day"].iloc[0]
    if pd.isna(newest):
        first_steps.render(visit)
        return
    st.title("Domains")
    _verdicts(visit)
    st.header("Sessions of all domains")
    window = controls.range_selector(newest, visit)
    controls.nothing_recent(newest, visit)
    _figures(visit, window)
    texts.sessions_note()


def _verdicts(visit: Visit) -> None:
    """The domains, the most urgent first, or those with one verdict."""
    every = visit.read(fleet.count_domains)
    search = ""
    if every > _SEARCH_FROM:
        search = controls.text_filter("Search", "search", "part of a domain name")
        search = stored_domain(search) if search else ""
    count = visit.read(fleet.count_domains, search) if search else every
    if not count:
        st.info("No domain with a report has this in its name.")
        return
    first = visit.judge(ranking, search, "", _ON_A_PAGE)
    if first.waiting:
        st.info(
            "Many domains wait for their verdict of today, which `starttally assess` decides; older ones are shown."
        )
    if not search:
        _headlines(visit, first)
    wanted = _ALL
    if len(first.counts) > 1:
        options = {_ALL: f"All {first.total:,}"}
        options |= {name: f"{FACES[name].title} {number:,}" for name, number in first.counts.items()}
        wanted = controls.choice("Verdict", "verdict", options, _ALL)
    listed = first.total if wanted == _ALL else first.counts[wanted]
    # Reports that name no domain have no verdict, and still a page.
    nameless = [""] if wanted == _ALL and count > first.total and _is_nameless(visit) else []
    offset = controls.page_of(listed + len(nameless), _ON_A_PAGE, "page")
    shown = first
    if wanted != _ALL or offset:
        shown = visit.judge(ranking, search, "" if wanted == _ALL else wanted, _ON_A_PAGE, offset)
    names = [summary.domain for summary in shown.summaries]
    names += nameless if len(names) < _ON_A_PAGE else []
    rows = visit.read(fleet.domains, ALL_DAYS, names).set_index("policy_domain", drop=False)
    summaries = {summary.domain: summary for summary in shown.summaries}
    _table(visit, rows.loc[[name for name in names if name in rows.index]], summaries)
    _as_of(shown.summaries)


def _is_nameless(visit: Visit) -> bool:
    return not visit.read(fleet.domains, ALL_DAYS, [""]).empty


def _as_of(summaries: Sequence[Summary]) -> None:
    """When the oldest of the stored verdicts was decided."""
    decided = [summary.decided_at for summary in summaries if summary.decided_at]
    if decided:
        st.caption(f"Verdicts as of {texts.instant(min(decided))}, and of now where a report has come since.")


def _headlines(visit: Visit, first: Ranking) -> None:
    """What somebody with a minute has to know."""
    if losing := first.counts.get(ENFORCING_REFUSING, 0):
        named = _named(visit, ENFORCING_REFUSING, losing)
        st.error(f"**Mail is being refused now** for {named}.", icon=":material/block:")
    if ready := first.counts.get(READY, 0):
        st.success(f"**May go to enforce:** {_named(visit, READY, ready)}.", icon=":material/check_circle:")


def _named(visit: Visit, verdict: str, count: int) -> str:
    summaries = visit.judge(ranking, "", verdict, _MOST_NAMED).summaries
    names = ", ".join(domain_label(summary.domain) for summary in summaries)
    return names + (f" and {count - len(summaries):,} more" if count > len(summaries) else "")


def _table(visit: Visit, rows: pd.DataFrame, verdicts: dict[str, Summary]) -> None:
    domains = list(rows["policy_domain"])
    known = [verdicts.get(name) for name in domains]
    table = pd.DataFrame(
        {
            "policy_domain": [domain_text(name) for name in domains],
            "verdict": [
                f"{FACES[summary.verdict].sign} {FACES[summary.verdict].title}" if summary else "" for summary in known
            ],
            "refused": pd.array([summary.refused if summary else None for summary in known], dtype="Int64"),
            "sessions": pd.array([summary.sessions if summary else None for summary in known], dtype="Int64"),
            "bound": [
                f"{summary.bound:.2%}" if summary and summary.bound is not None else "\u2014" for summary in known
            ],
            "mode": [(summary.mode if summary else "") or "\u2014" for summary in known],
            "reporters": pd.array([summary.reporters if summary else None for summary in known], dtype="Int64"),
        }
    ).astype(dict.fromkeys(("policy_domain", "verdict", "bound", "mode"), "str"))
    rare = rows[["last_day", *_RARE]].reset_index(drop=True)
    table = pd.concat([table, rare], axis="columns")
    colours = {"verdict": [charts.verdict_text(FACES[summary.verdict]) if summary else "" for summary in known]}
    chosen = tables.clickable_table(table, _columns(table), "Domains with their verdicts", "domains", colours)
    if chosen is not None:
        visit.go("domain", domain=domain_parameter(domains[chosen]))
    st.caption("Click on a row to open the domain.")


def _columns(rows: pd.DataFrame) -> tables.Columns:
    columns = {
        "policy_domain": tables.text_column("Domain"),
        "verdict": tables.text_column("Verdict", "As of today; the domain's page says why.", width=210),
        "refused": tables.count_column(
            "Would be refused", "Sessions of the last days that a policy in mode enforce refuses. One of them blocks."
        ),
        "sessions": tables.count_column(
            "Sessions that count", "In trusted reports about the last 14 complete days, under the policy in force."
        ),
        "bound": tables.text_column(
            "Refused at most", "At the domain's confidence (95 %) no larger share would be refused.", width=120
        ),
        "mode": tables.text_column("Policy", "The mode of the policy in force.", width=90),
        "reporters": tables.count_column("Voices", "Independent reporters whose sessions count."),
        "last_day": tables.day_column("Last report", "The newest day that a trusted report is about."),
        "dane_sessions": tables.count_column(
            "DANE sessions", "Counted apart: often the same sessions as under MTA-STS."
        ),
        "dane_failed": tables.count_column("DANE failed"),
        "without_policy": tables.count_column("Without a policy", "Sessions for which the sender found no policy."),
        "unproven_reports": tables.count_column(
            "Unproven reports", "Nothing vouches for these. They move no other figure."
        ),
    }
    return {name: column for name, column in columns.items() if name not in _RARE or rows[name].gt(0).any()}


# Columns that are left out as long as no domain has anything in them.
_RARE = ("dane_sessions", "dane_failed", "without_policy", "unproven_reports")


def _figures(visit: Visit, window: DayRange) -> None:
    totals, reporter_counts = visit.read(fleet.totals, window), visit.read(fleet.reporter_counts, window)
    sts = figures.sessions_of(totals, TRUSTED, "sts")
    domains, reporters = figures.heard_of(reporter_counts, TRUSTED)
    with st.container(horizontal=True):
        texts.metric("MTA-STS sessions", sts.total, "Sessions under an MTA-STS policy, in trusted reports.")
        texts.metric("Failed", sts.failed, "Of these, sessions that failed in any way.")
        texts.metric("Would be refused", sts.refused, "Of these, sessions that a policy in mode enforce refuses.")
        texts.metric("Reporters", reporters, "Organisations whose trusted reports are about these days.")
        texts.metric("Domains", domains, "Domains with a trusted report about these days.")
    for sentence in figures.counted_apart(totals, reporter_counts):
        st.caption(sentence)
