"""One report in full: its fields, entries and details, what is wrong with it, how it came, and the raw text."""

from typing import Any

import pandas as pd
import streamlit as st

from dashboard.queries import reports as queries
from dashboard.queries.domain import LONGEST_POLICY
from dashboard.views.parts import controls, figures, tables, texts
from dashboard.words import wording
from dashboard.words.plain import domain_label, domain_parameter, domain_text, visible, visible_lines

from .visit import Visit

_DETAILS_ON_A_PAGE = 200
_MOST_ENTRIES_OPEN = 3


def render(visit: Visit, domain: str, key: str) -> None:
    """Show the report with this key about this domain."""
    with st.container(horizontal=True):
        address_domain = domain_parameter(domain)
        visit.link("reports", "Reports about this domain", icon=":material/arrow_back:", domain=address_domain)
        visit.link("domain", "The domain", icon=":material/monitoring:", domain=address_domain)
    rows = visit.read(queries.one_report, domain, key)
    if rows.empty:
        st.title("No such report")
        st.text(
            "The report this address names is not here. It may be older than reports are kept, or not yours to see."
        )
        return
    report = rows.iloc[0]
    st.title("Report")
    st.subheader(domain_label(domain), anchor=texts.THIS_DOMAIN)
    _warnings(visit, domain, key, report)
    _fields(report)
    _entries(visit, domain, key)
    _details(visit, domain, key)
    _defects(report)
    _deliveries(visit, domain, key)
    _raw(visit, domain, key, report)
    texts.sessions_note()


def _warnings(visit: Visit, domain: str, key: str, report: pd.Series) -> None:
    _copies(visit, domain, key, report)
    if report["long_range"]:
        st.info(
            "This report covers more than 36 hours. Its successes count on its first day, its failures on its last.",
            icon=":material/date_range:",
        )
    if report["trust"] not in wording.TRUSTED:
        st.info(f"Not counted as evidence: {wording.TRUST_MEANING[report['trust']]}.", icon=":material/help:")


def _copies(visit: Visit, domain: str, key: str, report: pd.Series) -> None:
    """What else has this id and range, and what that means for the figures."""
    others = visit.read(queries.copies_of, domain, key, report["same_id"])
    if report["contradicted"]:
        st.warning(
            "The same sender gave other figures under the same id and for the same days: contradicted. The copy with more "
            "sessions counts, and the larger number of refused sessions.",
            icon=":material/content_copy:",
        )
    elif not (report["counts"] or report["accuses"]):
        st.info("A copy: another one with the same figures counts in its place.", icon=":material/content_copy:")
    if others.empty:
        return
    st.caption("Other reports with this id and range:")
    columns = _SESSION_COLUMNS | {
        "organization": tables.text_column("Reporter"),
        "standing": tables.text_column("Counts", width=210),
        "trust": tables.text_column("Trust"),
        "signer": tables.text_column("Signed by"),
        "received_at": tables.instant_column("Arrived (UTC)"),
    }
    standing = [wording.standing(row) for row in others.to_dict("records")]
    table = others.assign(trust=others["trust"].map(wording.TRUST), standing=standing)
    chosen = tables.clickable_table(table, columns, "Other reports with this id and range", "copies")
    if chosen is not None:
        visit.go("reports", domain=domain_parameter(domain), report=others["report_key"].iloc[chosen])


def _fields(report: pd.Series) -> None:
    names = {
        "Domain": domain_text(report["policy_domain"]),
        "Reporter": report["organization"],
        "Report ID": report["report_id"],
        "Contact": report["contact_info"],
        "From": texts.instant(report["range_start"]),
        "To": texts.instant(report["range_end"]),
        "Counted on": texts.day(report["day"]),
        "Sessions": wording.counts(report.to_dict()),
        "Trust": f"{wording.TRUST[report['trust']]}: {wording.TRUST_MEANING[report['trust']]}",
        "Signed by": report["signer"],
        "Arrived": texts.instant(report["received_at"]) + (", estimated" if report["arrival_estimated"] else ""),
        "Came by": wording.DOORS.get(report["door"], report["door"]),
        "Stored": texts.instant(report["stored_at"]),
        "Key": report["report_key"],
    }
    texts.facts(names.items())
    if isinstance(report["extra"], str):
        st.caption("Other fields of the report, which RFC 8460 does not name:")
        texts.json_text(report["extra"])


def _entries(visit: Visit, domain: str, key: str) -> None:
    st.subheader("Policies in this report")
    entries = visit.read(queries.entries, domain, key)
    if entries.empty:
        st.text("None: its sender has nothing to report about this domain.")
    for entry in entries.to_dict("records"):
        title = wording.policy_title(entry["policy_type"], entry["policy_mode"], entry["text"])
        with st.expander(f"{title}: {wording.counts(entry)}", expanded=len(entries) <= _MOST_ENTRIES_OPEN):
            _entry(entry)


