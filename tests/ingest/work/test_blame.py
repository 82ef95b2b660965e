"""Who is to blame: values are their message's fault, and everything that passes is nobody's."""

import contextlib
import datetime as dt
import errno
import gzip
import os
import signal
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import psycopg.errors
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.verdict import Authentication
from ingest.database import engines, models
from ingest.monitoring import publishing, trouble
from ingest.monitoring.trouble import Trouble
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool, SpoolUnavailable
from ingest.store import quarantine, saving
from ingest.store.upkeep import upgrades
from ingest.work import retrying, second_looks
from ingest.work.blame import for_users, trouble_behind
from ingest.work.opened import FileChanged
from ingest.work.outage import Outage
from ingest.work.owed import Owed
from ingest.work.worker import Worker
from tests import stored as stored_messages
from tests.doors import running_doors
from tests.ingest.monitoring.test_metrics import ready
from tests.ingest.store.test_saving import rows
from tests.ingest.work.test_worker import MakeSettings, NoKeys, deliver, numbered, stored
from tests.readers import ToldReader
from tests.support import eventually


def wrapped(kind: type[sa.exc.DBAPIError], orig: Exception) -> sa.exc.DBAPIError:
    return kind("INSERT", {}, orig)


def of_postgresql(code: str) -> sa.exc.DBAPIError:
    orig = psycopg.errors.lookup(code)("words of the server")
    names = {cls.__name__ for cls in type(orig).__mro__}
    kinds = (
        "DataError",
        "IntegrityError",
        "InternalError",
        "ProgrammingError",
        "NotSupportedError",
        "OperationalError",
    )
    return wrapped(getattr(sa.exc, next(kind for kind in kinds if kind in names)), orig)


def of_sqlite(code: int, words: str) -> sa.exc.DBAPIError:
    orig = sqlite3.OperationalError(words)
    orig.sqlite_errorcode = code
    return wrapped(sa.exc.OperationalError, orig)


def of_system(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (of_postgresql("25006"), "database-read-only"),
        (of_postgresql("42P01"), "database-tables"),
        (of_postgresql("42P10"), "database-tables"),
        (of_postgresql("42501"), "database-rights"),
        (of_postgresql("53100"), "database-full"),
        (of_postgresql("XX001"), "database-damaged"),
        (of_postgresql("40P01"), "database-locked"),
        (of_postgresql("57P01"), "database-away"),
        (of_postgresql("0A000"), "database-away"),
        (wrapped(sa.exc.OperationalError, psycopg.OperationalError("connection refused")), "database-away"),
        (wrapped(sa.exc.InterfaceError, psycopg.InterfaceError("the connection is closed")), "database-away"),
        (of_sqlite(1, "no such table: report"), "database-tables"),
        (of_sqlite(5, "database is locked"), "database-locked"),
        (of_sqlite(1032, "attempt to write a readonly database"), "database-read-only"),
        (of_sqlite(11, "database disk image is malformed"), "database-damaged"),
        (of_sqlite(13, "database or disk is full"), "database-full"),
        (of_sqlite(1, "what nobody has met"), "database-away"),
        (FileChanged("database-gone", "x.db"), "database-gone"),
        (engines.SchemaMismatch("run `starttally db upgrade`"), "database-schema"),
        (engines.DatabaseAway("no"), "database-away"),
        (sa.exc.TimeoutError("no connection free"), "database-away"),
        (of_system(errno.ENOSPC), "spool-full"),
        (of_system(errno.EROFS), "spool-read-only"),
        (of_system(errno.EACCES), "spool-rights"),
        (of_system(errno.EMFILE), "too-many-files"),
        (of_system(errno.EIO), "disk-fault"),
        # What a message causes, and bugs of ours:
        (of_postgresql("22003"), None),
        (of_postgresql("22P05"), None),
        (of_postgresql("23514"), None),
        (of_postgresql("54000"), None),
        (of_postgresql("21000"), None),
        (wrapped(sa.exc.DataError, sqlite3.DataError("string or blob too big")), None),
        (wrapped(sa.exc.IntegrityError, sqlite3.IntegrityError("NOT NULL constraint failed")), None),
        (wrapped(sa.exc.InterfaceError, sqlite3.InterfaceError("Error binding parameter 0")), None),
        (sa.exc.StatementError("no", "INSERT", {}, OverflowError()), None),
        (gzip.BadGzipFile("Not a gzipped file"), None),
        (KeyError("x"), None),
        (MemoryError(), None),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__}: {value}"[:60].splitlines()[0],
)
def test_who_is_to_blame(error: BaseException, reason: str | None) -> None:
    of = trouble_behind(error)
    assert (of.reason if of else None) == reason
    assert not of or str(of).startswith(trouble.WORDS[of.reason])


