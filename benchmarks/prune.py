"""What pruning costs, and how long it holds up a neighbour: reports with many failure details.

``python -m benchmarks.prune [--reports 2000] [--details 175]``. Three ages have so many reports each: of the oldest the whole
goes, of the next the failure details go, the newest stay. Rows are made by the store itself. SQLite in a folder of its own; and
the empty database that STARTTALLY_BENCH_POSTGRESQL_URL names, where the CPU is that of the program, without the server's. The
neighbour is a process that marks a domain in a transaction every 20 ms, as a worker does that stores.
"""

import argparse
import contextlib
import datetime as dt
import functools
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store import due
from ingest.store.upkeep import retention, upgrades
from tests.goldens import detail, entry
from tests.reports import report_json
from tests.stored import store_reports, submission

NOW = dt.datetime(2026, 3, 20, 12, tzinfo=dt.UTC)
KEEP_DETAILS, KEEP_REPORTS = 100, 200
_AGES = (KEEP_REPORTS + 10, KEEP_DETAILS + 10, 1)
_DOMAINS, _DAYS = 40, 50
_VOICES = ("google.com", "microsoft.com", "sender.example")
_TOGETHER = 100
_EVERY = 0.02


class Measured(msgspec.Struct):
    """One run: CPU and wall seconds, the longest transaction of the neighbour, and what went."""

    cpu: float
    wall: float
    held_up: float
    pruned: retention.Pruned


def reports(number: int, details: int, newest: dt.date) -> Iterator[dict[str, Any]]:
    """So many reports, each with ``details`` of distinct hosts, about some domains and the days up to ``newest``."""
    for each in range(number):
        domain, day = f"d{each % _DOMAINS:02}.example", newest - dt.timedelta(days=each // _DOMAINS % _DAYS)
        failures = [
            detail(
                "validation-failure", sending_mta_ip=f"192.0.2.{host % 256}", receiving_mx_hostname=f"mx{host}.{domain}"
            )
            for host in range(details)
        ]
        voice = _VOICES[each % len(_VOICES)]
        yield report_json(
            entry(400 + each, details, *failures, policy_domain=domain),
            day=str(day),
            report_id=f"{day} {each}",
            organization_name=voice,
            contact_info=f"tls@{voice}",
        )


def fill(settings: Settings, number: int, details: int) -> sa.Engine:
    """A database with so many reports of each age."""
    upgrades.migrate(settings.database_url)
    engine = engines.open_engine(settings.database_url)
    for age in _AGES:
        values = reports(number, details, NOW.date() - dt.timedelta(days=age))
        while batch := list(itertools.islice(values, _TOGETHER)):
            store_reports(engine, [submission(value, settings, signer=value["organization-name"]) for value in batch])
    return engine


def neighbour(url: str, wire: Connection) -> None:
    """Write a row every 20 ms until told to stop, then say how long the longest transaction took."""
    engine = engines.open_engine(url)
    longest = 0.0
    wire.send(0.0)
    while not wire.poll(_EVERY):
        begun = time.monotonic()
        # SQLite gives up after a minute; the time says so.
        with contextlib.suppress(sa.exc.OperationalError), engine.begin() as connection:
            due.mark(connection, {"d00.example": NOW.date()})
        longest = max(longest, time.monotonic() - begun)
    wire.send(longest)


def beside_neighbour(url: str, work: Callable[[], retention.Pruned]) -> Measured:
    """Do it while the neighbour writes."""
    context = multiprocessing.get_context("spawn")
    wire, other_end = context.Pipe()
    process = context.Process(target=neighbour, args=(url, other_end))
    process.start()
    wire.recv()
    cpu, wall = time.process_time(), time.monotonic()
    pruned = work()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    wire.send("stop")
    measured = Measured(cpu, wall, wire.recv(), pruned)
    process.join()
    return measured


def show(name: str, measured: Measured) -> None:
    """One line."""
    sys.stdout.write(
        f"{name:<44} {measured.cpu:8.3f} s CPU {measured.wall:8.3f} s, a writer waited {measured.held_up:6.3f} s"
        f"   {measured.pruned.in_words}\n"
    )
    sys.stdout.flush()


def measure(engine: sa.Engine, settings: Settings) -> None:
    """Whole reports, failure details alone, and nothing."""
    keep: dict[str, Any] = {"keep_raw_days": 0, "keep_details_days": 0, "keep_reports_days": KEEP_REPORTS}
    with_details = keep | {"keep_details_days": KEEP_DETAILS}
    for name, changes in (("whole reports", keep), ("failure details", with_details), ("nothing to do", with_details)):
        chosen = settings.model_copy(update=changes)
        work = functools.partial(retention.prune, engine, chosen, NOW)
        show(f"{engine.dialect.name}: {name}", beside_neighbour(settings.database_url, work))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reports", type=int, default=2_000)
    parser.add_argument("--details", type=int, default=175)
    chosen = parser.parse_args()
    sys.stdout.write(f"load average {os.getloadavg()[0]:.2f}\n")
    # It is no setting, so the program would refuse it.
    postgresql = os.environ.pop("STARTTALLY_BENCH_POSTGRESQL_URL", None)
    with tempfile.TemporaryDirectory() as folder:
        for url in (f"sqlite:///{folder}/prune.db", postgresql):
            if url:
                settings = settings_module.load(
                    database_url=url, spool=Path(folder) / "spool", hostname="mx.receiver.example"
                )
                engine = fill(settings, chosen.reports, chosen.details)
                measure(engine, settings)
                engine.dispose()


if __name__ == "__main__":
    main()
