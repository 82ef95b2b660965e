"""The policy domain of entries that name none: what else in a report, or around it, names it (RFC 8460 section 5).

An inferred domain never makes a second report: see ``ingest.testimony.folding``.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from ingest.rfc import names, policy_types

from . import fields

# Where the domain of an entry comes from that does not name it; the first that gives one counts.
HEADER, FILE_NAME, REPORT_ID, OTHER_ENTRIES, NOWHERE = "header", "file-name", "report-id", "other-entries", "nowhere"
DOMAIN_SOURCES = {
    HEADER: "the TLS-Report-Domain header",
    FILE_NAME: "the file name",
    REPORT_ID: "the report id",
    OTHER_ENTRIES: "the report's other entries",
}
# tlsrpt-reporter: 2026-11-10T00:00:00Z_idx1_example.com; Google: 2026-11-10T00:00:00Z_example.com; Microsoft: 133...+example.com.
_DOMAIN_IN_ID = re.compile(r"(?:Z_idx\d+_|Z_|\A\d{15,20}\+)(?P<domain>[^\s_+@]+\.[^\s_+@]+)\Z")
# Entries that are looked at for a domain; each costs microseconds.
MOST_LOOKED_AT = 10_000


class InferredDomain(msgspec.Struct, frozen=True):
    """The domain of entries that name none, and where it comes from (a key of DOMAIN_SOURCES, or NOWHERE)."""

    domain: str = ""
    source: str = NOWHERE


def defect_of(inferred: InferredDomain) -> tuple[str, str | None]:
    """What to note about an entry without a domain, and the domain that it got."""
    if inferred.source == NOWHERE:
        return "missing, and nothing else names the domain", None
    return f"missing; taken from {DOMAIN_SOURCES[inferred.source]}", inferred.domain


def inferred_domain(file_domain: str, report_id: str, policies: object) -> InferredDomain:
    """What names the domain when neither entry nor header does: the file's name, the report's id, its other entries."""
    if file_domain:
        return InferredDomain(file_domain, FILE_NAME)
    named = _domains_of_recipients(policies) if isinstance(policies, list) else ()
    return within_report(report_id, named)


def within_report(report_id: str, named: Iterable[str]) -> InferredDomain:
    """The domain that a report names itself, in its id or in its other entries (``named``), for entries without one."""
    # An id that was cut ends anywhere.
    match = _DOMAIN_IN_ID.search(report_id) if len(report_id) < fields.MAX_SHORT_TEXT else None
    if match and (domain := _name(match["domain"])):
        return InferredDomain(domain, REPORT_ID)
    others = set(named)
    return InferredDomain(others.pop(), OTHER_ENTRIES) if len(others) == 1 else InferredDomain()


def _domains_of_recipients(policies: list[Any]) -> Iterator[str]:
    """The domains that entries name, but for those of DANE: they name the MX host (RFC 8460 section 1.1)."""
    for entry in policies[:MOST_LOOKED_AT]:
        policy = entry.get("policy", entry) if isinstance(entry, dict) else None
        if isinstance(policy, dict) and policy.get("policy-type") != policy_types.TLSA:
            domain = policy.get("policy-domain")
            if isinstance(domain, str) and (name := _name(domain)):
                yield name


def _name(text: str) -> str:
    try:
        return names.domain_name(text)
    except ValueError:
        return ""
