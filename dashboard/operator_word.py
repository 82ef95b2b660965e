"""The operator's words in a verdict's evidence, and in words for people. Pure: SQL is in ``queries.operator_word``."""

import collections
import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from ingest.mtasts.faults import ERROR
from ingest.mtasts.lint import lint
from ingest.mtasts.policy import mx_key
from ingest.operator_word import AcceptedCause, Content, EnteredPolicy, MxHosts, OwnThresholds, Word
from ingest.rows import short_digest

from .evidence import NO_MX, Acceptance, Evidence, Policy, StatedPolicy, Thresholds
from .policy_history import current_policy

_LONGEST_MODE = 32
_MOST_NAMED = 8
IN_FORCE, REPLACED, TAKEN_BACK, EXPIRED = "in force", "replaced by a newer one", "taken back", "expired"


def thresholds_of(words: Iterable[Word], usual: Thresholds) -> Thresholds:
    """The thresholds of a domain about which ``words`` are in force, oldest first; of two words about one the newer counts."""
    own: dict[str, float] = {}
    for word in words:
        if isinstance(word.content, OwnThresholds):
            own |= _given(word.content)
    return msgspec.structs.replace(usual, **own)


def heard(evidence: Evidence, words: Sequence[Word], usual: Thresholds) -> Evidence:
    """The evidence with the ``words`` in force on its day, oldest first; ``usual`` are the thresholds of the settings.

    A stated policy outranks what reports quote, until a sender has changed from it or from an older one to another.
    """
    causes = [(word, word.content) for word in words if isinstance(word.content, AcceptedCause)]
    own = {name for word in words if isinstance(word.content, OwnThresholds) for name in _given(word.content)}
    hosts = _mx_hosts(words)
    stated = _stated(words)
    gone = stated is not None and _overtaken(stated, evidence)
    return msgspec.structs.replace(
        evidence,
        acceptances=tuple(
            Acceptance(word.since, word.until, said.result_type, said.mx_host, said.organization)
            for word, said in causes
        ),
        thresholds=thresholds_of(words, usual),
        own_thresholds=tuple(sorted(name.replace("_", " ") for name in own)),
        stated=None if gone else stated,
        overtaken=stated if gone else None,
        mx_hosts=hosts,
    )


def _given(said: OwnThresholds) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}


def _mx_hosts(words: Sequence[Word]) -> tuple[str, ...]:
    """Those named last, alone or with a policy."""
    for word in reversed(words):
        if isinstance(word.content, MxHosts):
            return word.content.hosts
        if isinstance(word.content, EnteredPolicy) and word.content.mx_hosts:
            return word.content.mx_hosts
    return ()


def _stated(words: Sequence[Word]) -> StatedPolicy | None:
    for word in reversed(words):
        if isinstance(word.content, EnteredPolicy):
            # Hosts that the policy lacks are a matter of the verdict: under testing they only keep it from enforce.
            policy, faults = policy_of(word.content.text, ())
            return StatedPolicy(policy, word.since, faults)
    return None


def policy_of(text: str, hosts: Sequence[str]) -> tuple[Policy, tuple[str, ...]]:
    """What a policy file says, and in words what makes senders ignore it or refuse mail to one of the MX ``hosts``."""
    said = lint(text.encode(), hosts)
    faults = [fault for fault in said.faults if fault.severity == ERROR]
    policy = Policy(said.mode[:_LONGEST_MODE], said.mx, short_digest(*mx_key(said)), said.max_age)
    return policy, tuple(f"line {fault.line}: {fault.text}" if fault.line else fault.text for fault in faults)


def _overtaken(stated: StatedPolicy, evidence: Evidence) -> bool:
    """Whether the policy that reports show came after the stated one."""
    now = current_policy(msgspec.structs.replace(evidence.known, stated=None))
    if now is None:
        return False
    if _key(now.policy) == _key(stated.policy):
        # The same but for its age: a newer text was never quoted before.
        quoted = [old.first_day for old in evidence.served if old.policy == now.policy]
        return now.policy.max_age != stated.policy.max_age and min(quoted, default=stated.day) > stated.day
    return now.mode_since > stated.day and _changed_to(_key(now.policy), evidence, stated.day)


