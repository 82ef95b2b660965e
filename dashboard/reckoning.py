"""The evidence, sorted by what it can prove: facts, causes, the window and the clock, and the figures of the window. Pure.

Everything that a verdict and its remarks need to know, computed once and in the order in which it depends on each other.
"""

import collections
import datetime as dt
from collections.abc import Sequence

from ingest.mtasts.enforcement import POLICY_UNUSABLE, REFUSED

from . import weighing
from .causes import Cause, Causes, Gathered
from .clock import Clock, Window
from .evidence import Entry, Evidence
from .failures import AHEAD, BEFORE, NOW, Fact, Reading, readable
from .outlook import Outlook
from .over import Record
from .policy_history import current_policy, held_enforcing, is_probe_clean, propagation
from .policy_trouble import RECENT, absences, broken_days, gone_days, lasting
from .weighing import Counted

_DAY = dt.timedelta(days=1)


class Reckoning:
    """What some evidence comes to. All of its voices are taken for known ones."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.limits = evidence.thresholds
        self.shortest = Window.on(evidence.on, self.limits)
        self.current = current_policy(evidence)
        self.enforces = self.current is not None and self.current.policy.mode == "enforce"
        self.propagation = propagation(evidence, self.current)
        self.held = held_enforcing(evidence, self.current)
        self.record = Record(evidence.entries, self.shortest.end)
        self._reading = Reading(evidence, self.current)
        self._read()
        self._find_causes()
        self._find_trouble()
        self._find_window()
        self.sums = weighing.sums(self.counted, self.window)
        self.bound = weighing.upper_bound(self.sums.refused, self.sums.sessions, self.limits.confidence)
        self.by_reporter = weighing.by_reporter(evidence, self.counted, self.window, self.limits.confidence)

    def _read(self) -> None:
        """The facts of each entry."""
        self.facts: list[Fact] = []
        self._of_entry: dict[int, list[Fact]] = collections.defaultdict(list)
        for entry in self.evidence.entries:
            for fact in self._reading.facts(entry, is_turned_away=self.is_turned_away(entry)):
                self.facts.append(fact)
                self._of_entry[id(entry)].append(fact)

    def is_turned_away(self, entry: Entry) -> bool:
        """Entries of the newest days under an older enforcing policy, by a voice that quoted it while it was in force."""
        if entry.policy is None or entry.policy.mode != "enforce" or entry.failed_on <= self.shortest.end:
            return False
        if self.enforces and self.current and entry.policy.mx_digest == self.current.policy.mx_digest:
            return False
        return any(holder.voice == entry.voice and holder.mx_digest == entry.policy.mx_digest for holder in self.held)

    def is_unquoted(self, entry: Entry) -> bool:
        """Entries of these days that may be about the policy in force and quote none: they accuse and do not prove."""
        return readable(entry) is None and self._reading.is_about(entry) and self.window.holds(entry.failed_on)

    def _find_causes(self) -> None:
        """Refusals since the policy in force came, and what of them still speaks."""
        self._causes = Causes(self.evidence, self.current, self.record)
        refused = [fact for fact in self.facts if fact.consequence == REFUSED and fact.phase != BEFORE]
        self.refusals = self._causes.of(refused)
        self.blocking = [gathered for gathered in self.refusals if gathered.cause.blocks]
        live = {id(fact) for gathered in self.blocking for fact in gathered.facts if not fact.repaired}
        counted = [
            weighing.count(entry, self._of_entry[id(entry)], live, proves=self._reading.proves(entry))
            for entry in self.evidence.entries
            if self._reading.proves(entry) or self._of_entry.get(id(entry))
        ]
        self.counted = [tally for tally in counted if tally.phase == NOW]
        self.ahead = [tally for tally in counted if tally.phase == AHEAD and tally.refused]

    def _find_trouble(self) -> None:
        """Days on which the policy could not be used or was gone; what of it lasts."""
        unusable = [fact for fact in self.facts if fact.consequence == POLICY_UNUSABLE and not fact.accepted]
        gathered = self._causes.of(fact for fact in unusable if not fact.repaired)
        going_on = [fact for group in gathered if not group.cause.over for fact in group.facts]
        recent = [fact for fact in going_on if fact.day >= self.evidence.on - RECENT]
        self.unusable = recent if broken_days(recent, self.record) else []
        absent = absences(self.evidence)
        self.absent = lasting(self.evidence, absent)
        if is_probe_clean(self.evidence):  # the policy is there, whoever does not find it
            absent = [absence for absence in absent if absence not in self.absent]
        self._broken_days = broken_days(unusable, self.record) | gone_days(absent)

    def _find_window(self) -> None:
        self.clock: Clock | None = None
        self.outlook: Outlook | None = None
        self.window = self.shortest
        if self.current is None:
            return
        begin = max(self.current.since, self.evidence.begin)
        if self.enforces:
            self.window = Window(max(begin, self.current.mode_since), self.shortest.end)
            return
        self.clock = Clock.since(self.current.since, self._last_blocked(), self.evidence.on, self.limits)
        self.outlook = Outlook(self.evidence, self.current, self.clock, self.counted)
        if self.blocking:
            first = min(gathered.cause.first_day for gathered in self.blocking)
            self.window = self.shortest.reaching(max(first, begin))
            return
        reach = max(self.outlook.reach, begin)
        window = self.shortest.reaching_until(reach, self.outlook.suffices)
        if not self.outlook.suffices(window):
            window = self.shortest.reaching_until(reach, self.outlook.has_sessions)
        self.window = window

    def _last_blocked(self) -> dt.date | None:
        """The last day on which sessions were refused or the policy was broken. What was accepted did not block."""
        days = {fact.day for fact in self.facts if fact.consequence == REFUSED and not fact.accepted}
        return max(days | self._broken_days, default=None)

    @property
    def late(self) -> Sequence[Counted]:
        """What failed in the days after the window."""
        return [tally for tally in self.counted if tally.entry.failed_on > self.window.end]

    @property
    def turned_away(self) -> Sequence[Counted]:
        """What is refused by caches of an older policy."""
        return [tally for tally in self.late if tally.refused and self.is_turned_away(tally.entry)]

    def causes(self) -> list[Cause]:
        """All causes of the window and the days after it, those that last first; past refusals as far as they lie in it."""
        others = [fact for fact in self.facts if fact.consequence != REFUSED and fact.day >= self.window.start]
        gathered = [*self.refusals, *self._causes.of(others)]
        causes = [group.cause for group in gathered if _matters(group, self.window)]
        return sorted(causes, key=lambda cause: (cause.over, -cause.sessions, cause.result_type, cause.mx_host))


def _matters(gathered: Gathered, window: Window) -> bool:
    """What blocks, what lies in the window, and what only the silence of those who saw it has ended."""
    return gathered.cause.blocks or bool(gathered.cause.silent) or gathered.cause.last_day >= window.start
