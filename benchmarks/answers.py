"""How long answers about a domain take: its verdict and history strip over short and long histories (``benchmarks.fleet``: all).

``python -m benchmarks.answers [--days 2160]``. CPU seconds of one process, medians; SQLite in a folder of its own. Rows are made
by the store itself, from reports of 25 voices a day about one domain.
"""

import argparse
import datetime as dt
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from dashboard import verdicts
from dashboard.assessing import DAYS, Assessor
from dashboard.queries.question import Question
from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.goldens import detail, entry
from tests.reports import report_json
from tests.stored import store_reports, submission

TODAY = dt.date(2026, 3, 20)
DOMAIN = "receiver.example"
_VOICES = ("google.com", "microsoft.com", *(f"sender{number}.example" for number in range(23)))
_TESTING = ["version: STSv1", "mode: testing", "mx: *.receiver.example", "max_age: 604800"]
_ROUNDS = 5


def noon(day: dt.date) -> dt.datetime:
    """The clock of an assessor."""
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def settings_in(folder: Path, name: str) -> Settings:
    """Settings of an installation of its own."""
    return settings_module.load(
        database_url=f"sqlite:///{folder}/{name}.db", spool=folder / "spool", hostname="mx.receiver.example"
    )


def fill(settings: Settings, days: int, voices: Iterable[str] = _VOICES) -> sa.Engine:
    """A database with a report of each voice about each day."""
    upgrades.migrate(settings.database_url)
    engine = engines.open_engine(settings.database_url)
    batch = []
    for ago in range(days, 0, -1):
        day = TODAY - dt.timedelta(days=ago)
        arrived_at = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(6), dt.UTC)
        for number, voice in enumerate(voices):
            failed = [detail("certificate-expired", 1)] if (ago + number) % 97 == 0 and ago > DAYS else []
            policy_entry = entry(400 + number, len(failed), *failed, policy_string=_TESTING)
            value = report_json(policy_entry, day=str(day), report_id=f"{day} {voice}", organization_name=voice)
            batch.append(
                submission(value | {"contact-info": f"tls@{voice}"}, settings, arrived_at=arrived_at, signer=voice)
            )
        if len(batch) >= 1_000:
            store_reports(engine, batch)
            batch = []
    store_reports(engine, batch)
    return engine


def cpu(work: Callable[[], Any], rounds: int = _ROUNDS) -> float:
    """Median CPU seconds."""
    taken = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def show(name: str, seconds: float, beside: float | None = None) -> None:
    """One line of the table: seconds, and the ratio to the other figure."""
    ratio = f"{seconds / beside:8.2f} times" if beside else ""
    sys.stdout.write(f"{name:<58}{seconds:9.3f} s{ratio}\n")
    sys.stdout.flush()


def histories(folder: Path, days: int) -> None:
    """A domain's verdict and strip over 120 days and over ``days``."""
    short, long = (_history(settings_in(folder, f"history{length}"), length) for length in (120, days))
    for name, seconds in short.items():
        show(f"{name}, 120 days", seconds)
        show(f"{name}, {days:,} days", long[name], seconds)


def _history(settings: Settings, length: int) -> dict[str, float]:
    engine, question = fill(settings, length), Question.of(settings, TODAY)
    assessor = Assessor(engine, settings, lambda: noon(TODAY))
    figures = {
        "verdict": cpu(lambda: verdicts.case_of(engine, question, DOMAIN)),
        "strip without rows": cpu(lambda: verdicts.by_day(engine, question, DOMAIN, "ready", DAYS), rounds=1),
        f"assess, first time ({DAYS} days)": cpu(assessor.run_once, rounds=1),
        "strip from rows": cpu(lambda: verdicts.by_day(engine, question, DOMAIN, "ready", DAYS)),
    }
    engine.dispose()
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=2_160)
    chosen = parser.parse_args()
    sys.stdout.write(f"load average {os.getloadavg()[0]:.2f}\n")
    with tempfile.TemporaryDirectory() as name:
        histories(Path(name), chosen.days)


if __name__ == "__main__":
    main()
