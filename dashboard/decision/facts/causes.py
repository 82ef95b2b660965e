"""The ways in which sessions failed: what follows, where, who saw it, when, whose fault it looks like, and whether it is over.

Pure.
"""

import collections
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from dashboard.decision.evidence import Evidence
from ingest.rfc.mtasts.patterns import normalised
from ingest.rfc.policy_types import STS
from ingest.rfc.result_types import MX_NOT_IN_POLICY, REFUSED, STARTTLS, kind_of

from .failures import NOW, OLDER_POLICY, Fact, covers
from .over import Ending, VoiceDays
from .policy_history import Current, cached_until, fresh_probe

# Whose fault a cause is, as far as reports tell (docs/verdict.md, "What enforce would have done").
RECEIVER, SENDER_OR_PATH, UNCLEAR = "receiver", "sender-or-path", "unclear"


class Cause(msgspec.Struct, frozen=True):
    """One way in which sessions failed: result type times MX host ("" when none is named), by phase (see ``failures``).

    ``sessions`` are not accepted, ``accepted`` are, ``repaired`` are those among ``sessions`` that the operator said are
    repaired; ``by_organization`` counts all, most first. ``reporters`` saw it, out of ``of_reporters`` heard in these days;
    ``voices`` are their keys. ``group`` and ``repairer`` are those of ``ingest.rfc.result_types``; ``reported_as`` are the
    reason codes, and for a host that the policy lacks the result types, that senders chose. ``over``: told in the past tense;
    ``silent`` are organisations that saw it and fell silent since. ``is_listed``: operator or probe name the host. ``until``
    is the last day on which caches may explain it, None when nobody can tell. ``enforced`` of all its sessions, accepted ones
    among them, quoted mode enforce.
    """

    result_type: str
    mx_host: str
    consequence: str
    sessions: int
    accepted: int
    organizations: tuple[str, ...]
    reporters: int
    of_reporters: int
    by_organization: tuple[tuple[str, int], ...]
    first_day: dt.date
    last_day: dt.date
    fault: str
    possible_downgrade: bool
    voices: tuple[str, ...] = ()
    phase: str = NOW
    over: bool = False
    silent: tuple[str, ...] = ()
    repaired: int = 0
    group: str = ""
    repairer: str = ""
    reported_as: tuple[str, ...] = ()
    is_listed: bool = False
    until: dt.date | None = None
    enforced: int = 0

    @property
    def blocks(self) -> bool:
        """Whether it keeps the policy from enforce, or makes the alarm."""
        return self.consequence == REFUSED and self.sessions > 0 and not self.over


class Gathered(msgspec.Struct, frozen=True):
    """A cause with the facts that it was made from."""

    cause: Cause
    facts: tuple[Fact, ...]


class Causes:
    """Groups facts into causes: by phase, consequence, result type and MX host; most sessions first."""

    def __init__(self, evidence: Evidence, current: Current | None, record: VoiceDays) -> None:
        self._evidence = evidence
        self._current = current
        self._record = record
        self._heard = {entry.voice for entry in evidence.entries if entry.policy_type == STS}
        self._listed = listed_hosts(evidence)

    def of(self, facts: Iterable[Fact]) -> list[Gathered]:
        """The causes of these facts."""
        groups: dict[tuple[str, str, str, str], list[Fact]] = collections.defaultdict(list)
        saw: dict[tuple[str, str], set[str]] = collections.defaultdict(set)
        for fact in facts:
            groups[fact.phase, fact.consequence, fact.result_type, fact.host].append(fact)
            saw[fact.result_type, fact.host].add(fact.entry.voice)
        causes = [Gathered(self._cause(group, saw), tuple(group)) for group in groups.values()]
        return sorted(causes, key=_most_first)

    def _cause(self, facts: Sequence[Fact], saw: Mapping[tuple[str, str], set[str]]) -> Cause:
        first = facts[0]
        live = [fact for fact in facts if not fact.accepted]
        open_ = [fact for fact in live if not fact.repaired]
        ending = self._record.ending(open_) if open_ else Ending(over=bool(live))
        kind = kind_of(first.result_type, first.failure.reason_code)
        fault = self._fault(saw[first.result_type, first.host])
        voices = {fact.entry.voice for fact in facts}
        counts = self._by_organization(facts)
        return Cause(
            result_type=first.result_type,
            mx_host=first.host,
            consequence=first.consequence,
            sessions=_sessions(live),
            accepted=_sessions(facts) - _sessions(live),
            organizations=tuple(sorted(counts)),
            reporters=len(voices),
            of_reporters=len(self._heard | voices),
            by_organization=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
            first_day=min(fact.day for fact in facts),
            last_day=max(fact.day for fact in facts),
            fault=fault,
            # One network meets no STARTTLS where others do: that is what an attack on its path looks like.
            possible_downgrade=fault == SENDER_OR_PATH and kind.group == STARTTLS,
            voices=tuple(sorted(voices)),
            phase=first.phase,
            over=ending.over,
            silent=tuple(sorted({self._evidence.name_of(voice) for voice in ending.silent})) if ending.over else (),
            repaired=_sessions(live) - _sessions(open_),
            group=kind.group,
            repairer=kind.repairer,
            reported_as=_reported_as(facts),
            is_listed=bool(first.host) and covers(self._listed, first.host),
            until=self._until(facts),
            enforced=_sessions(fact for fact in facts if fact.entry.policy and fact.entry.policy.mode == "enforce"),
        )

    def _fault(self, saw: set[str]) -> str:
        return RECEIVER if len(saw) > 1 else SENDER_OR_PATH if self._heard - saw else UNCLEAR

    def _by_organization(self, facts: Iterable[Fact]) -> Mapping[str, int]:
        counts: collections.Counter[str] = collections.Counter()
        for fact in facts:
            counts[self._evidence.name_of(fact.entry.voice)] += fact.failure.sessions
        return counts

    def _until(self, facts: Sequence[Fact]) -> dt.date | None:
        """Until when caches may hold the older policy that explains it."""
        if self._current is None or facts[0].consequence != OLDER_POLICY:
            return None
        ends = [cached_until(fact.entry.policy, self._current) for fact in facts if fact.entry.policy]
        return max((end for end in ends if end), default=None)


def listed_hosts(evidence: Evidence) -> tuple[str, ...]:
    """The MX hosts that operator or probe name, in their normal form."""
    probe = fresh_probe(evidence)
    hosts = (*evidence.mx_hosts, *(probed.host for probed in probe.hosts)) if probe else evidence.mx_hosts
    return tuple(sorted({normalised(host) for host in hosts}))


def _sessions(facts: Iterable[Fact]) -> int:
    return sum(fact.failure.sessions for fact in facts)


def _reported_as(facts: Iterable[Fact]) -> tuple[str, ...]:
    codes = {fact.failure.reason_code for fact in facts} - {""}
    types = {fact.failure.result_type for fact in facts if fact.result_type == MX_NOT_IN_POLICY}
    return tuple(sorted(types | codes))


def _most_first(gathered: Gathered) -> tuple[object, ...]:
    cause = gathered.cause
    return cause.over, -cause.sessions, cause.result_type, cause.mx_host, cause.phase, cause.consequence
