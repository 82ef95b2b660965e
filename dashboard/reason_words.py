"""Each reason of a verdict as a sentence. Pure.

Names from reports are in the sentences as they are: the caller makes them fit for its place.
"""

import datetime as dt
from collections.abc import Callable, Mapping

from ingest.mtasts.enforcement import REFUSED

from .clock import Window
from .phrases import at_most, counted, listed, part_of, share, since_day, span, was
from .verdict import Reason, Verdict


def reason(one: Reason, found: Verdict) -> str:
    """A reason as a sentence about the verdict ``found`` that it belongs to."""
    return WORDS[one.code](one, found)


def newest_days(window: Window, on: dt.date) -> str:
    """The days after the window, which can only accuse."""
    return span(window.end + dt.timedelta(days=1), on)


def look_back(found: Verdict) -> dt.date:
    """The first day that a verdict knows anything of: what lasts since then may be older."""
    return found.on - dt.timedelta(days=found.thresholds.lookback_days + found.thresholds.late_days)


def refused_words(found: Verdict, sessions: float) -> str:
    """The verb for so many refused sessions: under enforce they were, under testing they would have been; after a change of
    the mode, both. It goes with "none", too.
    """
    if found.mode == "enforce":
        return f"{was(sessions or 1)} refused"
    if sessions and any(cause.consequence == REFUSED and cause.enforced for cause in found.causes):
        return f"{was(sessions)} refused or would have been"
    return "would have been refused"


def _by(one: Reason) -> str:
    return f" (reported by {listed(one.names)})" if one.names else ""


def _refused_sessions(one: Reason, found: Verdict) -> str:
    return f"{part_of(one.figure, one.of)} {refused_words(found, one.figure)} {span(one.since, one.until)}{_by(one)}."


def _refused_lately(one: Reason, found: Verdict) -> str:
    return (
        f"In the newest days, which are still arriving, {counted(one.figure, 'session')} "
        f"{refused_words(found, one.figure)} {span(one.since, one.until)}{_by(one)}."
    )


def _will_be_refused(one: Reason, _found: Verdict) -> str:
    begin = f"from {one.until} at the latest" if one.until else "as soon as these caches say enforce"
    failed = f"{counted(one.figure, 'session')} failed since {one.since} where caches still say testing"
    return f"{failed}{_by(one)}: such sessions will be refused {begin}."


def _refused_by_caches(one: Reason, _found: Verdict) -> str:
    held = f"may hold it until {one.until}" if one.until else "hold it for as long as its max_age, which nobody quoted"
    return (
        f"{counted(one.figure, 'session')} {was(one.figure)} refused since {one.since} by senders that still apply an older "
        f"policy in mode enforce ({listed(one.names)}): their caches {held}."
    )


def _mode_none(one: Reason, found: Verdict) -> str:
    before = found.current is not None and found.current.mode_since_before
    since = f", {since_day(one.since, before=before)}" if one.since else ""
    if one.until is None:
        return f"The policy in force says mode: none{since}. Nobody quoted the max_age of an older one."
    still = "may still apply" if one.until >= found.on else "could apply"
    return f"The policy in force says mode: none{since}. Senders {still} an older policy until {one.until}."


def _unusable(one: Reason) -> str:
    """``of`` are all sessions of the voices that met it, on the days on which they did."""
    whose = f"that {listed(one.voices)} counted {span(one.since, one.until)}"
    return f"{part_of(one.figure, one.of)} {whose} could not use the policy ({listed(one.names)})"


def _policy_failures(one: Reason, _found: Verdict) -> str:
    return f"{_unusable(one)}."


def _policy_gone(one: Reason, _found: Verdict) -> str:
    finds = "finds" if len(one.names) == 1 else "find"
    return f"{listed(one.names)} quoted the policy before and {finds} none since {one.since}, last looked for on {one.until}."


def _policy_not_found(one: Reason, _found: Verdict) -> str:
    return f"{listed(one.names)} did not find the policy {span(one.since, one.until)}, and quoted it before."


