"""The answer about one domain: the verdict, what enforce would refuse, the evidence and its strength, what to do next."""

import pandas as pd
import streamlit as st

from ingest.mtasts.enforcement import REFUSED
from ingest.tlsrpt.vocabulary import STS, TLSA

from .. import charts, verdict_words, verdicts, wording
from ..evidence import Thresholds
from ..plain import domain_parameter, plain, visible
from ..queries.reports import exactly
from ..queries.selection import TRUSTED
from ..verdict import ENFORCING, ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, POLICY_BROKEN, READY, Verdict
from ..weighing import Cause
from . import parts
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
_HISTORY_DAYS = 60


def render(visit: Visit, domain: str) -> None:
    """Show the verdict about a domain and everything it rests on."""
    rules = verdicts.thresholds(visit.settings), verdicts.trusts(visit.settings)
    (found,) = visit.read(verdicts.some_verdicts, (domain,), visit.today, *rules)
    _sentence(found)
    _figures(found)
    _reasons(found)
    _causes(visit, found)
    _evidence(visit, found)
    _history(visit, domain, rules)


def _sentence(found: Verdict) -> None:
    box = _LOUD.get(found.name, st.success if found.name in _GOOD else st.info)
    words = verdict_words.TITLES[found.name]
    box(f"**{words}.** {verdict_words.SENTENCES[found.name]}", icon=_ICONS.get(found.name, ":material/info:"))
    st.text(f"Next: {verdict_words.NEXT_STEPS[found.name]}")


def _figures(found: Verdict) -> None:
    refused = found.refused + found.refused_lately
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
            help="With 95 % confidence no larger share of sessions would be refused (exact Clopper-Pearson bound).",
            border=True,
            width=170,
        )
        parts.metric("Independent voices", found.reporters, "Reports signed by one domain are one voice.")
    days = f"{found.window.start} to {found.window.end}"
    policy = f"mode {plain(found.mode)}" if found.mode else "no policy is known"
    since = f", the same MX patterns since {found.current.since}" if found.current else ""
    st.caption(f"As of {found.on}: window {days}; policy in force: {policy}{since}. Later days can accuse, not prove.")


def _reasons(found: Verdict) -> None:
    for reason in found.reasons:
        icon = "\u25cf" if reason.blocking else "\u25cb"
        st.text(f"{icon} {visible(verdict_words.reason(reason), 600)}")
    for missing in found.missing:
        if words := verdict_words.lack(missing):
            st.text(f"\u2192 {words}")


def _about(found: Verdict) -> dict[str, str]:
    days = {"since": str(found.window.start), "until": str(found.on)}
    return {"domain": domain_parameter(found.domain), "trust": TRUSTED} | days


def _causes(visit: Visit, found: Verdict) -> None:
    refused = [cause for cause in found.causes if cause.consequence == REFUSED]
    others = [cause for cause in found.causes if cause.consequence != REFUSED]
    if refused:
        st.subheader("What enforce would have refused")
        _cause_table(visit, found, refused, "refused")
    if others:
        st.subheader("What the switch would not change")
        _cause_table(visit, found, others, "unchanged")


def _cause_table(visit: Visit, found: Verdict, causes: list[Cause], key: str) -> None:
    rows = pd.DataFrame(
        {
            "cause": [
                wording.result_type(c.result_type).words if c.result_type in wording.RESULT_TYPES else c.result_type
                for c in causes
            ],
            "mx": [c.mx_host for c in causes],
            "sessions": pd.Series([c.sessions for c in causes], dtype="float64"),
            "accepted": pd.Series([c.accepted for c in causes], dtype="float64"),
            "seen": [f"{c.reporters} of {c.of_reporters}" for c in causes],
            "by": [", ".join(c.organizations) for c in causes],
            "first": pd.to_datetime([c.first_day for c in causes]),
            "last": pd.to_datetime([c.last_day for c in causes]),
            "fault": [verdict_words.fault(c) for c in causes],
            "repair": [wording.result_type(c.result_type).repair for c in causes],
        }
    ).astype(dict.fromkeys(("cause", "mx", "seen", "by", "fault", "repair"), "str"))
    columns = {
        "cause": parts.text_column("What failed"),
        "mx": parts.text_column("MX host"),
        "sessions": parts.count_column("Sessions"),
        "accepted": parts.count_column("Accepted", "Sessions whose cause you have accepted; they no longer block."),
        "seen": parts.text_column("Seen by", "Reporters that saw it, of those heard in these days."),
        "by": parts.text_column("Reporters"),
        "first": parts.day_column("First seen"),
        "last": parts.day_column("Last seen"),
        "fault": parts.text_column("Whose fault", width="large"),
        "repair": parts.text_column("Repair", width="large"),
    }
    if not rows["accepted"].any():
        del columns["accepted"]
    chosen = parts.clickable_table(rows, columns, "Causes of failed sessions", f"causes {key}")
    if chosen is not None:
        cause = causes[chosen]
        policy = TLSA if cause.consequence == "dane-only" else STS
        about = _about(found) | {"policy": policy, "result": cause.result_type}
        about["mx"] = cause.mx_host or parts.NO_MX
        visit.go("reports", **about)
    st.caption("Click on a row for the reports behind it.")


def _evidence(visit: Visit, found: Verdict) -> None:
    st.subheader("The evidence")
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
            "bound": parts.text_column("Refused at most", "With 95 % confidence, by this reporter's sessions alone."),
            "last": parts.day_column("Last report about"),
        }
        chosen = parts.clickable_table(rows, columns, "What each reporter proves", "evidence")
        if chosen is not None:
            visit.go("reports", **_about(found), reporter=exactly(found.by_reporter[chosen].organization))
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


def _history(visit: Visit, domain: str, rules: tuple[Thresholds, tuple[str, ...]]) -> None:
    """The verdict of each of the last days, as it was on that day."""
    days = visit.read(verdicts.by_day, domain, visit.today, _HISTORY_DAYS, *rules)
    titles = [verdict_words.TITLES[name] for _, name in days]
    rows = pd.DataFrame({"day": pd.to_datetime([day for day, _ in days]), "verdict": titles})
    st.subheader("Day by day")
    st.altair_chart(charts.verdict_history(rows), alt="The verdict of each day")
    st.caption("Each day's verdict is computed from what had arrived by then.")
