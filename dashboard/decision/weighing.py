"""What entries weigh: sessions that prove, sessions that enforce would have refused, the bound, and whose word it is. Pure.

Proof is a session that succeeded; one that failed for whatever reason proves nothing. So n is successes and refused sessions.
"""

import collections
import datetime as dt
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from dashboard.decision.facts.failures import NOW, Fact
from dashboard.decision.facts.over import failed_sessions
from ingest.rfc.policy_types import STS, TLSA
from ingest.rfc.result_types import REFUSED

from .binomial import upper_bound
from .clock import Window
from .evidence import Entry, Evidence, Thresholds

# A bound next to nothing asks for more sessions than any report can count.
_MOST_SESSIONS = 2**53


class Counted(msgspec.Struct, frozen=True):
    """An entry with what enforce would have refused of it: sessions that still speak, ``past`` ones whose cause is over or
    repaired, and those the operator has accepted, which are left out of the reckoning. ``proves``: its successes count.
    """

    entry: Entry
    refused: int = 0
    past: int = 0
    accepted: int = 0
    proves: bool = True
    phase: str = NOW

    @property
    def succeeded(self) -> int:
        """Sessions that prove something."""
        return self.entry.successful if self.proves else 0


class DayCount(msgspec.Struct, frozen=True):
    """One day's sessions that count: all, those that enforce refuses, and beside them those whose cause was accepted."""

    day: dt.date
    sessions: int
    refused: int
    accepted: int


class ReporterEvidence(msgspec.Struct, frozen=True):
    """What one voice contributes to the window: sessions, refused ones, its own bound, its share of all sessions.

    ``last_day`` is the newest one it reported about in the window.
    """

    voice: str
    organization: str
    sessions: int
    refused: int
    bound: float
    share: float
    last_day: dt.date

    @property
    def proves(self) -> bool:
        """Whether it counts as an independent voice: a session of it has succeeded."""
        return self.sessions > self.refused


class Sums(msgspec.Struct, frozen=True):
    """The figures of a window, all from the same sessions: ``sessions`` are successes and ``refused``, of which ``past`` are
    over; the refused ones are those of the window.
    """

    sessions: int
    refused: int
    past: int
    accepted: int


def sessions_needed(thresholds: Thresholds) -> int:
    """How many sessions, all clean, bring the bound down to the threshold (299 for 1 % at 95 %)."""
    needed = math.log1p(-thresholds.confidence) / math.log1p(-thresholds.bound)
    return math.ceil(min(needed, _MOST_SESSIONS))


def count(entry: Entry, facts: Iterable[Fact], live: Collection[int], *, proves: bool) -> Counted:
    """The refused sessions of an entry with its ``facts``; ``live`` are the ids of those whose cause is not over.

    Details overlap: together they are no more than the entry's total says.
    """
    refused = past = accepted = 0
    phase = NOW
    for fact in facts:
        if fact.consequence != REFUSED:
            continue
        phase = fact.phase
        if fact.accepted:
            accepted += fact.failure.sessions
        elif id(fact) in live:
            refused += fact.failure.sessions
        else:
            past += fact.failure.sessions
    if entry.failed is not None:
        refused = min(refused, entry.failed)
        past = min(past, entry.failed - refused)
        accepted = min(accepted, entry.failed - refused - past)
    return Counted(entry, refused, past, accepted, proves, phase)


def sums(counted: Iterable[Counted], window: Window) -> Sums:
    """The figures of the window. A long range has its successes on its first day and its failures on its last."""
    succeeded = refused = past = accepted = 0
    for tally in counted:
        if window.holds(tally.entry.day):
            succeeded += tally.succeeded
        if window.holds(tally.entry.failed_on):
            refused += tally.refused
            past += tally.past
            accepted += tally.accepted
    return Sums(succeeded + refused + past, refused + past, past, accepted)


def by_day(counted: Iterable[Counted]) -> tuple[DayCount, ...]:
    """The days with sessions that count, in order."""
    days: dict[dt.date, list[int]] = collections.defaultdict(lambda: [0, 0, 0])
    for tally in counted:
        refused = tally.refused + tally.past
        days[tally.entry.day][0] += tally.succeeded
        failing = days[tally.entry.failed_on]
        failing[0] += refused
        failing[1] += refused
        failing[2] += tally.accepted
    return tuple(DayCount(day, *days[day]) for day in sorted(days))


def by_reporter(
    evidence: Evidence, counted: Iterable[Counted], window: Window, confidence: float
) -> list[ReporterEvidence]:
    """Whose sessions count in the window, most first. A voice without sessions is no evidence."""
    groups: dict[str, list[Counted]] = collections.defaultdict(list)
    for tally in counted:
        groups[tally.entry.voice].append(tally)
    weights = {voice: sums(members, window) for voice, members in groups.items()}
    weights = {voice: weight for voice, weight in weights.items() if weight.sessions}
    total = sum(weight.sessions for weight in weights.values())
    proving = [
        ReporterEvidence(
            voice=voice,
            organization=evidence.name_of(voice),
            sessions=weight.sessions,
            refused=weight.refused,
            bound=upper_bound(weight.refused, weight.sessions, confidence),
            share=weight.sessions / total,
            last_day=max(day for tally in groups[voice] for day in _days(tally.entry) if window.holds(day)),
        )
        for voice, weight in weights.items()
    ]
    return sorted(proving, key=lambda reporter: (-reporter.sessions, reporter.organization))


def _days(entry: Entry) -> tuple[dt.date, dt.date]:
    return entry.day, entry.failed_on


def listing_twice(entries: Sequence[Entry]) -> frozenset[str]:
    """The voices that list the same sessions under ``tlsa`` and under ``sts``: in every report that has both, the totals are
    equal (Microsoft). Who reports different totals even once counts different sessions, of which none may be dropped.
    """
    totals: dict[tuple[str, object], dict[str, int]] = collections.defaultdict(lambda: collections.defaultdict(int))
    for entry in entries:
        report = (entry.voice, entry.report or entry.day)
        totals[report][entry.policy_type] += entry.successful + failed_sessions(entry)
    both = {report: types for report, types in totals.items() if types.keys() >= {STS, TLSA}}
    equal: Mapping[str, list[bool]] = collections.defaultdict(list)
    for (voice, _), types in both.items():
        equal[voice].append(types[STS] == types[TLSA])
    return frozenset(voice for voice, marks in equal.items() if all(marks))
