"""The worker: poison never stops the line, and nobody else pays for it."""

import datetime as dt
import gzip
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.dkim_keys import Keys
from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool
from ingest.store import quarantine, saving
from ingest.store.upkeep import upgrades
from ingest.work import batch, limited
from ingest.work.chores import Schedule
from ingest.work.worker import Worker
from tests import stored as stored_messages
from tests.databases import PostgreSQL
from tests.goldens import detail, entry, mail, multipart, packed, part, report, text, usual, zipped
from tests.ingest.store.test_saving import rows
from tests.support import eventually

MakeSettings = Callable[..., Settings]


class NoKeys(Keys):
    """DNS with nothing in it, asked nowhere."""

    def prefetch(self, names: Any, seconds: float) -> Any:
        return {}


@pytest.fixture
def settings(settings_for: MakeSettings, database_url: str) -> Settings:
    upgrades.migrate(database_url)
    return settings_for(database_url=database_url)


@pytest.fixture
def hand(settings: Settings) -> Iterator[Worker]:
    engine = engines.open_engine(settings.database_url)
    yield Worker(settings, engine, Spool(settings.spool), NoKeys())
    engine.dispose()


def deliver(settings: Settings, *mails: bytes) -> None:
    spool = Spool(settings.spool)
    for each in mails:
        incoming = spool.receive()
        incoming.write(each)
        incoming.commit()


def stored(settings: Settings, table: sa.Table) -> list[dict[str, Any]]:
    engine = engines.open_engine(settings.database_url)
    try:
        return rows(engine, table)
    finally:
        engine.dispose()


def numbered(*numbers: int) -> list[bytes]:
    return [usual(report(entry(number), report_id=f"number-{number}")) for number in numbers]


def test_the_spool_is_emptied_into_the_database(settings: Settings, hand: Worker) -> None:
    deliver(settings, *numbered(1, 2, 3), b"Subject: hello\r\n\r\nno report")
    assert msgspec.structs.astuple(hand.run_once()) == (3, 0, 1)
    assert Spool(settings.spool).backlog()[0] == 0
    assert [row["door"] for row in stored(settings, models.report)] == ["maildir"] * 3
    assert (
        stored(settings, models.quarantine)[0]["explanation"] == "no report is attached; the mail has only text/plain"
    )


