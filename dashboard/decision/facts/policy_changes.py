"""What senders change to: the raw history of a domain's policy. Pure.

Caches hold old policies, never new ones, so only a change of a sender's mind shows a change of the policy. A large sender has
many caches; while some hold the older policy, it quotes both in turn, and that is no change. Whose word counts is decided
before: all voices here are known ones.
"""

import collections
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from dashboard.decision.evidence import QuotedPolicy, ServedPolicy, Sighting

# (mode, digest of the mx patterns): policies that differ in nothing else differ in their age only.
Key = tuple[str, str]

# A sender refreshes its policy daily (RFC 8461 section 3.3), and its cache ends with max_age, which in testing is one to two
# weeks. Who quotes other hosts than the rest for longer quotes in a way of its own.
_GRACE = dt.timedelta(days=15)
# Going back to a policy that was quoted before looks like an old cache, until it is quoted alone for so many reported days: fewer
# when two voices go back at about the same time.
_ALONE, _ALONE_TOGETHER = 5, 2
# It was an old cache after all when the newer policy is quoted again so soon.
_SOON = dt.timedelta(days=7)


class Change(msgspec.Struct, frozen=True):
    """On this day somebody began to quote ``key``; ``voice`` is who. ``is_return``: it had quoted it before."""

    day: dt.date
    key: Key
    voice: str
    is_return: bool = False


def key_of(policy: QuotedPolicy) -> Key:
    """What tells a policy from another one, its age aside."""
    return policy.mode, policy.mx_digest


def changes(sightings: Sequence[Sighting], served: Sequence[ServedPolicy] = ()) -> list[Change]:
    """The changes of the policy, in order; the last one names the policy in force. Empty without sightings.

    A change is a voice that quotes what it never quoted before, or goes back to what it quoted and stays there. What a voice
    quotes at first is a change only when nobody knows better. Mx patterns that only a minority quotes long after they
    appeared are no change. Of policies that are quoted since the look-back begins, the one ``served`` first most lately is
    the newest.
    """
    # Who leaves out the mode quotes no policy that can be read, as long as somebody does not.
    sightings = [seen for seen in sightings if seen.policy.mode] or sightings
    quoted = _by_voice(sightings)
    last = _last_days(sightings)
    begun: dict[Key, dt.date] = {}
    for old in served:
        key = key_of(old.policy)
        begun[key] = min(begun.get(key, old.first_day), old.first_day)
    history = [change for voice, days in quoted.items() for change in _changes_of(voice, days, _ALONE)]
    history += [*_returns(quoted), *_beginnings(quoted, last)]
    history.sort(
        key=lambda change: (
            change.day,
            min(begun.get(change.key, change.day), change.day),
            last[change.key],
            change.key,
            change.voice,
        )
    )
    odd = _odd_patterns(sightings, history)
    return [change for change in history if change.key[1] not in odd]


Quoted = Mapping[str, Sequence[tuple[dt.date, frozenset[Key]]]]


def _by_voice(sightings: Sequence[Sighting]) -> Quoted:
    """For each voice its days with what it quoted on them, in order."""
    days: dict[str, dict[dt.date, set[Key]]] = collections.defaultdict(lambda: collections.defaultdict(set))
    for seen in sightings:
        days[seen.voice][seen.day].add(key_of(seen.policy))
    return {
        voice: [(day, frozenset(keys)) for day, keys in sorted(quoted.items())]
        for voice, quoted in sorted(days.items())
    }


def _last_days(sightings: Sequence[Sighting]) -> Mapping[Key, dt.date]:
    """On one day, the policy that is quoted longest is the one that stayed."""
    last: dict[Key, dt.date] = {}
    for seen in sightings:
        key = key_of(seen.policy)
        last[key] = max(last.get(key, seen.day), seen.day)
    return last


def _returns(quoted: Quoted) -> Iterator[Change]:
    """Where two voices went back to the same policy at about the same time: their caches do not alternate together."""
    back = [
        change
        for voice, days in quoted.items()
        for change in _changes_of(voice, days, _ALONE_TOGETHER)
        if change.is_return
    ]
    for change in back:
        if any(
            change.voice != other.voice and change.key == other.key and abs(change.day - other.day) < _SOON
            for other in back
        ):
            yield change


def _changes_of(voice: str, days: Sequence[tuple[dt.date, frozenset[Key]]], alone: int) -> list[Change]:
    mind = _Mind(voice, alone)
    for day, keys in days:
        mind.quote(day, keys)
    return mind.changes