def test_commands_end_with_words() -> None:
    assert "read-only" in str(for_users(of_postgresql("25006")))
    assert isinstance(for_users(of_system(errno.EROFS)), SpoolUnavailable)
    mistake = KeyError("x")
    assert for_users(mistake) is mistake


def test_an_outage_says_each_reason_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    outage = Outage()
    waits = []
    for _ in range(9):
        for reason in ("database-away", "database-read-only"):
            outage.met(Trouble(reason, "words"))
            waits.append(outage.back_off)
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert max(waits) == waits[-1] == 30.0
    assert len(caplog.messages) == 2
    outage.over()
    outage.over()
    assert len(caplog.messages) == 3
    assert "works again" in caplog.messages[-1]
    assert outage.back_off == 0.0


@pytest.fixture
def settings(settings_for: MakeSettings, tmp_path: Path) -> Settings:
    made = settings_for(database_url=f"sqlite:///{tmp_path}/starttally.db", poll_seconds=0.05)
    upgrades.migrate(made.database_url)
    return made


@pytest.fixture
def engine(settings: Settings) -> Iterator[sa.Engine]:
    opened = engines.open_engine(settings.database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def hand(settings: Settings, engine: sa.Engine) -> Worker:
    return Worker(settings, engine, Spool(settings.spool), NoKeys())


def works_while(hand: Worker, story: Callable[[], object]) -> None:
    """Run the worker as long as the story lasts. A worker runs in the main thread, for the sake of its signals."""
    stop = threading.Event()
    faults: list[BaseException] = []

    def tell() -> None:
        try:
            story()
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)
        finally:
            stop.set()

    teller = threading.Thread(target=tell)
    teller.start()
    try:
        hand.run(stop)
    finally:
        stop.set()
        teller.join()
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    if faults:
        raise faults[0]


