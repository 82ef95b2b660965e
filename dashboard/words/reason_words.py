"""Each reason of a verdict as a sentence. Pure.

Names from reports are in the sentences as they are: the caller makes them fit for its place.
"""

import datetime as dt
from collections.abc import Callable, Mapping

from dashboard.decision.clock import Window
from dashboard.decision.verdict import Reason, Verdict
from ingest.rfc.result_types import REFUSED

from .phrases import at_most, counted, listed, part_of, share, since_day, span, was


def in_words(reason: Reason, verdict: Verdict) -> str:
    """A reason as a sentence about the verdict that it belongs to."""
    return WORDS[reason.code](reason, verdict)


def newest_days(window: Window, on: dt.date) -> str:
    """The days after the window, which can only accuse."""
    return span(window.end + dt.timedelta(days=1), on)


def look_back(verdict: Verdict) -> dt.date:
    """The first day that a verdict knows anything of: what lasts since then may be older."""
    return verdict.on - dt.timedelta(days=verdict.thresholds.lookback_days + verdict.thresholds.late_days)


def refused_words(verdict: Verdict, sessions: float) -> str:
    """The verb for so many refused sessions: under enforce they were, under testing they would have been; after a change of
    the mode, both. It goes with "none", too.
    """
    if verdict.mode == "enforce":
        return f"{was(sessions or 1)} refused"
    if sessions and any(cause.consequence == REFUSED and cause.enforced for cause in verdict.causes):
        return f"{was(sessions)} refused or would have been"
    return "would have been refused"


def _sessions(reason: Reason) -> str:
    return counted(reason.figure, "session")


def _days(reason: Reason) -> str:
    return span(reason.since, reason.until)


def _names(reason: Reason) -> str:
    return listed(reason.names)


def _by(reason: Reason) -> str:
    return f" (reported by {_names(reason)})" if reason.names else ""


def _refused_sessions(reason: Reason, verdict: Verdict) -> str:
    return f"{part_of(reason.figure, reason.of)} {refused_words(verdict, reason.figure)} {_days(reason)}{_by(reason)}."


def _refused_lately(reason: Reason, verdict: Verdict) -> str:
    return (
        f"In the newest days, which are still arriving, {_sessions(reason)} "
        f"{refused_words(verdict, reason.figure)} {_days(reason)}{_by(reason)}."
    )


def _will_be_refused(reason: Reason, _verdict: Verdict) -> str:
    begin = f"from {reason.until} at the latest" if reason.until else "as soon as these caches say enforce"
    failed = f"{_sessions(reason)} failed since {reason.since} where caches still say testing"
    return f"{failed}{_by(reason)}: such sessions will be refused {begin}."


def _refused_by_caches(reason: Reason, _verdict: Verdict) -> str:
    held = (
        f"may hold it until {reason.until}"
        if reason.until
        else "hold it for as long as its max_age, which nobody quoted"
    )
    return (
        f"{_sessions(reason)} {was(reason.figure)} refused since {reason.since} by senders that still apply an older "
        f"policy in mode enforce ({_names(reason)}): their caches {held}."
    )


def _mode_none(reason: Reason, verdict: Verdict) -> str:
    before = verdict.current is not None and verdict.current.mode_since_before
    since = f", {since_day(reason.since, before=before)}" if reason.since else ""
    if reason.until is None:
        return f"The policy in force says mode: none{since}. Nobody quoted the max_age of an older one."
    still = "may still apply" if reason.until >= verdict.on else "could apply"
    return f"The policy in force says mode: none{since}. Senders {still} an older policy until {reason.until}."


def _unusable(reason: Reason) -> str:
    """``of`` are all sessions of the voices that met it, on the days on which they did."""
    whose = f"that {listed(reason.voices)} counted {_days(reason)}"
    return f"{part_of(reason.figure, reason.of)} {whose} could not use the policy ({_names(reason)})"


def _policy_failures(reason: Reason, _verdict: Verdict) -> str:
    return f"{_unusable(reason)}."


def _policy_gone(reason: Reason, _verdict: Verdict) -> str:
    finds = "finds" if len(reason.names) == 1 else "find"
    return f"{_names(reason)} quoted the policy before and {finds} none since {reason.since}, last looked for on {reason.until}."


def _policy_not_found(reason: Reason, _verdict: Verdict) -> str:
    return f"{_names(reason)} did not find the policy {_days(reason)}, and quoted it before."


def _none_found(reason: Reason, _verdict: Verdict) -> str:
    return f"{_names(reason)} found no policy for {_sessions(reason)} {_days(reason)}."


def _one_found_none(reason: Reason, verdict: Verdict) -> str:
    return f"{_none_found(reason, verdict)[:-1]}; this sender found none, and it may be one that looks for DANE only."


def _failed_without(reason: Reason, _verdict: Verdict) -> str:
    return (
        f"{part_of(reason.figure, reason.of)} without a policy failed in TLS ({_names(reason)}); no mode refused them."
    )


