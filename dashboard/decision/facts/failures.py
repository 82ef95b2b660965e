"""What each failed session says about the policy in force, and whether it still speaks. Pure.

A failing host is matched against the policy quoted beside it and the one in force (docs/verdict.md); an acceptance or a
repair of the operator's takes a failure out (section 4).
"""

import datetime as dt
import functools
from collections.abc import Iterator

import msgspec

from dashboard.decision.evidence import Entry, Evidence, Failure, QuotedPolicy
from ingest.rfc.mtasts import patterns
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS
from ingest.rfc.result_types import MX_NOT_IN_POLICY, POLICY_UNUSABLE, REFUSED, UNEXPLAINED

from .policy_history import Current, previous_age

# Beside those of ``ingest.rfc.result_types``: the host is covered by the policy in force, not by the one in the cache.
OLDER_POLICY = "older-policy-cached"
# When a failure happened, or will: under the policy in force; under it, as far as caches go, from a later day on (they still say
# testing); before the switch to enforce, when mail was delivered all the same.
NOW, AHEAD, BEFORE = "now", "ahead", "before"

_POLICY_HOST = "mta-sts."  # RFC 8461 section 3.3


class Fact(msgspec.Struct, frozen=True):
    """Failed sessions of an entry that say something about the policy in force. ``result_type`` is what they are, whatever the
    sender calls it; ``phase`` one of NOW, AHEAD, BEFORE.
    """

    entry: Entry
    failure: Failure
    consequence: str
    result_type: str
    phase: str = NOW
    accepted: bool = False
    repaired: bool = False

    @property
    def host(self) -> str:
        """The failing host in its normal form, "" when none is named."""
        return patterns.normalised(self.failure.mx_host)

    @property
    def day(self) -> dt.date:
        """The day on which it counts."""
        return self.entry.failed_on


