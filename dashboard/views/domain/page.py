"""One domain: what happened to its sessions, why, who says so, and which policies senders saw."""

import pandas as pd
import streamlit as st

from dashboard.queries import domain as queries
from dashboard.queries.question import ALL_DAYS, LANES, TRUSTED, UNPROVEN, DayRange
from dashboard.queries.report_pages import exactly
from dashboard.views.parts import charts, controls, figures, tables, texts
from dashboard.views.visit import Visit
from dashboard.words import wording
from dashboard.words.plain import (
    domain_label,
    domain_parameter,
    plain,
    stored_domain,
    unicode_name,
    visible,
    visible_lines,
)
from ingest.rfc.policy_types import STS

from . import answer

_MOST_TYPES, _MOST_CAUSES, _MOST_MX, _MOST_NAMED = 6, 12, 30, 8
_LANE_NAMES = {TRUSTED: "Trusted", UNPROVEN: "Unproven"}


def render(visit: Visit) -> None:
    """Show the domain named in the address (``?domain=``)."""
    visit.link("domains", "All domains", icon=":material/arrow_back:")
    asked = st.query_params.get("domain", "")
    if not asked:
        _ask(visit)
        return
    domain = stored_domain(asked)
    st.title(domain_label(domain), anchor=texts.THIS_DOMAIN)
    if in_unicode := unicode_name(domain):
        st.text(f"In its own script: {in_unicode}")
    every_day = visit.read(queries.days, domain, ALL_DAYS)
    if every_day.empty:
        st.info("There is no report about this domain.", icon=":material/search_off:")
    else:
        _page(visit, domain, every_day)


def _ask(visit: Visit) -> None:
    st.title("Domain")
    name = st.text_input("Which domain?", placeholder="example.com", key="asked")
    if name:
        visit.go("domain", domain=name)


def _page(visit: Visit, domain: str, every_day: pd.DataFrame) -> None:
    newest = every_day["day"].max()
    if domain:
        answer.render(visit, domain)
    st.header("All reports")
    with st.container(horizontal=True, gap="medium"):
        window = controls.range_selector(newest, visit)
        days = figures.within(every_day, window)
        lane = _choose_lane(every_day)
        policy_type = _choose_policy_type(days, lane)
    controls.nothing_recent(newest, visit)
    chosen = days[(days["lane"] == lane) & (days["policy_type"] == policy_type)]
    reporters = visit.read(queries.reporters, domain, window, policy_type)
    reporter_count = figures.reporters_of(reporters, LANES[lane])
    _figures(days, lane, policy_type, reporter_count)
    _over_time(chosen, window)
    causes = visit.read(queries.causes, domain, window, lane, policy_type)
    types = visit.read(queries.result_types, domain, window, lane, policy_type)
    address = _reports_about(domain, window) | {"trust": lane, "policy": policy_type}
    if len(types):
        _failures(visit, figures.heat(causes, types, _MOST_MX), address)
        _consequences(figures.causes_in_order(causes, types, reporter_count), policy_type)
    _reporters(visit, reporters, _reports_about(domain, window))
    _policies(visit, domain, window, lane)
    texts.sessions_note()


def _reports_about(domain: str, window: DayRange) -> dict[str, str]:
    """The part of an address of the Reports page that is the same for all figures here."""
    days = {"since": window.since, "until": window.until}
    return {"domain": domain_parameter(domain)} | {name: str(day) for name, day in days.items() if day}


def _choose_lane(days: pd.DataFrame) -> str:
    """Trusted and unproven reports are never added; who has only one kind need not choose."""
    lanes = set(days["lane"])
    if lanes == {TRUSTED}:
        return TRUSTED
    default = TRUSTED if TRUSTED in lanes else UNPROVEN
    meaning = "Unproven: mail without a valid signature, and uploads over HTTPS. Nothing vouches for them."
    return controls.choice("Reports", "reports", _LANE_NAMES, default, meaning)


def _choose_policy_type(days: pd.DataFrame, lane: str) -> str:
    types = figures.policy_types(days, lane, _MOST_TYPES)
    if types == [STS]:
        return STS
    names = {name or "-": wording.policy_type(name) for name in types}
    meaning = "One sender may list the same sessions under MTA-STS and under DANE, so they are never added together."
    chosen = controls.choice("Policy", "policy", names, types[0] or "-", meaning)
    return "" if chosen == "-" else chosen


def _figures(days: pd.DataFrame, lane: str, policy_type: str, reporter_count: int) -> None:
    of = figures.sessions_of(days, lane, policy_type)
    with st.container(horizontal=True):
        texts.metric("Sessions", of.total, "Sessions that the chosen reports count under the chosen policy.")
        texts.metric("Failed", of.failed, "Of these, sessions that failed in any way.")
        if policy_type == STS:
            texts.metric("Would be refused", of.refused, "Of these, sessions that a policy in mode enforce refuses.")
        texts.metric("Reporters", reporter_count, "Organisations whose reports of this kind are about these days.")
    if lane == UNPROVEN:
        st.warning("Anyone could have written these reports. They are no evidence.", icon=":material/help:")
    elif unproven := int(days.loc[days["lane"] == UNPROVEN, "reports"].sum()):
        st.caption(f"Not counted here: {unproven:,} unproven reports, which nothing vouches for.")