def _nothing_refused(reason: Reason, _verdict: Verdict) -> str:
    """``of`` are the complete days since the switch, ``threshold`` how many of them a figure needs."""
    by = " by a known reporter" if "by-known" in reason.code else ""
    is_early = reason.code.endswith("so-far")
    so_far = " so far" if is_early else ""
    if not reason.of:
        return f"No complete day since the switch is known yet; nothing was refused{by}{so_far}."
    none = f"Of {_sessions(reason)} since {reason.since}, none was refused{by}{so_far}."
    if not reason.figure:
        none = f"No session has counted since {reason.since}, so nothing is proven."
    days = f" Complete days since the switch: {reason.of:,.0f} of {reason.threshold or 0:,.0f}."
    return none + (days if is_early else "")


def _enough(reason: Reason, _verdict: Verdict) -> str:
    sure = reason.names[0] if reason.names else "95 %"
    return (
        f"At {sure} confidence at most {at_most(reason.figure)} of {counted(reason.of or 0, 'session')} would be refused; "
        f"{at_most(reason.threshold or 0)} is allowed."
    )


def _clean_days(reason: Reason, verdict: Verdict) -> str:
    words = f"{reason.figure:,.0f} of {counted(reason.threshold or 0, 'clean day')} are complete, counted from {reason.since}"
    if reason.until is None:
        return f"{words}."
    alone = len(verdict.missing) == 1
    return f"{words}; {'ready' if alone else 'complete'} on {reason.until} if it stays so."


def _too_few_reporters(reason: Reason, _verdict: Verdict) -> str:
    by = f"; at the present rate there are enough on {reason.until}" if reason.until else ""
    have = counted(reason.figure, "independent known reporter")
    return f"{have} of the {reason.threshold or 0:,.0f} that are asked for{by}."


def _too_few_sessions(reason: Reason, _verdict: Verdict) -> str:
    by = f"; at the present rate there are enough on {reason.until}" if reason.until else ""
    return f"{counted(reason.figure, 'clean session')} of the {reason.threshold or 0:,.0f} that are needed{by}."


def _refused_until(reason: Reason, verdict: Verdict) -> str:
    days = f"on {reason.until}" if reason.since == reason.until else f"from {reason.since} until {reason.until}"
    verb = refused_words(verdict, reason.figure)
    return f"{part_of(reason.figure, reason.of)} {verb} {days}, clean since{_by(reason)}."


def _not_seen_again(reason: Reason, _verdict: Verdict) -> str:
    has = "has" if len(reason.names) == 1 else "have"
    return f"A fault was not seen again, but {_names(reason)}, who saw it, {has} been silent since."


def _misfits(reason: Reason, _verdict: Verdict) -> str:
    return f"{_sessions(reason)} met {_names(reason)}, which no mx line covers, {_days(reason)}."


def _older_policy(reason: Reason, verdict: Verdict) -> str:
    end = f" until {reason.until}" if reason.until and reason.until >= verdict.on else ""
    return (
        f"{_sessions(reason)} failed because caches hold{'' if end else ' or held'} an older policy, which does not "
        f"name {_names(reason)}{end}: nothing to repair."
    )


def _few_policy_failures(reason: Reason, _verdict: Verdict) -> str:
    return f"{_unusable(reason)}: not often enough to call it broken."


def _dane(reason: Reason, _verdict: Verdict) -> str:
    return (
        f"{_sessions(reason)} failed under DANE {_days(reason)} ({_names(reason)}). DANE senders "
        "refuse such sessions in every mode, so the switch changes nothing there."
    )


def _accepted(reason: Reason, _verdict: Verdict) -> str:
    return f"{counted(reason.figure, 'refused session')} {_is(reason)} left out, because the cause was accepted."


def _is(reason: Reason) -> str:
    return "is" if reason.figure == 1 else "are"


def _repaired(reason: Reason, _verdict: Verdict) -> str:
    return f"{counted(reason.figure, 'failed session')} up to {reason.until} {_is(reason)} of causes that you called repaired."


def _stated(reason: Reason, _verdict: Verdict) -> str:
    return f"The policy in force was entered by hand on {reason.since} and outranks what reports quote."


def _overtaken(reason: Reason, _verdict: Verdict) -> str:
    return f"The policy entered by hand on {reason.since} no longer counts: senders have changed to another one since."


def _own_thresholds(reason: Reason, _verdict: Verdict) -> str:
    noun = "A threshold" if len(reason.names) == 1 else "Thresholds"
    return f"{noun} of this domain's own: {_names(reason)}."


def _no_recent(_reason: Reason, _verdict: Verdict) -> str:
    return "No report about the newest complete days is about the policy in force."


def _unquoted(reason: Reason, _verdict: Verdict) -> str:
    return f"Reports that quote no policy hold {_sessions(reason)}{_by(reason)}: these can block and prove nothing."


def _forgotten_id(reason: Reason, _verdict: Verdict) -> str:
    quotes = "quotes" if len(reason.names) == 1 else "quote"
    return (
        f"{_names(reason)} still {quotes} another mode of the policy, days after it changed on {reason.since}. Was the id in the "
        "TXT record changed, too?"
    )


