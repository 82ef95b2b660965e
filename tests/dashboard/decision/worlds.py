"""Evidence in a few words: a domain in ``testing`` that two senders report about every day, changed by what a test says."""

import datetime as dt
from collections.abc import Iterable
from typing import Any

import msgspec

from dashboard.decision.evidence import Entry, Evidence, Failure, QuotedPolicy, ServedPolicy, Sighting, Voice
from dashboard.decision.verdict import Reason, Verdict, decide
from ingest.rfc.mtasts import enforcement

DAY = dt.timedelta(days=1)
ON = dt.date(2026, 3, 31)
# 14 complete days without the newest two: see dashboard.decision.verdict.Window.
START, END = dt.date(2026, 3, 15), dt.date(2026, 3, 28)
GOOGLE, MICROSOFT, MAILRU = "google.com", "microsoft.com", "mail.ru"
NAMES = {GOOGLE: "Google Inc.", MICROSOFT: "Microsoft Corporation", MAILRU: "Mail.ru"}

TESTING = QuotedPolicy("testing", ("mx1.receiver.example", "mx2.receiver.example"), "both", 604_800)
ENFORCE = QuotedPolicy("enforce", TESTING.mx, "both", 604_800)
NONE = QuotedPolicy("none", (), "nothing", 86_400)
OTHER = QuotedPolicy("testing", ("mx9.receiver.example",), "nine", 604_800)


def days(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]


def failure(result_type: str, sessions: int = 1, mx: str = "mx1.receiver.example", **changes: Any) -> Failure:
    policy_type, reason = changes.pop("policy_type", "sts"), changes.pop("reason", "")
    consequence = enforcement.consequence(policy_type, result_type, mx, reason)
    return Failure(result_type, mx, sessions, consequence, reason)


def entry(
    day: dt.date,
    signer: str = GOOGLE,
    successful: int = 20,
    *failures: Failure,
    policy: QuotedPolicy | None = TESTING,
    policy_type: str = "sts",
    **changes: Any,
) -> Entry:
    failed = changes.pop("failed", sum(detail.sessions for detail in failures))
    name = changes.pop("organization", NAMES.get(signer, signer))
    voice = changes.pop("voice", signer)
    return Entry(day, voice, name, signer, policy_type, policy, successful, failed, failures=failures, **changes)


def daily(
    first: dt.date = START, last: dt.date = ON, signers: Iterable[str] = (GOOGLE, MICROSOFT), **changes: Any
) -> list[Entry]:
    """One clean entry of each signer for each day."""
    return [entry(day, signer, **changes) for day in days(first, last) for signer in signers]


def quotes_of(entries: Iterable[Entry]) -> tuple[Sighting, ...]:
    """What the entries quote, each as seen on its day by its voice."""
    return tuple(
        Sighting(day_entry.day, day_entry.voice, day_entry.policy) for day_entry in entries if day_entry.policy
    )


def evidence(*entries: Entry, on: dt.date = ON, since: dt.date = dt.date(2026, 1, 1), **changes: Any) -> Evidence:
    """What the entries say. The policies they quote are quoted since ``since``, as far as ``sightings`` do not say else."""
    quoted = [(day_entry.voice, day_entry.policy) for day_entry in entries if day_entry.policy]
    sightings = [Sighting(since, voice, policy) for voice, policy in dict.fromkeys(quoted)]
    sightings += quotes_of(entries)
    reported: dict[str, tuple[dt.date, ...]] = {}
    for day_entry in entries:
        reported[day_entry.voice] = (*reported.get(day_entry.voice, ()), day_entry.day)
    served = [ServedPolicy(policy, since, on) for policy in dict.fromkeys(policy for _, policy in quoted)]
    known: dict[str, Any] = {"sightings": tuple(sightings), "reported": reported, "served": tuple(served)}
    known["voices"] = {
        day_entry.voice: Voice(day_entry.voice, day_entry.organization, signer=day_entry.signer)
        for day_entry in entries
    }
    return Evidence("receiver.example", on, tuple(entries), **(known | changes))


def with_strangers(known: Evidence, *strangers: str) -> Evidence:
    new = {name: Voice(name, f"{name} Ltd.", known=False, signer=name) for name in strangers}
    return msgspec.structs.replace(known, voices={**known.voices, **new})


def judge(*entries: Entry, **changes: Any) -> Verdict:
    return decide(evidence(*entries, **changes))


def reason(verdict: Verdict, code: str) -> Reason:
    return next(each for each in verdict.reasons if each.code == code)


def codes(verdict: Verdict, *, blocking: bool = True) -> list[str]:
    return [each.code for each in verdict.reasons if each.blocking is blocking]
