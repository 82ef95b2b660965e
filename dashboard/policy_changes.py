"""What senders change to, and whose word about a change is believed: the raw history of a domain's policy. Pure.

Caches hold old policies, never new ones, so only a change of a sender's mind shows a change of the policy. But anybody can sign
with a domain of their own and quote what they like.
"""

import bisect
import collections
import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

from .evidence import Policy, Sighting

Key = TypeVar("Key", bound=Hashable)
# The day since which each reporter is known to a domain, whatever it quoted.
Heard = Mapping[str, dt.date]

# A sender refreshes its policy daily (RFC 8461 section 3.3), and its cache ends with max_age, which in testing is one to two
# weeks. Who quotes something else for longer quotes in a way of its own.
_GRACE = dt.timedelta(days=15)
# Who is heard for so long is no newcomer to a domain; who was heard of so much earlier is older; who was heard so lately speaks.
STANDING = dt.timedelta(days=14)
_OLDER, _HEARD = dt.timedelta(days=7), dt.timedelta(days=7)
# Reports come up to 28 hours after the end of their day (Microsoft), so on the second day after it.
_IN_TIME = dt.timedelta(days=2)


def first_heard(sightings: Iterable[Sighting]) -> Heard:
    """When each reporter was heard of first: the day that its first report is about. But anybody can write today about the days
    of last year; so for those whose reports began to come later than the domain's first ones, not before they came.
    """
    first: dict[str, dt.date] = {}
    came: dict[str, dt.date] = {}
    for seen in sightings:
        first[seen.reporter] = min(first.get(seen.reporter, seen.day), seen.day)
        arrival = seen.came or seen.day
        came[seen.reporter] = min(came.get(seen.reporter, arrival), arrival)
    begin = min(came.values(), default=dt.date.min)
    return {
        reporter: day if came[reporter] - begin < _OLDER else max(day, came[reporter] - _IN_TIME)
        for reporter, day in first.items()
    }


def last_change(sightings: Sequence[Sighting], of: Callable[[Policy], Key], heard: Heard) -> tuple[Key, dt.date]:
    """What was adopted last, and the first day of that run: adoptions of anything else end a run."""
    events = adoptions(sightings, of, heard)
    odd = _odd_ones(sightings, of, events)
    events = [event for event in events if event[1] not in odd]
    last = events[-1][1]
    since = events[-1][0]
    for day, key in reversed(events):
        if key != last:
            break
        since = day
    return last, since


def adoptions(sightings: Sequence[Sighting], of: Callable[[Policy], Key], heard: Heard) -> list[tuple[dt.date, Key]]:
    """(day, key) in order: a key appears, or is taken up again by a reporter that had settled on another one; in either case
    by the word of a reporter that nobody older contradicts (see ``_Voices``).
    """
    voices = _Voices(sightings, of, heard)
    appeared: dict[Key, dt.date] = {}
    events: set[tuple[dt.date, Key]] = set()
    for reporter, days in voices.quoted.items():
        first: dict[Key, dt.date] = {}
        for day, keys in days:
            for key in keys:
                first.setdefault(key, day)
        # Nobody can tell today what was changed before anybody had heard of them.
        for key, day in first.items():
            since = max(day, heard[reporter])
            if voices.believe(reporter, since, key):
                appeared[key] = min(appeared.get(key, since), since)
        changes = {(max(day, heard[reporter]), key) for day, key in _settlements(days)}
        events |= {event for event in changes if voices.believe(reporter, *event)}
    events |= {(day, key) for key, day in appeared.items()}
    # On one day, the one that is quoted longest is the one that stayed.
    return sorted(events, key=lambda event: (event[0], voices.quoted_last[event[1]], str(event[1])))