class _Mind:
    """One voice, day after day: which policy it has settled on, and for how long it has quoted another one alone.

    ``alone`` is how many reported days make a return.
    """

    def __init__(self, voice: str, alone: int) -> None:
        self._needed = alone
        self.changes: list[Change] = []
        self._voice = voice
        self._known: set[Key] = set()
        self._settled: Key | None = None
        # The policy that was left by going back to an older one, and the day on which that was believed.
        self._left: tuple[Key, dt.date] | None = None
        self._alone: Key | None = None
        self._days_alone = 0
        self._since: dict[Key, dt.date] = {}
        # The longest stay at an older policy that was none in the end: caches that alternate.
        self._longest: collections.Counter[Key] = collections.Counter()

    def quote(self, day: dt.date, keys: frozenset[Key]) -> None:
        """What the voice quotes on its next day."""
        for key in sorted(keys - self._known if self._known else ()):
            self.changes.append(Change(day, key, self._voice))
            self._settled, self._left, self._alone = key, None, None
            self._longest.clear()
        self._known |= keys
        self._since = {key: self._since.get(key, day) for key in keys}
        self._take_back(day, keys)
        self._stay(day, next(iter(keys)) if len(keys) == 1 else None)

    def _take_back(self, day: dt.date, keys: frozenset[Key]) -> None:
        """Going back was none when the newer policy is quoted again soon."""
        if self._left and self._settled and self._left[0] in keys and day < self._left[1] + _SOON:
            self.changes.pop()
            self._longest[self._settled] = self._days_alone
            self._settled, self._left = self._left[0], None

    def _stay(self, day: dt.date, only: Key | None) -> None:
        if only != self._alone:
            if self._alone and self._alone != self._settled:
                self._longest[self._alone] = max(self._longest[self._alone], self._days_alone)
            self._alone, self._days_alone = only, 0
        self._days_alone += 1
        if self._settled is None:
            self._settled = only
        elif only and only != self._settled and self._days_alone >= max(self._needed, self._longest[only] + 1):
            self.changes.append(Change(self._since[only], only, self._voice, is_return=True))
            self._left, self._settled = (self._settled, day), only


def _beginnings(quoted: Quoted, last: Mapping[Key, dt.date]) -> Iterator[Change]:
    """What voices quote on their first day, where nobody quoted it before, and where nobody who is still heard contradicts or,
    long after, most voices quote it. On the very first day everything counts.
    """
    firsts = sorted((days[0][0], voice) for voice, days in quoted.items())
    quoted_first: dict[Key, dict[str, dt.date]] = collections.defaultdict(dict)
    for voice, days in quoted.items():
        for day, keys in days:
            for key in keys:
                quoted_first[key].setdefault(voice, day)
    for day, voice in firsts:
        for key in sorted(quoted[voice][0][1]):
            if any(then < day for other, then in quoted_first[key].items() if other != voice):
                continue
            if (
                day == firsts[0][0]
                or not _is_contradicted(quoted, voice, day, key, last[key])
                or _has_most(quoted, day, key)
            ):
                yield Change(day, key, voice)


def _is_contradicted(quoted: Quoted, voice: str, day: dt.date, key: Key, last: dt.date) -> bool:
    """Whether another voice, which is heard until shortly before the key was quoted ``last``, quotes something else."""
    since = max(day, last - _GRACE + dt.timedelta(days=1))
    others = (pair for other, days in quoted.items() if other != voice for pair in days)
    return any(then >= since and keys != {key} for then, keys in others)


def _has_most(quoted: Quoted, day: dt.date, key: Key) -> bool:
    """Whether, long after, most voices quote the key."""
    newest = [days[-1] for days in quoted.values()]
    later = [keys for then, keys in newest if then >= day + _GRACE]
    return 2 * sum(key in keys for keys in later) > len(later)


def _odd_patterns(sightings: Sequence[Sighting], history: Sequence[Change]) -> set[str]:
    """Mx patterns that only a minority quotes, long after they appeared: a sender's own way of quoting.

    Another mode for the same patterns is never odd: who forgets to change the id shows it to few senders.
    """
    first: dict[str, dt.date] = {}
    for change in history:
        first.setdefault(change.key[1], change.day)
    newest: dict[str, Sighting] = {}
    for seen in sightings:
        if seen.voice not in newest or seen.day > newest[seen.voice].day:
            newest[seen.voice] = seen
    odd = set()
    for digest, day in first.items():
        later = [seen.policy.mx_digest for seen in newest.values() if seen.day >= day + _GRACE]
        if 2 * later.count(digest) < len(later):
            odd.add(digest)
    # Everybody's own way: then the newest word counts.
    return odd if len(odd) < len(first) else set()