class EntryReading:
    """How the entries of some evidence are read under the policy in force, ``current``."""

    def __init__(self, evidence: Evidence, current: Current | None) -> None:
        self._evidence = evidence
        self._current = current
        self._enforces = current is not None and current.policy.mode == "enforce"
        self._unquoted_enforce: dt.date | None = None
        if current is not None and self._enforces:
            self._unquoted_enforce = current.mode_since + previous_age(evidence, current)

    def is_about(self, entry: Entry) -> bool:
        """Entries under the policy in force (mode and age aside), since it came. One that quotes none may be about it."""
        if entry.policy_type != STS:
            return False
        quoted = readable(entry)
        if self._current is None or self._current.policy.mode == "none":
            return self._current is None and quoted is None
        same = quoted is None or quoted.mx_digest == self._current.policy.mx_digest
        return same and entry.failed_on >= self._current.since

    def phase(self, entry: Entry) -> str:
        """When its failures happened: only what quotes enforce was refused, and only since the switch. What quoted testing on
        the day of the switch came before it.

        Who quotes nothing readable quotes enforce, too, once no cache can hold what was served before.
        """
        if self._current is None or not self._enforces:
            return NOW
        quoted, day = readable(entry), entry.failed_on
        if quoted is None:
            is_enforced = self._unquoted_enforce is not None and day >= self._unquoted_enforce
        else:
            is_enforced = quoted.mode == "enforce"
        if day < self._current.mode_since or (day == self._current.mode_since and not is_enforced):
            return BEFORE
        return NOW if is_enforced else AHEAD

    def proves(self, entry: Entry) -> bool:
        """Of what is about the policy in force: what quotes it; under enforce, what quotes enforce since the switch."""
        quoted = readable(entry)
        if self._current is None or quoted is None or not self.is_about(entry):
            return False
        return not self._enforces or (quoted.mode == "enforce" and entry.day >= self._current.mode_since)

    def facts(self, entry: Entry, *, is_turned_away: bool = False) -> Iterator[Fact]:
        """The failures of an entry that count now, or counted; ``is_turned_away``: whatever policy the entry is about."""
        for failure in failures_of(entry):
            if not failure.sessions or entry.failed == 0:
                continue
            consequence, result_type = self._effect(entry, failure)
            is_certain = is_turned_away or (result_type == MX_NOT_IN_POLICY and self._is_recent(entry))
            if consequence is None or (consequence == REFUSED and not (self.is_about(entry) or is_certain)):
                continue
            phase = self.phase(entry) if consequence == REFUSED and not is_turned_away else NOW
            fact = Fact(entry, failure, consequence, result_type, phase)
            yield msgspec.structs.replace(fact, accepted=self._is_accepted(fact), repaired=self._is_repaired(fact))

    def _is_recent(self, entry: Entry) -> bool:
        return self._current is None or entry.failed_on >= self._current.since

    def _effect(self, entry: Entry, failure: Failure) -> tuple[str | None, str]:
        """What follows from a failure, and what it is."""
        plain = (failure.consequence, failure.result_type)
        if entry.policy_type != STS or not is_mx_host(failure.mx_host):
            return plain
        policy = readable(entry)
        quoted = policy.mx if policy else ()
        in_force = self._current.policy.mx if self._current else ()
        if quoted:
            if covers(quoted, failure.mx_host):
                return plain
            if covers(in_force, failure.mx_host):
                return OLDER_POLICY, failure.result_type
            return REFUSED, MX_NOT_IN_POLICY
        # Who could not fetch the policy applies none: its host may be anything.
        if not in_force or failure.consequence in (None, POLICY_UNUSABLE) or covers(in_force, failure.mx_host):
            return plain
        return REFUSED, MX_NOT_IN_POLICY

    def _is_accepted(self, fact: Fact) -> bool:
        on, failure, voice = self._evidence.on, fact.failure, fact.entry.voice
        return any(
            word.covers(on, result_type, host, voice)
            for word in self._evidence.acceptances
            for result_type in {failure.result_type, fact.result_type}
            for host in {failure.mx_host, fact.host}
        )

    def _is_repaired(self, fact: Fact) -> bool:
        on, failure = self._evidence.on, fact.failure
        return any(
            word.covers(on, result_type, host, fact.day)
            for word in self._evidence.repairs
            for result_type in {failure.result_type, fact.result_type}
            for host in {failure.mx_host, fact.host}
        )


def readable(entry: Entry) -> QuotedPolicy | None:
    """The policy that an entry quotes, None when it leaves out the mode, or everything."""
    return entry.policy if entry.policy and entry.policy.mode else None


def failures_of(entry: Entry) -> Iterator[Failure]:
    """The failures of an entry, those that no detail explains among them: they are taken for the worst."""
    yield from entry.failures
    if entry.unexplained and entry.policy_type == STS:
        yield Failure(UNEXPLAINED, "", entry.unexplained, REFUSED)


def is_accepted_absence(evidence: Evidence, voice: str) -> bool:
    """Whether the operator has accepted that a voice finds no policy."""
    return any(word.covers(evidence.on, NO_POLICY_FOUND, "", voice) for word in evidence.acceptances)


def is_repaired_absence(evidence: Evidence, day: dt.date) -> bool:
    """Whether the operator has said that the absence of the policy was repaired by then."""
    return any(word.covers(evidence.on, NO_POLICY_FOUND, "", day) for word in evidence.repairs)


def is_mx_host(name: str) -> bool:
    """Whether ``name`` can be an MX host: senders also write addresses, single labels, or the policy host here."""
    host = patterns.normalised(name)
    return "." in host and patterns.is_host(host) and not host.startswith(_POLICY_HOST)


@functools.lru_cache(maxsize=4096)
def covers(mx: tuple[str, ...], host: str) -> bool:
    """``patterns.match``, remembered: every failure of every report is held against the same few patterns."""
    return patterns.match(mx, host)
