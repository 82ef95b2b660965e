"""The list of reports, and (``?report=``) one of them in full."""

import pandas as pd
import streamlit as st

from dashboard.queries import report_pages, reports
from dashboard.queries.question import DayRange
from dashboard.queries.report_pages import FailureCell, PlaceInList, ReportFilter
from dashboard.views.parts import controls, tables, texts
from dashboard.words import wording
from dashboard.words.plain import domain_parameter, domain_text, plain, stored_domain

from . import first_steps, report
from .visit import Visit

_ON_A_PAGE = 50
# Counting stops here: what comes after is found by narrowing the filter, not by turning pages.
_MOST_COUNTED = 10_000


def render(visit: Visit) -> None:
    """Show the list, or the report that the address names."""
    if "report" in st.query_params:
        report.render(visit, stored_domain(st.query_params.get("domain", "")), st.query_params["report"])
        return
    if not visit.read(reports.any_report):
        first_steps.render(visit)
        return
    st.title("Reports")
    wanted = _filter()
    if wanted is not None:
        _list(visit, wanted)
    texts.sessions_note()


def _filter() -> ReportFilter | None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        domain = controls.text_filter(
            "Domain", "domain", "example.com", "Exact, or *.example.com for all names below it."
        )
        reporter = controls.text_filter(
            "Reporter", "reporter", "part of its name", 'Part of the name; "in quotes" for exactly this name.'
        )
        since, until = controls.day_filter("From", "since"), controls.day_filter("To", "until")
        trust = controls.selected("Trust", "trust", wording.TRUST_CHOICES)
        only_failures = controls.switch("Only with failures", "failed")
    if since and until and until < since:
        st.warning(f"The last day ({until}) is before the first day ({since}).")
        return None
    stored = stored_domain(domain) if domain else None
    return ReportFilter(
        domain=stored,
        reporter=reporter,
        window=DayRange(since, until),
        trusts=wording.trusts_of(trust),
        only_failures=only_failures,
        cause=None if stored is None else _cause(),
    )


def _cause() -> FailureCell | None:
    """What a figure on the Domain page stands for, with a way to drop it."""
    asked = st.query_params
    if "result" not in asked:
        return None
    mx = asked.get("mx")
    words = wording.result_title(asked["result"])
    host = "" if mx is None else " on no named MX" if mx == controls.NO_MX else f" on {plain(mx, 100)}"
    kind = wording.policy_type(asked.get("policy", ""))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"Only failures **{words}**{host} (policy: {kind})")
        if st.button("Show all", icon=":material/close:"):
            for name in ("result", "mx", "policy"):
                asked.pop(name, None)
            st.rerun()
    return FailureCell(asked["result"], asked.get("policy", ""), "" if mx == controls.NO_MX else mx)


def _list(visit: Visit, wanted: ReportFilter) -> None:
    count = visit.read(report_pages.count_reports, wanted, _MOST_COUNTED)
    if not count:
        st.info("No report matches.", icon=":material/search_off:")
        visit.link("reports", "Show all reports", icon=":material/arrow_forward:")
        return
    word, newer = controls.place(repr(wanted))
    place = PlaceInList.from_address(word)
    rows = visit.read(report_pages.list_reports, wanted, limit=_ON_A_PAGE + 1, place=place, newer=newer)
    is_more = len(rows) > _ON_A_PAGE
    # The report too much stands where the next page begins.
    rows = rows.iloc[-_ON_A_PAGE:] if newer else rows.iloc[:_ON_A_PAGE]
    how_many = f"more than {count:,}" if count == _MOST_COUNTED else f"{count:,}"
    st.caption(
        f"{how_many} reports; click on a row to open one." if count > 1 else "1 report; click on its row to open it."
    )
    chosen = tables.clickable_table(_in_words(rows), _columns(wanted), "Reports", "reports")
    if chosen is not None:
        row = rows.iloc[chosen]
        visit.go("reports", domain=domain_parameter(row["policy_domain"]), report=row["report_key"])
    is_newest = place is None or (newer and not is_more)
    is_oldest = not is_more and not (newer and place is not None)
    controls.turn("" if is_newest else _place_of(rows, 0), "" if is_oldest else _place_of(rows, -1))


def _place_of(rows: pd.DataFrame, number: int) -> str:
    if rows.empty:  # behind the last of them, by an address of another day
        return ""
    row = rows.iloc[number]
    moment = row["received_at"].to_pydatetime()
    return PlaceInList(row["day"].date(), moment, row["policy_domain"], row["report_key"]).in_address


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(
        policy_domain=rows["policy_domain"].map(domain_text),
        trust=rows["trust"].map(wording.TRUST),
        remarks=[wording.remarks(row) for row in rows.to_dict("records")],
    )


def _columns(wanted: ReportFilter) -> tables.Columns:
    columns = {
        "day": tables.day_column("Day", "The UTC day that most of its range lies in."),
        "policy_domain": tables.text_column("Domain"),
        "organization": tables.text_column("Reporter"),
        "successful_sessions": tables.count_column("Successful"),
        "failed_sessions": tables.count_column("Failed"),
        "refused_sessions": tables.count_column("Would be refused", "Sessions that a policy in mode enforce refuses."),
        "matching_sessions": tables.count_column("Of this failure", "Failed sessions of the failure chosen above."),
        "trust": tables.text_column("Trust", width=130),
        "remarks": tables.text_column("Remarks", width=210),
        "received_at": tables.instant_column("Arrived (UTC)"),
        "report_id": tables.text_column("Report ID"),
    }
    if wanted.cause is None:
        del columns["matching_sessions"]
    return columns
