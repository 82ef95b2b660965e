"""What commands that only read refuse, with the program's own processes: days that are none, databases that are not there."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.database import engines
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.goldens import entry, report
from tests.reports import report_json
from tests.stored import store_report
from tests.system.test_end_to_end import Installation

READING = [
    ("verdict",),
    ("verdict", "receiver.example"),
    ("verdict", "receiver.example", "--json"),
    ("export", "summary"),
    ("export", "reports", "--domain", "receiver.example"),
    ("export", "failures", "-o", "out.csv"),
    ("quarantine", "list"),
    ("quarantine", "show", "ab12"),
    ("override", "list"),
    ("policy", "next", "receiver.example"),
    ("db", "check"),
]
# These write, but only into a database that is there.
CHANGING = [
    ("quarantine", "retry"),
    ("quarantine", "discard", "ab12"),
    ("override", "mx", "receiver.example", "mx.receiver.example", "--note", "known"),
    ("override", "withdraw", "ab12"),
    ("db", "prune"),
    ("db", "mend-arrivals"),
    ("db", "backup", "copy.db"),
]


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An empty folder, and settings that name a database in it."""
    return Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", "127.0.0.1:9")


@pytest.mark.parametrize(
    "command",
    [
        ("verdict", "--on"),
        ("export", "summary", "--since"),
        ("export", "summary", "--until"),
        ("override", "accept", "receiver.example", "certificate-expired", "--note", "known", "--until"),
        ("override", "thresholds", "receiver.example", "--note", "known", "--until"),
        ("override", "policy", "receiver.example", "policy.txt", "--note", "known", "--until"),
        ("override", "mx", "receiver.example", "mx.receiver.example", "--note", "known", "--until"),
    ],
)
def test_each_command_refuses_it_in_the_same_words(installation: Installation, command: tuple[str, ...]) -> None:
    (installation.folder / "policy.txt").write_text("version: STSv1\nmode: testing\nmx: a.example\nmax_age: 604800\n")
    printed = installation.refused(*command, "2026-W11-6", expect=2)
    words = "'2026-W11-6' is no day; write it as YYYY-MM-DD, for example 2026-03-14"
    assert printed.splitlines()[-1] == f"Error: Invalid value for {command[-1]}: {words}"
    assert not (installation.folder / "var").exists()


def tree(folder: Path) -> dict[Path, bytes | None]:
    """Everything in a folder, with what is in its files."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@contextlib.contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Nothing appears, disappears or changes within the block, but for the files that SQLite keeps beside an open database."""
    before = tree(folder)
    yield
    after = {path: data for path, data in tree(folder).items() if not path.name.endswith(("-wal", "-shm"))}
    assert after == {path: data for path, data in before.items() if not path.name.endswith(("-wal", "-shm"))}


def loaded(installation: Installation, *entries: dict[str, object]) -> None:
    (installation.folder / "report.json").write_text(json.dumps(report(*entries)))
    installation.run("load", "report.json")


@pytest.mark.parametrize("command", READING + CHANGING, ids=" ".join)
def test_no_command_makes_a_database_that_is_not_there(installation: Installation, command: tuple[str, ...]) -> None:
    with unchanged(installation.folder):
        words = installation.refused(*command, expect=3)
    place = installation.folder / "var/starttally.db"
    assert words.startswith(f"starttally: no database at {place}; look at STARTTALLY_DATABASE_URL")
    assert words.count("\n") == 1


@pytest.mark.parametrize("place", ["there", "there/starttally.dbb", "there/starttally.db/x"])
def test_a_mistyped_database_is_named(installation: Installation, place: str) -> None:
    installation.environment["STARTTALLY_DATABASE_URL"] = "sqlite:///there/starttally.db"
    loaded(installation, entry(3))
    installation.environment["STARTTALLY_DATABASE_URL"] = f"sqlite:///{place}"
    with unchanged(installation.folder):
        assert f"no database at {installation.folder / place};" in installation.refused("verdict", expect=3)


def test_settings_are_shown_and_nothing_is_made(installation: Installation) -> None:
    with unchanged(installation.folder):
        assert "STARTTALLY_SPOOL=var/spool" in installation.run("settings")


