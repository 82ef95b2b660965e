"""Upgrades: who may bring an older database to this version, and what is kept of the one before."""

import re
import shutil
import subprocess
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path

import alembic.command
import pytest
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.databases import create_database
from tests.goldens import entry, report, text
from tests.system.test_end_to_end import Installation

MakeSettings = Callable[..., Settings]
# Locks hold between two copies of SQLite's library only when they are in two processes.
sqlite3 = engines.sqlite_module()


def make_older(url: str, revision: str = "0003") -> None:
    """A database as an older version left it, with something in it."""
    engine = engines.open_engine(url)
    with engine.begin() as connection:
        config = engines.migrations_config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        connection.execute(sa.text("CREATE TABLE what_was_there (text TEXT)"))
        connection.execute(sa.text("INSERT INTO what_was_there VALUES ('of old')"))
    engine.dispose()


def copies(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db.schema-*"))


def revision_of(path: Path) -> str:
    with sqlite3.connect(path) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.fixture
def older(settings_for: MakeSettings) -> Settings:
    settings = settings_for()
    make_older(settings.database_url)
    return settings


def test_an_older_database_is_copied_before_its_upgrade(older: Settings, tmp_path: Path) -> None:
    messages: list[str] = []
    upgrades.upgrade(older, messages.append)
    (copy,) = copies(tmp_path)
    assert re.fullmatch(r"starttally\.db\.schema-0003\.\d{4}-\d\d-\d\d", copy.name)
    assert copy.stat().st_mode & 0o777 == 0o600
    assert f"is in {copy}; it stays there until you delete it" in messages[-1]
    assert revision_of(copy) == "0003"
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT text FROM what_was_there").fetchall() == [("of old",)]
    assert revision_of(tmp_path / "starttally.db") != "0003"


def test_what_needs_no_upgrade_is_not_copied(settings_for: MakeSettings, tmp_path: Path) -> None:
    messages: list[str] = []
    for _ in range(2):  # a new database, and one of this version
        upgrades.upgrade(settings_for(), messages.append)
    assert messages == []
    assert copies(tmp_path) == []


def test_who_has_a_back_up_needs_no_copy(older: Settings, tmp_path: Path) -> None:
    upgrades.upgrade(older, pytest.fail, copy=False)
    assert copies(tmp_path) == []


def test_without_space_for_the_copy_nothing_is_changed(
    older: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9, 1000))
    with pytest.raises(engines.NotBackedUp, match=r"no space for a copy .*`starttally db upgrade --no-copy`"):
        upgrades.upgrade(older, lambda _words: None)
    assert revision_of(tmp_path / "starttally.db") == "0003"
    assert copies(tmp_path) == []


