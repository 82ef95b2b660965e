"""What to publish for a step of a domain's MTA-STS policy: the file, the TXT records, and the order (RFC 8461 section 8).

Pure, and beside ``mtasts`` because it joins it with the record of ``tlsrpt``: for the command line and the dashboard alike.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ingest.rfc.mtasts import policy, record
from ingest.rfc.mtasts.ages import DAY, MAX_MAX_AGE, WEEK, span
from ingest.rfc.mtasts.patterns import is_host
from ingest.rfc.mtasts.policy import PolicyInvalid
from ingest.rfc.tlsrpt import record as tlsrpt_record
from ingest.rfc.tlsrpt.record import RecordInvalid

from . import names

# One to two weeks in testing (Google); a week or more in enforce (RFC 8461 section 3.2); a day to switch off.
USUAL_MAX_AGE = {"testing": WEEK, "enforce": WEEK, "none": DAY}
_MAX_STRING = 255  # RFC 1035 section 3.3: a longer TXT record is several strings, which senders join


class Unpublishable(ValueError):
    """What was asked for cannot be published. The text says why; correct the input."""


class TxtRecord(NamedTuple):
    """A TXT record: its name without a dot at the end, and its value as one string."""

    name: str
    value: str

    @property
    def zone_line(self) -> str:
        """The record as a line of a zone file."""
        pieces = [self.value[at : at + _MAX_STRING] for at in range(0, len(self.value), _MAX_STRING)]
        return f"{self.name}. 3600 IN TXT " + " ".join(f'"{piece}"' for piece in pieces)


class Publication(msgspec.Struct, frozen=True):
    """All that a domain publishes for a policy. ``policy_text`` has CRLF line ends; ``steps`` are sentences in order."""

    domain: str
    policy_text: str
    policy_url: str
    mta_sts_record: TxtRecord
    tlsrpt_record: TxtRecord | None
    steps: tuple[str, ...]


class PolicyDraft(NamedTuple):
    """A policy as it is asked for. ``mx`` are host names or ``*.`` patterns; under ``none`` they are left out. ``max_age`` is in
    seconds, None: the usual one of the mode.
    """

    mode: str
    mx: Sequence[str]
    max_age: int | None = None


def plan(
    domain: str, draft: PolicyDraft, policy_id: str, rua: Sequence[str] = (), *, served_max_age: int | None = None
) -> Publication:
    """What ``domain`` is to publish for a policy, and in what order. U-labels become A-labels.

    ``rua`` are ``mailto:`` and ``https:`` URIs for reports, none: no word about reports. ``served_max_age`` is
    the largest one that the domain has served, None: unknown; it says how long a change back takes. Raises Unpublishable.
    """
    mode, mx, max_age = draft
    if mode not in policy.MODES:
        raise Unpublishable(f"the mode is one of {', '.join(policy.MODES)}")
    name = _domain(domain)
    patterns = [] if mode == "none" else list(dict.fromkeys(map(_pattern, mx)))
    age = USUAL_MAX_AGE[mode] if max_age is None else max_age
    try:
        text = policy.render(mode, patterns, age)
        mta_sts = TxtRecord(f"_mta-sts.{name}", record.render(policy_id))
        reports = TxtRecord(f"_smtp._tls.{name}", tlsrpt_record.render(rua)) if rua else None
    except (PolicyInvalid, RecordInvalid, ValueError) as error:
        raise Unpublishable(str(error)) from error
    steps = _removal(name, served_max_age) if mode == "none" else _steps(name, mode, age)
    return Publication(name, text, _url(name), mta_sts, reports, (*_first_steps(name, reports), *steps))


def _url(name: str) -> str:
    return f"https://mta-sts.{name}/.well-known/mta-sts.txt"


def _first_steps(name: str, reports: TxtRecord | None) -> tuple[str, ...]:
    """The file before the id, or senders that see the new id fetch the old file and keep it (section 8.1)."""
    serve = (
        f"Serve the policy file at {_url(name)}: status 200, Content-Type: text/plain, no redirect, and a certificate for "
        f"mta-sts.{name} that browsers trust (RFC 8461 section 3.3)."
    )
    announce = (
        f"Only then publish the TXT record at _mta-sts.{name}, in place of the old one; there must be exactly one. Its new "
        "id is what tells senders of the change (section 8.1)."
    )
    ask = [f"Publish the TXT record at {reports.name}, if it is not there yet; one record only."] if reports else []
    return serve, f"Look at it from outside: curl -i {_url(name)}", announce, *ask


def _steps(name: str, mode: str, max_age: int) -> tuple[str, ...]:
    if mode == "testing":
        return (
            "Wait for reports, two weeks at least (Google), repair what they show, then go to enforce.",
            f"Whenever an MX host is added: first its mx line here with a new id, then its MX record at {name}.",
        )
    back = (
        "To go back, publish mode: testing in the same order, with another new id. Senders that do not look at the id go on "
        f"enforcing for up to {span(max_age)} (max_age {max_age}), so keep file, hosts and certificates in order."
    )
    return (
        back,
        f"Whenever an MX host is added: first its mx line here with a new id, {span(max_age)} later its MX record at {name}.",
    )


def _removal(name: str, served_max_age: int | None) -> tuple[str, ...]:
    """Section 8.3."""
    wait = (
        f"{span(served_max_age)} (max_age {served_max_age}, the largest the domain has served)"
        if served_max_age
        else f"the largest max_age that the domain ever served (at most {MAX_MAX_AGE} seconds, a year)"
    )
    keep = (
        f"Keep file and record as they are, and MX hosts and certificates in order, for {wait}, counted from when the old "
        "policy was last served: until then some senders may still apply it (section 8.3)."
    )
    return (
        keep,
        f"Then delete the TXT record at _mta-sts.{name}, and after it the file and the host mta-sts.{name}.",
        "Reports go on as long as the TXT record at _smtp._tls is there; it needs no policy.",
    )


def _domain(text: str) -> str:
    name = _a_labels(text, "the domain")
    if "." not in name or not is_host(f"mta-sts.{name}"):
        raise Unpublishable(
            f"{text!r} is no domain that can have a policy: its file is served by the host mta-sts.DOMAIN"
        )
    return name


def _pattern(text: str) -> str:
    return _a_labels(text, "mx")


def _a_labels(text: str, what: str) -> str:
    if not text.strip().isprintable():
        raise Unpublishable(f"{what} {text[:80]!r} has blanks or characters that nobody sees; write A-labels (xn--...)")
    try:
        return names.domain_name(text)
    except ValueError as error:
        raise Unpublishable(f"{what} {text[:80]!r} {error}") from error