def _over_time(days: pd.DataFrame, window: DayRange) -> None:
    if days.empty:
        st.info("No such report is about these days.", icon=":material/event_busy:")
        return
    st.subheader("Over time")
    st.altair_chart(charts.sessions_per_day(days, window), alt="Sessions by day and outcome")
    if days["failed_sessions"].sum():
        st.altair_chart(charts.failures_per_day(days, window), alt="Failed sessions by day")


def _failures(visit: Visit, heat: figures.Heat, address: dict[str, str]) -> None:
    st.subheader("Failures by result and MX host")
    words = [
        wording.RESULT_TYPES[code].words if code in wording.RESULT_TYPES else visible(code)
        for code in heat.result_types
    ]
    columns = {"what": tables.text_column("What failed", width="medium")}
    for number, host in enumerate(heat.mx_hosts):
        columns[f"mx{number}"] = tables.count_column(visible(host, 60) or "no MX named")
    chosen = tables.clickable_cell(heat.table, words, columns, "Failed sessions by result type and MX host", "failures")
    if chosen:
        row, column = chosen
        address = address | {"result": heat.result_types[row]}
        if column.startswith("mx"):
            address["mx"] = heat.mx_hosts[int(column.removeprefix("mx"))] or controls.NO_MX
        visit.go("reports", **address)
    st.caption("Failed sessions. Click on a figure for the reports behind it. One session can have several failures.")
    if heat.left_out:
        st.caption(f"{heat.left_out:,} more MX hosts with fewer failures are not shown.")


def _consequences(causes: list[figures.ResultTypeFigures], policy_type: str) -> None:
    st.subheader(
        "What it means, and who repairs it" if policy_type != STS else "What enforce would refuse, and who repairs it"
    )
    for cause in causes[:_MOST_CAUSES]:
        with st.container(border=True):
            _cause(cause, policy_type)
    if len(causes) > _MOST_CAUSES:
        st.caption(f"{len(causes) - _MOST_CAUSES:,} more result types are in the table above.")


def _cause(cause: figures.ResultTypeFigures, policy_type: str) -> None:
    name = cause.words.words if cause.code in wording.RESULT_TYPES else f"{plain(cause.code)}: {cause.words.words}"
    st.markdown(f"**{name}** \u2014 {wording.outcome(cause.failed, cause.refused, cause.consequence, policy_type)}")
    st.text(f"{cause.words.meaning} {cause.words.repair}")
    hosts = ", ".join(visible(host, 60) for host in cause.mx_hosts[:_MOST_NAMED])
    more = f" and {len(cause.mx_hosts) - _MOST_NAMED:,} more" if len(cause.mx_hosts) > _MOST_NAMED else ""
    between = f"{texts.day(cause.first_day)} to {texts.day(cause.last_day)}"
    seen = f"Seen by {cause.heard_by:,} of {cause.of_reporters:,} reporters, {between}"
    st.text(f"{seen}, on {hosts}{more}." if hosts else f"{seen}.")


def _reporters(visit: Visit, reporters: pd.DataFrame, address: dict[str, str]) -> None:
    if reporters.empty:
        return
    st.subheader("Reporters")
    table = reporters.assign(
        trust=reporters["trust"].map(wording.TRUST),
        sessions=reporters["successful_sessions"] + reporters["failed_sessions"],
    )
    columns = {
        "organization": tables.text_column("Reporter"),
        "trust": tables.text_column(
            "Trust", width=130, meaning="; ".join(f"{wording.TRUST[k]}: {v}" for k, v in wording.TRUST_MEANING.items())
        ),
        "signer": tables.text_column("Signed by", "The domain whose DKIM signature holds."),
        "reports": tables.count_column("Reports"),
        "sessions": tables.count_column("Sessions", "Under the chosen policy."),
        "failed_sessions": tables.count_column("Failed"),
        "refused_sessions": tables.count_column("Would be refused"),
        "last_day": tables.day_column("Last report about"),
        "last_received_at": tables.instant_column("Last arrival (UTC)"),
    }
    chosen = tables.clickable_table(table, columns, "Who reported about this domain", "reporters")
    if chosen is not None:
        who = reporters.iloc[chosen]
        visit.go("reports", **address, reporter=exactly(who["organization"]), trust=who["trust"])


def _policies(visit: Visit, domain: str, window: DayRange, lane: str) -> None:
    policies = visit.read(queries.policies, domain, window, lane)
    if policies.empty:
        return
    st.subheader("Policies that senders saw")
    quotes = visit.read(queries.policy_reporters, domain, window, lane)
    for policy in policies.to_dict("records"):
        by = figures.quoted_by(policy, quotes)
        with st.expander(wording.policy_title(policy["policy_type"], policy["mode"], policy["text"])):
            if policy["text"]:
                st.code(visible_lines(policy["text"], queries.LONGEST_POLICY), language=None)
            st.text(
                f"{texts.day(policy['first_day'])} to {texts.day(policy['last_day'])}, in {policy['reports']:,} reports, "
                f"by {', '.join(visible(name, 60) for name in by[:_MOST_NAMED])}"
                + (f" and {len(by) - _MOST_NAMED:,} more" if len(by) > _MOST_NAMED else "")
            )
