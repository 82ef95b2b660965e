"""Metrics of several processes in one scrape, and readiness, with real processes and the real door."""

import contextlib
import datetime as dt
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from ingest.database import models
from ingest.monitoring import health, metrics, publishing
from ingest.settings.settings import Address, Settings
from ingest.spool.maildir import Spool
from ingest.store.upkeep import upgrades
from tests.databases import PostgreSQL
from tests.doors import running_doors
from tests.goldens import usual
from tests.ingest.work.test_worker import deliver, numbered, stored
from tests.support import eventually

MakeSettings = Callable[..., Settings]


def ask(address: Address, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ready(address: Address) -> tuple[int, dict[str, object]]:
    status, answer = ask(address, "/readyz")
    return status, json.loads(answer)


def scraped(address: Address) -> dict[tuple[str, ...], float]:
    """Value by name and labels, as a monitoring system reads it; no sample twice."""
    collected: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(ask(address, "/metrics")[1]):
        for sample in family.samples:
            key = (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items())))
            assert key not in collected
            collected[key] = sample.value
    return collected


@contextlib.contextmanager
def working(settings: Settings, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
        "STARTTALLY_NAMESERVERS": "127.0.0.1:1",
        **more,
    }
    command = [sys.executable, "-m", "dashboard.commands.app", "work"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as worker:
        try:
            yield worker
        finally:
            worker.send_signal(signal.SIGCONT)
            worker.terminate()


def test_one_scrape_has_the_figures_of_all_processes(settings_for: MakeSettings) -> None:
    settings = settings_for()
    upgrades.migrate(settings.database_url)
    deliver(settings, *numbered(1, 2), usual({}), b"Subject: x\r\n\r\n")
    with running_doors(settings) as addresses, working(settings) as first, working(settings):
        eventually(lambda: ready(addresses["http"])[1]["workers"] == 2, 60)
        eventually(lambda: len(stored(settings, models.report)) == 2, 60)

        def total(*key: str) -> float:
            samples = scraped(addresses["http"])
            return sum(samples.get((*key[:1], f"process=worker-{n}", *key[1:]), 0.0) for n in (0, 1))

        eventually(lambda: total("starttally_stored_total") == 2, 60)
        # Names of labels are in alphabetical order: process before reason, after outcome.
        eventually(lambda: total("starttally_quarantined_total", "reason=no-report") == 2, 60)
        samples = scraped(addresses["http"])
        assert (
            sum(value for key, value in samples.items() if key[:2] == ("starttally_dkim_total", "outcome=unsigned"))
            == 2
        )
        assert sum(value for key, value in samples.items() if key[0] == "starttally_batch_seconds_count") >= 1
        assert samples["starttally_database_up", "process=worker-0"] == 1
        assert samples["starttally_backlog_messages",] == 0
        assert ("starttally_process_start_time_seconds", "process=door-0") in samples
        began = {n: samples["starttally_process_start_time_seconds", f"process=worker-{n}"] for n in (0, 1)}
        # One that dies is no longer counted; its successor has a start of its own.
        first.kill()
        first.wait()
        eventually(lambda: ready(addresses["http"])[1]["workers"] == 1, 60)
        with working(settings):
            eventually(lambda: ready(addresses["http"])[1]["workers"] == 2, 60)

            def begun_anew() -> int:
                samples = scraped(addresses["http"])
                again = {n: samples["starttally_process_start_time_seconds", f"process=worker-{n}"] for n in (0, 1)}
                return sum(began[n] != again[n] for n in (0, 1))

            eventually(lambda: begun_anew() == 1, 60)


def test_no_worker_is_shown_and_no_fault_by_itself(settings_for: MakeSettings) -> None:
    settings = settings_for(ready_backlog_seconds=60)
    with running_doors(settings) as addresses:
        status, state = ready(addresses["http"])
        assert (status, state["workers"], state["worker"]) == (200, 0, None)


def test_mail_that_waits_too_long_is_a_fault(settings_for: MakeSettings) -> None:
    settings = settings_for(ready_backlog_seconds=60)
    deliver(settings, b"old")
    (path,) = (settings.spool / "new").iterdir()
    os.utime(path, (0, dt.datetime.now(dt.UTC).timestamp() - 100))
    with running_doors(settings) as addresses:
        status, state = ready(addresses["http"])
        assert (status, state["backlog"]) == (503, 1)
        assert "READY_BACKLOG_SECONDS=60" in str(state["worker"])


def test_a_database_that_is_away_or_frozen_is_a_fault_until_it_is_back(
    settings_for: MakeSettings, own_postgresql: PostgreSQL
) -> None:
    settings = settings_for(database_url=own_postgresql.new_database())
    upgrades.migrate(settings.database_url)
    with running_doors(settings) as addresses, working(settings):
        door = addresses["http"]
        eventually(lambda: ready(door)[1]["workers"] == 1, 60)
        assert ready(door)[0] == 200
        own_postgresql.stop()
        eventually(lambda: ready(door)[0] == 503, 60)
        assert "the database is away since" in str(ready(door)[1]["database"])
        assert scraped(door)["starttally_database_up", "process=worker-0"] == 0
        own_postgresql.start()
        eventually(lambda: ready(door)[0] == 200, 90)
        own_postgresql.freeze()
        try:
            eventually(lambda: ready(door)[0] == 503, 90)
        finally:
            own_postgresql.thaw()
        eventually(lambda: ready(door)[0] == 200, 90)


def test_a_slot_is_held_by_one_process_and_free_again_after_it(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    Counter("a_total", "A.", registry=registry).inc()
    with publishing.Publisher(tmp_path, "door", registry), publishing.Publisher(tmp_path, "door", registry):
        eventually(lambda: [slot for slot, _ in publishing.published(tmp_path)] == ["door-0", "door-1"])
        text = publishing.merged(tmp_path, CollectorRegistry()).decode()
        assert text.count("# TYPE a_total counter") == 1
        assert 'a_total{process="door-0"} 1.0\na_total{process="door-1"} 1.0\n' in text
    assert list(publishing.published(tmp_path)) == []
    with publishing.Publisher(tmp_path, "door", registry):
        eventually(lambda: [slot for slot, _ in publishing.published(tmp_path)] == ["door-0"])


def test_what_a_dead_process_left_or_half_a_file_is_passed_over(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "worker-0.lock").touch()
    (folder / "worker-0.prom").write_text("starttally_stored_total 5\n")
    assert list(publishing.published(tmp_path)) == []
    lock, path = publishing._claim(folder, "worker")
    assert lock is not None
    assert path is not None
    with lock:  # a living process, whose file was cut off half-way
        path.write_text('starttally_stored_total{x="\n')
        assert list(publishing.published(tmp_path)) == []
        path.write_text("starttally_stored_total 5\n")
        assert [slot for slot, _ in publishing.published(tmp_path)] == ["worker-0"]


def test_a_spool_that_takes_no_metrics_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "metrics").write_text("a file, not a folder")
    with publishing.Publisher(tmp_path, "door", CollectorRegistry()) as publisher:
        publisher.publish()
    assert "metrics cannot be published" in caplog.text


def test_a_database_that_does_not_answer_counts_as_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, changes = [1000.0], []
    monkeypatch.setattr(metrics.time, "time", lambda: clock[0])
    state = metrics.DatabaseState(lambda: changes.append(clock[0]), patience=10)
    for moment, do in (
        (1000, state.asked),
        (1001, state.answered),
        (1002, state.asked),
        (1005, state.look),
        (1013, state.look),
        (1014, state.look),
        (1020, state.answered),
    ):
        clock[0] = float(moment)
        do()
    assert changes == [1001, 1013, 1020]


def test_the_backlog_is_counted_now_and_then(settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for()
    clock = [1000.0]
    monkeypatch.setattr(health.time, "monotonic", lambda: clock[0])
    spool = Spool(settings.spool)
    backlog = health.Backlog(spool)
    assert backlog.get() == (0, 0.0)
    deliver(settings, b"one")
    assert backlog.get()[0] == 0
    clock[0] += 4
    assert backlog.get()[0] == 1

    def slow() -> tuple[int, float]:
        clock[0] += 10  # a spool of many millions
        return 7, 1.0

    monkeypatch.setattr(spool, "backlog", slow)
    clock[0] += 4
    assert backlog.get()[0] == 7
    clock[0] += 100
    monkeypatch.setattr(spool, "backlog", lambda: (8, 1.0))
    assert backlog.get()[0] == 7, "counting may take a twentieth of the time"
    clock[0] += 100
    assert backlog.get()[0] == 8
