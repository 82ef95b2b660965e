"""What did not make the verdict and is worth knowing, with figures and dates. Pure."""

from collections.abc import Iterable, Iterator, Sequence

from dashboard.decision.facts.causes import Cause
from dashboard.decision.facts.failures import OLDER_POLICY
from dashboard.decision.facts.newcomers import Newcomer
from dashboard.decision.facts.policy_history import fresh_probe, without_new_id
from ingest.rfc.result_types import DANE_ONLY, MX_NOT_IN_POLICY, POLICY_UNUSABLE

from .outlook import probe_vouches
from .reasons import Reason, organisations, remark, told_by
from .reckoning import Weighed

# Sessions of one sender are not independent of each other; beyond this share the page says so.
_LARGE_SHARE = 0.9


def remarks(weighed: Weighed, causes: Sequence[Cause], silent: Sequence[str]) -> Iterator[Reason]:
    """The remarks about known voices; ``silent`` are voices that used to report."""
    yield from _failures(weighed, causes)
    yield from _words(weighed)
    yield from _policy(weighed)
    yield from _probe(weighed)
    yield from _reporters(weighed, silent)


def _failures(weighed: Weighed, causes: Sequence[Cause]) -> Iterator[Reason]:
    past = [tally for tally in weighed.counted if tally.past and weighed.window.start <= tally.entry.failed_on]
    if past:
        refused = remark("refused-until", sum(tally.past for tally in past), of=weighed.sums.sessions)
        yield told_by(weighed.evidence, refused, [tally.entry for tally in past])
    if silent := {name for cause in causes for name in cause.silent}:
        yield remark("not-seen-again", len(silent), *sorted(silent))
    misfits = [cause for cause in causes if cause.result_type == MX_NOT_IN_POLICY and cause.blocks]
    if misfits:
        yield _of_causes("mx-not-in-policy", misfits, (cause.mx_host for cause in misfits))
    for code, consequence in (("dane-failures", DANE_ONLY), ("older-policy-cached", OLDER_POLICY)):
        if members := [cause for cause in causes if cause.consequence == consequence and cause.sessions]:
            hosts = consequence == OLDER_POLICY
            yield _of_causes(code, members, (cause.mx_host if hosts else cause.result_type for cause in members))
    few = [cause for cause in causes if cause.consequence == POLICY_UNUSABLE and cause.sessions]
    if few and not weighed.unusable:
        yield _of_causes("few-policy-failures", few, (cause.result_type for cause in few), weighed)


def _of_causes(code: str, causes: Sequence[Cause], names: Iterable[str], weighed: Weighed | None = None) -> Reason:
    voices = tuple(sorted({voice for cause in causes for voice in cause.voices}))
    first, last = min(cause.first_day for cause in causes), max(cause.last_day for cause in causes)
    until = max((cause.until or last for cause in causes), default=last)
    of: int | None = None
    if weighed is not None:
        days = [first.fromordinal(number) for number in range(first.toordinal(), last.toordinal() + 1)]
        of = weighed.record.sessions(voices, days)
    sessions = sum(cause.sessions for cause in causes)
    return remark(code, sessions, *sorted(set(names) - {""}), since=first, until=until, voices=voices, of=of)


def _words(weighed: Weighed) -> Iterator[Reason]:
    """What the operator has said, and how old it is in days."""
    evidence = weighed.evidence
    counted = [*weighed.counted, *weighed.ahead]
    if accepted := sum(tally.accepted for tally in counted if tally.entry.failed_on >= weighed.window.start):
        yield remark("accepted-sessions", accepted)
    repaired = [fact for fact in weighed.facts if fact.repaired and fact.day >= weighed.window.start]
    if sessions := sum(fact.failure.sessions for fact in repaired):
        yield remark("repaired-sessions", sessions, until=max(fact.day for fact in repaired))
    if evidence.stated:
        yield remark("stated-policy", (evidence.on - evidence.stated.day).days, since=evidence.stated.day)
    if evidence.overtaken:
        yield remark(
            "stated-policy-overtaken", (evidence.on - evidence.overtaken.day).days, since=evidence.overtaken.day
        )
    if evidence.own_thresholds:
        yield remark("own-thresholds", len(evidence.own_thresholds), *evidence.own_thresholds)


