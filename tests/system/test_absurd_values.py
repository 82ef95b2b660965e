"""reliability.md row 7: whatever numbers and texts a report holds, it is kept as text or quarantined, and nothing that reads overflows."""

import datetime as dt
import inspect
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard import verdicts
from dashboard.exports import writing
from dashboard.queries import domain, fleet, quarantine, report_pages, reports
from dashboard.queries.question import ALL_DAYS, EVERYTHING, LANES, DayRange, Question
from dashboard.queries.report_pages import FailureCell, ReportFilter
from ingest.database import models
from ingest.settings.settings import Settings
from tests import stored
from tests.goldens import detail, entry, report, text
from tests.ingest.store.test_saving import rows

MakeSettings = Callable[..., Settings]
MAIN = "receiver.example"
TOP = 2**53 - 1
ON = dt.date(2026, 3, 20)


def raw(value: object) -> bytes:
    """A report in which ``"HERE"`` is replaced by JSON of any kind."""
    return text(report(entry("HERE", "HERE", detail(sessions="HERE")))).replace(b'"HERE"', str(value).encode())


# What is kept (with or without its counts), and what is quarantined.
KEPT = {
    "the largest count": raw(TOP),
    "beyond 2^53": raw(2**53),
    "beyond 2^64": raw(2**70),
    "negative": raw(-5),
    "NaN": raw("NaN"),
    "Infinity": raw("-Infinity"),
    "a fraction": raw("1.5"),
    "1e400": raw("1e400"),
    "a text": raw('"many"'),
    "true": raw("true"),
    "a list": raw("[1]"),
    "NUL": text(
        report(entry(1, 1, detail(additional_information="a\0b", receiving_mx_hostname="\0")), report_id="n\0l")
    ),
    "lone surrogates": text(report(entry(1, 1, detail(additional_information="HERE")))).replace(
        b"HERE", b"\\ud800x\\udfff"
    ),
    "a surrogate as key": text(report(entry(1), HERE=1)).replace(b"HERE", b"\\ud800"),
    "a megabyte of organisation": text(report(entry(1), organization_name="x" * 1_000_000)),
    "no such type": text(report(entry(1, 1, detail("\u202eno-such-type" * 100), policy_type="\u0130\u0131" * 300))),
    "a domain that is none": text(report(entry(1, policy_domain="-" * 300 + ".example"))),
    "max_age of 400 digits": text(report(entry(1, policy_string=["version: STSv1", "max_age: " + "9" * 400]))),
}
QUARANTINED = {
    "5,000 digits": raw("9" * 5_000),
    "5,000 digits in an unknown member": text(report(entry(1), vendor="HERE")).replace(b'"HERE"', b"9" * 5_000),
    "the year 9999": text(
        report(entry(1), date_range={"start-datetime": "9999-12-31T00:00:00Z", "end-datetime": "9999-12-31T23:59:59Z"})
    ),
    "the year 1": text(
        report(entry(1), date_range={"start-datetime": "0001-01-01T00:00:00Z", "end-datetime": "0001-01-01T23:59:59Z"})
    ),
    "too many policies": text(report(*[entry(1)] * 10_001)),
}


@pytest.mark.parametrize("data", KEPT.values(), ids=KEPT.keys())
def test_what_is_odd_is_kept(engine: sa.Engine, settings_for: MakeSettings, data: bytes) -> None:
    assert stored.store_file(engine, data, settings_for()).stored == 1
    for table in (models.report, models.policy_entry, models.failure_detail):
        for row in rows(engine, table):
            for name in ("successful_sessions", "failed_sessions"):
                assert row.get(name) is None or 0 <= row[name] <= TOP


@pytest.mark.parametrize("data", QUARANTINED.values(), ids=QUARANTINED.keys())
def test_what_no_day_or_memory_can_hold_is_quarantined(
    engine: sa.Engine, settings_for: MakeSettings, data: bytes
) -> None:
    assert stored.store_file(engine, data, settings_for()).quarantined == 1
    assert rows(engine, models.report) == []


