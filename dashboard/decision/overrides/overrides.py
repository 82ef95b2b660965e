"""Overrides in a verdict's evidence: what each changes there, and which still hold. Pure: SQL is in ``queries.overrides``."""

import collections
import datetime as dt
from collections.abc import Iterable, Sequence

import msgspec

from dashboard.decision.evidence import Acceptance, Evidence, QuotedPolicy, Repair, StatedPolicy, Thresholds
from dashboard.decision.facts.policy_changes import key_of
from dashboard.decision.facts.policy_history import current_policy
from ingest.rfc.faults import ERROR
from ingest.rfc.mtasts.lint import lint
from ingest.rfc.mtasts.policy import mx_key
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    Content,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    Override,
    OwnThresholds,
    RepairedCause,
)
from ingest.text.shares import percent as percent
from ingest.text.stored import short_digest

_LONGEST_MODE = 32
IN_FORCE, REPLACED, TAKEN_BACK, EXPIRED = "in force", "replaced by a newer one", "taken back", "expired"


def thresholds_of(overrides: Iterable[Override], usual: Thresholds) -> Thresholds:
    """The thresholds of a domain for which ``overrides`` are in force, oldest first; of two about one the newer counts."""
    named: dict[str, float] = {}
    for override in overrides:
        if isinstance(override.content, OwnThresholds):
            named |= given_thresholds(override.content)
    return msgspec.structs.replace(usual, **named)


def with_overrides(evidence: Evidence, overrides: Sequence[Override], usual: Thresholds) -> Evidence:
    """The evidence with the ``overrides`` in force on its day, oldest first; ``usual`` are the thresholds of the settings.

    Of two overrides about one voice, or about the repair of one cause, the newer counts. The policy that was entered is left to
    ``with_stated_policy``, for which it must be known who counts.
    """
    acceptances: list[Acceptance] = []
    repairs: dict[tuple[str, str], Repair] = {}
    believed: dict[str, dt.date] = {}
    dismissed: dict[str, dt.date] = {}
    named: set[str] = set()
    for override in overrides:
        match override.content:
            case AcceptedCause() as cause:
                acceptances.append(acceptance_of(evidence, override, cause))
            case RepairedCause() as cause:
                repairs[cause.result_type, cause.mx_host] = repair_of(override, cause)
            case BelievedVoice(voice) | DismissedVoice(voice):
                name = resolved(evidence, voice)
                believed.pop(name, None)
                dismissed.pop(name, None)
                (believed if isinstance(override.content, BelievedVoice) else dismissed)[name] = override.since
            case OwnThresholds() as thresholds:
                named |= given_thresholds(thresholds).keys()
    return msgspec.structs.replace(
        evidence,
        acceptances=tuple(acceptances),
        repairs=tuple(repairs.values()),
        believed=believed,
        dismissed=dismissed,
        thresholds=thresholds_of(overrides, usual),
        own_thresholds=tuple(sorted(name.replace("_", " ") for name in named)),
        mx_hosts=_mx_hosts(overrides),
    )


def with_stated_policy(evidence: Evidence, overrides: Sequence[Override]) -> Evidence:
    """The evidence, complete with every policy that known voices have quoted, and with the policy that was entered last.

    It outranks what reports quote, until a known voice has changed from it or from an older one to another.
    """
    stated = _stated(overrides)
    gone = stated is not None and _overtaken(stated, evidence.known)
    return msgspec.structs.replace(evidence, stated=None if gone else stated, overtaken=stated if gone else None)


def acceptance_of(evidence: Evidence, override: Override, cause: AcceptedCause) -> Acceptance:
    """An accepted cause as evidence has it."""
    voice = resolved(evidence, cause.voice)
    return Acceptance(override.since, override.until, cause.result_type, cause.mx_host, voice)


def repair_of(override: Override, cause: RepairedCause) -> Repair:
    """A repaired cause as evidence has it."""
    return Repair(override.since, cause.day, cause.result_type, cause.mx_host)


def resolved(evidence: Evidence, voice: str) -> str:
    """The voice of an override: the signer, where that was known by a name alone when the override was given."""
    return evidence.aliases.get(voice, voice)


