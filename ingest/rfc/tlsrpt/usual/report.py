"""A report without a single departure from RFC 8460 section 4.4, read by its types in one go."""

import zlib
from typing import Annotated

import msgspec

from ingest.rfc import names, policy_types, result_types
from ingest.rfc.packing import kinds
from ingest.rfc.tlsrpt import fields
from ingest.rfc.tlsrpt.document import Document
from ingest.rfc.tlsrpt.model import MAX_ENTRIES, FailureDetail, PolicyEntry, Report

# Far above the usual report. Beyond, the limits of ``document`` have to be asked.
MAX_TEXT = 512 * 1024

_Count = Annotated[int, msgspec.Meta(ge=0, le=fields.MAX_COUNT)]
_Short = Annotated[str, msgspec.Meta(max_length=fields.MAX_SHORT_TEXT)]


class _Wire(msgspec.Struct, rename="kebab", forbid_unknown_fields=True, gc=False):
    """An object of the report as it stands there."""


class _Range(_Wire):
    start_datetime: str
    end_datetime: str


class _Policy(_Wire):
    policy_type: _Short
    policy_domain: str
    policy_string: list[str] | None = None
    mx_host: list[str] | None = None


class _Summary(_Wire):
    total_successful_session_count: _Count
    total_failure_session_count: _Count


class _Detail(_Wire):
    result_type: _Short
    failed_session_count: _Count
    sending_mta_ip: str | None = None
    receiving_mx_hostname: str | None = None
    receiving_mx_helo: str | None = None
    receiving_ip: str | None = None
    failure_reason_code: str | None = None
    additional_information: str | None = None


class _Entry(_Wire):
    policy: _Policy
    summary: _Summary
    failure_details: list[_Detail] | None = None


class _Report(_Wire):
    date_range: _Range
    policies: Annotated[list[_Entry], msgspec.Meta(max_length=MAX_ENTRIES)]
    organization_name: _Short | None = None
    report_id: _Short | None = None
    contact_info: str | None = None


class _DepartsError(Exception):
    """Something in it departs from RFC 8460, or cannot be told here."""


_decode = msgspec.json.Decoder(_Report).decode


def read(data: bytes, limit: int, rows: int) -> tuple[Report, Document] | None:
    """The report in ``data`` (JSON in UTF-8, as it stands or in one gzip member) with its document.

    None for what ``report.read`` must look at, whose limits these are.
    """
    text = _unpacked(data, min(limit, MAX_TEXT))
    if not text.startswith(b"{") or b"\\u0000" in text or kinds.is_tar(text):
        return None
    try:
        report = _report(_decode(text))
    except (msgspec.MsgspecError, _DepartsError, ValueError, RecursionError):
        return None
    if report.weight > rows:
        return None
    return report, Document(text, packed=b"" if text is data else data)


def _unpacked(data: bytes, limit: int) -> bytes:
    """At most ``limit`` bytes of text; nothing when there is more, or anything odd about the packing (RFC 1952)."""
    text = data
    if data.startswith(kinds.GZIP_MAGIC):
        inflating = zlib.decompressobj(31)
        try:
            text = inflating.decompress(data, limit + 1)
        except zlib.error:
            return b""
        if not inflating.eof or inflating.unused_data:
            return b""
    return text if len(text) <= limit else b""


def _report(wire: _Report) -> Report:
    start, end = fields.moment(wire.date_range.start_datetime), fields.moment(wire.date_range.end_datetime)
    if start is None or end is None or end < start:
        raise _DepartsError
    entries = tuple([_entry(entry) for entry in wire.policies])
    return Report(wire.organization_name or "", wire.report_id or "", start, end, wire.contact_info or "", entries)


def _entry(entry: _Entry) -> PolicyEntry:
    policy = entry.policy
    policy_type = policy.policy_type.strip().lower()
    if policy_type not in policy_types.POLICY_TYPES:
        raise _DepartsError
    domain = names.domain_name(policy.policy_domain)
    if not domain:
        raise _DepartsError
    return PolicyEntry(
        policy_type,
        domain,
        entry.summary.total_successful_session_count,
        entry.summary.total_failure_session_count,
        _lines(policy.policy_string) if policy.policy_string else (),
        tuple(policy.mx_host) if policy.mx_host else (),
        tuple([_detail(detail) for detail in entry.failure_details]) if entry.failure_details else (),
    )


def _lines(policy_strings: list[str]) -> tuple[str, ...]:
    text = "\n".join(policy_strings)
    if "[" in text:  # Microsoft puts a JSON list inside a text
        raise _DepartsError
    return tuple(filter(None, text.splitlines()))


def _detail(detail: _Detail) -> FailureDetail:
    result_type = detail.result_type
    if result_type not in result_types.OF_RFC:
        raise _DepartsError
    host = detail.receiving_mx_hostname
    return FailureDetail(
        result_type,
        detail.failed_session_count,
        names.ip_address(detail.sending_mta_ip) if detail.sending_mta_ip else "",
        names.host_name(host) if host else "",
        detail.receiving_mx_helo or "",
        names.ip_address(detail.receiving_ip) if detail.receiving_ip else "",
        detail.failure_reason_code or "",
        detail.additional_information or "",
    )
