"""Citus: a question about one domain asks one server, one about all domains asks all of them (docs/scale.md)."""

import datetime as dt
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard.exports.reading import Filters, domain_rows, failure_rows, report_rows, summary_rows
from dashboard.queries import assessed, domain, evidence, fleet, overrides, report_pages, reports
from dashboard.queries.question import ALL_DAYS, EVERYTHING, TRUSTED, Question
from dashboard.queries.report_pages import FailureCell, ReportFilter
from dashboard.verdicts import current
from ingest.database import engines
from ingest.database.models import report
from tests.dashboard.conftest import Filled, fill
from tests.databases import CITUS_URL, create_distributed_database, drop_citus_database
from tests.support import NEEDS_CITUS

DOMAIN, DAY = "receiver.example", dt.date(2026, 11, 20)
TODAY = Question(DAY)
Ask = Callable[[sa.Engine], object]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    """The world of a fixed day, on Citus."""
    if not CITUS_URL:
        pytest.skip(NEEDS_CITUS)
    url = create_distributed_database()
    yield from fill(url, DAY, tmp_path_factory.mktemp("distributed"))
    drop_citus_database(url)


def task_counts(filled: Filled, ask: Ask) -> list[int]:
    """Of each statement that a question executes, from how many shards Citus asks rows."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    engine = engines.open_engine(filled.url, read_only=True)
    with engine.connect():
        sa.event.listen(engine, "before_cursor_execute", note)
    ask(engine)
    sa.event.remove(engine, "before_cursor_execute", note)
    counts = []
    with engine.connect() as connection:
        for statement, parameters in statements:
            plan = connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
            counts += [int(match[1]) for line in plan.scalars() if (match := re.search(r"Task Count: (\d+)", line))]
    engine.dispose()
    return counts


def of_first_report(ask: Callable[[sa.Engine, str], object], filled: Filled) -> Ask:
    with filled.engine.connect() as connection:
        keys = sa.select(report.c.report_key).where(report.c.policy_domain == DOMAIN, report.c.raw_domain == DOMAIN)
        key = connection.scalars(keys.order_by(report.c.report_key)).first()
    assert key
    return lambda engine: ask(engine, key)


def exported(engine: sa.Engine, filters: Filters) -> list[list[Any]]:
    """The rows of every export."""
    with engine.connect() as connection:
        return [list(rows(connection, filters)) for rows in (report_rows, summary_rows, failure_rows, domain_rows)]


ABOUT = (EVERYTHING, DOMAIN, ALL_DAYS, TRUSTED)
OF_CAUSE = ReportFilter(DOMAIN, cause=FailureCell("certificate-expired", "sts"))


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: domain.is_known(engine, EVERYTHING, DOMAIN),
        lambda engine: domain.days(engine, EVERYTHING, DOMAIN, ALL_DAYS),
        lambda engine: domain.causes(engine, *ABOUT, "sts"),
        lambda engine: domain.result_types(engine, *ABOUT, "sts"),
        lambda engine: domain.reporters(engine, EVERYTHING, DOMAIN, ALL_DAYS, "sts"),
        lambda engine: domain.policies(engine, *ABOUT),
        lambda engine: domain.policy_reporters(engine, *ABOUT),
        lambda engine: evidence.evidence_of(engine, TODAY, [DOMAIN]),
        lambda engine: evidence.evidence_of(engine, TODAY.about(DAY - dt.timedelta(days=7)), [DOMAIN]),
        lambda engine: list(current(engine, TODAY, [DOMAIN])),
        lambda engine: assessed.by_day(engine, TODAY, DOMAIN, DAY - dt.timedelta(days=60)),
        lambda engine: assessed.first_word(engine, TODAY, DOMAIN),
        lambda engine: overrides.every_override(engine, EVERYTHING, DOMAIN, 10),
        lambda engine: report_pages.list_reports(engine, EVERYTHING, ReportFilter(DOMAIN), limit=50),
        lambda engine: report_pages.list_reports(engine, EVERYTHING, OF_CAUSE, limit=50),
        lambda engine: report_pages.count_reports(engine, EVERYTHING, ReportFilter(DOMAIN, only_failures=True), 1_000),
        lambda engine: exported(engine, Filters(domains=(DOMAIN,), until=DAY)),
    ],
)
def test_what_the_page_of_a_domain_asks_touches_one_shard(filled: Filled, ask: Ask) -> None:
    counts = task_counts(filled, ask)
    assert counts
    assert set(counts) == {1}


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine, key: reports.one_report(engine, EVERYTHING, DOMAIN, key),
        lambda engine, key: reports.entries(engine, EVERYTHING, DOMAIN, key),
        lambda engine, key: reports.details(engine, EVERYTHING, DOMAIN, key, limit=50),
        lambda engine, key: reports.deliveries(engine, EVERYTHING, DOMAIN, key),
        lambda engine, key: reports.copies_of(engine, EVERYTHING, DOMAIN, key, "an id"),
        lambda engine, key: reports.raw_document(engine, EVERYTHING, DOMAIN, key),
    ],
)
def test_what_the_page_of_a_report_asks_touches_one_shard(
    filled: Filled, ask: Callable[[sa.Engine, str], object]
) -> None:
    counts = task_counts(filled, of_first_report(ask, filled))
    assert counts
    assert set(counts) == {1}


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: fleet.totals(engine, EVERYTHING, ALL_DAYS),
        lambda engine: fleet.reporter_counts(engine, EVERYTHING, ALL_DAYS),
        lambda engine: fleet.count_domains(engine, EVERYTHING),
        lambda engine: assessed.ranked(engine, EVERYTHING, limit=50),
        lambda engine: evidence.domains_of(engine, EVERYTHING),
        lambda engine: report_pages.list_reports(engine, EVERYTHING, ReportFilter(), limit=50),
    ],
)
def test_what_the_page_of_all_domains_asks_fans_out(filled: Filled, ask: Ask) -> None:
    counts = task_counts(filled, ask)
    assert counts
    assert min(counts) > 1
