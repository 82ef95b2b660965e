"""Forms for overrides: an accepted or repaired cause, a reporter to believe or dismiss, thresholds, the policy."""

import datetime as dt
from collections.abc import Sequence

import streamlit as st

from dashboard.decision.evidence import NO_MX, Evidence, Thresholds
from dashboard.decision.facts.causes import Cause
from dashboard.decision.verdict import Verdict
from dashboard.views.visit import Visit
from dashboard.words.phrases import counted
from dashboard.words.plain import plain, visible
from ingest.rfc.faults import ERROR
from ingest.rfc.mtasts.lint import lint
from ingest.rfc.mtasts.policy import Policy
from ingest.rfc.result_types import POLICY_UNUSABLE, REFUSED
from ingest.testimony import override_rules
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    OwnThresholds,
    RepairedCause,
)
from ingest.text.shares import NoShare, percent, read_share

from .override_acts import control_key, give, refused, result_type_words

_MOST_FAULTS = 10
_LONGEST_POLICY = 64 * 1024
_HOLDS = {"7": "7 days", "30": "30 days", "90": "90 days", "": "Until taken back"}
_EXAMPLE = "version: STSv1\nmode: testing\nmx: mx1.example.com\nmax_age: 604800"


def render(visit: Visit, evidence: Evidence, verdict: Verdict) -> None:
    """The forms, each closed until it is needed."""
    causes = [cause for cause in verdict.causes if cause.sessions and cause.consequence in (REFUSED, POLICY_UNUSABLE)]
    _accept(visit, evidence, verdict, causes)
    _repaired(visit, verdict, causes)
    _voices(visit, evidence, verdict)
    _thresholds(visit, verdict)
    _policy(visit, verdict)


def _accept(visit: Visit, evidence: Evidence, verdict: Verdict, causes: Sequence[Cause]) -> None:
    with st.expander("Accept a cause", icon=":material/done:"):
        if not causes:
            st.text("No cause stands against the switch now.")
            return
        st.text("For what needs no repair of yours: a sender known to be broken, a host that is being taken down.")
        number = _chosen_cause(causes, "Cause", "cause")
        voices = causes[number].voices
        voice = st.selectbox(
            "Reported by",
            [*voices, ""] if len(voices) == 1 else ["", *voices],
            format_func=lambda name: _voice(evidence, name) if name else "any reporter",
            key=control_key(f"voice of {number}"),
        )
        note, until = _note("accept"), _until(visit, "accept", "30")
        if st.button("Accept this cause", type="primary", key=control_key("accept")):
            cause = causes[number]
            give(visit, verdict.domain, AcceptedCause(cause.result_type, cause.mx_host or NO_MX, voice), note, until)


def _repaired(visit: Visit, verdict: Verdict, causes: Sequence[Cause]) -> None:
    if not causes:
        return
    with st.expander("A cause was repaired", icon=":material/build_circle:"):
        st.text("Failures up to that day no longer block; should it fail again later, they do.")
        cause = causes[_chosen_cause(causes, "What was repaired", "repaired cause")]
        day = st.date_input("Repaired on (UTC)", visit.today, max_value=visit.today, key=control_key("day of repair"))
        note = _note("repaired")
        if st.button("It was repaired", type="primary", key=control_key("repaired")):
            give(visit, verdict.domain, RepairedCause(day, cause.result_type, cause.mx_host or NO_MX), note)


def _chosen_cause(causes: Sequence[Cause], label: str, key: str) -> int:
    numbers = range(len(causes))
    return st.selectbox(label, numbers, format_func=lambda number: _cause(causes[number]), key=control_key(key))


def _cause(cause: Cause) -> str:
    host = visible(cause.mx_host, 80) or "no MX host named"
    return f"{result_type_words(cause.result_type)}, {host}: {counted(cause.sessions, 'session')}"


def _voices(visit: Visit, evidence: Evidence, verdict: Verdict) -> None:
    new = [newcomer.voice for newcomer in verdict.newcomers]
    voices = [*new, *sorted((evidence.speaking | evidence.dismissed.keys()) - set(new))]
    if not voices:
        return
    with st.expander("Believe or dismiss a reporter", icon=":material/how_to_reg:"):
        st.text(
            "The verdict rests on known reporters only. Anybody can sign with a domain of his own: believe whom you know."
        )
        voice = st.selectbox(
            "Reporter", voices, format_func=lambda name: _known_voice(evidence, name), key=control_key("voice")
        )
        note, until = _note("voice"), _until(visit, "voice", "")
        with st.container(horizontal=True):
            if st.button("Believe it", type="primary", key=control_key("believe")):
                give(visit, verdict.domain, BelievedVoice(voice), note, until)
            if st.button("Dismiss it", key=control_key("dismiss")):
                give(visit, verdict.domain, DismissedVoice(voice), note, until)