def test_defects_are_noted_up_to_a_bound(engine: sa.Engine, settings_for: MakeSettings) -> None:
    assert stored.store_file(engine, text(report(*[{}] * 5_000)), settings_for()).stored == 1
    noted = json.loads(rows(engine, models.report)[0]["defects"])
    assert len(noted) == 1_001
    assert noted[-1]["what"] == "departs from RFC 8460 in more than 1000 places"


@pytest.fixture
def absurd(engine: sa.Engine, settings_for: MakeSettings) -> sa.Engine:
    """All of it, and sums far beyond 2^63 for one domain, one day and one failure."""
    settings = settings_for()
    for data in (*KEPT.values(), *QUARANTINED.values()):
        stored.store_file(engine, data, settings)
    huge = [entry(TOP, TOP, *[detail(sessions=TOP)] * 5)] * 30
    for number in range(40):
        stored.store_report(engine, report(*huge, report_id=f"huge-{number}"), settings)
    return engine


def questions(key: str) -> dict[Callable[..., Any], tuple[tuple[Any, ...], dict[str, Any]]]:
    """Every public query of the pages that report values reach, with what to ask it."""
    lane = next(iter(LANES))
    subject = (MAIN, DayRange(dt.date(2026, 1, 1), ON), lane)
    return {
        fleet.totals: ((ALL_DAYS,), {}),
        fleet.reporter_counts: ((ALL_DAYS,), {}),
        fleet.newest_day: ((), {}),
        fleet.count_domains: ((), {}),
        fleet.domains: ((ALL_DAYS, [MAIN]), {}),
        domain.is_known: ((MAIN,), {}),
        domain.days: ((MAIN, ALL_DAYS), {}),
        domain.causes: ((*subject, "sts"), {}),
        domain.result_types: ((*subject, "sts"), {}),
        domain.reporters: ((MAIN, ALL_DAYS, "sts"), {}),
        domain.policies: (subject, {}),
        domain.policy_reporters: (subject, {}),
        reports.any_report: ((), {}),
        report_pages.count_reports: ((ReportFilter(domain=MAIN, only_failures=True), 1_000), {}),
        report_pages.list_reports: (
            (ReportFilter(domain=MAIN, cause=FailureCell("certificate-expired", "sts")),),
            {"limit": 100},
        ),
        reports.one_report: ((MAIN, key), {}),
        reports.entries: ((MAIN, key), {}),
        reports.count_details: ((MAIN, key), {}),
        reports.details: ((MAIN, key), {"limit": 100}),
        reports.deliveries: ((MAIN, key), {}),
        reports.copies_of: ((MAIN, key, "x"), {}),
        reports.raw_size: ((MAIN, key), {}),
        reports.raw_document: ((MAIN, key), {}),
        quarantine.reasons: ((), {}),
        quarantine.count_messages: ((), {}),
        quarantine.count_retrying: ((), {}),
        quarantine.list_messages: ((), {"limit": 100}),
    }


def test_every_question_is_asked() -> None:
    """A new query comes into the table above."""
    public = {
        function
        for module in (fleet, domain, reports)
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__
        and "engine" in inspect.signature(function).parameters
        and name[0] != "_"
    }
    assert public - questions("").keys() == set()


def test_no_query_of_the_pages_overflows(absurd: sa.Engine) -> None:
    (key, *_) = [row["report_key"] for row in rows(absurd, models.report) if row["report_id"] == "huge-1"]
    for query, (arguments, options) in questions(key).items():
        query(absurd, EVERYTHING, *arguments, **options)
    days = domain.days(absurd, EVERYTHING, MAIN, ALL_DAYS)
    assert days["failed_sessions"].max() >= 40 * 30 * float(TOP)


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_no_export_overflows(absurd: sa.Engine, form: str) -> None:
    for kind in writing.EXPORTS:
        target = io.BytesIO()
        assert writing.write(absurd, kind, form, writing.Filters(), target) > 0
        assert target.getvalue()


def test_no_verdict_overflows(absurd: sa.Engine, settings_for: MakeSettings) -> None:
    (verdict,) = verdicts.verdicts(absurd, Question.of(settings_for(), ON), [MAIN])
    json.dumps(verdicts.as_json(verdict))
