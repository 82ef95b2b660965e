"""Which policy is in force, since when, who still sees another one, and how long an old one lives on in caches. Pure.

Senders keep a policy for up to its max_age, so on one day several are quoted. Only a change of a sender's mind shows a change
of the policy: caches hold old policies, never new ones. So the policy in force is the one that a sender last changed to.
"""

import collections
import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from ingest.mtasts.policy import MODES

from .evidence import Evidence, Policy, ServedPolicy, Sighting

Key = TypeVar("Key", bound=Hashable)

# A sender refreshes its policy daily (RFC 8461 section 3.3), and its cache ends with max_age, which in testing is one to two
# weeks. Who quotes something else for longer quotes in a way of its own.
_GRACE = dt.timedelta(days=15)


class Current(msgspec.Struct, frozen=True):
    """The policy in force. ``since`` is the first day of its set of mx patterns, ``mode_since`` that of its mode.

    ``stated`` is true when a probe or the operator said so, not reports.
    """

    policy: Policy
    since: dt.date
    mode_since: dt.date
    stated: bool = False


class Seen(msgspec.Struct, frozen=True):
    """The policy that an organisation quoted last, on ``day``; whether that is the ``current`` one (mode and mx)."""

    organization: str
    day: dt.date
    policy: Policy
    current: bool


def current_policy(evidence: Evidence) -> Current | None:
    """The policy in force on the day of the evidence; None when nobody has named one."""
    stated = evidence.stated
    sightings = evidence.sightings
    if stated:
        mx_since = _since(sightings, lambda policy: policy.mx_digest, stated.policy.mx_digest, stated.day)
        of_mx = [seen for seen in sightings if seen.policy.mx_digest == stated.policy.mx_digest]
        mode_since = _since(of_mx, lambda policy: policy.mode, stated.policy.mode, stated.day)
        return Current(stated.policy, mx_since, mode_since, stated=True)
    if not sightings:
        return None
    mx_digest, since = _last_change(sightings, lambda policy: policy.mx_digest)
    of_mx = [seen for seen in sightings if seen.policy.mx_digest == mx_digest]
    mode, mode_since = _last_change(of_mx, lambda policy: policy.mode)
    newest = max((seen for seen in of_mx if seen.policy.mode == mode), key=lambda seen: seen.day)
    return Current(newest.policy, since, max(since, mode_since))


def _since(sightings: Sequence[Sighting], of: Callable[[Policy], Key], wanted: Key, otherwise: dt.date) -> dt.date:
    """Since when ``wanted`` is in force as far as reports tell; when they name another one, since it was stated."""
    if sightings:
        named, since = _last_change(sightings, of)
        if named == wanted:
            return since
    return otherwise


def _last_change(sightings: Sequence[Sighting], of: Callable[[Policy], Key]) -> tuple[Key, dt.date]:
    """What was adopted last, and the first day of that run: adoptions of anything else end a run."""
    events = _adoptions(sightings, of)
    odd = _odd_ones(sightings, of, events)
    events = [event for event in events if event[1] not in odd]
    last = events[-1][1]
    since = events[-1][0]
    for day, key in reversed(events):
        if key != last:
            break
        since = day
    return last, since


def _adoptions(sightings: Sequence[Sighting], of: Callable[[Policy], Key]) -> list[tuple[dt.date, Key]]:
    """(day, key) in order: a key is quoted for the first time ever, or by a sender that had settled on another one."""
    by_reporter: dict[str, dict[dt.date, set[Key]]] = collections.defaultdict(lambda: collections.defaultdict(set))
    first: dict[Key, dt.date] = {}
    quoted_last: dict[Key, dt.date] = {}
    for seen in sightings:
        key = of(seen.policy)
        by_reporter[seen.reporter][seen.day].add(key)
        first[key] = min(first.get(key, seen.day), seen.day)
        quoted_last[key] = max(quoted_last.get(key, seen.day), seen.day)
    events = {(day, key) for key, day in first.items()}
    for days in by_reporter.values():
        events |= set(_settlements(sorted(days.items())))
    # On one day, the one that is quoted longest is the one that stayed.
    return sorted(events, key=lambda event: (event[0], quoted_last[event[1]], str(event[1])))


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
        followers = sum(of(seen.policy) == key for seen in newest)
        others = sum(of(seen.policy) != key and seen.day >= day + _GRACE for seen in newest)
        if others > followers:
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


def propagation(evidence: Evidence, current: Current | None) -> tuple[Seen, ...]:
    """Who sees which policy: each organisation's newest quote, those with an old policy first, then by name."""
    newest: dict[str, Sighting] = {}
    for seen in evidence.sightings:
        if not seen.organization:  # from long ago
            continue
        known = newest.get(seen.organization)
        # In a report about the day of a change both are quoted; the one in force is the one that was fetched last.
        if known is None or (seen.day, _is_current(seen.policy, current)) > (
            known.day,
            _is_current(known.policy, current),
        ):
            newest[seen.organization] = seen
    found = [
        Seen(seen.organization, seen.day, seen.policy, _is_current(seen.policy, current)) for seen in newest.values()
    ]
    return tuple(sorted(found, key=lambda seen: (seen.current, seen.organization)))


def _is_current(policy: Policy, current: Current | None) -> bool:
    return current is not None and (policy.mode, policy.mx_digest) == (current.policy.mode, current.policy.mx_digest)


def expiry(served: Iterable[ServedPolicy], now: Policy) -> dt.date | None:
    """The last day on which a sender may still apply a policy that was served before ``now``: its last day plus its max_age.

    Until then the policy file must go on being served (RFC 8461 section 8.3). None when nothing else was ever quoted with a
    max_age; ``now`` itself does not count.
    """
    ends = [
        old.last_day + dt.timedelta(seconds=old.policy.max_age)
        for old in served
        if old.policy.max_age is not None and old.policy.mode in MODES and old.policy.mode != now.mode
    ]
    return max(ends, default=None)


def largest_max_age(served: Iterable[ServedPolicy]) -> int | None:
    """The largest max_age (seconds) that senders ever quoted in a policy that asks for something; None when unknown."""
    ages = [old.policy.max_age for old in served if old.policy.max_age is not None and old.policy.mode != "none"]
    return max(ages, default=None)
