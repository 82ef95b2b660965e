"""Pruning in many small transactions: the same rows go, sums stay right at every moment, and writers have their turns. Both engines."""

import collections
import datetime as dt
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store import due, saving
from ingest.store.upkeep import retention
from ingest.testimony.trust import IMPORTED
from tests.goldens import detail, entry
from tests.reports import report_json
from tests.stored import NOW, submission

TODAY = NOW.date()
OLD, MIDDLE, NEW = (TODAY - dt.timedelta(days=ago) for ago in (300, 150, 3))
KEEP = {"keep_raw_days": 120, "keep_details_days": 100, "keep_reports_days": 200}
_OF_REPORTS = (models.policy_entry, models.failure_detail, models.delivery, models.raw_report)
# The last days that stay; a day before them is reported about too.
EDGES = tuple(TODAY - dt.timedelta(days=KEEP[name]) for name in ("keep_details_days", "keep_reports_days"))
DETAILS = (0, 1, 5, 13, 3)


@pytest.fixture
def settings() -> Settings:
    """Each kind goes at an age of its own."""
    return settings_module.load(**KEEP)


def fill(engine: sa.Engine, settings: Settings) -> None:
    """Reports of three ages about three domains and more, some with more details than a transaction may delete, some with copies."""
    for newest in (OLD, MIDDLE, NEW, *EDGES):
        stored_at = dt.datetime.combine(newest, dt.time(12), dt.UTC)
        batch = []
        for number, failures in enumerate(DETAILS * 3):
            domain, day = f"d{number % 3}.example", newest - dt.timedelta(days=number // 4)
            causes = [detail(sending_mta_ip=f"192.0.2.{host}") for host in range(failures)]
            entries = [entry(10 + number, failures, *causes, policy_domain=domain)]
            if number % 5 == 1:
                entries.append(entry(7, policy_domain="other.example"))
            value = report_json(*entries, day=str(day), report_id=f"{day} {number}")
            batch.append(submission(value, settings, arrived_at=stored_at))
            if number % 2:  # a copy, trusted less: it is a row that does not count
                batch.append(submission(value, settings, arrived_at=stored_at, trust=IMPORTED))
        with engine.begin() as connection:
            saving.save(connection, batch, stored_at)


def everything(engine: sa.Engine) -> dict[str, list[dict[str, Any]]]:
    """All rows, but how often a domain was marked: that tells the number of transactions."""
    with engine.connect() as connection:
        return {
            table.name: [
                {name: value for name, value in row.items() if name != "marks"}
                for row in connection.execute(sa.select(table).order_by(*table.primary_key)).mappings()
            ]
            for table in models.metadata.sorted_tables
        }


def key_of(row: dict[str, Any]) -> tuple[str, str]:
    return row["policy_domain"], row["report_key"]


def assert_consistent(stored: dict[str, list[dict[str, Any]]]) -> None:
    """Nothing lies below a report that has gone, and the sums are those of the reports that are there."""
    reports = {key_of(row): row for row in stored["report"]}
    for table in _OF_REPORTS:
        assert {key_of(row) for row in stored[table.name]} <= reports.keys(), table.name
    days: dict[tuple[Any, ...], list[float]] = collections.defaultdict(lambda: [0, 0, 0, 0])
    for row in stored["policy_entry"]:
        above = reports[key_of(row)]
        counts, accuses = above["counts"], above["accuses"]
        values = (1, row["successful_sessions"], row["failed_sessions"])
        added = (*(counts * value for value in values), accuses * row["refused_sessions"])
        total = days[row["policy_domain"], above["day"], above["trust"], row["policy_type"]]
        total[:] = [value + more for value, more in zip(total, added, strict=True)]
    names = ("reports", "successful_sessions", "failed_sessions", "refused_sessions")
    assert {
        (row["policy_domain"], row["day"], row["trust"], row["policy_type"]): [row[name] for name in names]
        for row in stored["domain_day"]
    } == {key: total for key, total in days.items() if any(total)}
    counted = collections.Counter(
        (row["policy_domain"], row["organization"], row["trust"]) for row in reports.values() if row["counts"]
    )
    assert {
        (row["policy_domain"], row["organization"], row["trust"]): row["reports"] for row in stored["domain_reporter"]
    } == counted


def assert_pruned(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    """What is too old has gone, and nothing else has."""
    day_of = {key_of(row): row["day"] for row in before["report"]}
    since = {name: TODAY - dt.timedelta(days=days) for name, days in KEEP.items()}
    oldest = dict.fromkeys(("report", "policy_entry", "delivery"), since["keep_reports_days"])
    oldest["failure_detail"] = since["keep_details_days"]
    for name, day in oldest.items():
        assert after[name] == [row for row in before[name] if day_of[key_of(row)] >= day], name
    stored_since = NOW - dt.timedelta(days=KEEP["keep_raw_days"])
    assert after["raw_report"] == [row for row in before["raw_report"] if row["stored_at"] >= stored_since]
    assert after["policy_text"] == before["policy_text"]


@pytest.mark.parametrize("rows_at_once", [1, 4, 60, 1_000_000])
def test_the_same_rows_go_however_small_the_transactions(
    engine: sa.Engine, settings: Settings, rows_at_once: int
) -> None:
    fill(engine, settings)
    before = everything(engine)
    assert_consistent(before)
    assert not all(row["counts"] for row in before["report"])
    turns: list[None] = []
    pruned = retention.prune(engine, settings, NOW, lambda: turns.append(None), rows_at_once=rows_at_once)
    after = everything(engine)
    assert_consistent(after)
    assert_pruned(before, after)
    assert pruned.reports == len(before["report"]) - len(after["report"])
    assert pruned.details == len(before["failure_detail"]) - len(after["failure_detail"])
    assert pruned.raw == len(before["raw_report"]) - len(after["raw_report"])
    gone = {key_of(row) for row in before["raw_report"]} - {key_of(row) for row in after["raw_report"]}
    assert pruned.bytes == sum(len(row["document"]) for row in before["raw_report"] if key_of(row) in gone)
    assert (len(turns) > 10) == (rows_at_once < 100)


def test_reports_go_with_their_details(engine: sa.Engine, settings: Settings) -> None:
    """Where details are kept for ever, those of a report that goes leave with it, and those of the others stay."""
    fill(engine, settings)
    before = everything(engine)
    for_ever = settings.model_copy(update={"keep_details_days": 0, "keep_raw_days": 0})
    assert retention.prune(engine, for_ever, NOW, rows_at_once=30).details == 0
    after = everything(engine)
    assert_consistent(after)
    left = {key_of(row) for row in after["report"]}
    for table in _OF_REPORTS:
        assert after[table.name] == [row for row in before[table.name] if key_of(row) in left], table.name


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("rows_at_once", [4, 60])
def test_a_run_that_ends_at_any_commit_leaves_all_in_order_and_the_next_goes_on(
    engine: sa.Engine, settings: Settings, rows_at_once: int
) -> None:
    fill(engine, settings)
    before = everything(engine)
    commits = 0

    def die(_connection: sa.Connection) -> None:
        nonlocal commits
        commits += 1
        if commits % 3 == 0:
            raise Killed

    runs = 0
    while True:
        sa.event.listen(engine, "commit", die)
        try:
            retention.prune(engine, settings, NOW, rows_at_once=rows_at_once)
            break
        except Killed:
            runs += 1
        finally:
            sa.event.remove(engine, "commit", die)
        assert_consistent(everything(engine))
    assert runs > 5
    assert_pruned(before, everything(engine))


def test_kill_9(engine: sa.Engine, database_url: str, settings: Settings) -> None:
    fill(engine, settings)
    before = everything(engine)
    engine.dispose()
    child = os.fork()
    if not child:
        steps = iter(range(12))
        retention.prune(
            engines.open_engine(database_url),
            settings,
            NOW,
            lambda: os.kill(os.getpid(), signal.SIGKILL) if next(steps) == 10 else None,
            rows_at_once=30,
        )
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    halfway = everything(engine)
    assert_consistent(halfway)
    assert len(before["report"]) > len(halfway["report"]) or len(before["failure_detail"]) > len(
        halfway["failure_detail"]
    )
    retention.prune(engine, settings, NOW)
    assert_pruned(before, everything(engine))


@pytest.fixture
def hasty(database_url: str) -> Iterator[sa.Engine]:
    """Another writer's engine, which waits for nobody."""
    engine = engines.open_engine(database_url)

    @sa.event.listens_for(engine, "connect")
    def _hurry(connection: Any, _record: object) -> None:
        sqlite = engine.dialect.name == "sqlite"
        connection.cursor().execute("PRAGMA busy_timeout=0" if sqlite else "SET lock_timeout=1000")
        if not sqlite:
            connection.commit()

    yield engine
    engine.dispose()


def test_a_writer_has_its_turn_after_each_transaction(engine: sa.Engine, hasty: sa.Engine, settings: Settings) -> None:
    fill(engine, settings)
    before = everything(engine)
    written = 0

    def write() -> None:
        nonlocal written
        value = report_json(entry(1, 1, detail(), policy_domain="d0.example"), day=str(NEW), report_id=f"new {written}")
        with hasty.begin() as connection:
            saving.save(connection, [submission(value, settings)], NOW)
            due.mark(connection, {"d1.example": TODAY})
        written += 1

    retention.prune(engine, settings, NOW, write, rows_at_once=30)
    after = everything(engine)
    assert_consistent(after)
    assert written > 10
    assert len([row for row in after["report"] if row["report_id"].startswith("new ")]) == written
    assert not [row for row in after["report"] if row["day"] < TODAY - dt.timedelta(days=200)]
    assert len(after["report"]) > written
    assert len(before["report"]) > len(after["report"]) - written


def test_nothing_to_do_writes_nothing_and_waits_for_no_writer(
    engine: sa.Engine, hasty: sa.Engine, settings: Settings
) -> None:
    fill(engine, settings)
    retention.prune(engine, settings, NOW)
    statements: list[tuple[str, Any]] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *told: statements.append((told[2], told[3])))
    with hasty.begin() as writer:
        due.mark(writer, {"d0.example": TODAY})
        retention.prune(engine, settings, NOW)
    others = {statement for statement, _ in statements if not statement.startswith("SELECT")}
    assert others <= {"BEGIN", "PRAGMA auto_vacuum", "PRAGMA page_count", "PRAGMA freelist_count", "PRAGMA page_size"}
    assert len(statements) > 5


def test_nothing_to_do_reads_no_table_from_end_to_end(sqlite_engine: sa.Engine, settings: Settings) -> None:
    fill(sqlite_engine, settings)
    retention.prune(sqlite_engine, settings, NOW)
    statements: list[tuple[str, Any]] = []
    sa.event.listen(sqlite_engine, "before_cursor_execute", lambda *told: statements.append((told[2], told[3])))
    retention.prune(sqlite_engine, settings, NOW)
    asked = [told for told in statements if told[0].startswith("SELECT")]
    assert len(asked) > 5
    with sqlite_engine.connect() as connection:
        plans = [
            step[3]
            for statement, values in asked
            for step in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, values)
        ]
    # What quarantine holds is bounded by settings.
    scans = [step for step in plans if step.startswith("SCAN") and "quarantine" not in step and "anon" not in step]
    assert [step for step in scans if "USING INDEX" not in step] == []


def test_what_another_run_has_pruned_is_not_taken_from_the_sums_again(engine: sa.Engine, settings: Settings) -> None:
    """Two workers prune: whatever one of them has read as old, the other may have deleted meanwhile."""
    fill(engine, settings)
    before = everything(engine)
    nested = False

    def another() -> None:
        nonlocal nested
        if not nested:
            nested = True
            retention.prune(engine, settings, NOW)

    pruned = retention.prune(engine, settings, NOW, another, rows_at_once=30)
    assert nested
    assert pruned.reports < len(before["report"])
    after = everything(engine)
    assert_consistent(after)
    assert_pruned(before, after)