def _voice(evidence: Evidence, voice: str) -> str:
    name = evidence.name_of(voice)
    return visible(voice if name == voice else f"{voice} ({name})", 120)


def _known_voice(evidence: Evidence, voice: str) -> str:
    how = "dismissed" if voice in evidence.dismissed else "known" if evidence.is_known(voice) else "new"
    return f"{_voice(evidence, voice)}: {how}"


def _thresholds(visit: Visit, verdict: Verdict) -> None:
    now, usual = verdict.thresholds, visit.question.thresholds
    with (
        st.expander("Set thresholds of this domain", icon=":material/tune:"),
        st.form(control_key("thresholds"), border=False),
    ):
        st.text("What you change here counts for this domain instead of the settings. The rest stays as it is.")
        with st.container(horizontal=True):
            bound = _share("Refused at most", now.bound, usual.bound)
            confidence = _share("Confidence", now.confidence, usual.confidence)
            reporters = _count("Independent reporters", now.reporters, usual.reporters)
            window = _count("Complete days", now.window_days, usual.window_days)
            late = _count("Newest days left out", now.late_days, usual.late_days)
        note, until = _note("thresholds"), _until(visit, "thresholds", "")
        if st.form_submit_button("Set these thresholds", type="primary"):
            try:
                asked = Thresholds(window, late, reporters, read_share(bound), read_share(confidence))
            except NoShare as reason:
                refused(str(reason))
                return
            give(visit, verdict.domain, _changed(asked, now), note, until)


def _share(label: str, value: float, usual: float) -> str:
    """A share as typed: 0.02 and 2 % are the same."""
    meaning = f"As 0.02 or 2 %. By the settings: {percent(usual)}."
    return st.text_input(label, percent(value), help=meaning, width=190, max_chars=40, key=control_key(label)) or ""


def _count(label: str, value: int, usual: int) -> int:
    meaning = f"By the settings: {usual}."
    return int(st.number_input(label, 0, value=value, help=meaning, width=190, key=control_key(label)))


def _changed(asked: Thresholds, now: Thresholds) -> OwnThresholds:
    """What was asked for and is otherwise now."""
    pairs = {name: (getattr(asked, name), getattr(now, name)) for name in override_rules.RANGES}
    # A share is shown with fewer digits than it may have.
    return OwnThresholds(**{name: new for name, (new, old) in pairs.items() if abs(new - old) > 1e-5 * old})


def _policy(visit: Visit, verdict: Verdict) -> None:
    with st.expander("Enter the policy by hand", icon=":material/edit_document:"):
        st.text(
            "When reports lag behind. It outranks what they quote, until a sender changes to another policy later on. MX hosts "
            "may be named with it or alone: those without evidence are shown then."
        )
        text = st.text_area(
            "Policy file, as it is served",
            height=140,
            max_chars=_LONGEST_POLICY,
            placeholder=_EXAMPLE,
            key=control_key("policy"),
        )
        typed = st.text_area(
            "MX hosts, one a line (may stay empty)", height=80, max_chars=10_000, key=control_key("hosts")
        )
        hosts = tuple(typed.split())
        if text.strip():
            _faults(lint(text.encode("utf-8", "replace"), hosts))
        note, until = _note("policy"), _until(visit, "policy", "")
        if st.button("Enter it", type="primary", key=control_key("enter")):
            content = EnteredPolicy(text, hosts) if text.strip() or not hosts else MxHosts(hosts)
            give(visit, verdict.domain, content, note, until)


def _faults(policy: Policy) -> None:
    """What senders would make of the policy that is being typed."""
    errors = [fault for fault in policy.faults if fault.severity == ERROR]
    if not errors:
        st.success(f"Senders can read it: mode {plain(policy.mode)}.", icon=":material/check:")
        return
    st.warning(
        "Senders cannot use it so. Enter it only if this is what is served: the verdict is then that it is broken."
    )
    for fault in errors[:_MOST_FAULTS]:
        place = f"Line {fault.line}: " if fault.line else ""
        st.text(visible(f"{place}{fault.text}; {fault.repair}", 400))


def _note(form: str) -> str:
    label, example = "Note", "Why; whoever reads this later will ask"
    key = control_key(f"note of {form}")
    return st.text_input(label, max_chars=override_rules.LONGEST_NOTE, placeholder=example, key=key) or ""


def _until(visit: Visit, form: str, default: str) -> dt.date | None:
    """The last day on which the override is to hold."""
    days = st.segmented_control(
        "Holds for",
        list(_HOLDS),
        default=default,
        required=True,
        format_func=lambda choice: _HOLDS[choice],
        key=control_key(f"until of {form}"),
    )
    return visit.today + dt.timedelta(days=int(days)) if days else None
