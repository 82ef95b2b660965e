"""The name of a verdict, and the reasons for it: the first of the eight that applies (docs/verdict.md). Pure.

The last of three steps to a verdict, after ``sorting`` and ``reckoning``.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import msgspec

from dashboard.decision.facts.policy_history import Current, expiry, fresh_probe, is_probe_clean
from dashboard.decision.facts.policy_trouble import is_gone
from ingest.rfc.mtasts.policy import MODES
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS

from . import weighing
from .clock import Window
from .reasons import Missing, Reason, organisations, told_by
from .reckoning import Weighed
from .weighing import Counted

NO_POLICY, POLICY_BROKEN, INSUFFICIENT = "no-policy", "policy-broken", "insufficient-evidence"
NOT_READY, READY = "not-ready", "ready"
ENFORCING, ENFORCING_REFUSING, WITHDRAWN = "enforcing", "enforcing-refusing", "withdrawn"
# Most urgent first: mail is being turned away; nobody is protected; something to repair; something to do; to wait; all is well.
URGENCY = (ENFORCING_REFUSING, POLICY_BROKEN, NOT_READY, READY, NO_POLICY, INSUFFICIENT, WITHDRAWN, ENFORCING)

_DAY = dt.timedelta(days=1)


class Named(msgspec.Struct, frozen=True):
    """Exactly one verdict, its reasons, and what is missing."""

    name: str
    reasons: tuple[Reason, ...]
    missing: tuple[Missing, ...] = ()


def name(weighed: Weighed, uncovered: tuple[str, ...]) -> Named:
    """The verdict; what accuses comes before what is missing. ``uncovered`` are MX hosts that the policy lacks."""
    held, refusing = _refused_by_caches(weighed), tuple(_refusals(weighed))
    broken, lacking = tuple(_policy_faults(weighed, uncovered)), _uncovered(uncovered)
    if held or (weighed.mode == "enforce" and refusing):
        return Named(ENFORCING_REFUSING, (*held, *refusing, *broken))
    if weighed.current and weighed.mode == "none":
        return Named(WITHDRAWN, (_withdrawn(weighed, weighed.current),))
    if broken:
        return Named(POLICY_BROKEN, (*broken, *refusing))
    if not weighed.evidence.speaking:
        return Named(INSUFFICIENT, (Reason("no-known-voice", 0, 1),), (Missing("no-known-voice", 0, 1),))
    if none := _no_policy(weighed):
        return Named(NO_POLICY, none)
    if weighed.mode == "enforce":
        return Named(ENFORCING, (_clean_since(weighed),))
    if not_ready := (*refusing, *lacking):
        return Named(NOT_READY, not_ready)
    if missing := tuple(_missing(weighed)):
        return Named(INSUFFICIENT, tuple(map(_lack, missing)), missing)
    return Named(READY, (_enough(weighed),))


def _refusals(weighed: Weighed) -> Iterator[Reason]:
    """What was refused, or would be, and is not over."""
    turned_away = {id(tally.entry) for tally in weighed.turned_away}
    refused = [tally for tally in weighed.counted if tally.refused and id(tally.entry) not in turned_away]
    in_window = [tally for tally in refused if weighed.window.holds(tally.entry.failed_on)]
    if in_window:
        yield _refused(weighed, "refused-sessions", in_window, of=weighed.sums.sessions)
    if lately := [tally for tally in refused if tally.entry.failed_on > weighed.window.end]:
        yield _refused(weighed, "refused-lately", lately)
    if weighed.ahead:
        yield msgspec.structs.replace(_refused(weighed, "will-be-refused", weighed.ahead), until=_applies_from(weighed))


def _refused(weighed: Weighed, code: str, tallies: Sequence[Counted], of: int | None = None) -> Reason:
    sessions = sum(tally.refused for tally in tallies)
    return told_by(weighed.evidence, Reason(code, sessions, 0, of=of), [tally.entry for tally in tallies])


def _applies_from(weighed: Weighed) -> dt.date | None:
    """The day from which those refuse that still quote testing: their caches end by then."""
    ages = [tally.entry.policy.max_age for tally in weighed.ahead if tally.entry.policy]
    known = [age for age in ages if age is not None]
    if weighed.current is None or not known:
        return None
    return max(weighed.current.mode_since + dt.timedelta(seconds=max(known)), weighed.evidence.on + _DAY)


def _refused_by_caches(weighed: Weighed) -> tuple[Reason, ...]:
    """What senders really refuse, whatever the present policy says: their caches hold an older one that enforces."""
    refused = weighed.turned_away
    if not refused:
        return ()
    ends = {(holder.voice, holder.mx_digest): holder.until for holder in weighed.held}
    quoted = [(tally.entry.voice, tally.entry.policy.mx_digest) for tally in refused if tally.entry.policy]
    untils = {ends[key] for key in quoted}
    until = None if None in untils else max(end for end in untils if end)
    return (msgspec.structs.replace(_refused(weighed, "refused-by-older-policy", refused), until=until),)


def _withdrawn(weighed: Weighed, current: Current) -> Reason:
    """Until when the file must be served; after that day it may be deleted."""
    until = expiry(weighed.evidence.served, current.policy, current.mode_since)
    return Reason("mode-none", since=current.mode_since, until=until)


def _policy_faults(weighed: Weighed, uncovered: tuple[str, ...]) -> Iterator[Reason]:
    evidence, current = weighed.evidence, weighed.current
    probe = fresh_probe(evidence)
    faults = evidence.stated.faults if evidence.stated else ()
    if probe and not is_probe_clean(evidence):
        faults = (*faults, *(probe.faults or ("the probe could not read the record or the file",)))
    if not faults and current and current.policy.mode not in ("", *MODES):
        faults = (f"mode: {current.policy.mode}",)
    if faults:
        yield Reason("policy-faulty", len(faults), 0, names=faults)
    if weighed.mode == "enforce":
        yield from _uncovered(uncovered)
    if weighed.unusable:
        yield _unusable(weighed)
    if is_gone(weighed.absent) and not is_probe_clean(evidence):
        yield _gone(weighed, "policy-gone")


def _unusable(weighed: Weighed) -> Reason:
    facts = weighed.unusable
    voices = tuple(sorted({fact.entry.voice for fact in facts}))
    days = {fact.day for fact in facts}
    kinds = tuple(sorted({fact.result_type for fact in facts}))
    sessions = sum(fact.failure.sessions for fact in facts)
    of = weighed.record.sessions(voices, days)
    return Reason("policy-failures", sessions, 0, True, kinds, min(days), max(days), voices, of)


def _gone(weighed: Weighed, code: str) -> Reason:
    """For whom the policy is gone, and since when."""
    voices = tuple(sorted({absence.voice for absence in weighed.absent}))
    names = organisations(weighed.evidence, voices)
    days = [day for absence in weighed.absent for day in absence.days]
    return Reason(code, len(voices), 0, names=names, since=min(days), until=max(days), voices=voices)


def absence_remarks(weighed: Weighed) -> Iterator[Reason]:
    """One voice that does not find the policy once, or all while a probe finds it."""
    if weighed.absent and (not is_gone(weighed.absent) or is_probe_clean(weighed.evidence)):
        yield msgspec.structs.replace(_gone(weighed, "policy-not-found"), blocking=False, threshold=None)


def _no_policy(weighed: Weighed) -> tuple[Reason, ...]:
    """Senders look for a policy and find none. Those that know DANE only say so beside others who found one."""
    evidence, current = weighed.evidence, weighed.current
    recent = [entry for entry in evidence.entries if entry.failed_on >= weighed.shortest.start]
    looked = [entry for entry in recent if entry.policy_type == NO_POLICY_FOUND]
    is_there = evidence.stated is not None or (current is not None and current.stated)
    if not looked or is_there or any(entry.policy_type == STS for entry in recent):
        return ()
    sessions = sum(entry.successful + (entry.failed or 0) for entry in looked)
    voices = tuple(sorted({entry.voice for entry in looked}))
    names, days = organisations(evidence, voices), [entry.day for entry in looked]
    code = "no-policy-found" if len(voices) > 1 else "one-sender-found-none"
    reason = Reason(code, sessions, names=names, since=min(days), until=max(days), voices=voices, of=sessions)
    if failed := sum(entry.failed or 0 for entry in looked):
        types = sorted({failure.result_type for entry in looked for failure in entry.failures})
        return Reason("failures-without-policy", failed, 0, names=tuple(types), voices=voices, of=sessions), reason
    return (reason,)


def _clean_since(weighed: Weighed) -> Reason:
    """Since when nothing was refused, and by how many sessions: the figures since the switch, or since the last refusal."""
    window, limits = weighed.window, weighed.evidence.thresholds
    last = max((tally.entry.failed_on for tally in weighed.counted if tally.past), default=None)
    since = window.start if last is None else max(window.start, last + _DAY)
    sessions = weighing.sums(weighed.counted, Window(since, window.end)).sessions
    code = "nothing-refused-so-far" if window.days < limits.window_days else "nothing-refused"
    return Reason(code, sessions, limits.window_days, since=since, of=window.days)


def _uncovered(hosts: tuple[str, ...]) -> tuple[Reason, ...]:
    return (Reason("mx-missing", len(hosts), 0, names=hosts),) if hosts else ()


def _missing(weighed: Weighed) -> Iterator[Missing]:
    """What keeps clean evidence from sufficing."""
    if weighed.outlook is None or not weighed.mode:
        yield Missing("policy-unknown", 0, 1)
        return
    yield from weighed.outlook.missing(weighed.window)


def _lack(missing: Missing) -> Reason:
    return Reason(missing.code, missing.have, missing.need, since=missing.since, until=missing.by)


def _enough(weighed: Weighed) -> Reason:
    limits = weighed.evidence.thresholds
    sure = f"{limits.confidence * 100:.6g} %"
    return Reason("enough-evidence", weighed.bound, limits.bound, names=(sure,), of=weighed.sums.sessions)