def _old_policy_seen(reason: Reason, _verdict: Verdict) -> str:
    return f"{counted(reason.figure, 'reporter')} quoted another policy last: {_names(reason)}."


def _could_not_look(_reason: Reason, _verdict: Verdict) -> str:
    return "The probe could not look at the MX hosts: port 25 is blocked from where it runs."


def _host_faults(reason: Reason, _verdict: Verdict) -> str:
    return f"The probe of {reason.since} found faults at {_names(reason)}."


def _in_order(reason: Reason, _verdict: Verdict) -> str:
    hosts = "the MX host" if reason.figure == 1 else f"all {reason.figure:,.0f} MX hosts"
    return f"The probe of {reason.since} reached {hosts} and found all in order."


def _dominates(reason: Reason, _verdict: Verdict) -> str:
    return f"{share(reason.figure, 1)} of the sessions come from one reporter ({_names(reason)})."


def _silent(reason: Reason, _verdict: Verdict) -> str:
    has = "has" if reason.figure == 1 else "have"
    return f"{counted(reason.figure, 'reporter')} {has} fallen silent: {_names(reason)}. Silence is no success."


def _long_ranges(reason: Reason, _verdict: Verdict) -> str:
    cover, its = ("covers", "its") if reason.figure == 1 else ("cover", "their")
    return f"{counted(reason.figure, 'report')} {cover} more than 36 hours; {its} failures count on the last day."


def _newcomers(reason: Reason, _verdict: Verdict) -> str:
    report = "A stranger reports" if len(reason.names) == 1 else f"{len(reason.names):,} strangers report"
    sessions = f"{_sessions(reason)} {_days(reason)}"
    return f"{report}, too: {_names(reason)}, {sessions}. This moves nothing."


def _newcomers_refused(reason: Reason, verdict: Verdict) -> str:
    verb = refused_words(verdict, reason.figure)
    says = "says" if len(reason.names) == 1 else "say"
    return f"{_names(reason)}, not known, {says} that {part_of(reason.figure, reason.of)} {verb}."


def _faulty(reason: Reason, _verdict: Verdict) -> str:
    return f"The policy or its record is faulty: {_names(reason)}."


def _mx_missing(reason: Reason, verdict: Verdict) -> str:
    refuses = "refuses" if verdict.mode == "enforce" else "would refuse"
    host, line = ("an MX host", "Its line is") if len(reason.names) == 1 else ("MX hosts", "Their lines are")
    lines = listed([f'"mx: {name}"' for name in reason.names])
    return f"The policy leaves out {host}, where enforce {refuses} every session. {line} missing: {lines}."


def _no_known_voice(_reason: Reason, _verdict: Verdict) -> str:
    return "No known reporter has reported. What strangers say moves nothing."


def _policy_unknown(_reason: Reason, _verdict: Verdict) -> str:
    return "No trusted report quotes a policy that can be read, so nobody knows what the sessions prove."


WORDS: Mapping[str, Callable[[Reason, Verdict], str]] = {
    "refused-sessions": _refused_sessions,
    "refused-lately": _refused_lately,
    "will-be-refused": _will_be_refused,
    "refused-by-older-policy": _refused_by_caches,
    "mode-none": _mode_none,
    "policy-faulty": _faulty,
    "mx-missing": _mx_missing,
    "policy-failures": _policy_failures,
    "policy-gone": _policy_gone,
    "policy-not-found": _policy_not_found,
    "no-policy-found": _none_found,
    "one-sender-found-none": _one_found_none,
    "failures-without-policy": _failed_without,
    "nothing-refused": _nothing_refused,
    "nothing-refused-so-far": _nothing_refused,
    "nothing-refused-by-known": _nothing_refused,
    "nothing-refused-by-known-so-far": _nothing_refused,
    "enough-evidence": _enough,
    "no-known-voice": _no_known_voice,
    "policy-unknown": _policy_unknown,
    "clean-days": _clean_days,
    "too-few-reporters": _too_few_reporters,
    "too-few-sessions": _too_few_sessions,
    "refused-until": _refused_until,
    "not-seen-again": _not_seen_again,
    "mx-not-in-policy": _misfits,
    "older-policy-cached": _older_policy,
    "few-policy-failures": _few_policy_failures,
    "dane-failures": _dane,
    "accepted-sessions": _accepted,
    "repaired-sessions": _repaired,
    "stated-policy": _stated,
    "stated-policy-overtaken": _overtaken,
    "own-thresholds": _own_thresholds,
    "no-recent-evidence": _no_recent,
    "policy-not-quoted": _unquoted,
    "forgotten-id": _forgotten_id,
    "old-policy-seen": _old_policy_seen,
    "probe-could-not-look": _could_not_look,
    "probe-host-faults": _host_faults,
    "probe-in-order": _in_order,
    "one-reporter-dominates": _dominates,
    "silent-reporters": _silent,
    "long-ranges": _long_ranges,
    "newcomers": _newcomers,
    "newcomers-refused": _newcomers_refused,
}
