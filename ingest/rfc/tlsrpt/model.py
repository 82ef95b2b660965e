"""The report as this program understands it: the shape that RFC 8460 section 4.4 means, whatever a sender wrote."""

import datetime as dt
from typing import Any

import msgspec

from .domains import InferredDomain
from .fields import Defect

# A report is about one policy domain, or the few that share a policy; each entry costs kilobytes of memory.
MAX_ENTRIES = 10_000
# To store a report costs as much as some of its policies and failure details.
_ROWS_OF_A_REPORT = 50


class FailureDetail(msgspec.Struct, frozen=True):
    """One row of ``failure-details``. Absent text is ``""``, an absent or unreadable count ``None``."""

    result_type: str
    failed_sessions: int | None
    sending_mta_ip: str = ""
    receiving_mx_hostname: str = ""
    receiving_mx_helo: str = ""
    receiving_ip: str = ""
    failure_reason_code: str = ""
    additional_information: str = ""
    extra: dict[str, Any] = {}


class PolicyEntry(msgspec.Struct, frozen=True):
    """One member of ``policies``: what happened to sessions under one policy.

    ``policy_domain`` is ``""`` when neither the entry nor its surroundings name one; ``domain_source`` says where it comes from
    when the entry does not name it (see ``domains``), and is ``""`` when it does.
    ``policy_strings`` and ``mx_hosts`` are empty when absent. Counts are ``None`` when absent or unreadable, never a guess.
    """

    policy_type: str
    policy_domain: str
    successful_sessions: int | None
    failed_sessions: int | None
    policy_strings: tuple[str, ...] = ()
    mx_hosts: tuple[str, ...] = ()
    details: tuple[FailureDetail, ...] = ()
    extra: dict[str, Any] = {}
    domain_source: str = ""

    @property
    def unexplained_sessions(self) -> int:
        """Failures in the summary that no detail explains: ``max(0, total - sum of details)``. Totals are never corrected."""
        explained = sum(detail.failed_sessions or 0 for detail in self.details)
        return max(0, (self.failed_sessions or 0) - explained)


class Report(msgspec.Struct, frozen=True):
    """A whole report. ``start`` and ``end`` are aware and in UTC."""

    organization: str
    report_id: str
    start: dt.datetime
    end: dt.datetime
    contact_info: str = ""
    entries: tuple[PolicyEntry, ...] = ()
    extra: dict[str, Any] = {}
    defects: tuple[Defect, ...] = ()
    # Where entries belong that name no domain, if there are any, should the header not be believed.
    domain_without_header: InferredDomain = InferredDomain()

    @property
    def weight(self) -> int:
        """What it takes of MAX_ROWS."""
        return _ROWS_OF_A_REPORT + len(self.entries) + sum(len(entry.details) for entry in self.entries)
