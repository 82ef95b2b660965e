"""What the page of all domains and ``export domains`` cost: CPU of the asking process, and how much memory it grew by.

``python -m benchmarks.fleet [--domains 100000] [--days 60]``. SQLite in a folder of its own; and the empty database that
STARTTALLY_BENCH_POSTGRESQL_URL names, where CPU and memory are those of the program, without the server's. One domain's rows
are made by the store and the assessor; SQL copies them under other names: the sums and reporters of all days, the newest
verdict and the reports of the newest day for every domain, everything for ``_SAMPLE`` of them. Each question is asked by a
process of its own, so that its peak of memory is its own.
"""

import argparse
import datetime as dt
import itertools
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dashboard import verdicts
from dashboard.assessing import Assessor
from dashboard.exports import writing
from dashboard.exports.reading import Filters
from dashboard.fleet_verdicts import ranking
from dashboard.queries import fleet
from dashboard.queries.question import ALL_DAYS, EVERYTHING, DayRange, Question, Scope
from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.store.upkeep import fleet_sums

from .answers import DOMAIN, TODAY, fill, noon, settings_in

_VOICES = ("google.com", "microsoft.com", "sender0.example", "sender1.example")
_SAMPLE = 500
_ROUNDS = 3
_ON_A_PAGE = 500
_LAST_14 = DayRange(TODAY - dt.timedelta(days=14), TODAY)
_EVERY_ROW = frozenset({"domain_day", "domain_reporter", "domain_trust"})


