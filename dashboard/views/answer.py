"""The answer about one domain: the verdict, what enforce would refuse, the evidence and its strength, what to do next."""

import pandas as pd
import streamlit as st

from .. import verdict_words, verdicts
from ..overrides import percent
from ..plain import plain, visible
from ..queries.reports import exactly
from ..verdict import ENFORCING, ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, POLICY_BROKEN, READY, Missing, Verdict
from . import causes, history, next_step, overrides, parts
from .visit import Visit

_LOUD = {ENFORCING_REFUSING: st.error, POLICY_BROKEN: st.error, NOT_READY: st.warning}
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
    rules = verdicts.thresholds(visit.settings), verdicts.trusts(visit.settings)
    evidence, found = visit.read(verdicts.case_of, domain, visit.today, *rules)
    _sentence(found)
    _figures(visit, found)
    _reasons(found)
    causes.render(visit, found)
    _evidence(visit, found)
    next_step.render(evidence, found)
    history.render(visit, evidence, found, rules)
    overrides.render(visit, domain, found)


def _sentence(found: Verdict) -> None:
    box = _LOUD.get(found.name, st.success if found.name in _GOOD else st.info)
    words = verdict_words.TITLES[found.name]
    box(f"**{words}.** {verdict_words.sentence(found)}", icon=_ICONS.get(found.name, ":material/info:"))


def _figures(visit: Visit, found: Verdict) -> None:
    refused, sure = found.refused + found.refused_lately, percent(found.thresholds.confidence)
    with st.container(horizontal=True):
        parts.metric(
            "Enforce refuses", refused, "Sessions that enforce would have refused, and that nobody has accepted."
        )
        parts.metric(
            "Sessions that count", found.sessions, "Under the policy in force, in trusted reports, in the window."
        )
        bound = f"{found.bound:.2%}" if found.sessions else "\u2014"
        st.metric(
            "Refused at most",
            bound,
            help=f"With {sure} confidence no larger share of sessions would be refused (exact Clopper-Pearson bound).",
            border=True,
            width=170,
        )
        parts.metric("Independent voices", found.reporters, "Reports signed by one domain are one voice.")
    days = f"{found.window.start} to {found.window.end}"
    policy = f"mode {plain(found.mode)}" if found.mode else "no policy is known"
    st.caption(
        f"As of {found.on}. Policy in force: {policy}. What counts is about {days}; the days after that are still arriving, "
        "so they can accuse and prove nothing."
    )
    visit.link(
        "reports", "The reports behind these figures", icon=":material/arrow_forward:", **causes.reports_about(found)
    )


def _reasons(found: Verdict) -> None:
    for reason in found.reasons:
        icon = "\u25cf" if reason.blocking else "\u25cb"
        st.text(f"{icon} {visible(verdict_words.reason(reason), 600)}")


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
                "bound": [f"{one.bound:.2%}" for one in found.by_reporter],
                "share": [f"{one.share:.1%}" for one in found.by_reporter],
                "last": pd.to_datetime([one.last_day for one in found.by_reporter]),
            }
        ).astype(dict.fromkeys(("voice", "bound", "share"), "str"))
        columns = {
            "voice": parts.text_column("Reporter"),
            "sessions": parts.count_column("Sessions"),
            "share": parts.text_column("Share", "Of all sessions that count."),
            "refused": parts.count_column("Would be refused"),
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
    if found.mx_without_evidence:
        hosts = ", ".join(visible(host, 80) for host in found.mx_without_evidence[:20])
        st.text(f"No evidence about {hosts}: no failure names them, and successes name no host.")
    for silent in found.silent[:10]:
        st.text(
            f"{visible(silent.organization, 80)} has been silent since {silent.last_day}; it used to report every "
            f"{silent.every_days:g} days."
        )


def _missing(lack: Missing) -> None:
    """How far the evidence has come, and when it will suffice."""
    if lack.need > 1:
        share = min(1.0, lack.have / lack.need)
        st.progress(share, f"{verdict_words.MISSING[lack.code]}: {lack.have:,.0f} of {lack.need:,.0f}")
    if words := verdict_words.lack(lack):
        st.text(words)


def _one_name(voice: str) -> dict[str, str]:
    """The filter for one voice's reports; one that speaks under several names has no filter of its own."""
    return {} if ", " in voice else {"reporter": exactly(voice)}
