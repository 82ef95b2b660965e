"""What is costly to read waits for what is not, costs nobody else much, and loses nothing by waiting."""

import gzip
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa

from ingest import submissions
from ingest.authentication.dkim_keys import Keys
from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool
from ingest.store import saving
from ingest.store.upkeep import upgrades
from ingest.work import lanes
from ingest.work.worker import Worker
from tests.goldens import detail, entry, mail, multipart, part, report, usual
from tests.ingest.work.test_worker import MakeSettings, deliver, numbered, stored
from tests.nameserver import SILENT, NameServer, Slow, txt
from tests.signing import DOMAIN, SELECTOR, record, signed
from tests.support import eventually

BOMB = mail(multipart(part(gzip.compress(bytes(40 * 1024 * 1024)))))
LARGE = usual(report(entry(5, 20_000, *[detail(sessions=1, information="x" * 60)] * 20_000), report_id="large"))

# Kilobytes, with more policies than the quick lane reads.
CROWD = usual(report(*[entry(1)] * 6_000, report_id="crowd"))


@pytest.fixture
def settings(settings_for: MakeSettings, database_url: str) -> Settings:
    upgrades.migrate(database_url)
    return settings_for(database_url=database_url)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What each transaction brought: ids of reports, reasons of quarantine."""
    collected: list[list[str]] = []
    save = saving.save

    def noting(
        connection: sa.Connection, items: Sequence[submissions.Submission | submissions.Quarantined], *others: Any
    ) -> object:
        collected.append(
            [
                item.reason if isinstance(item, submissions.Quarantined) else item.decoded.reports[0][0].report_id
                for item in items
            ]
        )
        return save(connection, items, *others)

    monkeypatch.setattr(saving, "save", noting)
    return collected


@pytest.fixture
def hand(settings: Settings) -> Iterator[Worker]:
    engine = engines.open_engine(settings.database_url)
    yield Worker(settings, engine, Spool(settings.spool), Keys())
    engine.dispose()


def test_costly_messages_come_after_cheap_ones(settings: Settings, batches: list[list[str]]) -> None:
    with NameServer({}, otherwise=SILENT) as silent:
        engine = engines.open_engine(settings.database_url)
        waiting = signed(usual(report(entry(1), report_id="dns")))
        deliver(settings, BOMB, LARGE, CROWD, waiting, b"Subject: hello\r\n\r\nno report", *numbered(1, 2))
        tally = Worker(settings, engine, Spool(settings.spool), Keys([silent.address])).run_once()
        engine.dispose()
    assert (tally.stored, tally.quarantined) == (5, 2)
    assert batches[0] == ["number-1", "number-2"]
    assert sorted(each for batch in batches[1:] for each in batch) == [
        "crowd",
        "dns",
        "large",
        "no-report",
        "no-report",
    ]
    assert Spool(settings.spool).backlog()[0] == 0


def test_a_key_that_is_slow_to_come_is_waited_for(settings: Settings, batches: list[list[str]]) -> None:
    """Slower than the quick lane allows, and well within STARTTALLY_DNS_SECONDS."""
    name = f"{SELECTOR}._domainkey.{DOMAIN}"
    with NameServer({name: Slow(0.3, txt(record()))}) as slow:
        engine = engines.open_engine(settings.database_url)
        deliver(settings, signed(usual(report(entry(1), report_id="dns"))), *numbered(1))
        Worker(settings, engine, Spool(settings.spool), Keys([slow.address])).run_once()
        engine.dispose()
    assert batches == [["number-1"], ["dns"]]
    assert {row["report_id"]: row["trust"] for row in stored(settings, models.report)} == {
        "dns": "verified",
        "number-1": "unverified",
    }


def test_costly_work_gets_its_share_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    turns, cheap, costly = lanes.Turns(), 0.0, 0.0
    for _ in range(1_000):
        now += 0.1
        cheap += 0.1
        turns.cheap(now - 0.1)
        if turns.costly_due:
            now += 0.5
            costly += 0.5
            turns.costly(now - 0.5)
    assert costly / (cheap + costly) == pytest.approx(0.2, abs=0.01)


def test_what_was_put_aside_goes_back_when_the_worker_stops(settings: Settings, hand: Worker) -> None:
    """Nothing is claimed by nobody, and no attempt is counted."""
    stop = threading.Event()
    quick = hand._store_batch

    def once(*arguments: object) -> object:
        stop.set()
        return quick(*arguments)  # type: ignore[arg-type]

    hand._store_batch = once  # type: ignore[method-assign,assignment]
    hand._costly_work = lambda _claimant: None  # type: ignore[method-assign]
    deliver(settings, BOMB, *numbered(1))
    hand.run(stop)
    (name,) = [path.name for path in (settings.spool / "new").iterdir()]
    assert name.endswith(",A=0")
    assert len(stored(settings, models.report)) == 1
    assert not stored(settings, models.quarantine)


def test_a_costly_report_is_stored_while_cheap_mail_never_ends(settings: Settings, hand: Worker) -> None:
    stop = threading.Event()
    feeding = threading.Event()

    def feed() -> None:
        number = 0
        while not feeding.is_set():
            number += 50
            if Spool(settings.spool).backlog()[0] < 400:
                deliver(settings, *numbered(*range(number, number + 50)))

    def has_both() -> bool:
        reports = {row["report_id"] for row in stored(settings, models.report)}
        return "large" in reports and len(reports) > 50

    feeder = threading.Thread(target=feed)
    watcher = threading.Thread(target=lambda: (eventually(has_both, 60), stop.set()))
    deliver(settings, LARGE, *numbered(1))
    feeder.start()
    watcher.start()
    try:
        hand.run(stop)
    finally:
        feeding.set()
        feeder.join()
        watcher.join()
    assert has_both()
