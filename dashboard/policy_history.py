"""Which policy is in force, since when, who still sees another one, and how long an old one lives on in caches. Pure.

Senders keep a policy for up to its max_age, so on one day several are quoted. The policy in force is the one that a sender, of
those that are believed, last changed to: see ``policy_changes``.
"""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

import msgspec

from ingest.mtasts.policy import MODES

from .evidence import Evidence, Policy, ServedPolicy, Sighting
from .policy_changes import STANDING, Heard, Key, adoptions, first_heard, last_change

_LONGEST_AGE = 31_557_600  # seconds, RFC 8461 section 3.2


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
    heard = first_heard(sightings)
    if stated:
        mx_since = _since(sightings, _mx, heard, stated.policy.mx_digest, stated.day)
        of_mx = [seen for seen in sightings if seen.policy.mx_digest == stated.policy.mx_digest]
        mode_since = _since(of_mx, _mode, heard, stated.policy.mode, stated.day)
        return Current(stated.policy, mx_since, mode_since, stated=True)
    if not sightings:
        return None
    mx_digest, since = last_change(sightings, _mx, heard)
    of_mx = [seen for seen in sightings if seen.policy.mx_digest == mx_digest]
    mode, mode_since = last_change(of_mx, _mode, heard)
    # Its max_age by the word of those who are known for long, if there are any.
    quoted = (seen for seen in of_mx if seen.policy.mode == mode)
    newest = max(quoted, key=lambda seen: (seen.day - heard[seen.reporter] >= STANDING, seen.day))
    return Current(newest.policy, since, max(since, mode_since))


def _mx(policy: Policy) -> str:
    return policy.mx_digest


def _mode(policy: Policy) -> str:
    return policy.mode


def _since(
    sightings: Sequence[Sighting], of: Callable[[Policy], Key], heard: Heard, wanted: Key, otherwise: dt.date
) -> dt.date:
    """Since when ``wanted`` is in force as far as reports tell; when they name another one, since it was stated."""
    if sightings:
        named, since = last_change(sightings, of, heard)
        if named == wanted:
            return since
    return otherwise


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


class Held(msgspec.Struct, frozen=True):
    """An older policy in mode enforce that a reporter quoted, at the latest when the present one came. ``until`` is the last day
    on which a cache may hold it by its max_age, None when nobody quoted that.
    """

    reporter: str
    mx_digest: str
    until: dt.date | None


def held_enforcing(evidence: Evidence, current: Current | None) -> tuple[Held, ...]:
    """Who may go on enforcing an older policy than the present one: the reporters that have quoted it while it was in force."""
    if current is None:
        return ()
    came, heard = current.mode_since, first_heard(evidence.sightings)
    quoted = [seen for seen in evidence.sightings if seen.policy.mode == "enforce"]
    quoted = [seen for seen in quoted if max(seen.day, heard[seen.reporter]) <= came]
    quoted = [seen for seen in quoted if not _is_current(seen.policy, current)]
    enforced = {digest for digest in {seen.policy.mx_digest for seen in quoted} if _was_enforced(evidence, digest)}
    ends: dict[str, dt.date] = {}
    for seen in quoted:
        if seen.policy.max_age is not None:
            end = came + dt.timedelta(seconds=min(seen.policy.max_age, _LONGEST_AGE))
            ends[seen.policy.mx_digest] = max(end, ends.get(seen.policy.mx_digest, end))
    voices = {(seen.reporter, seen.policy.mx_digest) for seen in quoted if seen.policy.mx_digest in enforced}
    return tuple(Held(reporter, digest, ends.get(digest)) for reporter, digest in sorted(voices))


def _was_enforced(evidence: Evidence, mx_digest: str) -> bool:
    """Whether the policy with these mx patterns was ever in force in mode enforce, by the word of those who are believed."""
    heard = first_heard(evidence.sightings)
    of_mx = [seen for seen in evidence.sightings if seen.policy.mx_digest == mx_digest]
    adopted = {key for _, key in adoptions(evidence.sightings, _mx, heard)}
    return mx_digest in adopted and "enforce" in {key for _, key in adoptions(of_mx, _mode, heard)}


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
