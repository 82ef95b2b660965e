"""Verdicts of every kind and for every reason that makes one, by name: what tests of words and of the page look at."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dashboard.decision.evidence import Entry, Evidence, Probe, ProbedHost, QuotedPolicy, Repair, StatedPolicy
from dashboard.decision.verdict import Verdict, decide
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    START,
    TESTING,
    daily,
    entry,
    evidence,
    failure,
    quotes_of,
    with_strangers,
)

STRANGER = "stranger.example"
EARLY = ON - 60 * DAY


def quoting(*entries: Entry, **changes: Any) -> Evidence:
    """Evidence in which each voice quotes what its entries do, and nothing before."""
    return evidence(*entries, sightings=quotes_of(entries), **changes)


def bad(day: dt.date, voice: str = GOOGLE, sessions: int = 2, policy: QuotedPolicy = TESTING) -> Entry:
    return entry(day, voice, 5, failure("certificate-expired", sessions), policy=policy)


def switched(days: int) -> list[Entry]:
    """Clean days under testing, then under enforce since so many days."""
    change = ON - days * DAY
    return [*daily(EARLY, change - DAY), *daily(change, ON, policy=ENFORCE)]


def _one_sender() -> Evidence:
    return evidence(*daily(signers=[GOOGLE]))


def _misfit(**changes: Any) -> Evidence:
    strange = failure("validation-failure", 3, "mx9.receiver.example", reason="MX_HOSTS_MISMATCH")
    return evidence(*daily(), entry(END, GOOGLE, 5, strange), **changes)


def _rolled_back(now: QuotedPolicy, max_age: int | None = ENFORCE.max_age) -> Evidence:
    """Six days ago Google saw the policy change; the cache of Microsoft holds the old one and refuses."""
    old, change = msgspec.structs.replace(ENFORCE, max_age=max_age), ON - 6 * DAY
    entries = (
        *daily(last=change - DAY, policy=old),
        *daily(change, signers=[GOOGLE], policy=now),
        *daily(change, signers=[MICROSOFT], policy=old),
    )
    return quoting(*entries, bad(ON - 2 * DAY, MICROSOFT, 3, old))


def _gone(*voices: str) -> Evidence:
    without = [
        entry(day, voice, policy=None, policy_type="no-policy-found")
        for day in (ON - 3 * DAY, ON - 2 * DAY, ON - DAY)
        for voice in voices
    ]
    lasting = [voice for voice in (GOOGLE, MICROSOFT) if voice not in voices]
    return evidence(*daily(last=ON - 4 * DAY), *daily(ON - 3 * DAY, signers=lasting), *without)


def _no_policy(*voices: str, failed: int = 0) -> Evidence:
    failures = [failure("starttls-not-supported", failed, policy_type="no-policy-found")] if failed else []
    return evidence(*(entry(END, voice, 9, *failures, policy=None, policy_type="no-policy-found") for voice in voices))


def _broken() -> Evidence:
    lost = failure("sts-policy-fetch-error", 3, mx="")
    return evidence(*daily(), *(entry(ON - DAY, voice, 0, lost, policy=None) for voice in (GOOGLE, MICROSOFT)))


def _ahead() -> Evidence:
    return quoting(*switched(4), bad(ON - 2 * DAY, MICROSOFT, 1))


SCENES: Mapping[str, Callable[[], Evidence]] = {
    "ready": lambda: evidence(*daily()),
    "ready-accused": lambda: with_strangers(evidence(*daily(), bad(END, STRANGER, 7)), STRANGER),
    "not-ready": lambda: evidence(*daily(), bad(END), bad(END, MICROSOFT, 1)),
    "not-ready-one-session": lambda: evidence(*daily(), bad(END, GOOGLE, 1)),
    "not-ready-two-causes": lambda: evidence(
        *daily(), bad(END), bad(END, MICROSOFT), entry(END, GOOGLE, 5, failure("starttls-not-supported", 1))
    ),
    "not-ready-lately": lambda: evidence(*daily(), bad(ON - DAY)),
    "not-ready-misfit": _misfit,
    "not-ready-misfit-listed": lambda: _misfit(mx_hosts=("mx9.receiver.example",)),
    "not-ready-host-missing": lambda: evidence(*daily(), mx_hosts=("mx9.receiver.example",)),
    "enforcing-early": lambda: quoting(*switched(6)),
    "enforcing-first-days": lambda: quoting(*switched(1)),
    "enforcing": lambda: evidence(*daily(EARLY, policy=ENFORCE)),
    "enforcing-long": lambda: evidence(*daily(EARLY, policy=msgspec.structs.replace(ENFORCE, max_age=1_209_600))),
    "enforcing-past": lambda: evidence(*daily(EARLY, policy=ENFORCE, successful=200), bad(START, GOOGLE, 1, ENFORCE)),
    "enforcing-accused": lambda: with_strangers(
        evidence(*daily(EARLY, policy=ENFORCE), bad(END, STRANGER, 7, ENFORCE)), STRANGER
    ),
    "enforcing-refusing": lambda: evidence(*daily(EARLY, policy=ENFORCE), bad(END, GOOGLE, 1, ENFORCE)),
    "will-be-refused": _ahead,
    "refusing-host-missing": lambda: evidence(*daily(EARLY, policy=ENFORCE), mx_hosts=("mx9.receiver.example",)),
    "rolled-back": lambda: _rolled_back(TESTING),
    "rolled-back-ageless": lambda: _rolled_back(TESTING, None),
    "rolled-back-withdrawn": lambda: _rolled_back(NONE),
    "rolled-back-other": lambda: _rolled_back(OTHER),
    "withdrawn": lambda: quoting(*daily(EARLY, ON - 3 * DAY, policy=ENFORCE), *daily(ON - 2 * DAY, policy=NONE)),
    "withdrawn-long-ago": lambda: quoting(
        *daily(EARLY, ON - 30 * DAY, policy=ENFORCE), *daily(ON - 29 * DAY, policy=NONE)
    ),
    "withdrawn-ageless": lambda: evidence(*daily(policy=NONE)),
    "policy-gone": lambda: _gone(GOOGLE, MICROSOFT),
    "policy-gone-one": lambda: _gone(GOOGLE),
    "policy-failures": _broken,
    "policy-faulty": lambda: evidence(*daily(), stated=StatedPolicy(TESTING, ON, ("no version line",))),
    "policy-faulty-probe": lambda: evidence(*daily(), probe=Probe(ON, record_ok=False, faults=("two records",))),
    "no-policy": lambda: _no_policy(GOOGLE, MICROSOFT),
    "no-policy-failing": lambda: _no_policy(GOOGLE, MICROSOFT, failed=1),
    "one-found-none": lambda: _no_policy(GOOGLE),
    "too-few-reporters": _one_sender,
    "too-few-sessions": lambda: evidence(*daily(successful=1)),
    "clean-days": lambda: evidence(*daily(EARLY, successful=200), bad(END - 7 * DAY, GOOGLE, 1)),
    "clean-days-repaired": lambda: evidence(*daily(), bad(END), repairs=(Repair(ON, END),)),
    "policy-unknown": lambda: evidence(*daily(policy=None)),
    "no-known-voice": lambda: with_strangers(evidence(*daily(signers=[STRANGER])), STRANGER),
    "nothing-arrived": lambda: Evidence("receiver.example", ON),
    "probed": lambda: evidence(
        *daily(signers=[GOOGLE]),
        probe=Probe(ON, policy=TESTING, hosts=tuple(ProbedHost(host) for host in TESTING.mx)),
    ),
    "dane": lambda: evidence(*daily(), entry(END, MAILRU, 0, failure("dnssec-invalid", 1), failure("tlsa-invalid", 1))),
}


def scene(name: str) -> Verdict:
    return decide(SCENES[name]())
