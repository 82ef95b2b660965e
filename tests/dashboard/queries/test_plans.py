"""Pages read what they show, whatever lies beside it: no plan of theirs reads a growing table from end to end."""

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.queries import assessed, domain, fleet, report_pages, reports
from dashboard.queries.evidence import evidence_of
from dashboard.queries.question import ALL_DAYS, EVERYTHING, TRUSTED, DayRange, Question, Scope
from dashboard.queries.report_pages import FailureCell, PlaceInList, ReportFilter
from ingest.database import engines, models
from ingest.settings.settings import Settings
from tests.databases import Spare
from tests.reports import detail, entry, report_json
from tests.stored import store_report

MAIN = "receiver.example"
GROWING = frozenset(
    {
        "report",
        "policy_entry",
        "failure_detail",
        "delivery",
        "policy_text",
        "raw_report",
        "domain_day",
        "domain_reporter",
    }
)
PLACE = PlaceInList(dt.date(2026, 3, 14), dt.datetime(2026, 3, 15, tzinfo=dt.UTC), MAIN, "k")
MINE = Scope((MAIN, "*.small.example"))
WINDOW = DayRange(dt.date(2026, 3, 1), dt.date(2026, 3, 20))
FILTERS = {
    "all": (EVERYTHING, ReportFilter()),
    "domain": (EVERYTHING, ReportFilter(domain=MAIN)),
    "below a domain": (EVERYTHING, ReportFilter(domain="*.small.example")),
    "reporter": (EVERYTHING, ReportFilter(reporter='"Sender Inc."')),
    "part of a reporter": (EVERYTHING, ReportFilter(reporter="sender")),
    "trust": (EVERYTHING, ReportFilter(trusts=("unverified",))),
    "days": (EVERYTHING, ReportFilter(window=WINDOW)),
    "only failures": (EVERYTHING, ReportFilter(only_failures=True)),
    "only failures, by a reporter": (EVERYTHING, ReportFilter(only_failures=True, reporter="sender")),
    "cause": (EVERYTHING, ReportFilter(domain=MAIN, cause=FailureCell("certificate-expired", "sts"))),
    "who may see one": (MINE, ReportFilter()),
}
Ask = Callable[[sa.Engine], Any]


def page(scope: Scope, wanted: ReportFilter, place: PlaceInList | None = None) -> Ask:
    return lambda engine: report_pages.list_reports(engine, scope, wanted, limit=51, place=place)


def number(scope: Scope, wanted: ReportFilter) -> Ask:
    return lambda engine: report_pages.count_reports(engine, scope, wanted, 1_000)


ASKING: dict[str, Ask] = {
    **{f"reports: {name}": page(*each) for name, each in FILTERS.items()},
    **{f"reports, from a place: {name}": page(*each, PLACE) for name, each in FILTERS.items()},
    **{f"how many reports: {name}": number(*each) for name, each in FILTERS.items()},
    "any report": lambda engine: reports.any_report(engine, MINE),
    "domains: sessions": lambda engine: fleet.totals(engine, EVERYTHING, WINDOW),
    "domains: sessions of a part": lambda engine: fleet.totals(engine, MINE, WINDOW),
    "domains: reporters": lambda engine: fleet.reporter_counts(engine, EVERYTHING, WINDOW),
    "domains: reporters of a part": lambda engine: fleet.reporter_counts(engine, MINE, WINDOW),
    "domains: columns": lambda engine: fleet.domains(engine, EVERYTHING, ALL_DAYS, [MAIN]),
    "domains: newest day": lambda engine: fleet.newest_day(engine, EVERYTHING),
    "domains: number": lambda engine: fleet.count_domains(engine, EVERYTHING, "a"),
    "one domain: days": lambda engine: domain.days(engine, EVERYTHING, MAIN, ALL_DAYS),
    "one domain: causes": lambda engine: domain.causes(engine, EVERYTHING, MAIN, WINDOW, TRUSTED, "sts"),
    "one domain: reporters": lambda engine: domain.reporters(engine, EVERYTHING, MAIN, WINDOW, "sts"),
    "one domain: policies": lambda engine: domain.policies(engine, EVERYTHING, MAIN, WINDOW, TRUSTED),
    "one domain: who quotes": lambda engine: domain.policy_reporters(engine, EVERYTHING, MAIN, WINDOW, TRUSTED),
}


