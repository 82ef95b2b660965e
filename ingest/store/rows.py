"""From a Submission to the rows of each table. Pure: the store only has to write them."""

import datetime as dt
import functools
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec

from ingest.database.models import TLSA_EQUAL, TLSA_OTHER
from ingest.rfc import policy_types, result_types
from ingest.rfc.mtasts import enforcement, policy
from ingest.rfc.tlsrpt import figures
from ingest.rfc.tlsrpt.document import Document
from ingest.rfc.tlsrpt.domains import NOWHERE
from ingest.rfc.tlsrpt.ranges import failure_day, report_day
from ingest.rfc.tlsrpt.report import FailureDetail, PolicyEntry, Report
from ingest.submissions import Submission
from ingest.testimony import reporters, voices
from ingest.text.stored import short_digest, storable

Row = dict[str, Any]
Key = tuple[str, str]  # policy_domain, report_key

_MAX_WORD = 255
_MAX_MODE = 32
_MAX_REMEMBERED = 4_000  # characters of one policy text
_BIGINT_MAX = 2**63 - 1


class ReportRows(msgspec.Struct, frozen=True):
    """All rows of one report about one policy domain. ``raw`` is None when another domain of the report carries it."""

    report: Row
    delivery: Row
    entries: list[Row]
    details: list[Row]
    policy_texts: list[Row]
    raw: Row | None

    @property
    def key(self) -> Key:
        """Primary key of the report row."""
        return self.report["policy_domain"], self.report["report_key"]


def rows_of(submission: Submission, now: dt.datetime) -> list[list[ReportRows]]:
    """One inner list for each report of the submission, with one member for each policy domain it speaks about."""
    return [_of_report(report, document, submission, now) for report, document in submission.decoded.reports]


def _of_report(report: Report, document: Document, submission: Submission, now: dt.datetime) -> list[ReportRows]:
    domains: dict[str, list[tuple[int, PolicyEntry]]] = {}
    for position, entry in enumerate(report.entries):
        domains.setdefault(entry.policy_domain, []).append((position, entry))
    if not domains:
        domains[""] = []  # a report without entries still says that its sender saw nothing
    home = next(iter(domains))
    read = figures.Figures(report.entries)
    shared = {"raw_domain": home, "raw_domains": len(domains), "stored_at": now} | identity_of(report, read)
    report_key = key_of(report, read, submission.authentication.signer)
    report_rows = []
    for domain, members in domains.items():
        key = {"policy_domain": domain, "report_key": report_key}
        rows = [_entry_rows(position, entry) for position, entry in members]
        entries = [entry_row for entry_row, _ in rows]
        of_domain = {
            "figures": read.of_domain(domain),
            "domain_source": domain_source_of(entry for _, entry in members),
        }
        report_rows.append(
            ReportRows(
                report=key | _report_row(report, submission) | sessions_of(entries) | shared | of_domain,
                delivery=key | _delivery_row(submission),
                entries=[key | row for row in entries],
                details=[key | row for _, detail_rows in rows for row in detail_rows],
                policy_texts=_policy_texts(members),
                raw=key | _raw_row(document, now) if domain == home else None,
            )
        )
    return report_rows


def domain_source_of(entries: Iterable[PolicyEntry]) -> str:
    """Where the domain of a row comes from: "" as soon as one of its entries states it."""
    sources = {entry.domain_source for entry in entries}
    return "" if "" in sources else min(sources, default=NOWHERE)


def key_of(report: Report, read: figures.Figures, signer: str) -> str:
    """The stored key, made of what does not change about a report. The voice is no part of it: voices are resolved on reading,
    and another list of reporters must change no key.
    """
    sender = (signer[:_MAX_WORD], report.contact_info, report.organization)
    entries = read.of_report(figures.resolved_domain)
    return figures.digest(report.report_id, figures.minutes(report.start, report.end), sender, entries)


def identity_of(report: Report, read: figures.Figures) -> Row:
    """What tells copies of a report, of the whole and within a policy domain (docs/verdict.md)."""
    place = (report.report_id, figures.minutes(report.start, report.end))
    stated = read.of_report(figures.stated_domain)
    return {"same_id": figures.digest(*place), "document": figures.digest(*place, stated)}


def _report_row(report: Report, submission: Submission) -> Row:
    day, long_range = report_day(report.start, report.end)
    row = {
        "organization": report.organization,
        "report_id": report.report_id,
        "contact_info": report.contact_info,
        "range_start": report.start,
        "range_end": report.end,
        "day": day,
        "failure_day": failure_day(report.start, report.end),
        "long_range": long_range,
        "extra": _json(report.extra),
        "defects": _json(report.defects),
        # Until its copies are looked at (ingest.store.counting).
        "counts": True,
        "accuses": True,
        "contradicted": False,
    } | _provenance(submission)
    return row | {"voice": voice_of(row, submission.decoded.submitter)}


def voice_of(report: Row, submitter: str) -> str:
    """The voice of a report row, as far as it and the list of well-known reporters tell."""
    who = (report["signer"], submitter, report["contact_info"], report["organization"])
    return voices.voice_of(*who, reporters.voice_of_name)[:_MAX_WORD]


def _provenance(submission: Submission) -> Row:
    """What a report row and a delivery row both say about how the report came."""
    arrival = submission.decoded.arrival
    return {
        "trust": submission.trust,
        "signer": submission.authentication.signer[:_MAX_WORD],
        "door": arrival.door,
        "received_at": arrival.received_at,
        "arrival_estimated": arrival.estimated,
    }


