"""Evidence sorted by what it can prove: facts, causes, trouble with the policy, and what each entry counts for. Pure.

The first of three steps to a verdict; ``reckoning`` weighs what is sorted here, ``naming`` gives it a name.
"""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from dashboard.decision.facts.causes import Causes, Gathered
from dashboard.decision.facts.failures import AHEAD, BEFORE, NOW, EntryReading, Fact, readable
from dashboard.decision.facts.over import VoiceDays
from dashboard.decision.facts.policy_history import (
    CachedPolicy,
    Current,
    Seen,
    current_policy,
    held_enforcing,
    is_probe_clean,
    propagation,
)
from dashboard.decision.facts.policy_trouble import RECENT, Absence, absences, broken_days, gone_days, lasting
from ingest.rfc.result_types import POLICY_UNUSABLE, REFUSED

from . import weighing
from .clock import Window
from .evidence import Entry, Evidence
from .weighing import Counted


class Sorted(msgspec.Struct, frozen=True):
    """What some evidence is about. All of its voices are taken for known ones.

    ``shortest`` is the shortest window of its day. ``facts`` are the failures that count, or counted; ``refusals`` those that
    enforce refuses, by cause, since the policy in force came. ``counted`` is what each entry counts for, ``ahead`` the same of
    those whose cache still says testing. ``unquoted`` are entries about the policy in force that quote none: they accuse and
    do not prove. ``unusable`` and ``absent`` are trouble with the policy that lasts; ``broken`` all days on which there was
    enough of it to break the policy.
    """

    evidence: Evidence
    shortest: Window
    current: Current | None
    propagation: tuple[Seen, ...]
    held: tuple[CachedPolicy, ...]
    record: VoiceDays
    causes_of: Causes
    facts: tuple[Fact, ...]
    refusals: tuple[Gathered, ...]
    counted: tuple[Counted, ...]
    ahead: tuple[Counted, ...]
    unquoted: tuple[Entry, ...]
    unusable: tuple[Fact, ...]
    absent: tuple[Absence, ...]
    broken: frozenset[dt.date]

    @property
    def mode(self) -> str:
        """The mode in force, "" when nobody has named one."""
        return self.current.policy.mode if self.current else ""

    def is_turned_away(self, entry: Entry) -> bool:
        """Entries of the newest days under an older enforcing policy, by a voice that quoted it while it was in force."""
        return _is_turned_away(entry, self.current, self.held, self.shortest)


def sort(evidence: Evidence) -> Sorted:
    """What some evidence is about."""
    shortest = Window.on(evidence.on, evidence.thresholds)
    current = current_policy(evidence)
    held = tuple(held_enforcing(evidence, current))
    record = VoiceDays(evidence.entries, shortest.end)
    reading = EntryReading(evidence, current)
    causes = Causes(evidence, current, record)
    facts_of = {
        id(entry): tuple(reading.facts(entry, is_turned_away=_is_turned_away(entry, current, held, shortest)))
        for entry in evidence.entries
    }
    facts = tuple(fact for entry in evidence.entries for fact in facts_of[id(entry)])
    refusals = causes.of(fact for fact in facts if fact.consequence == REFUSED and fact.phase != BEFORE)
    counted = _counted(evidence, reading, facts_of, refusals)
    unusable = [fact for fact in facts if fact.consequence == POLICY_UNUSABLE and not fact.accepted]
    absent = absences(evidence)
    lasting_absences = lasting(evidence, absent)
    return Sorted(
        evidence=evidence,
        shortest=shortest,
        current=current,
        propagation=tuple(propagation(evidence, current)),
        held=held,
        record=record,
        causes_of=causes,
        facts=facts,
        refusals=tuple(refusals),
        counted=tuple(tally for tally in counted if tally.phase == NOW),
        ahead=tuple(tally for tally in counted if tally.phase == AHEAD and tally.refused),
        unquoted=tuple(entry for entry in evidence.entries if readable(entry) is None and reading.is_about(entry)),
        unusable=tuple(_lasting_errors(evidence, causes, unusable, record)),
        absent=tuple(lasting_absences),
        broken=broken_days(unusable, record) | gone_days(_unrefuted(evidence, absent, lasting_absences)),
    )


def _is_turned_away(entry: Entry, current: Current | None, held: Iterable[CachedPolicy], shortest: Window) -> bool:
    if entry.policy is None or entry.policy.mode != "enforce" or entry.failed_on <= shortest.end:
        return False
    if current and current.policy.mode == "enforce" and entry.policy.mx_digest == current.policy.mx_digest:
        return False
    return any(holder.voice == entry.voice and holder.mx_digest == entry.policy.mx_digest for holder in held)


def _counted(
    evidence: Evidence, reading: EntryReading, facts_of: Mapping[int, Sequence[Fact]], refusals: Iterable[Gathered]
) -> list[Counted]:
    """What each entry counts for; ``facts_of`` has its facts by its id. Refusals whose cause is over no longer speak."""
    blocking = [gathered for gathered in refusals if gathered.cause.blocks]
    live = {id(fact) for gathered in blocking for fact in gathered.facts if not fact.repaired}
    return [
        weighing.count(entry, facts_of[id(entry)], live, proves=reading.proves(entry))
        for entry in evidence.entries
        if reading.proves(entry) or facts_of[id(entry)]
    ]


def _lasting_errors(evidence: Evidence, causes: Causes, unusable: Collection[Fact], record: VoiceDays) -> list[Fact]:
    """The failures to fetch or read the policy that go on, when there are enough of them to break it."""
    gathered = causes.of(fact for fact in unusable if not fact.repaired)
    going_on = [fact for group in gathered if not group.cause.over for fact in group.facts]
    recent = [fact for fact in going_on if fact.day >= evidence.on - RECENT]
    return recent if broken_days(recent, record) else []


def _unrefuted(evidence: Evidence, absent: Sequence[Absence], lasting_absences: Collection[Absence]) -> list[Absence]:
    """Where a probe finds the policy, it is there, whoever does not find it."""
    if not is_probe_clean(evidence):
        return list(absent)
    return [absence for absence in absent if absence not in lasting_absences]