def _changed_to(key: tuple[str, str], evidence: Evidence, day: dt.date) -> bool:
    """Whether a sender that had quoted something else quotes ``key`` after ``day``: who is heard for the first time may
    have an old policy in its cache.
    """
    quoted: dict[str, set[dt.date]] = collections.defaultdict(set)
    other: dict[str, set[dt.date]] = collections.defaultdict(set)
    for seen in evidence.sightings:
        (quoted if _key(seen.policy) == key else other)[seen.voice].add(seen.day)
    return any(
        later > day and any(earlier < later for earlier in other[reporter])
        for reporter, days in list(quoted.items())
        for later in days
    )


def _key(policy: Policy) -> tuple[str, str]:
    return policy.mode, policy.mx_digest


def state(word: Word, in_force: Sequence[Word], today: dt.date) -> str:
    """IN_FORCE, or why not (any more): REPLACED, TAKEN_BACK, EXPIRED. ``in_force`` are the domain's words in force, oldest
    first.
    """
    if word.withdrawn_at is not None:
        return TAKEN_BACK
    if word.until is not None and word.until < today:
        return EXPIRED
    later = in_force[in_force.index(word) + 1 :] if word in in_force else ()
    said = word.content
    if isinstance(said, OwnThresholds):
        newer = {name for one in later if isinstance(one.content, OwnThresholds) for name in _given(one.content)}
        return REPLACED if _given(said).keys() <= newer else IN_FORCE
    if isinstance(said, EnteredPolicy):
        return REPLACED if any(isinstance(one.content, EnteredPolicy) for one in later) else IN_FORCE
    if isinstance(said, MxHosts):
        return REPLACED if _mx_hosts(later) else IN_FORCE
    return IN_FORCE


def what(content: Content, named: Callable[[str], str] = str) -> str:
    """A word's content in one sentence; ``named`` puts a result type into words. Text from reports is in it as it is."""
    if isinstance(content, AcceptedCause):
        failure = named(content.result_type) if content.result_type else "any failure"
        host = (
            " without an MX host" if content.mx_host == NO_MX else f" at {content.mx_host}" if content.mx_host else ""
        )
        by = f", reported by {content.organization}" if content.organization else ""
        return f"Accepted: {failure}{host}{by}"
    if isinstance(content, OwnThresholds):
        return f"Own thresholds: {', '.join(_THRESHOLDS[name](value) for name, value in _given(content).items())}"
    if isinstance(content, EnteredPolicy):
        policy, faults = policy_of(content.text, ())
        hosts = f"; MX hosts {_names(content.mx_hosts)}" if content.mx_hosts else ""
        age = f", max_age {policy.max_age}" if policy.max_age is not None else ""
        broken = " (faulty)" if faults else ""
        return f"Policy entered by hand{broken}: mode {policy.mode or 'unknown'}, mx {_names(policy.mx) or '-'}{age}{hosts}"
    return f"MX hosts: {_names(content.hosts)}"


_THRESHOLDS: Mapping[str, Callable[[float], str]] = {
    "bound": lambda share: f"at most {percent(share)} refused",
    "reporters": lambda count: f"{count} independent reporter{'' if count == 1 else 's'}",
    "window_days": lambda days: f"{days} complete day{'' if days == 1 else 's'}",
    "late_days": lambda days: f"the newest {days} left out",
    "confidence": lambda share: f"at {percent(share)} confidence",
}


def percent(share: float) -> str:
    """A share with as many digits as it has: ``0.5 %``."""
    return f"{share * 100:.6g} %"


def _names(hosts: Sequence[str]) -> str:
    more = f" and {len(hosts) - _MOST_NAMED} more" if len(hosts) > _MOST_NAMED else ""
    return ", ".join(hosts[:_MOST_NAMED]) + more
