"""What to do next about a domain's policy, ready to paste, and the way back."""

import datetime as dt

import streamlit as st

from dashboard.decision.evidence import Evidence
from dashboard.decision.verdict import Verdict
from dashboard.views.parts import controls, texts
from dashboard.words.next_step import Step, next_step
from dashboard.words.next_words import next_words
from dashboard.words.plain import visible, visible_lines
from ingest.rfc.mtasts.record import new_id
from ingest.rfc.publication import Publication, Unpublishable

_LONGEST_FILE = 10_000
_LONGEST_HOSTS = 2_000


def render(evidence: Evidence, verdict: Verdict) -> None:
    """Show the next step that the verdict asks for."""
    st.subheader("What to do next")
    step: Step | None
    try:
        step = _step(evidence, verdict)
    except Unpublishable:
        step = _with_hosts(evidence, verdict)
    if step is None:
        texts.commands(next_words(verdict).commands)
        return
    st.text(visible(step.words, 2_000))
    for remark in step.remarks:
        st.text(visible(remark, 2_000))
    if step.publication:
        _publication(step.publication)
    texts.commands(next_words(verdict).commands)
    if step.way_back:
        with st.expander("The way back, should mail be refused"):
            st.text("The same in mode testing, with another new id:")
            st.code(visible_lines(step.way_back.policy_text, _LONGEST_FILE), language=None)
            st.code(step.way_back.mta_sts_record.zone_line, language=None, wrap_lines=True)


def _step(evidence: Evidence, verdict: Verdict, hosts: list[str] | None = None) -> Step:
    now = dt.datetime.now(dt.UTC)
    return next_step(evidence, verdict, new_id(now), new_id(now + dt.timedelta(seconds=1)), hosts or ())


def _with_hosts(evidence: Evidence, verdict: Verdict) -> Step | None:
    """Reports name no hosts that could be published: ask for them."""
    typed = controls.text_filter(
        "The MX hosts of this domain",
        "mx_hosts",
        "mx1.example.com mx2.example.com",
        "With a blank between them. A policy names every MX host; no report has told them so far.",
    )
    if not typed:
        st.text("Name the hosts of the MX records, and the policy to publish is here to copy.")
        return None
    try:
        return _step(evidence, verdict, typed[:_LONGEST_HOSTS].replace(",", " ").split())
    except Unpublishable as error:
        st.warning("This cannot be published:", icon=":material/warning:")
        st.text(visible(str(error), 600))
        return None


def _publication(what: Publication) -> None:
    st.caption("The policy file")
    st.code(visible_lines(what.policy_text, _LONGEST_FILE), language=None)
    st.caption("The TXT record, with a new id")
    st.code(what.mta_sts_record.zone_line, language=None, wrap_lines=True)
    for number, sentence in enumerate(what.steps, start=1):
        st.text(f"{number}. {sentence}")
