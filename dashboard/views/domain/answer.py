"""The answer about one domain: the verdict, what enforce would refuse, the evidence and its strength, what to do next."""

import pandas as pd
import streamlit as st

from dashboard import verdicts
from dashboard.decision.verdict import Missing, Verdict
from dashboard.queries.report_pages import exactly
from dashboard.views.parts import tables, texts
from dashboard.views.visit import Visit
from dashboard.words import reason_words, verdict_words
from dashboard.words.faces import ALARM, FACES, GOOD, NOTE, WARNING
from dashboard.words.phrases import at_most, share
from dashboard.words.plain import visible
from ingest.text.shares import percent

from . import causes, history, next_step, overrides

_BOXES = {ALARM: st.error, WARNING: st.warning, GOOD: st.success, NOTE: st.info}
_LONGEST, _MOST_NEWCOMERS = 1_000, 5


def render(visit: Visit, domain: str) -> None:
    """Show the verdict about a domain and everything it rests on."""
    evidence, verdict = visit.judge(verdicts.case_of, domain)
    _sentence(verdict)
    _figures(visit, verdict)
    _reasons(verdict)
    causes.render(visit, verdict)
    _evidence(visit, verdict)
    _newcomers(verdict)
    next_step.render(evidence, verdict)
    history.render(visit, evidence, verdict)
    overrides.render(visit, domain, verdict)


def _sentence(verdict: Verdict) -> None:
    face = FACES[verdict.name]
    # Markdown is read here; the sentence has no text of strangers.
    _BOXES[face.tone](f"**{face.title}.** {verdict_words.sentence(verdict)}", icon=f":material/{face.icon}:")


def _figures(visit: Visit, verdict: Verdict) -> None:
    sure = percent(verdict.thresholds.confidence)
    with st.container(horizontal=True):
        texts.metric(
            "Sessions that count", verdict.sessions, "Under the policy in force, in trusted reports, in the window."
        )
        texts.metric(
            "Of these refused",
            verdict.refused,
            "Sessions that enforce refused or would have refused, and that nobody has accepted.",
        )
        bound = at_most(verdict.bound) if verdict.sessions else "\u2014"
        st.metric(
            "Refused at most",
            bound,
            help=f"With {sure} confidence no larger share of the sessions that count is refused (exact Clopper-Pearson bound).",
            border=True,
            width=170,
        )
        texts.metric("Reporters", verdict.reporters, "Independent known reporters: all that one domain signs is one.")
        if verdict.refused_lately:
            texts.metric(
                "In newest days",
                verdict.refused_lately,
                "Refused sessions of the days after those that count: apart from the other figures.",
            )
    st.text(visible(verdict_words.policy_in_force(verdict), _LONGEST))
    st.text(visible(verdict_words.evidence(verdict), _LONGEST))
    st.caption(
        f"As of {verdict.on}. The days after those that count are still arriving: they can accuse and prove nothing."
    )
    visit.link(
        "reports", "The reports behind these figures", icon=":material/arrow_forward:", **causes.reports_about(verdict)
    )


def _reasons(verdict: Verdict) -> None:
    for reason in verdict.reasons:
        icon = "\u25cf" if reason.blocking else "\u25cb"
        st.text(f"{icon} {visible(reason_words.in_words(reason, verdict), _LONGEST)}")
    for words in verdict_words.caches(verdict):
        st.text(f"\u25cb {visible(words, _LONGEST)}")


def _evidence(visit: Visit, verdict: Verdict) -> None:
    st.subheader("The evidence")
    for missing in verdict.missing:
        _missing(missing)
    if verdict.by_reporter:
        rows = pd.DataFrame(
            {
                "voice": [voice.organization for voice in verdict.by_reporter],
                "sessions": pd.Series([voice.sessions for voice in verdict.by_reporter], dtype="float64"),
                "refused": pd.Series([voice.refused for voice in verdict.by_reporter], dtype="float64"),
                "bound": [at_most(voice.bound) for voice in verdict.by_reporter],
                "share": [share(voice.share, 1) for voice in verdict.by_reporter],
                "last": pd.to_datetime([voice.last_day for voice in verdict.by_reporter]),
            }
        ).astype(dict.fromkeys(("voice", "bound", "share"), "str"))
        columns = {
            "voice": tables.text_column("Reporter"),
            "sessions": tables.count_column("Sessions"),
            "share": tables.text_column("Share", "Of all sessions that count."),
            "refused": tables.count_column("Refused", "By enforce: they were, or would have been."),
            "bound": tables.text_column(
                "Refused at most",
                f"With {percent(verdict.thresholds.confidence)} confidence, by this reporter's sessions alone.",
            ),
            "last": tables.day_column("Last report about"),
        }
        chosen = tables.clickable_table(rows, columns, "What each reporter proves", "evidence")
        if chosen is not None:
            visit.go("reports", **causes.reports_about(verdict), **_one_name(verdict.by_reporter[chosen].organization))
    else:
        st.text("No trusted report about these days is about the policy in force.")
    if words := verdict_words.unseen_hosts(verdict):
        st.text(visible(words, _LONGEST))
    for silent in verdict.silent[:10]:
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


def _newcomers(verdict: Verdict) -> None:
    """Who reports and is not known, with the commands that change that."""
    if not verdict.newcomers:
        return
    st.subheader("Strangers")
    st.text(f"They move nothing until you believe them. {verdict_words.with_newcomers(verdict)}")
    for newcomer in verdict.newcomers[:_MOST_NEWCOMERS]:
        st.text(visible(verdict_words.newcomer_words(newcomer, verdict), _LONGEST))
        texts.commands(verdict_words.newcomer_commands(newcomer, verdict))
    if len(verdict.newcomers) > _MOST_NEWCOMERS:
        st.caption(f"{len(verdict.newcomers) - _MOST_NEWCOMERS:,} more are in `starttally verdict --json`.")


def _one_name(voice: str) -> dict[str, str]:
    """The filter for one voice's reports; one that speaks under several names has no filter of its own."""
    return {} if ", " in voice else {"reporter": exactly(voice)}
