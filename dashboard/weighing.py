"""What entries weigh: sessions that prove, sessions that enforce would have refused, their causes, and whose word it is. Pure."""

import collections
import datetime as dt
import math
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from scipy.special import betaincinv

from ingest.mtasts.enforcement import REFUSED
from ingest.tlsrpt.vocabulary import STS, UNEXPLAINED

from .evidence import Acceptance, Entry, Failure, Thresholds

# A bound next to nothing asks for more sessions than any report can count.
_MOST_SESSIONS = 2**53

# Whose fault a cause is, as far as reports tell (decision.md section 5).
RECEIVER, SENDER_OR_PATH, UNCLEAR = "receiver", "sender-or-path", "unclear"


class Counted(msgspec.Struct, frozen=True):
    """An entry with what enforce would have refused of it: sessions not accepted, and accepted by the operator."""

    entry: Entry
    refused: int
    accepted: int

    @property
    def sessions(self) -> int:
        """Sessions that count: an accepted failure is left out of the reckoning altogether."""
        failed = self.entry.failed if self.entry.failed is not None else self.refused + self.accepted
        return self.entry.successful + failed - self.accepted


class Cause(msgspec.Struct, frozen=True):
    """One way in which sessions failed: result type times MX host ("" when none is named).

    ``sessions`` are not accepted, ``accepted`` are; ``by_organization`` counts both, most first. ``reporters`` saw it, out of
    ``of_reporters`` heard in these days.
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


class DayCount(msgspec.Struct, frozen=True):
    """One day's sessions that count: all, those that enforce refuses, and those of them whose cause was accepted."""

    day: dt.date
    sessions: int
    refused: int
    accepted: int


class ReporterEvidence(msgspec.Struct, frozen=True):
    """What one reporter contributes to the window: sessions, refused ones, its own bound, its share of all sessions."""

    organization: str
    sessions: int
    refused: int
    bound: float
    share: float
    last_day: dt.date


def upper_bound(refused: int, sessions: int, confidence: float) -> float:
    """The exact one-sided Clopper-Pearson bound of the refusal rate. 0 of n gives about 3/n at 95 %; without sessions, 1."""
    if refused >= sessions:
        return 1.0
    return float(betaincinv(refused + 1, sessions - refused, confidence))


def sessions_needed(thresholds: Thresholds) -> int:
    """How many sessions, all clean, bring the bound down to the threshold (299 for 1 % at 95 %)."""
    needed = math.log1p(-thresholds.confidence) / math.log1p(-thresholds.bound)
    return math.ceil(min(needed, _MOST_SESSIONS))


def count(entry: Entry, on: dt.date, acceptances: Sequence[Acceptance]) -> Counted:
    """The refused sessions of an entry. Details overlap: together they are no more than the entry's total says."""
    refused = accepted = 0
    for failure in failures_of(entry):
        if failure.consequence == REFUSED:
            if is_accepted(entry, failure, on, acceptances):
                accepted += failure.sessions
            else:
                refused += failure.sessions
    if entry.failed is not None:
        refused = min(refused, entry.failed)
        accepted = min(accepted, entry.failed - refused)
    return Counted(entry, refused, accepted)


def failures_of(entry: Entry) -> Iterator[Failure]:
    """The failures of an entry, those that no detail explains among them: they are taken for the worst."""
    yield from entry.failures
    if entry.unexplained and entry.policy_type == STS:
        yield Failure(UNEXPLAINED, "", entry.unexplained, REFUSED)


def is_accepted(entry: Entry, failure: Failure, on: dt.date, acceptances: Iterable[Acceptance]) -> bool:
    """Whether the operator's word covers it on that day."""
    return any(word.covers(on, failure.result_type, failure.mx_host, entry.organization) for word in acceptances)


def causes_of(
    members: Iterable[tuple[Entry, Failure]], heard: Iterable[Entry], on: dt.date, acceptances: Sequence[Acceptance]
) -> list[Cause]:
    """Failures grouped by what follows, result type and MX host; most sessions first. ``heard`` is everybody in these days."""
    voices = {entry.reporter for entry in heard}
    groups: dict[tuple[str, str, str], list[tuple[Entry, Failure]]] = collections.defaultdict(list)
    for entry, failure in members:
        if failure.consequence:
            groups[failure.consequence, failure.result_type, failure.mx_host].append((entry, failure))
    causes = [_cause(key, group, voices, on, acceptances) for key, group in groups.items()]
    return sorted(causes, key=lambda cause: (-cause.sessions, cause.result_type, cause.mx_host))


def _cause(
    key: tuple[str, str, str],
    members: Sequence[tuple[Entry, Failure]],
    voices: set[str],
    on: dt.date,
    acceptances: Sequence[Acceptance],
) -> Cause:
    consequence, result_type, mx_host = key
    total = sum(failure.sessions for _, failure in members)
    accepted = sum(failure.sessions for entry, failure in members if is_accepted(entry, failure, on, acceptances))
    saw = {entry.reporter for entry, _ in members}
    counts: collections.Counter[str] = collections.Counter()
    for entry, failure in members:
        counts[entry.organization] += failure.sessions
    fault = RECEIVER if len(saw) > 1 else SENDER_OR_PATH if voices - saw else UNCLEAR
    return Cause(
        result_type=result_type,
        mx_host=mx_host,
        consequence=consequence,
        sessions=total - accepted,
        accepted=accepted,
        organizations=tuple(sorted(counts)),
        by_organization=tuple(sorted(counts.items(), key=lambda one: (-one[1], one[0]))),
        reporters=len(saw),
        of_reporters=len(voices | saw),
        first_day=min(entry.day for entry, _ in members),
        last_day=max(entry.day for entry, _ in members),
        fault=fault,
        # One network meets no STARTTLS where others do: that is what an attack on its path looks like.
        possible_downgrade=fault == SENDER_OR_PATH and result_type == "starttls-not-supported",
    )


def by_day(counted: Iterable[Counted]) -> tuple[DayCount, ...]:
    """The days with sessions that count, in order."""
    days: dict[dt.date, list[Counted]] = collections.defaultdict(list)
    for one in counted:
        days[one.entry.day].append(one)
    return tuple(
        DayCount(
            day,
            *(sum(figure) for figure in zip(*((m.sessions, m.refused, m.accepted) for m in days[day]), strict=True)),
        )
        for day in sorted(days)
    )


def by_reporter(proof: Iterable[Counted], confidence: float) -> list[ReporterEvidence]:
    """Who proves something, most sessions first. A report without sessions is no evidence."""
    groups: dict[str, list[Counted]] = collections.defaultdict(list)
    for one in proof:
        if one.sessions:
            groups[one.entry.reporter].append(one)
    total = sum(one.sessions for members in groups.values() for one in members)
    found = []
    for members in groups.values():
        sessions, refused = sum(one.sessions for one in members), sum(one.refused for one in members)
        found.append(
            ReporterEvidence(
                organization=", ".join(sorted({one.entry.organization for one in members})),
                sessions=sessions,
                refused=refused,
                bound=upper_bound(refused, sessions, confidence),
                share=sessions / total,
                last_day=max(one.entry.day for one in members),
            )
        )
    return sorted(found, key=lambda reporter: (-reporter.sessions, reporter.organization))
