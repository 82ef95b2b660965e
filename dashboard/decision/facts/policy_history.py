"""Which policy is in force, since when, who still sees another one, and how long an old one lives on in caches. Pure.

The operator's word comes first, then a probe of the last day, then the policy that a known voice last changed to: see
``policy_changes``. All voices of the evidence are taken for known ones here.
"""

import datetime as dt
from collections.abc import Iterable, Sequence

import msgspec

from dashboard.decision.evidence import Evidence, Probe, QuotedPolicy, ServedPolicy
from ingest.rfc.mtasts.policy import MODES

from .policy_changes import Change, Key, changes, key_of

_LONGEST_AGE = 31_557_600  # seconds, RFC 8461 section 3.2
# Who names the policy in force.
OPERATOR, PROBE, REPORTS = "operator", "probe", "reports"
# A sender looks for a new id daily (RFC 8461 section 3.3): who quotes the older mode so many days later did not see one.
_ID_NOTICED = dt.timedelta(days=3)


class Current(msgspec.Struct, frozen=True):
    """The policy in force. ``since`` is the first day of its set of mx patterns, ``mode_since`` that of its mode.

    ``source`` is one of OPERATOR, PROBE, REPORTS. ``since_before`` and ``mode_since_before``: the look-back ends on that
    day, so it may be older.
    """

    policy: QuotedPolicy
    since: dt.date
    mode_since: dt.date
    source: str = REPORTS
    since_before: bool = False
    mode_since_before: bool = False

    @property
    def stated(self) -> bool:
        """Whether the operator or a probe named it, not reports."""
        return self.source != REPORTS


class Seen(msgspec.Struct, frozen=True):
    """The policy that a voice quoted last, on ``day``; whether that is the ``current`` one (mode and mx)."""

    voice: str
    organization: str
    day: dt.date
    policy: QuotedPolicy
    current: bool


def current_policy(evidence: Evidence) -> Current | None:
    """The policy in force on the day of the evidence; None when nobody has named one."""
    history = changes(evidence.sightings, evidence.served)
    if evidence.stated:
        return _named(evidence, history, evidence.stated.policy, evidence.stated.day, OPERATOR)
    probe = fresh_probe(evidence)
    if probe and probe.policy:
        return _named(evidence, history, probe.policy, probe.since or probe.day, PROBE)
    if not history:
        return None
    newest = max(
        (seen for seen in evidence.sightings if key_of(seen.policy) == history[-1].key), key=lambda seen: seen.day
    )
    return _named(evidence, history, newest.policy, newest.day, REPORTS)


def fresh_probe(evidence: Evidence) -> Probe | None:
    """The probe, when it is of the last day."""
    probe = evidence.probe
    return probe if probe and evidence.on - dt.timedelta(days=1) <= probe.day <= evidence.on else None


def is_probe_clean(evidence: Evidence) -> bool:
    """Whether a probe of the last day found record and file in order."""
    probe = fresh_probe(evidence)
    return probe is not None and probe.record_ok and probe.text_ok and not probe.faults


def _named(
    evidence: Evidence, history: Sequence[Change], policy: QuotedPolicy, otherwise: dt.date, source: str
) -> Current:
    """The policy with its first days as reports tell them; when reports name another one, since ``otherwise``."""
    key = key_of(policy)
    since = mode_since = otherwise
    if history and history[-1].key[1] == key[1]:
        since = _run([change.day for change in history], [change.key[1] for change in history])
    if history and history[-1].key == key:
        mode_since = max(since, _run([change.day for change in history], [change.key for change in history]))
    begin = evidence.begin
    return Current(policy, since, mode_since, source, since <= begin, mode_since <= begin)


def _run(days: Sequence[dt.date], values: Sequence[object]) -> dt.date:
    """The first day of the run of equal values at the end."""
    first = days[-1]
    for day, value in zip(reversed(days), reversed(values), strict=True):
        if value != values[-1]:
            break
        first = day
    return first


def propagation(evidence: Evidence, current: Current | None) -> tuple[Seen, ...]:
    """What each voice quoted last, those with another policy than the current one first.

    On a day with several policies a voice counts as seeing the current one.
    """
    newest: dict[str, Seen] = {}
    for sighting in evidence.sightings:
        name = evidence.name_of(sighting.voice)
        seen = Seen(sighting.voice, name, sighting.day, sighting.policy, _is_current(sighting.policy, current))
        known = newest.get(seen.voice)
        if known is None or (seen.day, seen.current) > (known.day, known.current):
            newest[seen.voice] = seen
    return tuple(sorted(newest.values(), key=lambda seen: (seen.current, seen.organization, seen.voice)))


