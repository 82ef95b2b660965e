"""Sorted evidence weighed: the clock, the window that it needs, and the figures of that window. Pure.

The second of three steps to a verdict, between ``sorting`` and ``naming``.
"""

import datetime as dt

import msgspec

from dashboard.decision.facts.causes import Cause, Gathered
from dashboard.decision.facts.policy_history import Current
from ingest.rfc.result_types import REFUSED

from . import weighing
from .binomial import upper_bound
from .clock import Clock, Window
from .outlook import Outlook
from .sorting import Sorted
from .weighing import Counted, ReporterEvidence, Sums


class Weighed(Sorted, frozen=True):
    """Sorted evidence with its ``window``, the figures of that window (``sums``, the upper ``bound`` of their refusal rate,
    ``by_reporter``) and what a testing policy may expect (``outlook``, None when the policy enforces or is unknown).
    """

    window: Window
    outlook: Outlook | None
    sums: Sums
    bound: float
    by_reporter: tuple[ReporterEvidence, ...]

    @property
    def late(self) -> tuple[Counted, ...]:
        """What failed in the days after the window."""
        return tuple(tally for tally in self.counted if tally.entry.failed_on > self.window.end)

    @property
    def turned_away(self) -> tuple[Counted, ...]:
        """What is refused by caches of an older policy."""
        return tuple(tally for tally in self.late if tally.refused and self.is_turned_away(tally.entry))

    @property
    def causes(self) -> list[Cause]:
        """All causes of the window and the days after it, those that last first; past refusals as far as they lie in it."""
        others = [fact for fact in self.facts if fact.consequence != REFUSED and fact.day >= self.window.start]
        gathered = [*self.refusals, *self.causes_of.of(others)]
        causes = [group.cause for group in gathered if _matters(group, self.window)]
        return sorted(causes, key=lambda cause: (cause.over, -cause.sessions, cause.result_type, cause.mx_host))


def weigh(evidence: Sorted) -> Weighed:
    """What sorted evidence comes to."""
    limits = evidence.evidence.thresholds
    outlook = _outlook(evidence, evidence.current) if evidence.current and evidence.mode != "enforce" else None
    window = _window(evidence, evidence.current, outlook) if evidence.current else evidence.shortest
    sums = weighing.sums(evidence.counted, window)
    return Weighed(
        **msgspec.structs.asdict(evidence),
        window=window,
        outlook=outlook,
        sums=sums,
        bound=upper_bound(sums.refused, sums.sessions, limits.confidence),
        by_reporter=tuple(weighing.by_reporter(evidence.evidence, evidence.counted, window, limits.confidence)),
    )


def _outlook(evidence: Sorted, current: Current) -> Outlook:
    """What keeps a testing policy from ``ready``, and until when. What was accepted did not block the clock."""
    blocked = {fact.day for fact in evidence.facts if fact.consequence == REFUSED and not fact.accepted}
    last = max(blocked | evidence.broken, default=None)
    clock = Clock.since(current.since, last, evidence.evidence.on, evidence.evidence.thresholds)
    return Outlook(evidence.evidence, current, clock, evidence.counted)


def _window(evidence: Sorted, current: Current, outlook: Outlook | None) -> Window:
    """The days that prove: since the switch under enforce; else the shortest window that shows what there is to see."""
    shortest, begin = evidence.shortest, max(current.since, evidence.evidence.begin)
    if outlook is None:
        return Window(max(begin, current.mode_since), shortest.end)
    blocking: list[dt.date] = [group.cause.first_day for group in evidence.refusals if group.cause.blocks]
    if blocking:
        return shortest.reaching(max(min(blocking), begin))
    reach = max(outlook.reach, begin)
    window = shortest.reaching_until(reach, outlook.suffices)
    return window if outlook.suffices(window) else shortest.reaching_until(reach, outlook.has_sessions)


def _matters(gathered: Gathered, window: Window) -> bool:
    """What blocks, what lies in the window, and what only the silence of those who saw it has ended."""
    return gathered.cause.blocks or bool(gathered.cause.silent) or gathered.cause.last_day >= window.start