def _policy(weighed: Weighed) -> Iterator[Reason]:
    evidence, current = weighed.evidence, weighed.current
    if current is not None and not any(
        tally.proves and weighed.shortest.holds(tally.entry.day) for tally in weighed.counted
    ):
        yield remark("no-recent-evidence", 0)
    unquoted = {id(entry): entry for entry in weighed.unquoted if weighed.window.holds(entry.failed_on)}
    refused = sum(tally.refused + tally.past for tally in weighed.counted if id(tally.entry) in unquoted)
    if sessions := sum(entry.successful for entry in unquoted.values()) + refused:
        voices = tuple(sorted({entry.voice for entry in unquoted.values()}))
        yield remark("policy-not-quoted", sessions, *organisations(evidence, voices), voices=voices)
    forgotten = without_new_id(weighed.propagation, current)
    if forgotten:
        names = [seen.organization for seen in forgotten]
        voices = tuple(seen.voice for seen in forgotten)
        yield remark("forgotten-id", len(names), *names, since=current.mode_since if current else None, voices=voices)
    behind = [seen for seen in weighed.propagation if not seen.current and seen not in forgotten]
    if behind:
        voices = tuple(seen.voice for seen in behind)
        yield remark("old-policy-seen", len(behind), *(seen.organization for seen in behind), voices=voices)


def _probe(weighed: Weighed) -> Iterator[Reason]:
    probe = fresh_probe(weighed.evidence)
    if probe is None:
        return
    if probe.port25_blocked:
        yield remark("probe-could-not-look", len(probe.hosts), since=probe.day)
    elif faulty := [host.host for host in probe.hosts if host.fault or not host.reached]:
        yield remark("probe-host-faults", len(faulty), *faulty, since=probe.day)
    elif probe_vouches(weighed.evidence):
        yield remark("probe-in-order", len(probe.hosts), *(host.host for host in probe.hosts), since=probe.day)


def _reporters(weighed: Weighed, silent: Sequence[str]) -> Iterator[Reason]:
    largest = weighed.by_reporter[0] if len(weighed.by_reporter) > 1 else None
    if largest is not None and largest.share > _LARGE_SHARE:
        yield remark("one-reporter-dominates", largest.share, largest.organization, voices=(largest.voice,))
    if silent:
        yield remark("silent-reporters", len(silent), *organisations(weighed.evidence, silent), voices=tuple(silent))
    long_ranges = [
        tally for tally in weighed.counted if tally.entry.long_range and tally.entry.failed_on >= weighed.window.start
    ]
    if long_ranges:
        yield remark(
            "long-ranges", len({(tally.entry.voice, tally.entry.report, tally.entry.day) for tally in long_ranges})
        )


def about_newcomers(newcomers: Sequence[Newcomer]) -> Iterator[Reason]:
    """Who is not known: how much they say, and of what they accuse. There is at least one."""
    names = [newcomer.organization for newcomer in newcomers]
    voices = tuple(newcomer.voice for newcomer in newcomers)
    since, until = min(newcomer.first_day for newcomer in newcomers), max(newcomer.last_day for newcomer in newcomers)
    sessions = sum(newcomer.sessions for newcomer in newcomers)
    yield remark("newcomers", sessions, *names, since=since, until=until, voices=voices)
    if accusing := [newcomer for newcomer in newcomers if newcomer.refused]:
        refused = sum(newcomer.refused for newcomer in accusing)
        names = [newcomer.organization for newcomer in accusing]
        yield remark(
            "newcomers-refused", refused, *names, voices=tuple(newcomer.voice for newcomer in accusing), of=sessions
        )
