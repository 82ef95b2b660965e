"""The answer about one domain: the verdict, what enforce would refuse, the evidence and its strength, what to do next."""

import pandas as pd
import streamlit as st

from .. import reason_words, verdict_words, verdicts
from ..overrides import percent
from ..phrases import at_most, share
from ..plain import visible
from ..queries.reports import exactly
from ..verdict import ENFORCING, ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, POLICY_BROKEN, READY, Missing, Verdict
from . import causes, history, next_step, overrides, parts
from .visit import Visit

_LOUD = {ENFORCING_REFUSING: st.error, POLICY_BROKEN: st.error, NOT_READY: st.warning}
_LONGEST, _MOST_NEWCOMERS = 1_000, 5
_GOOD = (READY, ENFORCING)
_ICONS = {
    ENFORCING_REFUSING: ":material/block:",
    POLICY_BROKEN: ":material/broken_image:",
    NOT_READY: ":material/build:",
    INSUFFICIENT: ":material/hourglass_empty:",
    READY: ":material/check_circle:",
    ENFORCING: ":material/verified_user:",
}


def render(visit: Visit, domain: str) -> None:
    """Show the verdict about a domain and everything it rests on."""
    evidence, found = visit.judge(verdicts.case_of, domain)
    _sentence(found)
    _figures(visit, found)
    _reasons(found)
    causes.render(visit, found)
    _evidence(visit, found)
    _newcomers(found)
    next_step.render(evidence, found)
    history.render(visit, evidence, found)
    overrides.render(visit, domain, found)


def _sentence(found: Verdict) -> None:
    box = _LOUD.get(found.name, st.success if found.name in _GOOD else st.info)
    words = verdict_words.TITLES[found.name]
    # Markdown is read here; the sentence has no text of strangers.
    box(f"**{words}.** {verdict_words.sentence(found)}", icon=_ICONS.get(found.name, ":material/info:"))


def _figures(visit: Visit, found: Verdict) -> None:
    sure = percent(found.thresholds.confidence)
    with st.container(horizontal=True):
        parts.metric(
            "Sessions that count", found.sessions, "Under the policy in force, in trusted reports, in the window."
        )
        parts.metric(
            "Of these refused",
            found.refused,
            "Sessions that enforce refused or would have refused, and that nobody has accepted.",
        )
        bound = at_most(found.bound) if found.sessions else "\u2014"
        st.metric(
            "Refused at most",
            bound,
            help=f"With {sure} confidence no larger share of the sessions that count is refused (exact Clopper-Pearson bound).",
            border=True,
            width=170,
        )
        parts.metric("Reporters", found.reporters, "Independent known reporters: all that one domain signs is one.")
        if found.refused_lately:
            parts.metric(
                "In newest days",
                found.refused_lately,
                "Refused sessions of the days after those that count: apart from the other figures.",
            )
    st.text(visible(verdict_words.policy_in_force(found), _LONGEST))
    st.text(visible(verdict_words.evidence(found), _LONGEST))
    st.caption(
        f"As of {found.on}. The days after those that count are still arriving: they can accuse and prove nothing."
    )
    visit.link(
        "reports", "The reports behind these figures", icon=":material/arrow_forward:", **causes.reports_about(found)
    )


def _reasons(found: Verdict) -> None:
    for reason in found.reasons:
        icon = "\u25cf" if reason.blocking else "\u25cb"
        st.text(f"{icon} {visible(reason_words.in_words(reason, found), _LONGEST)}")
    for words in verdict_words.caches(found):
        st.text(f"\u25cb {visible(words, _LONGEST)}")


def _evidence(visit: Visit, found: Verdict) -> None:
    st.subheader("The evidence")
    for missing in found.missing:
        _missing(missing)
    if found.by_reporter:
        rows = pd.DataFrame(
            {
                "voice": [one.organization for one in found.by_reporter],
                "sessions": pd.Series([one.sessions for one in found.by_reporter], dtype="float64"),
                "refused": pd.Series([one.refused for one in found.by_reporter], dtype="float64"),
                "bound": [at_most(one.bound) for one in found.by_reporter],
                "share": [share(one.share, 1) for one in found.by_reporter],
                "last": pd.to_datetime([one.last_day for one in found.by_reporter]),
            }
        ).astype(dict.fromkeys(("voice", "bound", "share"), "str"))
        columns = {
            "voice": parts.text_column("Reporter"),
            "sessions": parts.count_column("Sessions"),
            "share": parts.text_column("Share", "Of all sessions that count."),
            "refused": parts.count_column("Refused", "By enforce: they were, or would have been."),
            "bound": parts.text_column(
                "Refused at most",
                f"With {percent(found.thresholds.confidence)} confidence, by this reporter's sessions alone.",
            ),
            "last": parts.day_column("Last report about"),
        }
        chosen = parts.clickable_table(rows, columns, "What each reporter proves", "evidence")
        if chosen is not None:
            visit.go("reports", **causes.reports_about(found), **_one_name(found.by_reporter[chosen].organization))
    else:
        st.text("No trusted report about these days is about the policy in force.")
    if words := verdict_words.unseen_hosts(found):
        st.text(visible(words, _LONGEST))
    for silent in found.silent[:10]:
        every = "every day" if silent.every_days == 1 else f"every {silent.every_days:g} days"
        st.text(
            f"{visible(silent.organization, 80)} has been silent since {silent.last_day}; it used to report {every}."
        )


def _missing(lack: Missing) -> None:
    """How far the evidence has come, and when it will suffice."""
    if lack.need > 1:
        share = min(1.0, lack.have / lack.need)
        st.progress(share, f"{verdict_words.MISSING[lack.code]}: {lack.have:,.0f} of {lack.need:,.0f}")
    if words := verdict_words.lack_words(lack):
        st.text(words)


def _newcomers(found: Verdict) -> None:
    """Who reports and is not known, with the commands that change that."""
    if not found.newcomers:
        return
    st.subheader("Strangers")
    st.text(f"They move nothing until you believe them. {verdict_words.with_newcomers(found)}")
    for one in found.newcomers[:_MOST_NEWCOMERS]:
        st.text(visible(verdict_words.newcomer_words(one, found), _LONGEST))
        parts.commands(verdict_words.newcomer_commands(one, found))
    if len(found.newcomers) > _MOST_NEWCOMERS:
        st.caption(f"{len(found.newcomers) - _MOST_NEWCOMERS:,} more are in `starttally verdict --json`.")


def _one_name(voice: str) -> dict[str, str]:
    """The filter for one voice's reports; one that speaks under several names has no filter of its own."""
    return {} if ", " in voice else {"reporter": exactly(voice)}
