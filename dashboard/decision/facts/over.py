"""Whether a cause is over (docs/verdict.md, "Now, then, over"): what those who saw it have reported since. Pure."""

import collections
import datetime as dt
from collections.abc import Collection, Iterable, Sequence

import msgspec

from dashboard.decision.evidence import Entry
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS

from .failures import Fact

# So many clean reported days of everybody who saw it; so many days of silence otherwise.
_CLEAN_DAYS, _SILENT_DAYS = 3, 14
# Rule of three: without a failure in 3 / p sessions the rate has fallen below p, at 95 % confidence.
_RULE_OF_THREE = 3


class Ending(msgspec.Struct, frozen=True):
    """How a cause ended. ``over`` is false while it may go on; ``silent`` are voices that saw it and fell silent since, so that
    only the others speak for its end.
    """

    over: bool
    silent: tuple[str, ...] = ()


class VoiceDays:
    """What each voice reported, day by day: sessions that succeeded under MTA-STS, and all sessions that look for a policy.

    ``end`` is the last complete day: later ones may still bring a failure.
    """

    def __init__(self, entries: Iterable[Entry], end: dt.date) -> None:
        self._end = end
        self._succeeded: dict[str, collections.Counter[dt.date]] = collections.defaultdict(collections.Counter)
        self._all: dict[str, collections.Counter[dt.date]] = collections.defaultdict(collections.Counter)
        self._last: dict[str, dt.date] = {}
        for entry in entries:
            self._last[entry.voice] = max(self._last.get(entry.voice, entry.day), entry.day, entry.failed_on)
            if entry.policy_type in (STS, NO_POLICY_FOUND):
                self._all[entry.voice][entry.day] += entry.successful
                self._all[entry.voice][entry.failed_on] += failed_sessions(entry)
            if entry.policy_type == STS:
                self._succeeded[entry.voice][entry.day] += entry.successful

    def sessions(self, voices: Iterable[str], days: Collection[dt.date]) -> int:
        """All sessions of these voices on these days."""
        return sum(self._all[voice][day] for voice in voices for day in days if day in self._all.get(voice, ()))

    def ending(self, facts: Sequence[Fact]) -> Ending:
        """Whether the cause with these ``facts`` is over, by what was reported up to the last complete day."""
        last = max(fact.day for fact in facts)
        saw: dict[str, list[Fact]] = collections.defaultdict(list)
        for fact in facts:
            saw[fact.entry.voice].append(fact)
        unproven = [voice for voice, members in saw.items() if not self._has_recovered(voice, members, last)]
        silent = tuple(sorted(voice for voice in unproven if (self._end - self._last[voice]).days >= _SILENT_DAYS))
        is_vouched = any(len(self._clean(voice, last)) >= _CLEAN_DAYS for voice in self._last if voice not in saw)
        return Ending(over=len(silent) == len(unproven) and (not silent or is_vouched), silent=silent)

    def _clean(self, voice: str, last: dt.date) -> Sequence[int]:
        """Successful sessions of each day since the cause was seen last; nobody has failed so on these days."""
        days = self._succeeded[voice]
        return [sessions for day, sessions in days.items() if last < day <= self._end and sessions]

    def _has_recovered(self, voice: str, saw: Sequence[Fact], last: dt.date) -> bool:
        clean, failed = self._clean(voice, last), sum(fact.failure.sessions for fact in saw)
        bad_days = {fact.day for fact in saw} | {fact.entry.day for fact in saw}
        share = failed / max(failed, self.sessions([voice], bad_days))
        return len(clean) >= _CLEAN_DAYS and sum(clean) >= _RULE_OF_THREE / share


def failed_sessions(entry: Entry) -> int:
    """The failures of an entry: its total, or without one what its details add up to."""
    return entry.failed if entry.failed is not None else sum(failure.sessions for failure in entry.failures)
