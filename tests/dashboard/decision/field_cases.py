"""What happens to domains in the field, as report files day by day, and what may be said about them on given days.

Each case is a domain of its own. ``reports`` are whole report documents, which a test may hand to the pure reader or load through
the command; days are numbered from FIRST.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dashboard.decision.verdict import ENFORCING, ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, POLICY_BROKEN, READY

FIRST = dt.date(2026, 5, 4)
LAST = 62
# Contact addresses by organisation; the last two organisations are the first one, spelt otherwise.
CONTACTS = {
    "Big Mail, Inc.": "tls-reports@bigmail.example.com",
    "Other Mail Corporation": "noreply@othermail.example.net",
    "Third Mail": "tls@thirdmail.example.org",
    "big mail inc": "tls-reports@bigmail.example.com",
    "Big Mail LLC": "reports@lists.bigmail.example.com",
}
BIG, OTHER, THIRD, BIG_FOLDED, BIG_LLC = CONTACTS
SAME_SENDER = (BIG, BIG_FOLDED, BIG_LLC)

Document = Mapping[str, Any]


class Case(msgspec.Struct, frozen=True):
    """A domain with the reports about it, and for some days the verdicts that are right."""

    domain: str
    story: str
    reports: tuple[Document, ...]
    allowed: tuple[tuple[int, tuple[str, ...]], ...]


def day_of(number: int) -> dt.date:
    """The date of a day of a case."""
    return FIRST + dt.timedelta(days=number)


def policy(mode: str, mx: Sequence[str] = ("in1.mail.example", "in2.mail.example")) -> list[str]:
    """The lines of a policy as reports quote it."""
    return ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in mx), "max_age: 604800"]


TESTING, ENFORCE = policy("testing"), policy("enforce")
NOTHING: list[str] = []


def entry(
    succeeded: int, *failed: tuple[str, int, str, str], lines: Sequence[str] = TESTING, policy_type: str = "sts"
) -> dict[str, Any]:
    """A policy entry without its domain; ``failed`` are (result type, sessions, MX host, reason code)."""
    details = [
        {
            "result-type": result_type,
            "failed-session-count": sessions,
            **({"receiving-mx-hostname": host} if host else {}),
            **({"failure-reason-code": reason} if reason else {}),
        }
        for result_type, sessions, host, reason in failed
    ]
    totals = {
        "total-successful-session-count": succeeded,
        "total-failure-session-count": sum(sessions for _, sessions, _, _ in failed),
    }
    described = {"policy-type": policy_type, **({"policy-string": list(lines)} if lines else {})}
    return {"policy": described, "summary": totals, "failure-details": details}


def none_found(sessions: int) -> dict[str, Any]:
    """An entry of a sender that found no policy."""
    return entry(sessions, lines=NOTHING, policy_type="no-policy-found")


def report(organization: str, number: int, *entries: Mapping[str, Any], suffix: str = "") -> Document:
    """A report about one day."""
    day = day_of(number)
    return {
        "organization-name": organization,
        "contact-info": CONTACTS[organization],
        "report-id": f"{day:%Y%m%d}.{CONTACTS[organization]}{suffix}",
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "policies": list(entries),
    }


def case(domain: str, story: str, reports: Iterable[Document], *allowed: tuple[Iterable[int], tuple[str, ...]]) -> Case:
    """A case whose reports are all about ``domain``."""
    documents = []
    for document in reports:
        entries = [
            {**member, "policy": {**member["policy"], "policy-domain": domain}} for member in document["policies"]
        ]
        documents.append({**document, "policies": entries})
    return Case(domain, story, tuple(documents), tuple((day, names) for days, names in allowed for day in days))


def both(number: int, sessions: int = 60, lines: Sequence[str] = TESTING) -> list[Document]:
    """A clean day of the two large senders."""
    return [report(sender, number, entry(sessions, lines=lines)) for sender in (BIG, OTHER)]


def daily(first: int = 0, last: int = LAST, sessions: int = 60, lines: Sequence[str] = TESTING) -> list[Document]:
    """Clean days of both."""
    return [document for number in range(first, last) for document in both(number, sessions, lines)]


MISMATCH = ("certificate-host-mismatch", 4, "in1.mail.example", "")
EXPIRED = ("certificate-expired", 12, "in2.mail.example", "")
FETCH = ("sts-policy-fetch-error", 3, "", "bad https response code: 503")


def _repaired_then_enforced() -> Iterable[Document]:
    yield from (report(BIG, number, entry(60, MISMATCH)) for number in range(18))
    yield from (report(BIG, number, entry(60)) for number in range(18, 26))
    yield from (report(OTHER, number, entry(60)) for number in range(26))
    yield from daily(26, 55, lines=ENFORCE)


def _vanishing(lines: Sequence[str]) -> Iterable[Document]:
    yield from daily(0, 20, lines=lines)
    yield from (report(sender, number, none_found(60)) for number in range(20, LAST) for sender in (BIG, OTHER))


def _one_in_millions() -> Iterable[Document]:
    yield from (report(BIG, number, entry(400_000, lines=ENFORCE)) for number in range(LAST))
    for number in range(LAST):
        refused = [("validation-failure", 1, "in1.mail.example", "")] if number == 22 else []
        yield report(OTHER, number, entry(30_000, *refused, lines=ENFORCE))


def _policy_host_down(lines: Sequence[str]) -> Iterable[Document]:
    yield from (report(BIG, number, entry(60, lines=lines)) for number in range(LAST))
    for number in range(LAST):
        down = [entry(57, lines=lines), entry(0, FETCH, lines=NOTHING)] if number == 24 else [entry(60, lines=lines)]
        yield report(OTHER, number, *down)


def _certificate_of_a_day() -> Iterable[Document]:
    for number in range(LAST):
        if number == 24:
            yield from (report(sender, number, entry(48, EXPIRED)) for sender in (BIG, OTHER))
        else:
            yield from both(number)


def _corrected_and_copied() -> Iterable[Document]:
    for number in range(24):
        yield report(BIG, number, entry(9))
        yield report(BIG, number, entry(10))
        yield report(OTHER, number, entry(6))


def _rewritten() -> Iterable[Document]:
    for number in range(16):
        for sender in (BIG, OTHER):
            yield report(sender, number, entry(7))
            copy = entry(7)
            yield report(sender, number, {**copy, "policy": {**copy["policy"], "mx-host": []}})


def _rolled_back() -> Iterable[Document]:
    for number in range(LAST):
        lines = ENFORCE if number < 18 else TESTING
        refused = [EXPIRED] if 13 <= number < 18 else []
        yield report(BIG, number, entry(60, *refused, lines=lines))
        yield report(OTHER, number, entry(60, lines=lines))


def _unknown_host() -> Iterable[Document]:
    apex = policy("testing", ("mail.example",))
    for number in range(30):
        strange = ("validation-failure", 2, "in3.mail.example", "MX_HOSTS_MISMATCH")
        yield report(BIG, number, entry(60, strange, lines=apex))
        yield report(OTHER, number, entry(60, lines=apex))


def _forgotten_id() -> Iterable[Document]:
    for number in range(LAST):
        yield report(BIG, number, entry(60, lines=ENFORCE if number >= 18 else TESTING))
        yield from (report(sender, number, entry(60)) for sender in (OTHER, THIRD))


def _dane_only_failures() -> Iterable[Document]:
    for number in range(30):
        yield report(BIG, number, entry(0, ("dnssec-invalid", 25, "in1.mail.example", "")))
        yield report(OTHER, number, entry(0, ("dane-required", 25, "in1.mail.example", "")))


def _huge_sender() -> Iterable[Document]:
    for number in range(40):
        refused = ("starttls-not-supported", 9, "in1.mail.example", "")
        yield report(BIG, number, entry(600_000, refused))
        yield report(OTHER, number, entry(900))


CASES = (
    case(
        "repaired-first.example",
        "Faults were repaired before the switch to enforce: they are history after it.",
        _repaired_then_enforced(),
        ((28, 29, 32, 38, 41), (ENFORCING,)),
    ),
    case(
        "gone-enforcing.example",
        "The record is deleted by mistake; every sender finds no policy any more.",
        _vanishing(ENFORCE),
        ((23, 24, 28, 32), (POLICY_BROKEN,)),
    ),
    case("gone-testing.example", "The same while testing.", _vanishing(TESTING), ((24, 28), (POLICY_BROKEN,))),
    case(
        "one-in-millions.example",
        "One session of millions was refused once, days ago.",
        _one_in_millions(),
        ((29, 33, 38), (ENFORCING,)),
    ),
    case(
        "web-server-down.example",
        "The policy's web server was down for an hour; three sessions of one sender noticed.",
        _policy_host_down(TESTING),
        ((26, 30, 35, 42), (READY,)),
    ),
    case(
        "web-server-down-enforcing.example",
        "The same under enforce.",
        _policy_host_down(ENFORCE),
        ((30, 39), (ENFORCING,)),
    ),
    case(
        "renewed-late.example",
        "A certificate was renewed a day late: wait, nothing is to be repaired.",
        _certificate_of_a_day(),
        ((25, 26), (NOT_READY,)),
        ((32, 37), (INSUFFICIENT,)),
        ((41, 45), (READY,)),
    ),
    case(
        "patient.example",
        "Two senders with eleven sessions a day each: patience suffices.",
        daily(sessions=11),
        ((9, 15), (INSUFFICIENT,)),
        ((18, 30, 60), (READY,)),
    ),
    case(
        "one-sender.example",
        "One sender under three names is one voice.",
        [report(SAME_SENDER[number % 3], number, entry(60)) for number in range(26)],
        ((20, 24), (INSUFFICIENT,)),
    ),
    case(
        "all-failed.example",
        "Not one session succeeded.",
        _dane_only_failures(),
        ((18, 25), (INSUFFICIENT, NOT_READY)),
    ),
    case(
        "corrected.example",
        "A report is sent again with another total: it counts once.",
        _corrected_and_copied(),
        ((16, 18), (INSUFFICIENT,)),
    ),
    case(
        "rewritten.example",
        "Archived copies have an empty member more: they are the same reports.",
        _rewritten(),
        ((17, 19), (INSUFFICIENT,)),
    ),
    case(
        "back-in-testing.example",
        "Rolled back days ago; nothing failed since.",
        _rolled_back(),
        ((15, 17), (ENFORCING_REFUSING,)),
        ((24, 29), (INSUFFICIENT,)),
        ((34, 38), (READY,)),
    ),
    case(
        "unknown-host.example",
        "The failing host matches no pattern of the policy that is quoted beside it.",
        _unknown_host(),
        ((18, 25), (NOT_READY,)),
    ),
    case(
        "same-id.example",
        "The policy enforces, but its id in DNS was not changed: two senders of three never notice.",
        _forgotten_id(),
        ((24, 33, 44), (ENFORCING,)),
    ),
    case(
        "huge-sender.example",
        "A few refused sessions of millions block all the same.",
        _huge_sender(),
        ((20, 30), (NOT_READY,)),
    ),
)