def multiply(engine: sa.Engine, domains: int) -> list[str]:
    """Copy what is stored about one domain for so many others; the names of those that have everything."""
    every = max(1, domains // _SAMPLE)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TEMP TABLE name (name VARCHAR(253) PRIMARY KEY, complete BOOLEAN NOT NULL)"))
        connection.execute(sa.text(_numbers(engine)), {"most": domains - 2, "every": every})
        for table in models.metadata.sorted_tables:
            if "policy_domain" in table.c and table is not models.domain_due:
                connection.execute(sa.text(_copying(table)))
        fleet_sums.replace(connection)
    with engine.begin() as connection:
        connection.execute(sa.text("ANALYZE"))
    return [f"d{number:06}.example" for number in range(0, domains - 1, every)]


def _numbers(engine: sa.Engine) -> str:
    if engine.dialect.name == "postgresql":
        name = "'d' || lpad(number::text, 6, '0') || '.example'"
        return f"INSERT INTO name SELECT {name}, number % :every = 0 FROM generate_series(0, :most) number"
    return (
        "INSERT INTO name WITH RECURSIVE numbers(number) AS"
        " (SELECT 0 UNION ALL SELECT number + 1 FROM numbers WHERE number < :most)"
        " SELECT printf('d%06d.example', number), number % :every = 0 FROM numbers"
    )


def _copying(table: sa.Table) -> str:
    """Names outside, so that rows come in the order of the key."""
    others = ", ".join(f'"{column.name}"' for column in table.columns if column.name != "policy_domain")
    newest = "SELECT report_key FROM report WHERE day = (SELECT max(day) FROM report)"
    wanted = "complete"
    if table.name in _EVERY_ROW:
        wanted = "TRUE"
    elif table is models.domain_verdict:
        wanted = "complete OR newest"
    elif table.name in ("report", "policy_entry", "delivery"):
        wanted = f"complete OR report_key IN ({newest})"
    return (
        f"INSERT INTO {table.name} (policy_domain, {others}) SELECT name, {others} FROM name CROSS JOIN {table.name}"
        f" WHERE policy_domain = '{DOMAIN}' AND ({wanted})"
    )


def measured(work: Callable[[], Any], rounds: int = _ROUNDS) -> tuple[float, float]:
    """Median CPU seconds of a process that does it, and by how many MiB its peak of memory grew."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=_measure, args=(work, rounds, there))
    process.start()
    seconds, grown = here.recv()
    process.join()
    return seconds, grown


def _measure(work: Callable[[], Any], rounds: int, answer: Connection) -> None:
    # What the parent once needed is no part of it.
    Path("/proc/self/clear_refs").write_text("5", "ascii")
    before, taken = _peak(), []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    answer.send((statistics.median(taken), _peak() - before))


def _peak() -> float:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def questions(question: Question) -> Mapping[str, Callable[[sa.Engine], Any]]:
    """What the page of all domains asks, by what it is for."""
    nobody = Scope(("*.nowhere.example", "d000042.example"))
    return {
        "newest day": lambda engine: fleet.newest_day(engine, EVERYTHING),
        "first page, by urgency": lambda engine: ranking(engine, question, "", "", _ON_A_PAGE),
        "its columns": lambda engine: fleet.domains(
            engine,
            EVERYTHING,
            ALL_DAYS,
            [row.domain for row in ranking(engine, question, "", "", _ON_A_PAGE).summaries],
        ),
        "page 150": lambda engine: ranking(engine, question, "", "", _ON_A_PAGE, 149 * _ON_A_PAGE),
        "a verdict chosen, page 3": lambda engine: ranking(engine, question, "", "ready", _ON_A_PAGE, 2 * _ON_A_PAGE),
        "a part of the name": lambda engine: ranking(engine, question, "0042", "", _ON_A_PAGE),
        "sessions of 14 days": lambda engine: fleet.totals(engine, EVERYTHING, _LAST_14),
        "sessions of all days": lambda engine: fleet.totals(engine, EVERYTHING, ALL_DAYS),
        "reporters and domains, 14 days": lambda engine: fleet.reporter_counts(engine, EVERYTHING, _LAST_14),
        "who may see one domain: newest day": lambda engine: fleet.newest_day(engine, nobody),
        "who may see one domain: sessions": lambda engine: fleet.totals(engine, nobody, ALL_DAYS),
        "who may see one domain: reporters": lambda engine: fleet.reporter_counts(engine, nobody, ALL_DAYS),
    }


def run(url: str, settings: Settings, domains: int, days: int) -> None:
    """Fill and measure one database."""
    begun = time.monotonic()
    engine = fill(settings, days, _VOICES)
    Assessor(engine, settings, lambda: noon(TODAY)).run_once()
    sample = multiply(engine, domains)
    engine.dispose()
    _line(f"{url.partition(':')[0]}: {domains:,} domains x {days} days filled (wall)", time.monotonic() - begun, 0)
    question = Question.of(settings, TODAY)

    def asking(ask: Callable[[sa.Engine], Any]) -> Callable[[], Any]:
        def work() -> None:
            reader = engines.open_engine(url, read_only=True)
            ask(reader)
            reader.dispose()

        return work

    for name, ask in questions(question).items():
        _line(name, *measured(asking(ask)))
    _line(f"{len(sample)} verdicts from rows", *measured(asking(lambda e: list(verdicts.current(e, question, sample)))))
    for kind, format in itertools.product(("domains",), ("csv", "json", "parquet")):  # noqa: A001
        with Path(os.devnull).open("wb") as target:
            filters = Filters(question=question)
            work = asking(lambda e: writing.write(e, kind, format, filters, target))  # noqa: B023
            _line(f"export {kind}, {format}", *measured(work, rounds=1))


def _line(name: str, seconds: float, mib: float) -> None:
    sys.stdout.write(f"{name:<64}{seconds:9.3f} s{mib:9.1f} MiB\n")
    sys.stdout.flush()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domains", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=60)
    chosen = parser.parse_args()
    sys.stdout.write(f"load average {os.getloadavg()[0]:.2f}\n")
    with tempfile.TemporaryDirectory() as name:
        settings = settings_in(Path(name), "fleet")
        run(settings.database_url, settings, chosen.domains, chosen.days)


if __name__ == "__main__":
    main()