def test_a_fault_of_ours_quarantines_its_message_and_no_other(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = intake.decode_mail

    def faulty(message: bytes, *others: Any) -> Any:
        if b"poison" in message:
            raise MemoryError
        return decode(message, *others)

    monkeypatch.setattr(intake, "decode_mail", faulty)
    deliver(settings, *numbered(*range(20)), b"Subject: poison\r\n\r\n", *numbered(*range(20, 40)))
    assert msgspec.structs.astuple(hand.run_once()) == (40, 0, 1)
    (stored_row,) = stored(settings, models.quarantine)
    assert (stored_row["reason"], "failed 3 times" in stored_row["explanation"]) == ("killed-reader", True)


def test_a_row_the_database_refuses_quarantines_its_message_and_no_other(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = saving.save

    def refusing(connection: sa.Connection, messages: Sequence[Any], *others: Any) -> Any:
        for message in messages:
            if isinstance(message, submissions.Submission) and message.decoded.reports[0][0].report_id == "number-7":
                raise sa.exc.DataError("insert", {}, ValueError("out of range"))
        return save(connection, messages, *others)

    monkeypatch.setattr(saving, "save", refusing)
    deliver(settings, *numbered(*range(12)))
    assert msgspec.structs.astuple(hand.run_once()) == (11, 0, 1)
    assert stored(settings, models.quarantine)[0]["reason"] == "killed-reader"


def test_the_database_being_away_blames_nobody(settings_for: MakeSettings) -> None:
    settings = settings_for(database_url="postgresql://starttally@127.0.0.1:1/x")
    engine = engines.open_engine(settings.database_url)
    deliver(settings, *numbered(1))
    for _ in range(4):
        with pytest.raises(engines.DatabaseAway, match="cannot be used now"):
            Worker(settings, engine, Spool(settings.spool), NoKeys()).run_once()
    with Spool(settings.spool).claimant() as claimant:
        assert [message.attempts for message in claimant.claim(5)] == [0]
    engine.dispose()


def test_it_stops_when_told(settings: Settings, hand: Worker) -> None:
    stop = threading.Event()
    stop.set()
    hand.run(stop)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def test_an_empty_database_is_a_mistake_in_words(settings_for: MakeSettings, tmp_path: Path) -> None:
    settings = settings_for(database_url=f"sqlite:///{tmp_path}/empty.db")
    engine = engines.open_engine(settings.database_url)
    with pytest.raises(engines.SchemaMismatch, match="starttally db upgrade"):
        Worker(settings, engine, Spool(settings.spool), NoKeys()).run(threading.Event())
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    engine.dispose()


def gzipped_zeros(size: int) -> bytes:
    return gzip.compress(bytes(1024 * 1024) * (size // 1024 // 1024), 9, mtime=0)


BOMBS = {
    "gzip of 1 GiB": lambda: mail(multipart(part(gzipped_zeros(1 << 30)))),
    "gzip in gzip": lambda: mail(multipart(part(gzip.compress(gzipped_zeros(1 << 30), mtime=0)))),
    "19 MiB of [],": lambda: mail(multipart(part(packed(b'{"policies":[' + b"[]," * (19 << 18) + b"[]]}")))),
    "100,000 parts": lambda: mail(multipart(*["Content-Type: text/plain\r\n\r\nx\r\n"] * 100_000)),
    "deep nesting": lambda: mail(multipart(part(packed(b'{"policies":' + b"[" * 5_000_000)))),
    "huge folded header": lambda: b"X: a\r\n" + b" folded\r\n" * 500_000 + b"\r\n",
    "many lines": lambda: b"Subject: x\r\n\r\n" + b"\r\n" * 9_000_000,
    "half a million objects with a NUL": lambda: mail(
        multipart(part(packed(b'{"a":"\\u0000","policies":[' + b"{}," * 490_000 + b"{}]}")))
    ),
    "200 gzips of 64 MiB": lambda: mail(multipart(*[part(gzipped_zeros(1 << 26))] * 200)),
    "30 gzips of 64 MiB in a zip": lambda: mail(
        multipart(part(zipped(**{f"r{n}__gz": gzipped_zeros(1 << 26) for n in range(30)}), "application/zip", "r.zip"))
    ),
    "40 reports of 31 MiB": lambda: mail(
        multipart(*[part(packed(text(report(entry(1), vendor="x" * (31 << 20)))))] * 40)
    ),
    "a megabyte of encoded words": lambda: b"Subject: " + b"=?utf-8?q?=41?=\r\n " * 50_000 + b"\r\n\r\nx",
    "a million failures": lambda: usual(report(entry(1, 1, *[detail()] * 250_000))),
}


def test_bombs_are_quarantined_within_the_limits_and_honest_mail_flows(
    settings_for: MakeSettings, tmp_path: Path
) -> None:
    """docs/reliability.md rows 4 and 5, in short: a real worker process under its real limits."""
    settings = settings_for(database_url=f"sqlite:///{tmp_path}/bombs.db")
    upgrades.migrate(settings.database_url)
    deliver(settings, *(make() for make in BOMBS.values()), *numbered(1, 2, 3))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
    }
    command = [sys.executable, "-c", _PEAK, "work", "--once"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert ended.returncode == 1, ended.stderr
    # Of 40 large reports one is read; that others were not is said by quarantine.
    assert f"stored=4 duplicate=0 quarantined={len(BOMBS)}" in ended.stdout
    peak_mib = int(ended.stderr.rpartition("peak=")[2]) / 1024
    assert peak_mib <= 512, peak_mib


_PEAK = """
import sys
from dashboard.commands.app import main
try:
    main()
finally:
    # Not getrusage: its peak begins with that of the process that started this one.
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    sys.stderr.write(f"peak={peak}")
"""


def test_a_reader_killed_by_its_message_is_replaced_and_the_message_set_aside(
    settings_for: MakeSettings, tmp_path: Path
) -> None:
    """A message that drives its reader beyond the CPU limit: the kernel kills, the next reader knows whom to blame."""
    settings = settings_for(database_url=f"sqlite:///{tmp_path}/killed.db")
    upgrades.migrate(settings.database_url)
    deliver(settings, *numbered(1, 2), b"Subject: poison\r\n\r\n", *numbered(3))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
    }
    ends = [
        subprocess.run(
            [sys.executable, "-c", _SPINNING], env=environment, capture_output=True, check=False, cwd=tmp_path
        ).returncode
        for _ in range(4)
    ]
    assert ends == [-signal.SIGXCPU, -signal.SIGXCPU, -signal.SIGXCPU, 1]
    assert len(stored(settings, models.report)) == 3
    assert [row["reason"] for row in stored(settings, models.quarantine)] == ["killed-reader"]


_SPINNING = """
import sys
from ingest import intake
from ingest.work import limited
from dashboard.commands.app import main
assert limited.MAX_MESSAGE_CPU_SECONDS == 10
decode, limited.MAX_MESSAGE_CPU_SECONDS = intake.decode_mail, 1
def spinning(message, *others):
    while b"poison" in message:
        pass
    return decode(message, *others)
intake.decode_mail = spinning
sys.argv[1:] = ["work", "--once"]
main()
"""


def test_a_frozen_postgresql_does_not_hold_the_worker_for_ever(
    settings_for: MakeSettings, own_postgresql: PostgreSQL, tmp_path: Path
) -> None:
    settings = settings_for(database_url=own_postgresql.new_database())
    upgrades.migrate(settings.database_url)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
    }
    command = [
        sys.executable,
        "-c",
        "import sys\nfrom ingest.work import worker\nworker._STEP_SECONDS = 3\nfrom dashboard.commands.app import main\nsys.argv[1:] = ['work']\nmain()",
    ]
    deliver(settings, *numbered(1))
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=tmp_path) as frozen_out:
        eventually(lambda: len(stored(settings, models.report)) == 1, 60)
        own_postgresql.freeze()
        try:
            deliver(settings, *numbered(2))
            assert frozen_out.wait(60) == 3
        finally:
            own_postgresql.thaw()
    with Spool(settings.spool).claimant() as claimant:
        claimant.recover()
        assert [message.attempts for message in claimant.claim(5)] == [0]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, cwd=tmp_path) as again:
        eventually(lambda: len(stored(settings, models.report)) == 2, 60)
        again.terminate()


