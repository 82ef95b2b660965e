"""Report files as evidence, without a database: a small reader of its own, for cases that are written as JSON.

Bare files count as loaded by the operator, so every voice is known; a voice is the domain of the contact address.
"""

import collections
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any

from publicsuffixlist import PublicSuffixList

from dashboard.decision.evidence import Entry, Evidence, Failure, QuotedPolicy, ServedPolicy, Sighting
from ingest.rfc.mtasts import enforcement, policy
from ingest.text.stored import short_digest

_SUFFIXES = PublicSuffixList(only_icann=True)
_DAY = dt.timedelta(days=1)


def evidence_on(domain: str, reports: Iterable[Mapping[str, Any]], on: dt.date) -> Evidence:
    """What had arrived about ``domain`` by the end of the day ``on``: files arrive one day after the end of their range."""
    told = [report for report in _told_once(reports) if _end(report) + _DAY <= on]
    entries = [entry for report in told for entry in _entries(domain, report)]
    quoted = [(entry.voice, entry.day, entry.policy) for entry in entries if entry.policy]
    days: dict[str, list[dt.date]] = collections.defaultdict(list)
    for entry in entries:
        days[entry.voice].append(entry.day)
    served: dict[QuotedPolicy, list[dt.date]] = collections.defaultdict(list)
    for _, day, text in quoted:
        served[text].append(day)
    return Evidence(
        domain,
        on,
        tuple(entries),
        tuple(Sighting(day, voice, text) for voice, day, text in quoted),
        tuple(ServedPolicy(text, min(when), max(when)) for text, when in served.items()),
        {voice: tuple(when) for voice, when in days.items()},
    )


def _told_once(reports: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Of the reports of one identity the one with most sessions."""
    best: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for report in reports:
        spans = report["date-range"]
        key = (_voice(report), report["report-id"], spans["start-datetime"], spans["end-datetime"])
        if key not in best or _sessions(report) > _sessions(best[key]):
            best[key] = report
    return list(best.values())


def _sessions(report: Mapping[str, Any]) -> int:
    return sum(sum(entry["summary"].values()) for entry in report["policies"])


def _voice(report: Mapping[str, Any]) -> str:
    return str(_SUFFIXES.privatesuffix(report["contact-info"].partition("@")[2]))


def _end(report: Mapping[str, Any]) -> dt.date:
    return dt.date.fromisoformat(report["date-range"]["end-datetime"][:10])


def _entries(domain: str, report: Mapping[str, Any]) -> Iterable[Entry]:
    day = dt.date.fromisoformat(report["date-range"]["start-datetime"][:10])
    for entry in report["policies"]:
        quoted, totals = entry["policy"], entry["summary"]
        if quoted["policy-domain"] != domain:
            continue
        failures = tuple(_failure(quoted["policy-type"], detail) for detail in entry["failure-details"])
        failed = totals["total-failure-session-count"]
        yield Entry(
            day=day,
            voice=_voice(report),
            organization=report["organization-name"],
            signer="",
            policy_type=quoted["policy-type"],
            policy=_policy(quoted.get("policy-string", ())),
            successful=totals["total-successful-session-count"],
            failed=failed,
            unexplained=max(0, failed - sum(failure.sessions for failure in failures)),
            failures=failures,
            report=report["report-id"],
            long_range=_end(report) - day > _DAY,
            failure_day=_end(report) if _end(report) - day > _DAY else None,
        )


def _failure(policy_type: str, detail: Mapping[str, Any]) -> Failure:
    host, reason = detail.get("receiving-mx-hostname", ""), detail.get("failure-reason-code", "")
    follows = enforcement.consequence(policy_type, detail["result-type"], host, reason)
    return Failure(detail["result-type"], host, detail["failed-session-count"], follows, reason)


def _policy(lines: Iterable[str]) -> QuotedPolicy | None:
    parsed = policy.parse(list(lines))
    return (
        QuotedPolicy(parsed.mode, parsed.mx, short_digest(*policy.mx_key(parsed)), parsed.max_age)
        if parsed.mode
        else None
    )
