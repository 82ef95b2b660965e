"""The figures of a report as read: what stays the same when a tool rewrites it (other layout, empty members, other order).

Two copies with equal figures are one report. The text of the policy is no figure, nor is what RFC 8460 does not name.
"""

import collections
import datetime as dt
import functools
import hashlib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from .report import FailureDetail, PolicyEntry

Detail = tuple[str | int, ...]
EntryFigures = tuple[str, int, int, tuple[Detail, ...]]  # policy type, successful and failed sessions, details
_MINUTE = dt.timedelta(minutes=1)


def digest(*parts: object) -> str:
    """32 hexadecimal digits that identify a sequence of values that JSON can hold."""
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


class Figures:
    """The figures of a report's entries, read once for all its digests: per entry its type, totals and the multiset of its
    details.
    """

    def __init__(self, entries: Iterable["PolicyEntry"]) -> None:
        self._entries = [(entry, _of_entry(entry)) for entry in entries]
        self._of_domain: dict[str, list[EntryFigures]] = collections.defaultdict(list)
        for entry, read in self._entries:
            self._of_domain[entry.policy_domain].append(read)

    def of_domain(self, domain: str) -> str:
        """The digest of the entries that are filed under a policy domain."""
        return digest(sorted(self._of_domain.get(domain, ())))

    def of_report(self, domain_of: Callable[["PolicyEntry"], str]) -> str:
        """The digest of all entries, each with the domain that ``domain_of`` gives."""
        return digest(sorted((domain_of(entry), *read) for entry, read in self._entries))


def stated_domain(entry: "PolicyEntry") -> str:
    """The policy domain that the entry itself names; ``""`` for one that was inferred."""
    return "" if entry.domain_source else entry.policy_domain


def resolved_domain(entry: "PolicyEntry") -> str:
    """The policy domain that the entry is filed under, stated or inferred."""
    return entry.policy_domain


@functools.lru_cache(2_000)
def minutes(start: dt.datetime, end: dt.datetime) -> tuple[str, str]:
    """A range in whole minutes: 23:59:59 and the next day's 00:00:00 are the same end (RFC 8460 section 4.4 shows the one,
    Mail.ru writes the other).
    """
    return _floor(start).isoformat(), _floor(end + _MINUTE - dt.timedelta(microseconds=1)).isoformat()


def _floor(moment: dt.datetime) -> dt.datetime:
    return moment.replace(second=0, microsecond=0)


def _of_entry(entry: "PolicyEntry") -> EntryFigures:
    """A missing count and a count of zero are the same here: tools add members that a sender left out."""
    details = tuple(sorted(map(_of_detail, entry.details))) if entry.details else ()
    return entry.policy_type, entry.successful_sessions or 0, entry.failed_sessions or 0, details


def _of_detail(detail: "FailureDetail") -> Detail:
    return (
        detail.result_type,
        detail.failed_sessions or 0,
        detail.sending_mta_ip,
        detail.receiving_mx_hostname,
        detail.receiving_mx_helo,
        detail.receiving_ip,
        detail.failure_reason_code,
        detail.additional_information,
    )