def test_space_that_the_doors_need_is_not_taken(older: Settings, settings_for: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(engines.NotBackedUp, match=r"STARTTALLY_MIN_FREE_BYTES=\d+ must stay free"):
        upgrades.upgrade(settings_for(min_free_bytes=10**15), lambda _words: None)
    assert copies(tmp_path) == []


@pytest.fixture
def failing(older: Settings, tmp_path: Path) -> Settings:
    """The migration meets a table of its own name."""
    with sqlite3.connect(tmp_path / "starttally.db") as connection:
        connection.execute("CREATE TABLE pending_upgrade (x)")
    return older


def test_a_failed_upgrade_says_how_to_put_the_copy_back(failing: Settings, tmp_path: Path) -> None:
    messages: list[str] = []
    with pytest.raises(engines.DatabaseAway, match="already exists"):
        upgrades.upgrade(failing, messages.append)
    (copy,) = copies(tmp_path)
    assert "stop everything" in messages[-1]
    command = f"cp {copy} {tmp_path}/starttally.db"
    assert messages[-1].endswith(command)
    subprocess.run(command.split(), check=True)
    assert revision_of(tmp_path / "starttally.db") == "0003"


def test_an_upgrade_that_fails_again_and_again_leaves_one_copy(failing: Settings, tmp_path: Path) -> None:
    for _ in range(3):
        with pytest.raises(engines.DatabaseAway):
            upgrades.upgrade(failing, lambda _words: None)
    assert len(copies(tmp_path)) == 1


def test_what_was_stored_since_the_last_attempt_is_in_a_copy_too(failing: Settings, tmp_path: Path) -> None:
    for number in range(2):
        with sqlite3.connect(tmp_path / "starttally.db") as connection:
            connection.execute("INSERT INTO what_was_there VALUES (?)", (f"attempt {number}",))
        with pytest.raises(engines.DatabaseAway):
            upgrades.upgrade(failing, lambda _words: None)
    first, second = copies(tmp_path)
    assert second.name == first.name + ".2"
    counts = []
    for path in (first, second):
        with sqlite3.connect(path) as connection:
            counts.append(connection.execute("SELECT count(*) FROM what_was_there").fetchone()[0])
    assert counts == [2, 3]


def test_nobody_writes_between_the_copy_and_the_upgrade(older: Settings, tmp_path: Path) -> None:
    """What an older worker stores at that moment waits for the upgrade: it is never missing from both."""

    def busy(words: str) -> None:
        with (
            pytest.raises(sqlite3.OperationalError, match="locked"),
            sqlite3.connect(tmp_path / "starttally.db", timeout=0) as connection,
        ):
            connection.execute("INSERT INTO what_was_there VALUES ('late')")
        messages.append(words)

    messages: list[str] = []
    upgrades.upgrade(older, busy)
    assert len(messages) == 2


def test_an_interrupted_upgrade_of_reports_goes_on_without_a_second_copy(older: Settings, tmp_path: Path) -> None:
    upgrades.upgrade(older, lambda _words: None)
    engine = engines.open_engine(older.database_url)
    with engine.begin() as connection:
        connection.execute(sa.insert(models.pending_upgrade).values(task="rekey"))
    engine.dispose()
    upgrades.upgrade(older, pytest.fail)
    assert len(copies(tmp_path)) == 1


# The commands


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path, f"sqlite:///{tmp_path}/starttally.db", "127.0.0.1:9")


def test_db_upgrade_says_where_the_copy_is(installation: Installation) -> None:
    make_older(installation.url)
    done = installation.done("db", "upgrade")
    assert (done.returncode, done.stdout) == (0, b"the database is up to date\n")
    (copy,) = copies(installation.folder)
    assert str(copy) in done.stderr.decode()
    installation.run("db", "check")


@pytest.mark.parametrize("command", [("load", "report.json"), ("work", "--once"), ("work",)], ids=" ".join)
def test_writing_commands_refuse_an_older_database(installation: Installation, command: tuple[str, ...]) -> None:
    make_older(installation.url)
    (installation.folder / "report.json").write_bytes(text(report(entry(1))))
    words = installation.refused(*command, expect=2)
    assert words == "starttally: the database has an older schema (0003); run `starttally db upgrade`\n"
    assert revision_of(installation.folder / "starttally.db") == "0003"
    assert copies(installation.folder) == []


def test_load_goes_on_in_no_database_whose_upgrade_was_interrupted(installation: Installation) -> None:
    upgrades.migrate(installation.url)
    engine = engines.open_engine(installation.url)
    with engine.begin() as connection:
        connection.execute(sa.insert(models.pending_upgrade).values(task="rekey"))
    engine.dispose()
    assert "was interrupted; run `starttally db upgrade`" in installation.refused("load", ".", expect=2)


def test_serve_upgrades_after_a_copy(installation: Installation) -> None:
    make_older(installation.url)
    with installation.running("serve"):
        installation.wait_for_smtp()
    (copy,) = copies(installation.folder)
    assert f"the database as it was is in {copy}" in (installation.folder / "serve.log").read_text()
    installation.run("db", "check")


def test_serve_leaves_an_older_postgresql_to_its_operator(installation: Installation, postgresql_server: str) -> None:
    """A dump of it is not ours to make; an empty one gets its tables."""
    installation.environment["STARTTALLY_DATABASE_URL"] = installation.url = create_database(postgresql_server)
    make_older(installation.url)
    words = installation.refused("serve", expect=2)
    assert "has an older schema (0003); back it up with pg_dump" in words
    assert "then run `starttally db upgrade`" in words
    installation.run("db", "upgrade")
    installation.run("db", "check")