def test_chores_come_in_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    chores = Schedule(lambda: None)
    done: list[str] = []
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for seconds in (0, 5, 11, 20):
        clock[0] = 1000.0 + seconds
        chores.now_and_then("sweep", 10, lambda: done.append("sweep"))
    assert done == ["sweep", "sweep"]


def test_memory_and_core_dumps_are_limited() -> None:
    program = "import resource\nfrom ingest.work import limited\nlimited.limit_process()\nprint(resource.getrlimit(resource.RLIMIT_DATA)[0], resource.getrlimit(resource.RLIMIT_CORE)[0])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == [str(limited.MAX_DATA_BYTES), "0"]


def test_one_poison_among_a_thousand(settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reliability.md row 6, in short; it is kept byte by byte, and read once it can be."""
    decode = intake.decode_mail
    poison = usual(report(entry(1), report_id="poison"))

    def faulty(message: bytes, *others: Any) -> Any:
        if message == poison:
            raise RuntimeError("a fault of ours")
        return decode(message, *others)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "decode_mail", faulty)
        deliver(settings, *numbered(*range(500)), poison, *numbered(*range(500, 1000)))
        assert msgspec.structs.astuple(hand.run_once()) == (1000, 0, 1)
    (stored_row,) = stored(settings, models.quarantine)
    assert (stored_row["reason"], zlib.decompress(stored_row["message"])) == ("killed-reader", poison)
    engine = engines.open_engine(settings.database_url)
    assert quarantine.ask_retry_of(engine, "killed-reader", "a test", dt.datetime.now(dt.UTC)) == 1
    engine.dispose()
    hand.run_once()
    assert (len(stored(settings, models.report)), stored(settings, models.quarantine)) == (1001, [])


def test_a_batch_ends_before_its_reports_fill_the_memory(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    save = saving.save

    def counting(connection: sa.Connection, messages: Sequence[Any], *others: Any) -> Any:
        sizes.append(len(messages))
        return save(connection, messages, *others)

    monkeypatch.setattr(saving, "save", counting)
    monkeypatch.setattr(batch, "_READ_BYTES", 100_000)
    large = [usual(report(entry(1), report_id=str(number), vendor="x" * 60_000)) for number in range(5)]
    deliver(settings, *large)
    assert msgspec.structs.astuple(hand.run_once()) == (5, 0, 0)
    assert sizes == [2, 2, 1]


def test_a_message_that_kills_its_reader_when_read_again_stays_and_says_so(
    settings_for: MakeSettings, tmp_path: Path
) -> None:
    """As the Quarantine page asks for it: the worker dies once, the next one goes on with the rest."""
    settings = settings_for(database_url=f"sqlite:///{tmp_path}/again.db")
    upgrades.migrate(settings.database_url)
    engine = engines.open_engine(settings.database_url)
    for name, data in (("a.eml", b"Subject: poison\r\n\r\n"), ("b.eml", b"Subject: other\r\n\r\n")):
        stored_messages.store_file(engine, data, settings, name=name)
    assert quarantine.ask_retry_of(engine, "", "a test", dt.datetime.now(dt.UTC)) == 2
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
    }
    command = [sys.executable, "-c", _SPINNING]
    ends = [
        subprocess.run(command, env=environment, capture_output=True, check=False, cwd=tmp_path).returncode
        for _ in range(2)
    ]
    assert sorted(ends) == [-signal.SIGXCPU, 0]
    reasons = {row["subject"]: (row["state"], row["reason"]) for row in rows(engine, models.quarantine)}
    assert reasons == {"poison": ("waiting", "killed-reader"), "other": ("waiting", "no-report")}
    engine.dispose()
