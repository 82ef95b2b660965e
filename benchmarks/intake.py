"""What the worker costs: report mails from the spool into SQLite, beside the least that could be done with them.

``make bench`` prints reports per second (median of the rounds) and each step's share of the whole.
"""

import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa

from ingest import intake
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.verdict import Authentication
from ingest.database import engines
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.spool.maildir import Spool
from ingest.store import rows
from ingest.store import saving as store
from ingest.store.upkeep import upgrades
from ingest.submissions import Decoded, Submission
from ingest.testimony import trust
from ingest.testimony.trust import UNSIGNED
from ingest.work.worker import Worker
from tests.goldens import detail, entry, report, usual

REPORTS, ROUNDS, DOMAINS = 4_000, 3, 200
NOW = dt.datetime.now(dt.UTC)


def mails() -> list[bytes]:
    """Distinct report mails: one policy, three failure details each, as Google shapes them."""
    failures = detail(), detail("starttls-not-supported"), detail("validation-failure")
    return [
        usual(report(entry(number, 3, *failures, policy_domain=f"d{number % DOMAINS}.example"), report_id=f"r{number}"))
        for number in range(REPORTS)
    ]


def decoded(messages: list[bytes]) -> list[Submission]:
    """The messages as the worker hands them to the store."""
    chosen = settings.load(min_free_bytes=0)
    submissions = []
    for message in messages:
        decoded_mail = intake.decode_mail(message, trace.Arrival(channels.SMTP, NOW, trace.digest(message)), chosen)
        assert isinstance(decoded_mail, Decoded)
        submissions.append(Submission(decoded_mail, Authentication(UNSIGNED), trust.UNVERIFIED))
    return submissions


def fresh_database() -> sa.Engine:
    """An empty, migrated SQLite in a folder of its own."""
    url = f"sqlite:///{tempfile.mkdtemp()}/bench.db"
    upgrades.migrate(url)
    return engines.open_engine(url)


def bare_inserts(submissions: list[Submission]) -> Callable[[], None]:
    """The same rows by the driver alone, prepared beforehand: no reading, no keys, no sums. The floor."""
    engine = fresh_database()
    everything = [rows_of for submission in submissions for rows_of in rows.rows_of(submission, NOW)[0]]

    def run() -> None:
        for start in range(0, len(everything), 200):
            batch = everything[start : start + 200]
            with engine.begin() as connection:
                for table, members in (
                    (store.report, [report_rows.report for report_rows in batch]),
                    (store.policy_entry, [row for report_rows in batch for row in report_rows.entries]),
                    (store.failure_detail, [row for report_rows in batch for row in report_rows.details]),
                ):
                    connection.execute(sa.insert(table), members)

    return run


def saving(submissions: list[Submission]) -> Callable[[], None]:
    """The store alone: keys, deliveries, policy texts, raw reports, sums."""
    engine = fresh_database()

    def run() -> None:
        for start in range(0, len(submissions), 200):
            with engine.begin() as connection:
                store.save(connection, submissions[start : start + 200], NOW)

    return run


def whole_way(messages: list[bytes]) -> Callable[[], None]:
    """The worker, from files in the spool to committed rows and removed files."""
    folder = Path(tempfile.mkdtemp())
    chosen = settings.load(spool=folder / "spool", min_free_bytes=0)
    spool = Spool(chosen.spool)
    for message in messages:
        incoming = spool.receive()
        incoming.write(message)
        incoming.commit()
    worker = Worker(chosen, fresh_database(), spool, Keys(chosen.nameservers))
    return lambda: _assert_all(worker.run_once().stored)


def _assert_all(stored: int) -> None:
    assert stored == REPORTS


def seconds(prepare: Callable[[], Callable[[], None]]) -> float:
    """The median time of some rounds, each prepared anew outside the clock."""
    times = []
    for _ in range(ROUNDS):
        run = prepare()
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def main() -> None:
    messages = mails()
    submissions = decoded(messages)
    measured = {
        "whole way: spool to rows": seconds(lambda: whole_way(messages)),
        "reading the mails alone": seconds(lambda: lambda: decoded(messages) and None),
        "storing alone": seconds(lambda: saving(submissions)),
        "bare inserts of the same rows": seconds(lambda: bare_inserts(submissions)),
    }
    whole = measured["whole way: spool to rows"]
    for name, taken in measured.items():
        print(f"{name:32} {REPORTS / taken:9,.0f} reports/s   {taken / whole:5.2f} of the whole")


if __name__ == "__main__":
    main()