def _none_found(one: Reason, _found: Verdict) -> str:
    return f"{listed(one.names)} found no policy for {counted(one.figure, 'session')} {span(one.since, one.until)}."


def _one_found_none(one: Reason, found: Verdict) -> str:
    return f"{_none_found(one, found)[:-1]}; this sender found none, and it may be one that looks for DANE only."


def _failed_without(one: Reason, _found: Verdict) -> str:
    return f"{part_of(one.figure, one.of)} without a policy failed in TLS ({listed(one.names)}); no mode refused them."


def _nothing_refused(one: Reason, _found: Verdict) -> str:
    """``of`` are the complete days since the switch, ``threshold`` how many of them a figure needs."""
    by = " by a known reporter" if "by-known" in one.code else ""
    is_early = one.code.endswith("so-far")
    so_far = " so far" if is_early else ""
    if not one.of:
        return f"No complete day since the switch is known yet; nothing was refused{by}{so_far}."
    none = f"Of {counted(one.figure, 'session')} since {one.since}, none was refused{by}{so_far}."
    if not one.figure:
        none = f"No session has counted since {one.since}, so nothing is proven."
    days = f" Complete days since the switch: {one.of:,.0f} of {one.threshold or 0:,.0f}."
    return none + (days if is_early else "")


def _enough(one: Reason, _found: Verdict) -> str:
    sure = one.names[0] if one.names else "95 %"
    return (
        f"At {sure} confidence at most {at_most(one.figure)} of {counted(one.of or 0, 'session')} would be refused; "
        f"{at_most(one.threshold or 0)} is allowed."
    )


def _clean_days(one: Reason, found: Verdict) -> str:
    words = f"{one.figure:,.0f} of {counted(one.threshold or 0, 'clean day')} are complete, counted from {one.since}"
    if one.until is None:
        return f"{words}."
    alone = len(found.missing) == 1
    return f"{words}; {'ready' if alone else 'complete'} on {one.until} if it stays so."


def _too_few_reporters(one: Reason, _found: Verdict) -> str:
    by = f"; at the present rate there are enough on {one.until}" if one.until else ""
    have = counted(one.figure, "independent known reporter")
    return f"{have} of the {one.threshold or 0:,.0f} that are asked for{by}."


def _too_few_sessions(one: Reason, _found: Verdict) -> str:
    by = f"; at the present rate there are enough on {one.until}" if one.until else ""
    return f"{counted(one.figure, 'clean session')} of the {one.threshold or 0:,.0f} that are needed{by}."


def _refused_until(one: Reason, found: Verdict) -> str:
    days = f"on {one.until}" if one.since == one.until else f"from {one.since} until {one.until}"
    verb = refused_words(found, one.figure)
    return f"{part_of(one.figure, one.of)} {verb} {days}, clean since{_by(one)}."


def _not_seen_again(one: Reason, _found: Verdict) -> str:
    has = "has" if len(one.names) == 1 else "have"
    return f"A fault was not seen again, but {listed(one.names)}, who saw it, {has} been silent since."


def _misfits(one: Reason, _found: Verdict) -> str:
    return f"{counted(one.figure, 'session')} met {listed(one.names)}, which no mx line covers, {span(one.since, one.until)}."


def _older_policy(one: Reason, found: Verdict) -> str:
    end = f" until {one.until}" if one.until and one.until >= found.on else ""
    return (
        f"{counted(one.figure, 'session')} failed because caches hold{'' if end else ' or held'} an older policy, which does not "
        f"name {listed(one.names)}{end}: nothing to repair."
    )


def _few_policy_failures(one: Reason, _found: Verdict) -> str:
    return f"{_unusable(one)}: not often enough to call it broken."


def _dane(one: Reason, _found: Verdict) -> str:
    return (
        f"{counted(one.figure, 'session')} failed under DANE {span(one.since, one.until)} ({listed(one.names)}). DANE senders "
        "refuse such sessions in every mode, so the switch changes nothing there."
    )


def _accepted(one: Reason, _found: Verdict) -> str:
    return f"{counted(one.figure, 'refused session')} {_is(one)} left out, because the cause was accepted."


