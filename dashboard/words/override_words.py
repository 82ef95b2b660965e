"""Overrides in words: what each says, and how much of what was reported it covers. Pure."""

from collections.abc import Callable, Mapping, Sequence

from dashboard.decision.evidence import NO_MX
from dashboard.decision.overrides.coverage import Coverage
from dashboard.decision.overrides.overrides import given_thresholds, policy_of
from ingest.testimony.override_rules import (
    SHARES,
    AcceptedCause,
    BelievedVoice,
    Content,
    DismissedVoice,
    EnteredPolicy,
    OwnThresholds,
    RepairedCause,
)
from ingest.text.shares import percent

from .phrases import counted

_MOST_NAMED = 8


def covers(coverage: Coverage) -> str:
    """What an override covers, as the end of a sentence."""
    if not coverage.voices:
        return "covers nothing that has been reported"
    sessions = f"{counted(coverage.sessions, 'session')} of {counted(len(coverage.voices), 'voice')}"
    return f"covers {sessions} since {'before ' if coverage.since_before else ''}{coverage.since}"


def what(content: Content, named: Callable[[str], str] = str) -> str:
    """An override's content in one sentence; ``named`` puts a result type into words. Text from reports is in it as it is."""
    match content:
        case AcceptedCause(_, _, voice):
            return f"Accepted: {_failure(content, named)}{f', reported by {voice}' if voice else ''}"
        case RepairedCause(day):
            return f"Repaired on {day}: {_failure(content, named)}"
        case BelievedVoice(voice):
            return f"Believed: {voice}"
        case DismissedVoice(voice):
            return f"Dismissed: {voice}"
        case OwnThresholds():
            return f"Own thresholds: {', '.join(_threshold(name, value) for name, value in given_thresholds(content).items())}"
        case EnteredPolicy():
            return _entered(content)
    return f"MX hosts: {_names(content.hosts)}"


def _failure(cause: AcceptedCause | RepairedCause, named: Callable[[str], str]) -> str:
    failure = named(cause.result_type) if cause.result_type else "any failure"
    if cause.mx_host == NO_MX:
        return f"{failure} without an MX host"
    return f"{failure} at {cause.mx_host}" if cause.mx_host else failure


def _entered(entered: EnteredPolicy) -> str:
    policy, faults = policy_of(entered.text, ())
    hosts = f"; MX hosts {_names(entered.mx_hosts)}" if entered.mx_hosts else ""
    age = f", max_age {policy.max_age}" if policy.max_age is not None else ""
    broken = " (faulty)" if faults else ""
    return f"Policy entered by hand{broken}: mode {policy.mode or 'unknown'}, mx {_names(policy.mx) or '-'}{age}{hosts}"


def _threshold(name: str, value: float) -> str:
    written = percent(value) if name in SHARES else str(value)
    return _THRESHOLDS[name].format(written, s="" if value == 1 else "s")


_THRESHOLDS: Mapping[str, str] = {
    "bound": "at most {} refused",
    "reporters": "{} independent reporter{s}",
    "window_days": "{} complete day{s}",
    "late_days": "the newest {} left out",
    "confidence": "at {} confidence",
}


def _names(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _MOST_NAMED} more" if len(hosts) > _MOST_NAMED else ""
    return ", ".join(hosts[:_MOST_NAMED]) + more
