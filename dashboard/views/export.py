"""The same exports as ``starttally export``, as downloads."""

import datetime as dt
import io
import secrets
import shlex
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import streamlit as st

from dashboard.exports import writing
from dashboard.exports.writing import ExportRefused, Filters
from dashboard.queries import reports
from dashboard.queries.domain import is_known
from dashboard.views.parts import controls, texts
from dashboard.words import wording
from dashboard.words.plain import plain, stored_domain, visible

from . import first_steps
from .visit import Visit

KINDS = {
    "summary": "Summary: sessions by day, domain, reporter and policy",
    "failures": "Failures: every failure detail",
    "domains": "Domains: one line for each domain",
    "reports": "Reports: one line for each report",
}
FORMATS = {"csv": "CSV (spreadsheets)", "json": "JSON (programs)", "parquet": "Parquet (data tools)"}
_TYPES = {"csv": "text/csv", "json": "application/json", "parquet": "application/vnd.apache.parquet"}
# A download is held in memory until the page is left; what is larger is the command line's business.
LARGEST = 100 * 1000 * 1000


class Asked(NamedTuple):
    """What a user asked for: a key of KINDS and one of FORMATS, a domain as typed, two days; what is empty does not filter."""

    kind: str
    format: str
    domain: str
    since: dt.date | None
    until: dt.date | None


class ExportTooLarge(Exception):
    """The export does not fit into a download."""


class Bounded(io.BytesIO):
    """A file in memory that refuses to grow beyond LARGEST bytes (raises ExportTooLarge)."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        """Append ``data``."""
        if self.tell() + len(data) > LARGEST:
            raise ExportTooLarge
        return super().write(data)


def render(visit: Visit) -> None:
    """Show the form; nothing is prepared before it is asked for."""
    if not visit.read(reports.any_report):
        first_steps.render(visit)
        return
    st.title("Export")
    kind = controls.selected("What", "kind", KINDS)
    format_name = controls.selected("Format", "format", FORMATS)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        domain = controls.text_filter("Domain", "domain", "all domains")
        since, until = controls.day_filter("From", "since"), controls.day_filter("To", "until")
    asked = Asked(kind, format_name, domain, since, until)
    if st.button("Prepare the export", type="primary", icon=":material/table_view:"):
        _prepare(visit, asked)
    ready = st.session_state.get("export")
    if ready and ready["asked"] == (visit.user, visit.scope, asked):
        _offer(ready)
    with st.expander("The same on the command line, for any size"):
        st.code(visible(command(asked)), language="bash", wrap_lines=True)
    texts.sessions_note()


def _prepare(visit: Visit, asked: Asked) -> None:
    st.session_state.pop("export", None)
    target = Bounded()
    try:
        filters = Filters.read(stored_domain(asked.domain), asked.since, asked.until)
        if not all(visit.read(is_known, domain) for domain in filters.domains):
            st.error("There is no report about this domain.")
            return
        filters = msgspec.structs.replace(filters, question=visit.question)
        with st.status("Preparing\u2026") as status:
            rows = writing.write(visit.engine, asked.kind, asked.format, filters, target, _progress(status.update))
            status.update(label=f"{rows:,} rows", state="complete")
    except ExportRefused as refusal:
        st.error(plain(str(refusal)))
        return
    except ExportTooLarge:
        st.error(
            f"This is more than {wording.size(LARGEST)}. Choose fewer days or one domain, or use the command line."
        )
        return
    name = writing.file_name(asked.kind, asked.format, filters)
    st.session_state["export"] = {
        # Of nobody else, should another user come to the same session, and of nothing that has since been forbidden.
        "asked": (visit.user, visit.scope, asked),
        "rows": rows,
        "name": name,
        # A token of its own for each: see Visit.media_type about files that differ in the middle only.
        "type": f"{visit.media_type(_TYPES[asked.format])}{secrets.token_hex(4)}",
        "data": target.getvalue(),
    }


def _progress(say: Callable[..., None]) -> Callable[[int], None]:
    """Say how many rows are done, at most once in ten thousand rows."""
    announced = 0

    def progress(rows: int) -> None:
        nonlocal announced
        if rows >= announced + 10_000:
            announced = rows
            say(label=f"Preparing\u2026 {rows:,} rows")

    return progress


def _offer(ready: dict[str, object]) -> None:
    data, name = ready["data"], str(ready["name"])
    assert isinstance(data, bytes)  # noqa: S101  (set in _prepare)
    st.caption(f"{ready['rows']:,} rows, {wording.size(len(data))}")
    st.download_button(
        "Download",
        data,
        file_name=name,
        mime=str(ready["type"]),
        icon=":material/download:",
        on_click="ignore",
        type="primary",
    )


def command(asked: Asked) -> str:
    """The command that writes the same file."""
    options = {"--format": asked.format, "--domain": asked.domain, "--since": asked.since, "--until": asked.until}
    words = [word for name, value in options.items() if value for word in (name, str(value))]
    return shlex.join(["starttally", "export", asked.kind, *words, "-o", f"{asked.kind}.{asked.format}"])
