"""The report as this program understands it, and the way from bytes to it (RFC 8460 section 4.4).

Wire shape becomes domain shape here, once. Reading is tolerant by design: whatever real senders get wrong is read as they
mean it and noted as a defect; one bad entry or detail never costs the rest of its report.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ingest.rfc import policy_types, result_types

from . import fields
from .document import Document, NotAReport, documents_in
from .domains import HEADER, InferredDomain, defect_of, inferred_domain
from .fields import Defect, Notes
from .model import MAX_ENTRIES, FailureDetail, PolicyEntry, Report
from .usual import report as usual_report

__all__ = [
    "MAX_ENTRIES",
    "Defect",
    "Document",
    "FailureDetail",
    "Hints",
    "NotAReport",
    "PolicyEntry",
    "Reading",
    "Report",
    "read",
    "read_reports",
    "without_header",
]

# Policies and failure details of all reports in a mail or file; each costs about 20 microseconds, however little is in it.
MAX_ROWS = 100_000


class Hints(msgspec.Struct, frozen=True):
    """What the surroundings say (RFC 8460 sections 5.1 and 5.3), used only where the report itself is silent.

    ``header_domain`` is that of the TLS-Report-Domain header, ``file_domain`` that of the file's name.
    """

    header_domain: str = ""
    file_domain: str = ""
    start: dt.datetime | None = None
    end: dt.datetime | None = None


class Reading(msgspec.Struct, frozen=True):
    """The reports in some bytes, each with the document it was read from, and why other parts that look like one are none."""

    reports: tuple[tuple[Report, Document], ...]
    refusals: tuple[NotAReport, ...]


def read(data: bytes, limit: int, hints: Hints | None = None, rows: int = MAX_ROWS) -> Reading:
    """All reports in ``data`` (JSON, or JSON compressed in any way), and what could not be read.

    ``limit`` bounds the decompressed size in bytes, ``rows`` the policies and failure details of all reports together.
    Raises NotAReport when there is none: its text is the reason.
    """
    if usual := usual_report.read(data, limit, rows):
        return Reading((usual,), ())
    reports: list[tuple[Report, Document]] = []
    refusals: list[NotAReport] = []
    for read_object in documents_in(data, limit):
        if isinstance(read_object, NotAReport):
            refusals.append(read_object)
            continue
        value, document = read_object
        if rows <= 0:
            refusals.append(NotAReport("has more reports than are read of one mail or file"))
            break
        try:
            report = _report(value, document.notes, hints or Hints(), rows)
            rows -= report.weight
            reports.append((report, document))
        except NotAReport as refusal:
            refusal.unpacked = len(document.text)
            refusals.append(refusal)
    if not reports and not refusals:
        raise NotAReport("has nothing in it")
    if not reports:
        refusals[0].unpacked = sum(refusal.unpacked for refusal in refusals)
        raise refusals[0]
    return Reading(tuple(reports), tuple(refusal for refusal in refusals if refusal.meant))


def read_reports(data: bytes, limit: int, hints: Hints | None = None) -> list[tuple[Report, Document]]:
    """The reports alone. Raises NotAReport when there is none."""
    return list(read(data, limit, hints).reports)


def without_header(report: Report) -> Report:
    """The report as it would be had the mail no TLS-Report-Domain header: for a signed mail whose header is not signed."""
    inferred = report.domain_without_header
    if all(entry.domain_source != HEADER for entry in report.entries):
        return report
    what, domain = defect_of(inferred)
    where = "policies[].policy.policy-domain"
    defect = Defect(where, f"the TLS-Report-Domain header is not covered by the signature; {what}", domain or "")
    entries = tuple(
        msgspec.structs.replace(entry, policy_domain=inferred.domain, domain_source=inferred.source)
        if entry.domain_source == HEADER
        else entry
        for entry in report.entries
    )
    return msgspec.structs.replace(report, entries=entries, defects=(*report.defects, defect))


def _report(value: dict[str, Any], oddities: Sequence[str], hints: Hints, rows: int) -> Report:
    notes = Notes([Defect("", oddity) for oddity in oddities])
    policies = value.get("policies")
    if "policies" not in value:
        raise NotAReport("has no 'policies', so it is no TLS report (RFC 8460 section 4.4)")
    start, end = _date_range(value, hints, notes)
    if (has := _rows(policies)) > rows:
        raise NotAReport(f"has {has} policies and failure details, and only {rows} more are read of one mail or file")
    organization = fields.short_text(value, "organization-name", notes)
    report_id = fields.short_text(value, "report-id", notes)
    without_header = inferred_domain(hints.file_domain, report_id, policies)
    inferred = InferredDomain(hints.header_domain, HEADER) if hints.header_domain else without_header
    entries = tuple(_entries(policies, inferred, notes))
    return Report(
        organization=organization,
        report_id=report_id,
        contact_info=fields.text(value, "contact-info", notes),
        start=start,
        end=end,
        entries=entries,
        extra=fields.unknown_members(
            value, {"organization-name", "report-id", "contact-info", "date-range", "policies"}
        ),
        defects=tuple(notes),
        domain_without_header=without_header if any(entry.domain_source for entry in entries) else InferredDomain(),
    )


def _rows(policies: object) -> int:
    """How many policies and failure details there may be, before any is looked at."""
    entries = policies if isinstance(policies, list) else [policies]
    details = [entry.get("failure-details") for entry in entries if isinstance(entry, dict)]
    return len(entries) + sum(len(entry_details) for entry_details in details if isinstance(entry_details, list))


def _date_range(value: dict[str, Any], hints: Hints, notes: Notes) -> tuple[dt.datetime, dt.datetime]:
    date_range = value.get("date-range")
    table = date_range if isinstance(date_range, dict) else {}
    start = fields.instant(table, "start-datetime", "date-range.", notes)
    end = fields.instant(table, "end-datetime", "date-range.", notes)
    if start is None and hints.start is not None:
        notes.add("date-range.start-datetime", "missing; taken from the file name")
        start = hints.start
    if end is None and hints.end is not None:
        notes.add("date-range.end-datetime", "missing; taken from the file name")
        end = hints.end
    if start is None and end is None:
        raise NotAReport(
            "has no readable 'date-range', so nobody can tell which day it is about (RFC 8460 section 4.4)"
        )
    if start is None or end is None:
        notes.add("date-range", "only one end is readable; both are taken to be the same")
    first, last = start or end, end or start
    assert first is not None  # noqa: S101  (one of the two was read)
    assert last is not None  # noqa: S101
    if last < first:
        notes.add("date-range", "ends before it begins")
    return first, last


def _entries(policies: object, inferred: InferredDomain, notes: Notes) -> Iterator[PolicyEntry]:
    if isinstance(policies, dict):
        notes.add("policies", "is one object instead of a list")
        policies = [policies]
    if policies is None:  # Go writes an empty list as null
        policies = []
    if not isinstance(policies, list):
        notes.add("policies", "is no list", policies)
        return
    if len(policies) > MAX_ENTRIES:
        raise NotAReport(f"has {len(policies)} policies, more than the {MAX_ENTRIES} that are read")
    for position, entry in enumerate(policies):
        where = f"policies[{position}]"
        if isinstance(entry, dict):
            yield _entry(entry, where, inferred, notes)
        else:
            notes.add(where, "is no object and was left out", entry)


_POLICY_FIELDS = {"policy-type", "policy-domain", "policy-string", "mx-host", "mx-host-pattern"}
_SUMMARY_FIELDS = {"total-successful-session-count", "total-failure-session-count"}


def _entry(entry: dict[str, Any], where: str, inferred: InferredDomain, notes: Notes) -> PolicyEntry:
    policy, flat_policy = fields.flat_table(entry, "policy", _POLICY_FIELDS, where, notes)
    summary, flat_summary = fields.flat_table(entry, "summary", _SUMMARY_FIELDS, where, notes)
    inside = f"{where}.policy."
    # Some letters of other scripts have two in lower case.
    policy_type = fields.short_text(policy, "policy-type", notes, inside).strip().lower()[: fields.MAX_SHORT_TEXT]
    if not policy_type:
        notes.add(f"{inside}policy-type", "missing")
    elif policy_type not in policy_types.POLICY_TYPES:
        notes.add(f"{inside}policy-type", "is not a policy type of RFC 8460; kept as it is", policy_type)
    details = entry.get("failure-details")
    domain, domain_source = _policy_domain(policy, inside, inferred, notes)
    return PolicyEntry(
        policy_type=policy_type,
        policy_domain=domain,
        successful_sessions=fields.count(summary, "total-successful-session-count", f"{where}.summary.", notes),
        failed_sessions=fields.count(summary, "total-failure-session-count", f"{where}.summary.", notes),
        policy_strings=fields.policy_lines(policy, inside, notes),
        mx_hosts=fields.texts(policy, "mx-host", inside, notes, alias="mx-host-pattern"),
        details=tuple(_details(details, f"{where}.failure-details", notes)),
        extra=fields.unknown_members(entry, {"policy", "summary", "failure-details"} | flat_policy | flat_summary)
        | _nested("policy", fields.unknown_members(policy, _POLICY_FIELDS))
        | _nested("summary", fields.unknown_members(summary, _SUMMARY_FIELDS)),
        domain_source=domain_source,
    )


def _nested(name: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {name: extra} if extra else {}


def _policy_domain(policy: dict[str, Any], inside: str, inferred: InferredDomain, notes: Notes) -> tuple[str, str]:
    """The domain and where it comes from. Postfix names none with no-policy-found."""
    domain = fields.domain(policy, "policy-domain", inside, notes)
    if domain:
        return domain, ""
    notes.add(f"{inside}policy-domain", *defect_of(inferred))
    return inferred.domain, inferred.source


def _details(details: object, where: str, notes: Notes) -> Iterator[FailureDetail]:
    if isinstance(details, dict):
        notes.add(where, "is one object instead of a list")
        details = [details]
    if details is None:
        return
    if not isinstance(details, list):
        notes.add(where, "is no list", details)
        return
    for position, detail in enumerate(details):
        inside = f"{where}[{position}]"
        if isinstance(detail, dict):
            yield _detail(detail, inside + ".", notes)
        else:
            notes.add(inside, "is no object and was left out", detail)


_DETAIL_FIELDS = {
    "result-type",
    "failed-session-count",
    "sending-mta-ip",
    "receiving-mx-hostname",
    "receiving-mx-host-name",
    "receiving-mx-helo",
    "receiving-ip",
    "failure-reason-code",
    "additional-information",
    "additional-info-uri",
}


def _detail(detail: dict[str, Any], where: str, notes: Notes) -> FailureDetail:
    result_type = fields.short_text(detail, "result-type", notes, where).strip()
    if not result_type:
        notes.add(f"{where}result-type", "missing")
    elif result_type.lower() in result_types.OF_RFC:
        result_type = result_type.lower()
    else:
        notes.add(f"{where}result-type", "is not a result type of RFC 8460; kept as it is", result_type)
    return FailureDetail(
        result_type=result_type,
        failed_sessions=fields.count(detail, "failed-session-count", where, notes),
        sending_mta_ip=fields.address(detail, "sending-mta-ip", where, notes),
        # SocketLabs writes receiving-mx-host-name.
        receiving_mx_hostname=fields.host(
            detail, "receiving-mx-hostname", where, notes, alias="receiving-mx-host-name"
        ),
        receiving_mx_helo=fields.text(detail, "receiving-mx-helo", notes, where),
        receiving_ip=fields.address(detail, "receiving-ip", where, notes),
        failure_reason_code=fields.text(detail, "failure-reason-code", notes, where),
        # The RFC's own text uses the placeholder additional-info-uri, and some senders copied it.
        additional_information=fields.text(detail, "additional-information", notes, where, alias="additional-info-uri"),
        extra=fields.unknown_members(detail, _DETAIL_FIELDS),
    )
