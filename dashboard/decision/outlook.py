"""What clean evidence lacks, when it will suffice, and what makes it suffice sooner (docs/verdict.md). Pure.

Nothing is hinted at: a day is computed from the rate of the last complete days, an option from the evidence there is.
"""

import bisect
import collections
import datetime as dt
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from dashboard.decision.facts.policy_history import Current, cached_until, fresh_probe, is_probe_clean
from ingest.rfc.policy_types import STS

from .binomial import upper_bound
from .clock import Clock, Window
from .evidence import Evidence
from .reasons import Missing
from .weighing import Counted, sessions_needed

_DAY = dt.timedelta(days=1)
# The rate is that of the last week; before a whole one is known, nothing is called never.
_RATE_DAYS = 7
# How far ahead a day is looked for.
_HORIZON = 400
# An option is no help when it asks to believe this much.
_LARGEST_BOUND = 0.1


class Late(msgspec.Struct, frozen=True):
    """A voice whose cache still holds an older policy: its sessions of a day, which count after the day ``until``."""

    voice: str
    daily: float
    until: dt.date


class Outlook:
    """Clean sessions since the clock began, and those that can be expected."""

    def __init__(self, evidence: Evidence, current: Current, clock: Clock, counted: Iterable[Counted]) -> None:
        self._limits = evidence.thresholds
        self._on = evidence.on
        self._end = Window.on(evidence.on, self._limits).end
        self._clock = clock
        self._probe_vouches = probe_vouches(evidence)
        self._clean: collections.Counter[dt.date] = collections.Counter()
        self._lately = Window(max(current.since, self._end - (_RATE_DAYS - 1) * _DAY), self._end)
        self._of_late = 0
        self._voices: dict[str, list[dt.date]] = collections.defaultdict(list)
        for tally in counted:
            if tally.succeeded:
                self._voices[tally.entry.voice].append(tally.entry.day)
                self._of_late += tally.succeeded if self._lately.holds(tally.entry.day) else 0
                if tally.entry.day >= clock.begin:
                    self._clean[tally.entry.day] += tally.succeeded
        self._days = sorted(self._clean)
        self._until = [0, *itertools.accumulate(self._clean[day] for day in self._days)]
        self._late = _late_voices(evidence, current, self._end)

    @property
    def reach(self) -> dt.date:
        """The first day that can prove today."""
        return self._reach(self._end)

    def sessions(self, window: Window) -> int:
        """Clean sessions in the window since the clock began."""
        first, after = bisect.bisect_left(self._days, window.start), bisect.bisect_right(self._days, window.end)
        return self._until[after] - self._until[min(first, after)]

    def voices(self, window: Window) -> int:
        """Independent voices in the window since the clock began; a probe that found all in order stands for the second one."""
        return self._voices_within(Window(max(window.start, self._clock.begin), window.end))

    def _voices_within(self, window: Window) -> int:
        voices = sum(any(window.holds(day) for day in days) for days in self._voices.values())
        return voices + (1 if voices == 1 and self._probe_vouches else 0)

    def has_sessions(self, window: Window) -> bool:
        """Whether the window has clean sessions enough."""
        return self.sessions(window) >= sessions_needed(self._limits)

    def suffices(self, window: Window) -> bool:
        """Whether the window has clean sessions and voices enough."""
        return self.has_sessions(window) and self.voices(window) >= self._limits.reporters

    def missing(self, window: Window) -> Iterator[Missing]:
        """What the window lacks, in the order in which it is said. While the clock runs, only what it will not bring as well."""
        clock, limits = self._clock, self._limits
        is_running = clock.days < clock.need
        if is_running:
            yield Missing("clean-days", clock.days, clock.need, clock.ready, since=clock.begin)
        voices, sessions = self._voices_within(window) if is_running else self.voices(window), self.sessions(window)
        if voices < limits.reporters:
            options = (f"--reporters {voices}",) if voices else ()
            by = self._day_of_voices(limits.reporters - voices)
            yield Missing(
                "too-few-reporters", voices, limits.reporters, by, options, probe=limits.reporters - voices == 1
            )
        if not self.has_sessions(window):
            needed = sessions_needed(limits)
            by = self._day_of_sessions(needed)
            if by is None or by > clock.ready or not is_running:
                yield Missing("too-few-sessions", sessions, needed, by, self._bounds(sessions))

    def _reach(self, end: dt.date) -> dt.date:
        return max(self._clock.begin, end - (self._limits.lookback_days - 1) * _DAY)

    def _day_of_voices(self, lacking: int) -> dt.date | None:
        """When the caches of known voices with an older policy run out, and their first complete day is there."""
        ends = sorted(late.until for late in self._late if late.voice not in self._voices)
        complete = (2 + self._limits.late_days) * _DAY
        return ends[lacking - 1] + complete if len(ends) >= lacking else None

    def _day_of_sessions(self, needed: int) -> dt.date | None:
        """The first day on which the window will hold so many clean sessions; None when the look-back never will."""
        days = self._lately.days
        rate = self._of_late / days if days else 0
        if not rate and not self._late:
            return None
        start, held = self.reach, float(self.sessions(Window(self.reach, self._end)))
        for ahead in range(1, _HORIZON):
            end = self._end + ahead * _DAY
            held += rate + sum(late.daily for late in self._late if end > late.until)
            if self._reach(end) > start:
                held -= self._clean[start] if start <= self._end else rate
                start = self._reach(end)
            if held >= needed:
                return self._on + ahead * _DAY
        # A few days say little: nothing is never before a week is known.
        lacking = needed - self.sessions(Window(self.reach, self._end))
        return self._on + math.ceil(lacking / rate) * _DAY if rate and days < _RATE_DAYS else None

    def _bounds(self, sessions: int) -> tuple[str, ...]:
        """The bound for which these sessions suffice, rounded up to two digits."""
        if not sessions:
            return ()
        bound = upper_bound(0, sessions, self._limits.confidence)
        step = 10 ** (math.floor(math.log10(bound)) - 1)
        enough = math.ceil(bound / step) * step
        return (f"--bound {enough:.6g}",) if enough <= _LARGEST_BOUND else ()


def _late_voices(evidence: Evidence, current: Current, end: dt.date) -> Sequence[Late]:
    """The known voices that lately quote nothing but other mx patterns than those in force."""
    lately = Window(end - (_RATE_DAYS - 1) * _DAY, end)
    sessions: collections.Counter[str] = collections.Counter()
    ends: dict[str, dt.date] = {}
    changed: set[str] = set()
    for entry in evidence.entries:
        if entry.policy_type != STS or entry.policy is None or not lately.holds(entry.day):
            continue
        if entry.policy.mx_digest == current.policy.mx_digest:
            changed.add(entry.voice)
        elif (until := cached_until(entry.policy, current)) and until >= evidence.on:
            sessions[entry.voice] += entry.successful
            ends[entry.voice] = max(until, ends.get(entry.voice, until))
    return [
        Late(voice, sessions[voice] / lately.days, ends[voice]) for voice in sorted(sessions) if voice not in changed
    ]


def probe_vouches(evidence: Evidence) -> bool:
    """Whether a probe of the last day reached every MX host from outside and found all in order: it stands for the second voice
    of a domain that only one reports about.
    """
    probe = fresh_probe(evidence)
    if probe is None or probe.port25_blocked or not is_probe_clean(evidence):
        return False
    return bool(probe.hosts) and all(host.reached and not host.fault for host in probe.hosts)