def _is(one: Reason) -> str:
    return "is" if one.figure == 1 else "are"


def _repaired(one: Reason, _found: Verdict) -> str:
    return f"{counted(one.figure, 'failed session')} up to {one.until} {_is(one)} of causes that you called repaired."


def _stated(one: Reason, _found: Verdict) -> str:
    return f"The policy in force was entered by hand on {one.since} and outranks what reports quote."


def _overtaken(one: Reason, _found: Verdict) -> str:
    return f"The policy entered by hand on {one.since} no longer counts: senders have changed to another one since."


def _own_thresholds(one: Reason, _found: Verdict) -> str:
    noun = "A threshold" if len(one.names) == 1 else "Thresholds"
    return f"{noun} of this domain's own: {listed(one.names)}."


def _no_recent(_one: Reason, _found: Verdict) -> str:
    return "No report about the newest complete days is about the policy in force."


def _unquoted(one: Reason, _found: Verdict) -> str:
    return f"Reports that quote no policy hold {counted(one.figure, 'session')}{_by(one)}: these can block and prove nothing."


def _forgotten_id(one: Reason, _found: Verdict) -> str:
    quotes = "quotes" if len(one.names) == 1 else "quote"
    return (
        f"{listed(one.names)} still {quotes} another mode of the policy, days after it changed on {one.since}. Was the id in the "
        "TXT record changed, too?"
    )


def _old_policy_seen(one: Reason, _found: Verdict) -> str:
    return f"{counted(one.figure, 'reporter')} quoted another policy last: {listed(one.names)}."


def _could_not_look(_one: Reason, _found: Verdict) -> str:
    return "The probe could not look at the MX hosts: port 25 is blocked from where it runs."


def _host_faults(one: Reason, _found: Verdict) -> str:
    return f"The probe of {one.since} found faults at {listed(one.names)}."


def _in_order(one: Reason, _found: Verdict) -> str:
    hosts = "the MX host" if one.figure == 1 else f"all {one.figure:,.0f} MX hosts"
    return f"The probe of {one.since} reached {hosts} and found all in order."


def _dominates(one: Reason, _found: Verdict) -> str:
    return f"{share(one.figure, 1)} of the sessions come from one reporter ({listed(one.names)})."


def _silent(one: Reason, _found: Verdict) -> str:
    has = "has" if one.figure == 1 else "have"
    return f"{counted(one.figure, 'reporter')} {has} fallen silent: {listed(one.names)}. Silence is no success."


def _long_ranges(one: Reason, _found: Verdict) -> str:
    cover, its = ("covers", "its") if one.figure == 1 else ("cover", "their")
    return f"{counted(one.figure, 'report')} {cover} more than 36 hours; {its} failures count on the last day."


def _newcomers(one: Reason, _found: Verdict) -> str:
    report = "A stranger reports" if len(one.names) == 1 else f"{len(one.names):,} strangers report"
    sessions = f"{counted(one.figure, 'session')} {span(one.since, one.until)}"
    return f"{report}, too: {listed(one.names)}, {sessions}. This moves nothing."


def _newcomers_refused(one: Reason, found: Verdict) -> str:
    verb = refused_words(found, one.figure)
    says = "says" if len(one.names) == 1 else "say"
    return f"{listed(one.names)}, not known, {says} that {part_of(one.figure, one.of)} {verb}."


def _faulty(one: Reason, _found: Verdict) -> str:
    return f"The policy or its record is faulty: {listed(one.names)}."


def _mx_missing(one: Reason, found: Verdict) -> str:
    refuses = "refuses" if found.mode == "enforce" else "would refuse"
    host, line = ("an MX host", "Its line is") if len(one.names) == 1 else ("MX hosts", "Their lines are")
    lines = listed([f'"mx: {name}"' for name in one.names])
    return f"The policy leaves out {host}, where enforce {refuses} every session. {line} missing: {lines}."


def _no_known_voice(_one: Reason, _found: Verdict) -> str:
    return "No known reporter has reported. What strangers say moves nothing."


def _policy_unknown(_one: Reason, _found: Verdict) -> str:
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