def with_older_tables(installation: Installation) -> None:
    upgrades.migrate(installation.url)
    engine = engines.open_engine(installation.url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()


def with_an_empty_file(installation: Installation) -> None:
    path = installation.folder / "var/starttally.db"
    path.parent.mkdir()
    path.touch()


@pytest.mark.parametrize(
    ("command", "prepare"),
    [
        *(
            (command, with_older_tables)
            for command in READING
            if "receiver.example" not in command or "next" in command
        ),
        *((command, with_older_tables) for command in CHANGING if command[-1] in ("retry", "known", "prune")),
        (("verdict",), with_an_empty_file),
        (("db", "prune"), with_an_empty_file),
    ],
)
def test_no_command_migrates(
    installation: Installation, command: tuple[str, ...], prepare: Callable[[Installation], None]
) -> None:
    prepare(installation)
    with unchanged(installation.folder):
        words = installation.refused(*command, expect=2)
    assert words.startswith("starttally: the database ")
    assert words.endswith("; run `starttally db upgrade`\n")


def test_an_older_database_can_be_backed_up_before_its_upgrade(installation: Installation) -> None:
    with_older_tables(installation)
    installation.run("db", "backup", "copy.db")
    assert (installation.folder / "copy.db").exists()


def test_a_postgresql_database_that_is_not_there_is_said(installation: Installation, postgresql_server: str) -> None:
    url = f"{postgresql_server.rpartition('/')[0]}/mistyped"
    installation.environment["STARTTALLY_DATABASE_URL"] = url
    assert 'database "mistyped" does not exist' in installation.refused("verdict", expect=3)


@pytest.mark.parametrize(
    "command",
    [
        ("verdict", "unknown.example"),
        ("verdict", "Unknown.Example."),
        ("verdict", "unknown.example", "--json"),
        ("verdict", "unknown.example", "--on", "2026-03-14"),
        ("policy", "next", "unknown.example"),
        ("policy", "next", "unknown.example", "--mx", "mx.unknown.example"),
        ("export", "summary", "--domain", "unknown.example"),
        ("export", "domains", "--domain", "unknown.example", "--format", "json"),
        ("export", "reports", "--domain", "unknown.example", "--format", "parquet", "-o", "out.parquet"),
    ],
    ids=" ".join,
)
def test_a_domain_that_nobody_reports_about_has_no_verdict(
    installation: Installation, command: tuple[str, ...]
) -> None:
    loaded(installation, entry(3))
    with unchanged(installation.folder):
        assert installation.refused(*command, expect=1) == "starttally: no report about unknown.example\n"


def test_nor_has_one_that_only_the_operator_speaks_about(installation: Installation) -> None:
    loaded(installation, entry(3))
    given = installation.run("override", "mx", "unknown.example", "mx.unknown.example", "--note", "known")
    assert "verdict of unknown.example today: none without a report about it, as before" in given
    assert installation.refused("verdict", "unknown.example", expect=1).endswith("no report about unknown.example\n")
    assert "unknown.example" not in installation.run("verdict")


def test_an_untrusted_report_is_one(installation: Installation, settings_for: Callable[..., Settings]) -> None:
    """Nothing is proven about the domain, but somebody reports about it."""
    upgrades.migrate(installation.url)
    engine = engines.open_engine(installation.url)
    store_report(engine, report_json(), settings_for(), trust="unauthenticated")
    engine.dispose()
    assert "receiver.example: insufficient-evidence" in installation.run("verdict", "receiver.example", expect=1)


def test_days_without_reports_about_a_known_domain_are_an_empty_export(installation: Installation) -> None:
    loaded(installation, entry(3))
    chosen = ("--domain", "receiver.example", "--since", "2030-01-01")
    assert installation.run("export", "summary", *chosen).splitlines()[1:] == []


@pytest.mark.parametrize(
    "command",
    [("export", "nonsense"), ("export", "summary", "--format", "xlsx"), ("verdict", "a b"), ("policy", "next", "a b")],
    ids=" ".join,
)
def test_wrong_usage_is_said_before_the_database_is_looked_for(
    installation: Installation, command: tuple[str, ...]
) -> None:
    installation.refused(*command, expect=2)


def test_load_makes_the_database_of_a_first_time_user(installation: Installation) -> None:
    loaded(installation, entry(3))
    assert "receiver.example" in installation.run("verdict")
