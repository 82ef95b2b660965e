"""What the forms of overrides do, and what is shown after it: the page drawn anew, with empty forms."""

import datetime as dt

import streamlit as st

from dashboard.decision.verdict import Verdict
from dashboard.views import acts
from dashboard.views.visit import Visit
from dashboard.words import wording
from dashboard.words.faces import FACES
from dashboard.words.override_words import what
from dashboard.words.plain import visible
from ingest.store import overrides
from ingest.store.overrides import Act
from ingest.testimony.override_rules import Content, Override, RefusedOverride

LONGEST_WHAT = 600
_DONE, _DRAWN = "what was done", "forms of overrides drawn anew"


def give(visit: Visit, domain: str, content: Content, note: str, until: dt.date | None = None) -> None:
    """Keep an override, or say why it cannot be kept."""
    try:
        key = acts.act(
            visit, lambda on, who, now: overrides.give(on, domain, content, Act(who, now, note), until), domain
        )
    except RefusedOverride as reason:
        refused(str(reason))
        return
    if key is not None:
        _draw_anew("Kept.", content)


def refused(reason: str) -> None:
    """Say why nothing was kept."""
    st.error("This was not kept.", icon=":material/error:")
    st.text(visible(f"Because: {reason}.", 400))


def take_back(visit: Visit, override: Override, note: str) -> None:
    """Take an override back."""
    domain = override.domain
    changed = acts.act(
        visit, lambda on, who, now: overrides.withdraw(on, domain, override.key, Act(who, now, note)), domain
    )
    if changed is not None:
        _draw_anew("Taken back." if changed else "Somebody has taken it back before.", override.content)


def _draw_anew(head: str, content: Content) -> None:
    st.session_state[_DONE] = head, in_words(content)
    st.session_state[_DRAWN] = st.session_state.get(_DRAWN, 0) + 1
    st.rerun()


def say_what_was_done(verdict: Verdict) -> None:
    """What was done before the page was drawn anew, and the verdict after it."""
    if done := st.session_state.pop(_DONE, None):
        head, content = done
        st.success(f"{head} The verdict now: **{FACES[verdict.name].title}**.", icon=":material/check:")
        st.text(visible(content, LONGEST_WHAT))


def control_key(name: str) -> str:
    """The key of a control, another one after each act: that empties it."""
    return f"override {name} {st.session_state.get(_DRAWN, 0)}"


def in_words(content: Content) -> str:
    """An override's content in a sentence, as it is: see ``plain``."""
    return what(content, result_type_words)


def result_type_words(code: str) -> str:
    """A result type in words; one that a sender has invented as it is."""
    return wording.result_type(code).words if code in wording.RESULT_TYPES else visible(code, 80)
