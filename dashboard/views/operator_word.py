"""The operator's word about a domain: what is in force, what was, and forms to give another."""

import datetime as dt
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from ingest import operator_word
from ingest.mtasts.enforcement import POLICY_UNUSABLE, REFUSED
from ingest.mtasts.faults import ERROR
from ingest.mtasts.lint import lint
from ingest.mtasts.policy import Policy
from ingest.operator_word import AcceptedCause, Content, EnteredPolicy, MxHosts, OwnThresholds, Refused, Word

from .. import verdict_words, verdicts, wording
from ..causes import Cause
from ..evidence import NO_MX, Thresholds
from ..operator_word import IN_FORCE, percent, state, what
from ..plain import plain, visible
from ..queries import operator_word as queries
from ..verdict import Verdict
from . import acts, parts
from .visit import Visit

_MOST_PAST, _MOST_FAULTS = 200, 10
_LONGEST_WHAT, _LONGEST_POLICY = 600, 64 * 1024
_HOLDS = {"7": "7 days", "30": "30 days", "90": "90 days", "": "Until taken back"}
_EXAMPLE = "version: STSv1\nmode: testing\nmx: mx1.example.com\nmax_age: 604800"
_DONE, _DRAWN = "what was said", "forms of words drawn anew"


def render(visit: Visit, domain: str, verdict: Verdict) -> None:
    """Show the words about ``domain``, and to who may give one the forms for it. ``verdict`` is that of today."""
    st.subheader("Your word")
    st.caption(
        "What you know and reports cannot say. A word changes the verdict from today on, is kept with your name, and can be "
        "taken back."
    )
    _say_what_was_done(verdict)
    in_force = visit.read(queries.in_force, domain, visit.today)
    may = acts.allowed(visit, domain)
    shown = [word for word in in_force if state(word, in_force, visit.today) == IN_FORCE]
    for word in reversed(shown):
        _one(visit, word, may)
    if not shown:
        st.text("None is in force.")
    _past(visit, domain, in_force, shown)
    if may:
        _accept(visit, verdict)
        _thresholds(visit, verdict)
        _policy(visit, verdict)


def _one(visit: Visit, word: Word, may: bool) -> None:
    until = f"until {word.until}" if word.until else "until taken back"
    with st.container(border=True):
        # Columns, because these stand below each other on a narrow screen.
        said, button = st.columns((5, 1), vertical_alignment="center") if may else (st.container(), None)
        with said:
            st.text(visible(_what(word.content), _LONGEST_WHAT))
            st.text(visible(word.note, operator_word.LONGEST_NOTE))
            st.caption(f"By {plain(word.author)}, since {word.since} ({_age(visit, word)}), {until}")
        if button:
            with button, st.popover("Take back", icon=":material/undo:"):
                note = st.text_input("Why (may stay empty)", max_chars=operator_word.LONGEST_NOTE, key=_key(word.key))
                st.caption("From today on it no longer counts. It stays among the past words.")
                if st.button("Take this word back", type="primary", key=_key(f"{word.key} back")):
                    _take_back(visit, word, note)


def _age(visit: Visit, word: Word) -> str:
    days = (visit.today - word.since).days
    return "today" if not days else "1 day" if days == 1 else f"{days:,} days"


def _past(visit: Visit, domain: str, in_force: Sequence[Word], shown: Sequence[Word]) -> None:
    """Words that no longer count: taken back, expired, replaced."""
    past = [word for word in visit.read(queries.every_word, domain, _MOST_PAST) if word not in shown]
    if not past:
        return
    taken = [word.withdrawn_at for word in past]
    rows = pd.DataFrame(
        {
            "what": [_what(word.content) for word in past],
            "how": [state(word, in_force, visit.today).capitalize() for word in past],
            "note": [word.note for word in past],
            "author": [word.author for word in past],
            "since": pd.to_datetime([word.since for word in past]),
            "until": pd.Series([word.until for word in past], dtype="datetime64[s]"),
            "taken": pd.Series(taken, dtype="datetime64[s, UTC]"),
            "by": [word.withdrawn_by for word in past],
            "why": [word.withdrawal_note for word in past],
        }
    ).astype(dict.fromkeys(("what", "how", "note", "author", "by", "why"), "str"))
    columns = {
        "what": parts.text_column("Word", width="large"),
        "how": parts.text_column("Now"),
        "note": parts.text_column("Note"),
        "author": parts.text_column("By"),
        "since": parts.day_column("Since"),
        "until": parts.day_column("Last day"),
        "taken": parts.instant_column("Taken back (UTC)"),
        "by": parts.text_column("Taken back by"),
        "why": parts.text_column("Why"),
    }
    with st.expander(f"Past words ({len(past):,})"):
        parts.table(rows, columns, "Words that no longer count")


def _accept(visit: Visit, verdict: Verdict) -> None:
    with st.expander("Accept a cause", icon=":material/done:"):
        causes = [c for c in verdict.causes if c.sessions and c.consequence in (REFUSED, POLICY_UNUSABLE)]
        if not causes:
            st.text("No cause stands against the switch now.")
            return
        st.text("For what needs no repair of yours: a sender known to be broken, a host that is being taken down.")
        number = st.selectbox("Cause", range(len(causes)), format_func=lambda n: _cause(causes[n]), key=_key("cause"))
        reporters = [voice for voice in causes[number].voices if voice]
        choices = [*reporters, ""] if len(reporters) == 1 else ["", *reporters]
        reporter = st.selectbox(
            "Reported by",
            choices,
            format_func=lambda name: visible(name, 80) or "any reporter",
            key=_key(f"reporter of {number}"),
        )
        note, until = _note("accept"), _until(visit, "accept", "30")
        if st.button("Accept this cause", type="primary", key=_key("accept")):
            said = AcceptedCause(causes[number].result_type, causes[number].mx_host or NO_MX, reporter)
            _give(visit, verdict.domain, said, note, until)