def revision(settings: Settings, version: str | None = None) -> str:
    with contextlib.closing(sqlite3.connect(settings.database_url.removeprefix("sqlite:///"))) as connection:
        (before,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if version:
            connection.execute("UPDATE alembic_version SET version_num = ?", (version,))
            connection.commit()
    return str(before)


def reports(settings: Settings) -> int:
    return len(stored(settings, models.report))


def waits_for(settings: Settings) -> str | None:
    return publishing.Workers(settings.spool).waits_for


def test_another_schema_under_a_running_worker_is_waited_out_and_said(
    settings: Settings, hand: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def story() -> None:
        deliver(settings, *numbered(1))
        eventually(lambda: reports(settings) == 1)
        ours = revision(settings, "9999")
        deliver(settings, *numbered(2))
        eventually(lambda: waits_for(settings) == "database-schema")
        with running_doors(settings) as doors:
            status, state = ready(doors["http"])
            assert status == 503
            assert "another version's tables" in str(state["database"])
        assert reports(settings) == 1
        revision(settings, ours)
        eventually(lambda: reports(settings) == 2)

    works_while(hand, story)
    assert not stored(settings, models.quarantine)
    assert len([line for line in caplog.messages if "another version" in line and "tried again" in line]) == 1
    assert any("works again" in line for line in caplog.messages)


def test_a_file_put_in_place_of_the_database_is_opened_and_nothing_goes_into_the_old_one(
    settings: Settings, hand: Worker, tmp_path: Path
) -> None:
    path, copy, old = tmp_path / "starttally.db", tmp_path / "copy.db", tmp_path / "old.db"

    def story() -> None:
        deliver(settings, *numbered(1))
        eventually(lambda: reports(settings) == 1 and not any((settings.spool / "cur").iterdir()))
        engines.back_up(settings.database_url, copy)
        path.rename(old)
        deliver(settings, *numbered(2))
        eventually(lambda: waits_for(settings) == "database-gone")
        eventually(lambda: hand._outage.back_off > 1)  # tried again
        assert not path.exists(), "SQLite would make an empty one"
        copy.rename(path)
        eventually(lambda: reports(settings) == 2)

    works_while(hand, story)
    for file, count in ((path, 2), (old, 1)):
        with contextlib.closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert connection.execute("SELECT count(*) FROM report").fetchone() == (count,)


@pytest.mark.parametrize("when", ["before the commit", "after the commit"])
def test_a_file_replaced_in_the_midst_of_a_batch_loses_nothing(
    settings: Settings, hand: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path, copy = tmp_path / "starttally.db", tmp_path / "copy.db"
    engines.back_up(settings.database_url, copy)
    save = saving.save

    def replacing(*arguments: Any) -> Any:
        saved = save(*arguments)
        if copy.exists() and when == "before the commit":
            copy.replace(path)
        return saved

    monkeypatch.setattr(saving, "save", replacing)
    if when == "after the commit":
        looks = iter(range(10))
        look = hand._opened.must_be_same_file

        def replacing_late() -> None:
            if next(looks, 9) == 2:  # of the round, before the commit, after it
                copy.replace(path)
            look()

        monkeypatch.setattr(hand._opened, "must_be_same_file", replacing_late)
    deliver(settings, *numbered(1, 2))
    with pytest.raises(engines.DatabaseAway, match="replaced"):
        hand.run_once()
    assert not copy.exists()
    monkeypatch.undo()
    hand._opened.leave()
    assert hand.run_once().stored == 2


def test_values_that_the_database_refuses_are_found_without_blaming_others(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []
    save = saving.save
    decode = hand._reader._decode

    def refusing(connection: sa.Connection, messages: Sequence[Any], *others: Any) -> Any:
        for message in messages:
            if isinstance(message, submissions.Submission) and message.decoded.reports[0][0].report_id == "number-33":
                raise wrapped(sa.exc.DataError, ValueError("out of range"))
        return save(connection, messages, *others)

    def noting(spooled: Any, *others: Any) -> Any:
        attempts.append(spooled.attempts)
        return decode(spooled, *others)

    monkeypatch.setattr(saving, "save", refusing)
    monkeypatch.setattr(hand._reader, "_decode", noting)
    deliver(settings, *numbered(*range(64)))
    assert msgspec.structs.astuple(hand.run_once()) == (63, 0, 1)
    assert sum(count > 0 for count in attempts) <= 2 * 3, "the culprit alone comes again, in both lanes"
    assert len(attempts) < 4 * 64, "halves, not one by one"


def test_a_bug_that_meets_everything_blames_each_alone_and_an_outage_none(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise of_postgresql("25006")

    with monkeypatch.context() as patch:
        patch.setattr(saving, "save", away)
        deliver(settings, *numbered(1, 2))
        for _ in range(4):
            with pytest.raises(engines.DatabaseAway, match="read-only"):
                hand.run_once()
    assert hand.run_once().stored == 2


def test_second_looks_interrupted_by_an_outage_cost_no_attempt(
    settings: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = dt.datetime.now(dt.UTC)
    waiting = {
        "received_at": now, "next_attempt": now, "attempts": 1, "door": "smtp", "sender": "",
        "message": zlib.compress(numbered(1)[0]),
    }  # fmt: skip
    with engine.begin() as connection:
        connection.execute(sa.insert(models.undetermined), [waiting | {"message_digest": name} for name in "abc"])
    owed = Owed()

    def away(*_: object) -> None:
        raise of_postgresql("57P01")

    def undetermined(_message: bytes, _now: dt.datetime) -> Authentication:
        return Authentication("undetermined")

    def look() -> Any:
        return second_looks.retry_undetermined(engine, ToldReader(settings, undetermined), now, owed=owed)

    for _ in range(4):
        with monkeypatch.context() as patch:
            patch.setattr(second_looks, "_look_again", away)
            with pytest.raises(sa.exc.OperationalError):
                look()
        assert {row["unfinished"] for row in rows(engine, models.undetermined)} == {1}
        owed.pay(engine)
        assert {(row["unfinished"], row["attempts"]) for row in rows(engine, models.undetermined)} == {(0, 1)}
    look()
    assert {(row["unfinished"], row["attempts"]) for row in rows(engine, models.undetermined)} == {(0, 2)}


def test_a_message_read_again_in_an_outage_does_not_count_as_a_killer(
    settings: Settings, engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_messages.store_file(engine, b"Subject: x\r\n\r\n", settings, name="a.eml")
    (before,) = rows(engine, models.quarantine)
    quarantine.ask_retry_of(engine, "", "a test", dt.datetime.now(dt.UTC))
    owed = Owed()

    def away(*_: object) -> None:
        raise of_postgresql("57P01")

    with monkeypatch.context() as patch:
        patch.setattr(intake, "decode_mail", away)  # as if the database went away while it was read
        patch.setattr(Owed, "pay", away)
        with pytest.raises(sa.exc.OperationalError):
            retrying.retry(
                engine,
                ToldReader(settings, lambda *_: Authentication()),
                before["message_digest"],
                dt.datetime.now(dt.UTC),
                owed,
            )
    assert rows(engine, models.quarantine)[0]["reason"] == "killed-reader"
    owed.pay(engine)
    (after,) = rows(engine, models.quarantine)
    assert (after["state"], after["reason"], after["explanation"]) == (
        "retrying",
        before["reason"],
        before["explanation"],
    )