def without_new_id(seen: Iterable[Seen], current: Current | None) -> tuple[Seen, ...]:
    """Who quotes the same mx patterns with another mode, days after the change: as if the id had not been changed."""
    if current is None:
        return ()
    return tuple(
        last_seen
        for last_seen in seen
        if not last_seen.current
        and last_seen.policy.mx_digest == current.policy.mx_digest
        and last_seen.day >= current.mode_since + _ID_NOTICED
    )


class CachedPolicy(msgspec.Struct, frozen=True):
    """An older policy in mode enforce that a voice quoted while it was in force. ``until`` is the last day on which a cache may
    hold it by its max_age, None when nobody quoted that. ``changed``: the voice quotes nothing but the present one by now.
    """

    voice: str
    organization: str
    mx_digest: str
    until: dt.date | None
    changed: bool = False


def held_enforcing(evidence: Evidence, current: Current | None) -> tuple[CachedPolicy, ...]:
    """Who may go on enforcing an older policy than the present one: the voices that quoted it while it was in force."""
    if current is None:
        return ()
    in_force = {change.key for change in changes(evidence.sightings, evidence.served)}
    quoted = [
        seen
        for seen in evidence.sightings
        if seen.policy.mode == "enforce"
        and seen.day <= current.mode_since
        and key_of(seen.policy) in in_force
        and not _is_current(seen.policy, current)
    ]
    ends: dict[str, dt.date] = {}
    for seen in quoted:
        if seen.policy.max_age is not None:
            end = current.mode_since + _age(seen.policy.max_age)
            ends[seen.policy.mx_digest] = max(end, ends.get(seen.policy.mx_digest, end))
    changed = {voice for voice, keys in _newest_keys(evidence).items() if keys == {key_of(current.policy)}}
    voices = sorted({(seen.voice, seen.policy.mx_digest) for seen in quoted})
    return tuple(
        CachedPolicy(voice, evidence.name_of(voice), digest, ends.get(digest), voice in changed)
        for voice, digest in voices
    )


def _newest_keys(evidence: Evidence) -> dict[str, set[Key]]:
    """What each voice quotes on its newest day."""
    newest: dict[str, tuple[dt.date, set[Key]]] = {}
    for seen in evidence.sightings:
        day, keys = newest.get(seen.voice, (dt.date.min, set()))
        if seen.day > day:
            newest[seen.voice] = (seen.day, {key_of(seen.policy)})
        elif seen.day == day:
            keys.add(key_of(seen.policy))
    return {voice: keys for voice, (_, keys) in newest.items()}


def _is_current(policy: QuotedPolicy, current: Current | None) -> bool:
    return current is not None and key_of(policy) == key_of(current.policy)


def _age(max_age: int) -> dt.timedelta:
    return dt.timedelta(seconds=min(max_age, _LONGEST_AGE))


def cached_until(policy: QuotedPolicy, current: Current) -> dt.date | None:
    """The last day on which a cache may hold an older ``policy`` than the current one; None when its age is unknown."""
    return current.since + _age(policy.max_age) if policy.max_age is not None else None


def previous_age(evidence: Evidence, current: Current) -> dt.timedelta:
    """How long caches may hold what was in force before the present policy; zero when nothing else was ever quoted."""
    keys = [change.key for change in changes(evidence.sightings, evidence.served)]
    before = next((key for key in reversed(keys) if key != key_of(current.policy)), None)
    quoted = (*(seen.policy for seen in evidence.sightings), *(old.policy for old in evidence.served))
    ages = [policy.max_age for policy in quoted if policy.max_age is not None and key_of(policy) == before]
    return _age(max(ages, default=0))


def expiry(served: Iterable[ServedPolicy], now: QuotedPolicy, changed: dt.date | None = None) -> dt.date | None:
    """The last day on which a sender may still apply a policy that was served before ``now``: the last day on which it can
    have been fetched, plus its max_age. Caches quote it longer; since ``now`` came, on ``changed``, nobody can fetch it.

    Until then the policy file must go on being served (RFC 8461 section 8.3). None when nothing else was ever quoted with a
    max_age; ``now`` itself does not count.
    """
    ends = [
        min(old.last_day, changed or old.last_day) + _age(old.policy.max_age)
        for old in served
        if old.policy.max_age is not None and old.policy.mode in MODES and old.policy.mode != now.mode
    ]
    return max(ends, default=None)


def largest_max_age(served: Iterable[ServedPolicy]) -> int | None:
    """The largest max_age (seconds) that senders ever quoted in a policy that asks for something; None when unknown."""
    ages = [old.policy.max_age for old in served if old.policy.max_age is not None and old.policy.mode != "none"]
    return max(ages, default=None)