def _cause(cause: Cause) -> str:
    host = visible(cause.mx_host, 80) or "no MX host named"
    plural = "session" if cause.sessions == 1 else "sessions"
    return f"{_result(cause.result_type)}, {host}: {cause.sessions:,} {plural}"


def _thresholds(visit: Visit, verdict: Verdict) -> None:
    now, usual = verdict.thresholds, verdicts.thresholds(visit.settings)
    with (
        st.expander("Set thresholds of this domain", icon=":material/tune:"),
        st.form(_key("thresholds"), border=False),
    ):
        st.text("What you change here counts for this domain instead of the settings. The rest stays as it is.")
        with st.container(horizontal=True):
            bound = _number("Refused at most, %", now.bound * 100, percent(usual.bound), step=0.1)
            confidence = _number("Confidence, %", now.confidence * 100, percent(usual.confidence), step=1.0)
            reporters = _number("Independent reporters", now.reporters, str(usual.reporters), step=1)
            window = _number("Complete days", now.window_days, str(usual.window_days), step=1)
            late = _number("Newest days left out", now.late_days, str(usual.late_days), step=1)
        note, until = _note("thresholds"), _until(visit, "thresholds", "")
        if st.form_submit_button("Set these thresholds", type="primary"):
            asked = Thresholds(int(window), int(late), int(reporters), bound / 100, confidence / 100)
            _give(visit, verdict.domain, _changed(asked, now), note, until)


def _number(label: str, value: float, usual: str, step: float) -> float:
    value, step = (round(value, 6), step) if isinstance(step, float) else (int(value), step)
    shown = "%g" if isinstance(step, float) else None
    meaning = f"By the settings: {usual}."
    return float(
        st.number_input(
            label, value=value, step=step, format=shown, help=meaning, width=190, key=_key(label), min_value=step * 0
        )
    )


def _changed(asked: Thresholds, now: Thresholds) -> OwnThresholds:
    """What was asked for and is otherwise now."""
    pairs = {name: (getattr(asked, name), getattr(now, name)) for name in operator_word.RANGES}
    return OwnThresholds(**{name: round(new, 12) for name, (new, old) in pairs.items() if abs(new - old) > 1e-9})


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
            key=_key("policy"),
        )
        typed = st.text_area("MX hosts, one a line (may stay empty)", height=80, max_chars=10_000, key=_key("hosts"))
        hosts = tuple(typed.split())
        if text.strip():
            _faults(lint(text.encode("utf-8", "replace"), hosts))
        note, until = _note("policy"), _until(visit, "policy", "")
        if st.button("Enter it", type="primary", key=_key("enter")):
            said = EnteredPolicy(text, hosts) if text.strip() or not hosts else MxHosts(hosts)
            _give(visit, verdict.domain, said, note, until)


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
    typed = st.text_input(label, max_chars=operator_word.LONGEST_NOTE, placeholder=example, key=_key(f"note of {form}"))
    return typed or ""


def _until(visit: Visit, form: str, default: str) -> dt.date | None:
    """The last day on which the word is to hold."""
    days = st.segmented_control(
        "Holds for",
        list(_HOLDS),
        default=default,
        required=True,
        format_func=lambda choice: _HOLDS[choice],
        key=_key(f"until of {form}"),
    )
    return visit.today + dt.timedelta(days=int(days)) if days else None


def _give(visit: Visit, domain: str, said: Content, note: str, until: dt.date | None) -> None:
    try:
        key = acts.act(visit, lambda on, who, now: operator_word.give(on, domain, said, note, who, now, until), domain)
    except Refused as reason:
        st.error("This was not kept.", icon=":material/error:")
        st.text(visible(f"Because: {reason}.", 400))
        return
    if key is not None:
        _done("Kept.", said)


def _take_back(visit: Visit, word: Word, note: str) -> None:
    about = word.domain
    changed = acts.act(visit, lambda on, who, now: operator_word.withdraw(on, about, word.key, note, who, now), about)
    if changed is not None:
        _done("Taken back." if changed else "Somebody has taken it back before.", word.content)


def _done(head: str, said: Content) -> None:
    """Draw the page anew, with empty forms and a word about what was done."""
    st.session_state[_DONE] = head, _what(said)
    st.session_state[_DRAWN] = st.session_state.get(_DRAWN, 0) + 1
    st.rerun()


def _say_what_was_done(verdict: Verdict) -> None:
    if done := st.session_state.pop(_DONE, None):
        head, said = done
        st.success(f"{head} The verdict now: **{verdict_words.TITLES[verdict.name]}**.", icon=":material/check:")
        st.text(visible(said, _LONGEST_WHAT))


def _key(name: str) -> str:
    """The key of a control, another one after each act: that empties it."""
    return f"word {name} {st.session_state.get(_DRAWN, 0)}"


def _what(content: Content) -> str:
    return what(content, _result)


def _result(code: str) -> str:
    return wording.result_type(code).words if code in wording.RESULT_TYPES else visible(code, 80)