class _Voices(Generic[Key]):
    """What each reporter quoted, and whose word about a change is believed.

    Anybody can sign with a domain of their own and quote what they like. So a reporter that is new to the domain cannot name a
    change as long as an older one goes on quoting something else, except that most reporters come to side with it.
    """

    def __init__(self, sightings: Sequence[Sighting], of: Callable[[Policy], Key], heard: Heard) -> None:
        by_reporter: dict[str, dict[dt.date, set[Key]]] = collections.defaultdict(lambda: collections.defaultdict(set))
        self.quoted_last: dict[Key, dt.date] = {}
        for seen in sightings:
            key = of(seen.policy)
            by_reporter[seen.reporter][seen.day].add(key)
            self.quoted_last[key] = max(self.quoted_last.get(key, seen.day), seen.day)
        self.quoted = {reporter: sorted(days.items()) for reporter, days in by_reporter.items()}
        self._newest = {seen.reporter: (seen.day, of(seen.policy)) for seen in _newest(sightings)}
        self._first = heard
        self._contradicted: dict[Key, list[tuple[dt.date, dt.date]]] = {}

    def believe(self, reporter: str, day: dt.date, key: Key) -> bool:
        """Whether the reporter's word that ``key`` is in force since ``day`` counts."""
        if day - self._first[reporter] >= STANDING:
            return True
        return not self._is_contradicted(reporter, day, key) or self._has_most(day, key)

    def _is_contradicted(self, reporter: str, day: dt.date, key: Key) -> bool:
        """Whether somebody who was heard of well before the reporter quotes something else, from then on or shortly before."""
        if key not in self._contradicted:
            self._contradicted[key] = list(self._oldest_first(key))
        before = self._first[reporter] - _OLDER
        older = bisect.bisect_right(self._contradicted[key], (before, dt.date.max))
        return older > 0 and self._contradicted[key][older - 1][1] >= day - _HEARD

    def _oldest_first(self, key: Key) -> Iterator[tuple[dt.date, dt.date]]:
        """For each reporter that quotes anything but ``key``: its first day, and the last on which it or an older one did so."""
        last = dt.date.min
        for reporter in sorted(self.quoted, key=lambda name: self._first[name]):
            others = (day for day, keys in reversed(self.quoted[reporter]) if keys != {key})
            last = max(last, next(others, dt.date.min))
            yield self._first[reporter], last

    def _has_most(self, day: dt.date, key: Key) -> bool:
        """Whether, long after, most reporters quote ``key``."""
        later = [quoted for seen, quoted in self._newest.values() if seen >= day + _GRACE]
        return 2 * later.count(key) > len(later)


def _settlements(days: Iterable[tuple[dt.date, set[Key]]]) -> Iterator[tuple[dt.date, Key]]:
    """(day, key) when one sender goes over to another key: on days with both, each of its machines has its own cache, so
    the change counts when one is left, and from the day it was first quoted then.
    """
    settled: Key | None = None
    since: dict[Key, dt.date] = {}
    for day, keys in days:
        for key in keys:
            since.setdefault(key, day)
        if len(keys) > 1:
            continue
        (only,) = keys
        if settled is not None and only != settled:
            yield since[only], only
        settled, since = only, {}


def _odd_ones(
    sightings: Sequence[Sighting], of: Callable[[Policy], Key], events: Sequence[tuple[dt.date, Key]]
) -> set[Key]:
    """Keys that only a minority quotes, long after they appeared: a sender's own way of quoting, no change of the policy."""
    first = {key: day for day, key in reversed(events)}
    newest = _newest(sightings)
    odd: set[Key] = set()
    for key, day in first.items():
        later = [of(seen.policy) for seen in newest if seen.day >= day + _GRACE]
        if 2 * later.count(key) < len(later):
            odd.add(key)
    # Everybody's own way: then the newest word counts.
    return odd if len(odd) < len(first) else set()


def _newest(sightings: Iterable[Sighting]) -> list[Sighting]:
    """Each reporter's newest sighting."""
    newest: dict[str, Sighting] = {}
    for seen in sightings:
        if seen.reporter not in newest or seen.day > newest[seen.reporter].day:
            newest[seen.reporter] = seen
    return list(newest.values())
