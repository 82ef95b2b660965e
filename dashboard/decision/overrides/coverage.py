"""What an override covers now: how many of the sessions that were reported it is about, by how many voices, and since when. Pure.

All trusted reports of the look-back count here, whatever policy they are about and whatever the verdict makes of them.
"""

import datetime as dt
from collections.abc import Callable, Collection, Iterator

import msgspec

from dashboard.decision.evidence import Entry, Evidence, Failure
from dashboard.decision.facts.failures import EntryReading, failures_of
from dashboard.decision.facts.policy_changes import key_of
from dashboard.decision.facts.policy_history import current_policy
from ingest.rfc.mtasts.patterns import normalised
from ingest.rfc.policy_types import NO_POLICY_FOUND, STS, TLSA
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    Override,
    RepairedCause,
)

from .overrides import acceptance_of, policy_of, repair_of, resolved

# Whether a failure of an entry is covered, by result type and MX host.
_Covers = Callable[[Entry, str, str], bool]


class Coverage(msgspec.Struct, frozen=True):
    """``sessions`` of ``voices``, first on the day ``since``; ``since_before``: there the look-back ends, so perhaps earlier."""

    sessions: int = 0
    voices: tuple[str, ...] = ()
    since: dt.date | None = None
    since_before: bool = False


def coverage(evidence: Evidence, override: Override) -> Coverage:
    """What ``override`` covers of the evidence about its domain, whether it counts there or not."""
    covered = list(_covered(evidence, override))
    if not covered:
        return Coverage()
    since = min(day for _, day, _ in covered)
    voices = {voice for voice, _, _ in covered}
    return Coverage(
        sum(sessions for _, _, sessions in covered), tuple(sorted(voices)), since, since_before=since <= evidence.begin
    )


def _covered(evidence: Evidence, override: Override) -> Iterator[tuple[str, dt.date, int]]:
    """Voice, day and sessions of each entry of which something is covered."""
    content = override.content
    match content:
        case AcceptedCause():
            acceptance = acceptance_of(evidence, override, content)
            yield from _failed(evidence, lambda entry, what, mx: acceptance.covers(evidence.on, what, mx, entry.voice))
        case RepairedCause():
            repair = repair_of(override, content)
            yield from _failed(evidence, lambda entry, what, mx: repair.covers(evidence.on, what, mx, entry.failed_on))
        case MxHosts(hosts):
            named = {normalised(host) for host in hosts}
            yield from _failed(evidence, lambda _entry, _what, mx: normalised(mx) in named)
        case BelievedVoice(voice) | DismissedVoice(voice):
            name = resolved(evidence, voice)
            yield from _all(entry for entry in evidence.entries if entry.voice == name)
        case EnteredPolicy(text):
            key = key_of(policy_of(text, ())[0])
            yield from _all(entry for entry in evidence.entries if entry.policy and key_of(entry.policy) == key)
        case _:
            yield from _all(entry for entry in evidence.known.entries if entry.policy_type == STS)


def _all(entries: Iterator[Entry]) -> Iterator[tuple[str, dt.date, int]]:
    for entry in entries:
        yield entry.voice, entry.day, _sessions(entry)


def _sessions(entry: Entry) -> int:
    """All sessions of an entry; none under TLSA, where some senders list those of MTA-STS again."""
    return 0 if entry.policy_type == TLSA else entry.successful + (entry.failed or 0)


def _failed(evidence: Evidence, covers: _Covers) -> Iterator[tuple[str, dt.date, int]]:
    reading = EntryReading(evidence, current_policy(evidence.known))
    for entry in evidence.entries:
        if entry.policy_type == NO_POLICY_FOUND and covers(entry, NO_POLICY_FOUND, ""):
            yield entry.voice, entry.failed_on, _sessions(entry)
            continue
        read_as = [(fact.failure, fact.result_type) for fact in reading.facts(entry)]
        failed = sum(
            failure.sessions
            for failure in failures_of(entry)
            if _is_covered(entry, failure, {name for other, name in read_as if other == failure}, covers)
        )
        # Details may overlap (RFC 8460 section 4).
        failed = failed if entry.failed is None else min(failed, entry.failed)
        if failed:
            yield entry.voice, entry.failed_on, failed


def _is_covered(entry: Entry, failure: Failure, read_as: Collection[str], covers: _Covers) -> bool:
    return any(
        covers(entry, result_type, host)
        for result_type in {failure.result_type, *read_as}
        for host in {failure.mx_host, normalised(failure.mx_host)}
    )
