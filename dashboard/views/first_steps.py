"""What to do while there is no report: publish the record, send or load a first report."""

import streamlit as st

from dashboard.queries import quarantine
from dashboard.words import first_steps
from dashboard.words.phrases import counted
from dashboard.words.plain import plain

from .visit import Visit

_MOST_RECORDS = 20


def render(visit: Visit) -> None:
    """Show the first steps."""
    settings = visit.settings
    if not visit.scope.is_everything:
        _nothing_about_these(visit)
        return
    st.title("No report yet")
    st.text("StartTally is running and waits for the first TLS report. Two things to do, in any order.")
    st.subheader("1. Ask senders for reports")
    st.text("Publish this TXT record in the DNS of each domain you receive mail for:")
    _records(first_steps.records(settings))
    if not settings.domains:
        st.caption("Write your own domain in place of example.com.")
    st.caption(
        f"Mail for {plain(settings.hostname)} must reach the SMTP door ({plain(str(settings.smtp_listen))}) through port 25. "
        "Senders report once a day, so the first reports come within a day or two."
    )
    if first_steps.hostname_is_local(settings):
        st.warning(
            f"This machine calls itself {plain(settings.hostname)}, which is no name in the DNS. Set "
            "`STARTTALLY_HOSTNAME` to the name in your MX record; the records here then use it.",
            icon=":material/warning:",
        )
    with st.expander("Or by HTTPS"):
        st.text("Senders that support it upload reports to the HTTP door. Nothing proves who sent these.")
        _records(first_steps.https_records(settings))
        st.caption(
            "Put a web server with a certificate for this name in front of the HTTP door. Microsoft uses the first rua only."
        )
    st.subheader("2. Try it now with a report you have")
    st.code(first_steps.commands(settings), language="bash", wrap_lines=True)
    _quarantined(visit)


def _nothing_about_these(visit: Visit) -> None:
    """What to publish is the operator's business, and says for whom else reports are received here."""
    st.title("No report yet")
    st.text("There is no TLS report about the domains that you may see:")
    st.code("\n".join(visit.scope.patterns or ()), language=None)
    st.text(
        "Senders report once a day, to the addresses in a domain's TLSRPT record. The operator of this server knows them."
    )


def _records(records: list[str]) -> None:
    st.code("\n".join(records[:_MOST_RECORDS]), language=None, wrap_lines=True)
    if len(records) > _MOST_RECORDS:
        st.caption(f"And so on for {len(records) - _MOST_RECORDS} more domains.")


def _quarantined(visit: Visit) -> None:
    messages = visit.read(quarantine.count_messages)
    if messages:
        st.info(f"{counted(messages, 'message')} came that could not be read as a report.", icon=":material/inbox:")
        visit.link("quarantine", "See why", icon=":material/arrow_forward:")