def _delivery_row(submission: Submission) -> Row:
    arrival, verdict = submission.decoded.arrival, submission.authentication
    return _provenance(submission) | {
        "delivery_key": short_digest(arrival.door, submission.trust, verdict.dkim, verdict.signer, verdict.selector),
        "dkim": verdict.dkim,
        "dkim_reason": storable(verdict.reason),
        "selector": verdict.selector[:_MAX_WORD],
        "key_record": storable(verdict.key_record),
        "sender": storable(submission.decoded.author or arrival.sender),
        "submitter": storable(submission.decoded.submitter),
        "message_digest": arrival.message_digest,
    }


def _entry_rows(position: int, entry: PolicyEntry) -> tuple[Row, list[Row]]:
    """The row of an entry, and those of its details."""
    details = [_detail_row(position, *numbered, entry.policy_type) for numbered in enumerate(entry.details)]
    refused_in_details = sum(row["failed_sessions"] or 0 for row in details if row["refused"])
    # Failures that nothing explains count as refused, under a policy that could refuse them at all.
    unexplained = entry.unexplained_sessions
    refuses = unexplained and enforcement.refuses(entry.policy_type, result_types.UNEXPLAINED)
    refused_unexplained = unexplained if refuses else 0
    quoted = _quoted(entry)
    return {
        "position": position,
        "policy_type": entry.policy_type,
        "policy_mode": quoted["mode"] if quoted else "",
        "policy_digest": quoted["policy_digest"] if quoted else None,
        "mx_hosts": _json(entry.mx_hosts),
        "successful_sessions": entry.successful_sessions,
        "failed_sessions": entry.failed_sessions,
        "refused_sessions": enforcement.refused_sessions(
            entry.failed_sessions, refused_in_details, refused_unexplained
        ),
        "unexplained_sessions": unexplained,
        "extra": _json(entry.extra),
    }, details


def _detail_row(entry_position: int, position: int, detail: FailureDetail, policy_type: str) -> Row:
    return {
        "entry_position": entry_position,
        "position": position,
        "result_type": detail.result_type,
        "failed_sessions": detail.failed_sessions,
        "sending_mta_ip": detail.sending_mta_ip,
        "receiving_mx_hostname": detail.receiving_mx_hostname,
        "receiving_mx_helo": detail.receiving_mx_helo,
        "receiving_ip": detail.receiving_ip,
        "failure_reason_code": detail.failure_reason_code,
        "additional_information": detail.additional_information,
        "refused": enforcement.refuses(
            policy_type, detail.result_type, detail.receiving_mx_hostname, detail.failure_reason_code
        ),
        "extra": _json(detail.extra),
    }


def sessions_of(entries: list[Row]) -> Row:
    """A report's sessions of all entries, and what tlsa lists beside sts.

    Microsoft lists the same sessions under both; tlsrpt-reporter, Halon and others list each session once.
    """
    tlsa = [row for row in entries if row["policy_type"] == policy_types.TLSA]
    sts = [row for row in entries if row["policy_type"] == policy_types.STS]
    equal = _all_sessions(tlsa) == _all_sessions(sts)
    return {
        "policies": len(entries),
        "successful_sessions": _total(entries, "successful_sessions"),
        "failed_sessions": _total(entries, "failed_sessions"),
        "refused_sessions": _total(entries, "refused_sessions") or 0,
        "tlsa_sessions": "" if not tlsa or not sts else TLSA_EQUAL if equal else TLSA_OTHER,
        "tlsa_successful_sessions": _total(tlsa, "successful_sessions") or 0,
        "tlsa_failed_sessions": _total(tlsa, "failed_sessions") or 0,
    }


def _all_sessions(rows: list[Row]) -> int:
    return (_total(rows, "successful_sessions") or 0) + (_total(rows, "failed_sessions") or 0)


def _total(rows: list[Row], name: str) -> int | None:
    """Sum of the counts that are there; None when none is. Capped to what a BIGINT holds."""
    counts = [row[name] for row in rows if row[name] is not None]
    return min(sum(counts), _BIGINT_MAX) if counts else None


def _quoted(entry: PolicyEntry) -> Row | None:
    """The policy text that an entry quotes as a row of ``policy_text``, but for the domain; None when it quotes nothing."""
    strings = entry.policy_strings
    if not strings:
        return None
    return (_usual_text if sum(map(len, strings)) < _MAX_REMEMBERED else _text)(entry.policy_type, strings)


def _text(policy_type: str, strings: tuple[str, ...]) -> Row:
    read = policy.parse(strings if policy_type == policy_types.STS else ())
    return {
        "policy_digest": short_digest(policy_type, *strings),
        "policy_type": policy_type,
        "text": "\n".join(strings),
        "mode": read.mode[:_MAX_MODE],
        "mx": _json(read.mx) or "[]",
        "mx_digest": short_digest(*policy.mx_key(read)),
        "max_age": read.max_age if (read.max_age or 0) <= _BIGINT_MAX else None,
    }


# Senders quote the same few policies day after day.
_usual_text = functools.lru_cache(2_000)(_text)


def _policy_texts(members: list[tuple[int, PolicyEntry]]) -> list[Row]:
    """The distinct policy texts quoted in a report about one domain."""
    texts = {row["policy_digest"]: (entry.policy_domain, row) for _, entry in members if (row := _quoted(entry))}
    return [{"policy_domain": domain, **row} for domain, row in texts.values()]


def _raw_row(document: Document, now: dt.datetime) -> Row:
    small = 0 < len(document.packed) < len(document.text)
    packed = document.packed if small else zlib.compress(document.text)
    return {"stored_at": now, "size": len(document.text), "document": packed}


def _json(value: object) -> str | None:
    """A JSON text, or None for what is empty."""
    return msgspec.json.encode(value).decode() if value else None