def given_thresholds(thresholds: OwnThresholds) -> dict[str, float]:
    """The thresholds that are given, by name."""
    return {name: value for name, value in msgspec.structs.asdict(thresholds).items() if value is not None}


def _mx_hosts(overrides: Sequence[Override]) -> tuple[str, ...]:
    """Those named last, alone or with a policy."""
    for override in reversed(overrides):
        if isinstance(override.content, MxHosts):
            return override.content.hosts
        if isinstance(override.content, EnteredPolicy) and override.content.mx_hosts:
            return override.content.mx_hosts
    return ()


def _stated(overrides: Sequence[Override]) -> StatedPolicy | None:
    for override in reversed(overrides):
        if isinstance(override.content, EnteredPolicy):
            # Hosts that the policy lacks are a matter of the verdict: under testing they only keep it from enforce.
            policy, faults = policy_of(override.content.text, ())
            return StatedPolicy(policy, override.since, faults)
    return None


def policy_of(text: str, hosts: Sequence[str]) -> tuple[QuotedPolicy, tuple[str, ...]]:
    """What a policy file says, and in words what makes senders ignore it or refuse mail to one of the MX ``hosts``."""
    read = lint(text.encode(), hosts)
    faults = [fault for fault in read.faults if fault.severity == ERROR]
    policy = QuotedPolicy(read.mode[:_LONGEST_MODE], read.mx, short_digest(*mx_key(read)), read.max_age)
    return policy, tuple(f"line {fault.line}: {fault.text}" if fault.line else fault.text for fault in faults)


def _overtaken(stated: StatedPolicy, evidence: Evidence) -> bool:
    """Whether the policy that known voices show came after the stated one."""
    now = current_policy(msgspec.structs.replace(evidence, stated=None))
    if now is None:
        return False
    if key_of(now.policy) == key_of(stated.policy):
        # The same but for its age: a newer text was never quoted before.
        quoted = [old.first_day for old in evidence.served if old.policy == now.policy]
        return now.policy.max_age != stated.policy.max_age and min(quoted, default=stated.day) > stated.day
    return now.mode_since > stated.day and _changed_to(key_of(now.policy), evidence, stated.day)


def _changed_to(key: tuple[str, str], evidence: Evidence, day: dt.date) -> bool:
    """Whether a sender that had quoted something else quotes ``key`` after ``day``: who is heard for the first time may
    have an old policy in its cache.
    """
    quoted: dict[str, set[dt.date]] = collections.defaultdict(set)
    other: dict[str, set[dt.date]] = collections.defaultdict(set)
    for seen in evidence.sightings:
        (quoted if key_of(seen.policy) == key else other)[seen.voice].add(seen.day)
    return any(
        later > day and any(earlier < later for earlier in other[reporter])
        for reporter, days in list(quoted.items())
        for later in days
    )


def state(override: Override, in_force: Sequence[Override], today: dt.date) -> str:
    """IN_FORCE, or why not (any more): REPLACED, TAKEN_BACK, EXPIRED. ``in_force`` are the domain's overrides in force, oldest
    first.
    """
    if override.withdrawn_at is not None:
        return TAKEN_BACK
    if override.until is not None and override.until < today:
        return EXPIRED
    later = in_force[in_force.index(override) + 1 :] if override in in_force else ()
    return REPLACED if _is_replaced(override.content, later) else IN_FORCE


def _is_replaced(content: Content, later: Sequence[Override]) -> bool:
    newer = [override.content for override in later]
    match content:
        case OwnThresholds():
            names = {name for other in newer if isinstance(other, OwnThresholds) for name in given_thresholds(other)}
            return given_thresholds(content).keys() <= names
        case EnteredPolicy():
            return any(isinstance(other, EnteredPolicy) for other in newer)
        case MxHosts():
            return bool(_mx_hosts(later))
        case BelievedVoice(voice) | DismissedVoice(voice):
            return any(isinstance(other, BelievedVoice | DismissedVoice) and other.voice == voice for other in newer)
        case RepairedCause(_, result_type, mx_host):
            same = (result_type, mx_host)
            return any(
                isinstance(other, RepairedCause) and (other.result_type, other.mx_host) == same for other in newer
            )
    return False