def statements_of(engine: sa.Engine, ask: Ask, explain: str) -> list[tuple[Any, ...]]:
    """The rows of the plans of what is asked."""
    plans: list[tuple[Any, ...]] = []

    def note(connection: sa.Connection, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith(("SELECT", "WITH")):
            cursor = connection.connection.cursor()
            cursor.execute(f"{explain} {statement}", parameters)
            plans.extend(cursor.fetchall())

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        ask(engine)
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    assert plans
    return plans


@pytest.mark.parametrize("ask", ASKING.values(), ids=ASKING.keys())
def test_sqlite_reads_no_growing_table_from_end_to_end(
    sqlite_engine: sa.Engine, settings_for: Callable[..., Settings], ask: Ask
) -> None:
    store_report(sqlite_engine, report_json(entry(5, 1, detail(sessions=1))), settings_for())
    lines = [row[3] for row in statements_of(sqlite_engine, ask, "EXPLAIN QUERY PLAN")]
    scanned = [line for line in lines if line.split()[0] == "SCAN" and line.split()[1] in GROWING]
    # The index of reports with failures is read from its newest end on, as far as a page goes.
    assert [line for line in scanned if "ix_report_with_failures" not in line] == []


@pytest.mark.parametrize("name", ["reporter", "part of a reporter", "trust", "only failures"])
@pytest.mark.parametrize("question", ["reports", "reports, from a place"])
def test_sqlite_sorts_no_more_than_a_page(
    sqlite_engine: sa.Engine, settings_for: Callable[..., Settings], question: str, name: str
) -> None:
    """Every part comes in the order of an index; what is sorted after it is the page."""
    store_report(sqlite_engine, report_json(entry(5, 1, detail(sessions=1))), settings_for())
    lines = [row[3] for row in statements_of(sqlite_engine, ASKING[f"{question}: {name}"], "EXPLAIN QUERY PLAN")]
    parts = [number for number, line in enumerate(lines) if "report USING INDEX ix_report_" in line]
    assert parts
    assert not [number for number in parts if "ORDER BY" in lines[number + 1]]


def test_sqlite_finds_a_page_of_verdicts_by_an_index(sqlite_engine: sa.Engine) -> None:
    question = Question(dt.date(2026, 3, 20))

    def ask(engine: sa.Engine) -> None:
        assessed.outdated(engine, question, "", 10)
        assessed.counts(engine, EVERYTHING, "a")
        assessed.ranked(engine, EVERYTHING, "", "ready", 10, 10)

    lines = [row[3] for row in statements_of(sqlite_engine, ask, "EXPLAIN QUERY PLAN")]
    assert [line for line in lines if "domain_verdict" in line and "INDEX ix_domain_verdict_" not in line] == []
    assert [line for line in lines if "TEMP B-TREE" in line] == []


@pytest.mark.parametrize("names", [[], [MAIN], [f"d{number}.example" for number in range(200)]])
def test_sqlite_finds_evidence_by_its_domains(
    sqlite_engine: sa.Engine, settings_for: Callable[..., Settings], names: list[str]
) -> None:
    """It has no statistics, and must not take an index of the list of reports for a better one."""
    store_report(sqlite_engine, report_json(entry(5, 1, detail(sessions=1))), settings_for())
    question = Question(dt.date(2026, 3, 20))
    lines = [
        row[3]
        for row in statements_of(
            sqlite_engine, lambda engine: list(evidence_of(engine, question, names)), "EXPLAIN QUERY PLAN"
        )
    ]
    assert [line for line in lines if "ix_report_of" in line or "ix_report_with" in line] == []


_COPIES = 300


@pytest.fixture(scope="module")
def large(spare_databases: Spare, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    """A PostgreSQL whose planner knows that there are many domains, reporters and days: one report, copied in SQL."""
    url = spare_databases.take()
    engine = engines.open_engine(url)
    settings = Settings(database_url=url, spool=tmp_path_factory.mktemp("spool"))
    store_report(engine, report_json(entry(5, 1, detail(sessions=1))), settings)
    with engine.begin() as connection:
        for table in models.metadata.sorted_tables:
            if "policy_domain" in table.c:
                connection.execute(sa.text(_copying(table)))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text("VACUUM ANALYZE"))
    yield engine
    engine.dispose()
    spare_databases.give_back(url)


def _copying(table: sa.Table) -> str:
    """So many domains; of the tables of reports, so many reports each, a day apart."""
    changed = {"policy_domain": "'d' || domain || '.example'"}
    numbers = f"generate_series(1, {_COPIES}) domain"
    if "report_key" in table.c or table in (models.domain_day, models.domain_reporter):
        numbers += f", generate_series(1, {_COPIES // 3}) number"
        changed |= {"organization": "'o' || number"} if table is models.domain_reporter else {}
        changed |= {"report_key": "'k' || number", "failed_sessions": "CASE WHEN number % 20 = 0 THEN 1 ELSE 0 END"}
        changed |= {name: f"{name} - number" for name in ("day", "failure_day")}
        changed |= {name: f"{name} - number * interval '1 day'" for name in ("received_at", "stored_at")}
    values = ", ".join(changed.get(column.name, column.name) for column in table.columns)
    return f"INSERT INTO {table.name} ({', '.join(table.columns.keys())}) SELECT {values} FROM {table.name}, {numbers}"


# Here every report is of one trust and by one reporter: whoever counts up to a limit is done soon, wherever he begins.
_SOON_DONE = {f"how many reports: {name}" for name in ("all", "reporter", "part of a reporter")}


@pytest.mark.parametrize("ask", [ask for name, ask in ASKING.items() if name not in _SOON_DONE])
def test_postgresql_reads_no_growing_table_from_end_to_end(large: sa.Engine, ask: Ask) -> None:
    lines = [row[0] for row in statements_of(large, ask, "EXPLAIN")]
    scanned = {line.partition("Seq Scan on ")[2].split()[0] for line in lines if "Seq Scan on " in line}
    assert scanned & GROWING == set(), lines