def _entry(entry: dict[Any, Any]) -> None:
    if entry["unexplained_sessions"]:
        st.text(f"{wording.sessions(entry['unexplained_sessions'])} failed sessions are not explained by any detail.")
    if isinstance(entry["text"], str) and entry["text"]:
        st.caption("The policy, as the sender quotes it:")
        st.code(visible_lines(entry["text"], LONGEST_POLICY), language=None)
    if isinstance(entry["mx_hosts"], str):
        st.text("MX hosts in the report: " + ", ".join(visible(host) for host in figures.listed(entry["mx_hosts"])))
    if isinstance(entry["extra"], str):
        st.caption("Other fields, which RFC 8460 does not name:")
        texts.json_text(entry["extra"])


def _details(visit: Visit, domain: str, key: str) -> None:
    count = visit.read(queries.count_details, domain, key)
    if not count:
        return
    st.subheader("Failures in detail")
    offset = controls.page_of(count, _DETAILS_ON_A_PAGE, "details")
    rows = visit.read(queries.details, domain, key, limit=_DETAILS_ON_A_PAGE, offset=offset)
    # Positions are those in the whole report, which may speak about other domains in between.
    numbers = {
        position: number for number, position in enumerate(visit.read(queries.entries, domain, key)["position"], 1)
    }
    table = rows.assign(
        words=[wording.result_type(code).words for code in rows["result_type"]],
        entry_position=rows["entry_position"].map(numbers).astype("Int64"),
    )
    columns = {
        "entry_position": tables.count_column("Policy", "Which of the policies above."),
        "words": tables.text_column("What failed"),
        "result_type": tables.text_column("Result type"),
        "failed_sessions": tables.count_column("Sessions"),
        "refused": st.column_config.CheckboxColumn("Refused by enforce"),
        "receiving_mx_hostname": tables.text_column("Receiving MX"),
        "receiving_ip": tables.text_column("Receiving IP"),
        "receiving_mx_helo": tables.text_column("MX greeting (HELO)"),
        "sending_mta_ip": tables.text_column("Sending IP"),
        "failure_reason_code": tables.text_column("Reason code"),
        "additional_information": tables.text_column("More information"),
        "extra": tables.text_column("Other fields"),
    }
    tables.table(
        table, {name: column for name, column in columns.items() if _has_anything(table[name])}, "Failure details"
    )


def _has_anything(column: pd.Series) -> bool:
    return bool((column.fillna("") != "").any()) if column.dtype == "str" else True


def _defects(report: pd.Series) -> None:
    if not isinstance(report["defects"], str):
        return
    st.subheader("Where it departs from RFC 8460")
    columns = {
        "where": tables.text_column("Where"),
        "what": tables.text_column("What"),
        "value": tables.text_column("Value"),
    }
    tables.table(figures.defects(report["defects"]), columns, "Noted defects")


def _deliveries(visit: Visit, domain: str, key: str) -> None:
    st.subheader("How it came")
    for way in visit.read(queries.deliveries, domain, key).to_dict("records"):
        with st.container(border=True):
            names = {
                "Arrived": texts.instant(way["received_at"]) + (", estimated" if way["arrival_estimated"] else ""),
                "Came by": wording.DOORS.get(way["door"], way["door"]),
                "Trust": wording.TRUST[way["trust"]],
                "DKIM": wording.DKIM.get(way["dkim"], way["dkim"]),
                "Reason": way["dkim_reason"],
                "Signer (d=)": way["signer"],
                "Selector (s=)": way["selector"],
                "Key record": way["key_record"],
                "Author (From)": way["sender"],
                "Submitter": way["submitter"],
                "Message digest": way["message_digest"],
            }
            texts.facts((name, value) for name, value in names.items() if value)


def _raw(visit: Visit, domain: str, key: str, report: pd.Series) -> None:
    st.subheader("Raw report")
    if report["shared"] and not visit.scope.is_everything:
        st.text("It speaks about other domains too, so only who may see all domains can read it.")
        return
    raw_sizes = visit.read(queries.raw_size, domain, key)
    if raw_sizes.empty:
        days = visit.settings.keep_raw_days
        st.text(f"No longer kept: raw reports are removed after {days} days (STARTTALLY_KEEP_RAW_DAYS).")
        return
    if report["shared"]:
        st.caption(f"This report speaks about {report['raw_domains']:,} domains; the raw text has all of them.")
    size = int(raw_sizes["size"].iloc[0])
    if st.toggle(f"Show the report as it came ({wording.size(size)})", key="raw"):
        text = visit.now(queries.raw_document, domain, key, longest=4 * texts.LONGEST_RAW)
        texts.raw_text(figures.indented(text or b""), size, "json")
    st.download_button(
        "Download the raw report",
        data=lambda: visit.now(queries.raw_document, domain, key) or b"",
        file_name=f"tls-report-{key}.json",
        mime=visit.media_type("application/octet-stream"),
        icon=":material/download:",
        on_click="ignore",
    )


_SESSION_COLUMNS = {
    "successful_sessions": tables.count_column("Successful"),
    "failed_sessions": tables.count_column("Failed"),
    "refused_sessions": tables.count_column("Would be refused"),
}
