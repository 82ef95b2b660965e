"""A policy that senders cannot fetch or read, or no longer find (docs/verdict.md, ``policy-broken``). Pure."""

import collections
import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from dashboard.decision.evidence import Evidence
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS

from .failures import Fact, is_accepted_absence, is_repaired_absence
from .over import VoiceDays

# So many days ago it still matters; one voice alone has to see it on so many of them.
RECENT = dt.timedelta(days=7)
_DAYS_OF_ONE = 3
# Of two voices together, more than this share of their sessions of these days.
_SHARE = 0.01
_SILENT = dt.timedelta(days=14)
_DAY = dt.timedelta(days=1)


def broken_days(facts: Iterable[Fact], record: VoiceDays) -> frozenset[dt.date]:
    """Of the days on which senders could not use the policy, those on which that broke it, and no single error: two voices on
    the same or neighbouring days and more than 1 % of their joint sessions of these days, or one voice on three days of seven.
    """
    sessions: dict[str, collections.Counter[dt.date]] = collections.defaultdict(collections.Counter)
    for fact in facts:
        sessions[fact.entry.voice][fact.day] += fact.failure.sessions
    broken: set[dt.date] = set()
    for days in sessions.values():
        ordered = sorted(days)
        for first, last in zip(ordered, ordered[_DAYS_OF_ONE - 1 :], strict=False):
            if last - first < RECENT:
                broken |= {day for day in ordered if first <= day <= last}
    for day in {day for days in sessions.values() for day in days}:
        for span in ({day}, {day, day + _DAY}):
            voices = [voice for voice, days in sessions.items() if not span.isdisjoint(days)]
            failed = sum(sessions[voice][date] for voice in voices for date in span)
            if len(voices) > 1 and failed > _SHARE * record.sessions(voices, span):
                broken |= {date for date in span if any(sessions[voice][date] for voice in voices)}
    return frozenset(broken)


class Absence(msgspec.Struct, frozen=True):
    """A voice that quoted the policy found none on these ``days``, in order; ``lasts``: it has not found it again since."""

    voice: str
    days: tuple[dt.date, ...]
    lasts: bool


def absences(evidence: Evidence) -> list[Absence]:
    """Where voices that had quoted the policy found none, by voice and time. Reports that hold both are left out: one of the
    sender's machines could not look. What the operator has accepted or says is repaired is left out, too.
    """
    quoted, without = _quoted_days(evidence), _days_without(evidence)
    absent: list[Absence] = []
    for voice, days in without.items():
        known = quoted.get(voice, [])
        if not known or is_accepted_absence(evidence, voice):
            continue
        runs: dict[dt.date, list[dt.date]] = collections.defaultdict(list)
        for day in days:
            before = [earlier for earlier in known if earlier <= day]
            if before and before[-1] < day and not is_repaired_absence(evidence, day):
                runs[before[-1]].append(day)
        absent += [Absence(voice, tuple(run), last == known[-1]) for last, run in runs.items()]
    return absent


def _quoted_days(evidence: Evidence) -> Mapping[str, Sequence[dt.date]]:
    days: dict[str, set[dt.date]] = collections.defaultdict(set)
    for seen in evidence.sightings:
        days[seen.voice].add(seen.day)
    for entry in evidence.entries:
        if entry.policy_type == STS and entry.policy is not None:
            days[entry.voice].add(entry.day)
    return {voice: sorted(quoted) for voice, quoted in days.items()}


def _days_without(evidence: Evidence) -> Mapping[str, Sequence[dt.date]]:
    """The days of reports that name no policy at all, by voice."""
    types: dict[tuple[str, dt.date, str], set[str]] = collections.defaultdict(set)
    for entry in evidence.entries:
        types[entry.voice, entry.day, entry.report].add(entry.policy_type)
    days: dict[str, set[dt.date]] = collections.defaultdict(set)
    for (voice, day, _), kinds in types.items():
        if NO_POLICY_FOUND in kinds and STS not in kinds:
            days[voice].add(day)
    return {voice: sorted(without) for voice, without in sorted(days.items())}


def lasting(evidence: Evidence, of: Iterable[Absence]) -> list[Absence]:
    """The absences that go on: not those of voices that fell silent long ago while others quote the policy."""
    quoted = _quoted_days(evidence)
    last_reported: dict[str, dt.date] = {}
    for entry in evidence.entries:
        last_reported[entry.voice] = max(last_reported.get(entry.voice, entry.day), entry.day)
    going_on = []
    for absence in of:
        is_silent = evidence.on - last_reported[absence.voice] > _SILENT
        others = [days for voice, days in quoted.items() if voice != absence.voice]
        is_refuted = any(day > absence.days[-1] for days in others for day in days)
        if absence.lasts and not (is_silent and is_refuted):
            going_on.append(absence)
    return going_on


def is_gone(absent: Collection[Absence]) -> bool:
    """Whether so many find none that the policy is gone: two voices, or one on three days."""
    voices = {absence.voice for absence in absent}
    return len(voices) > 1 or any(len(absence.days) >= _DAYS_OF_ONE for absence in absent)


def gone_days(absent: Sequence[Absence]) -> frozenset[dt.date]:
    """The days on which the policy was gone, by ``is_gone`` for absences at the same time."""
    gone: set[dt.date] = set()
    for absence in absent:
        together = [
            other
            for other in absent
            if other.days[0] <= absence.days[-1] + _DAY and absence.days[0] <= other.days[-1] + _DAY
        ]
        if is_gone(together):
            gone |= set(absence.days)
    return frozenset(gone)
