"""No password in any error or log: spellings of a database's URL, ways to fail, and everything that the program writes."""

import logging
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from dashboard.commands import app
from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.settings import table
from ingest.settings.settings import Settings, SettingsError
from ingest.store.upkeep import upgrades
from ingest.text import confidential, plaintext
from ingest.work import limited
from tests.databases import PostgreSQL, wait_until_ready
from tests.support import eventually, free_port

MakeSettings = Callable[..., Settings]

SECRET = "Gr8-tango:x y"
RAW, ENCODED = "Gr8-tango", "Gr8%2Dtango%40%3Ax%20y"
# What must be nowhere: each piece that tells more than half of a password.
PIECES = re.compile(r"gr8.{0,3}tango|tango.{0,6}x", re.IGNORECASE)

SPELLINGS = {
    "postgres://": f"postgres://u:{RAW}@127.0.0.1:1/x",
    "postgresql://": f"postgresql://u:{RAW}@127.0.0.1:1/x",
    "with a driver": f"postgresql+psycopg://u:{RAW}@127.0.0.1:1/x",
    "another driver": f"postgresql+asyncpg://u:{RAW}@127.0.0.1:1/x",
    "no such driver": f"postgresql+nonsense://u:{RAW}@127.0.0.1:1/x",
    "in capitals": f"POSTGRESQL://u:{RAW}@127.0.0.1:1/x",
    "percent-encoded": f"postgresql://u:{ENCODED}@127.0.0.1:1/x",
    "an @ in it": f"postgresql://u:{RAW}@tango:xx@127.0.0.1:1/x",
    "a colon in it": f"postgresql://u:{RAW}:xx@127.0.0.1:1/x",
    "a slash in it": f"postgresql://u:{RAW}/xx@127.0.0.1:1/x",
    "blanks in it": f"postgresql://u:{RAW} xx yy@127.0.0.1:1/x",
    "in two lines": f"postgresql://u:{RAW}\n{RAW}@127.0.0.1:1/x",
    "in the query": f"postgresql://u@127.0.0.1:1/x?password={RAW}",
    "of the key": f"postgresql://u@127.0.0.1:1/x?sslpassword={RAW}&sslmode=disable",
    "misspelt": f"postgresq://u:{RAW}@127.0.0.1:1/x",
    "misspelt more": f"postgresql:/u:{RAW}@127.0.0.1:1/x",
    "mistaken for a port": f"postgresql://u@127.0.0.1:{RAW}/x",
    "libpq's pairs": f"host=127.0.0.1 port=1 user=u password={RAW} dbname=x",
    "libpq's pairs, quoted": f"host=127.0.0.1 port=1 user=u password = '{RAW} xx' dbname=x",
    "a bad port": f"postgresql://u:{RAW}@127.0.0.1:70000/x",
    "a bad host": f"postgresql://u:{RAW}@nowhere.invalid/x",
    "an option that is none": f"postgresql://u:{RAW}@127.0.0.1:1/x?passwort={RAW}",
    "an option with a bad value": f"postgresql://u:{RAW}@127.0.0.1:1/x?sslmode={RAW}",
    "for SQLite": f"sqlite://u:{RAW}@host/x",
    "for a database of another kind": f"mysql://u:{RAW}@host/x",
}
COMMANDS = [["settings"], ["db", "check"], ["db", "upgrade"], ["work", "--once"], ["verdict"], ["export", "summary"]]


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is known beforehand, and what a test confides does not outlive it."""
    monkeypatch.setattr(confidential, "_secrets", set())
    monkeypatch.setattr(confidential, "_known", None)


def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: list[str]) -> tuple[object, str]:
    """Exit code and everything written by a command in this process, its log as it would stand on standard error."""
    monkeypatch.setattr(sys, "argv", ["starttally", *command])
    monkeypatch.setattr(limited, "limit_process", lambda: None)  # later tests need more memory than a worker
    handler = logging.StreamHandler()
    handler.setFormatter(plaintext._Event("%(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        with pytest.raises(SystemExit) as ended:
            app.main()
    finally:
        logging.getLogger().removeHandler(handler)
    written = capfd.readouterr()
    return ended.value.code, written.out + written.err


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_command_tells_the_password(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], spelling: str
) -> None:
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", SPELLINGS[spelling])
    for command in COMMANDS:
        code, written = run(monkeypatch, capfd, command)
        assert not PIECES.search(written), command
        assert code in ((0,) if command == ["settings"] else ()) + (2, 3), written
        assert "Traceback" not in written


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_no_error_tells_the_password(caplog: pytest.LogCaptureFixture, spelling: str) -> None:
    """The settings' own texts, down to the first cause, and what is left of them in a traceback."""
    try:
        chosen = settings_module.load(database_url=SPELLINGS[spelling])
    except SettingsError as error:
        texts = [str(error), str(error.__cause__), repr(error.__cause__)]
    else:
        texts = [repr(chosen), str(chosen), *(row.value for row in table.current(chosen))]
    assert not [text for text in texts if PIECES.search(text)]


def test_what_a_driver_says_is_said_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_module.load(database_url=SPELLINGS["percent-encoded"])
    echoed = "tango@:x y"
    for driver_words in (f"FATAL: {ENCODED}", f"no such host: Gr8-{echoed}", f"'Gr8-{echoed}'"):
        expected = str(engines.as_away(sa.exc.OperationalError("SELECT 1", None, Exception(driver_words))))
        assert not PIECES.search(expected)
        assert confidential.HIDDEN in expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("connection to postgresql://u:x@h/d failed", "connection to postgresql://u:***@h/d failed"),
        ("postgresql://u:p@ss:w@h/d", "postgresql://u:***@h/d"),
        ("see https://example.com/a:b", "see https://example.com/a:b"),
        ('password authentication failed for user "u"', 'password authentication failed for user "u"'),
        ("password=secret host=h", "password=*** host=h"),
        ("password='se cret' host=h", "password=*** host=h"),
        ('{"client_secret": "x", "id_token": "y.z"}', '{"client_secret": ***, "id_token": ***}'),
        ("?code_verifier=abc&state=1", "?code_verifier=***&state=1"),
        ("the latest test", "the latest test"),
    ],
)
def test_what_looks_like_a_password_is_hidden(text: str, expected: str) -> None:
    assert confidential.without_secrets(text) == expected


def test_a_short_password_is_hidden_as_a_word_only() -> None:
    confidential.keep("test")
    confidential.keep("starttally")
    assert confidential.without_secrets("starttally: the latest test") == "starttally: the latest ***"


def test_a_long_line_costs_little() -> None:
    """The log quotes strangers; a pattern that backtracks would be theirs to use."""
    for text in ("a" * 30_000, "a://b:" * 5_000, "password='" * 3_000, "a://b:c" * 5_000 + "@", "password=" * 4_000):
        confidential.without_secrets(text)


def test_the_clients_secret_is_in_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "starttally.toml").write_text(
        'oidc_client_secret = ["Gr8-tango-x"]\noidc_issuer = "https://u:Gr8-tango@h o"\n'
    )
    with pytest.raises(SettingsError) as raised:
        settings_module.load()
    assert not PIECES.search(str(raised.value) + str(raised.value.__cause__))
    assert "STARTTALLY_OIDC_CLIENT_SECRET" in str(raised.value)


def test_a_traceback_of_a_command_tells_no_secret(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", f"postgresql://u:{ENCODED}@127.0.0.1:1/x")

    def fault(*_arguments: object, **_named: object) -> None:
        raise RuntimeError(f"no way with {ENCODED}")

    monkeypatch.setattr(upgrades, "migrate", fault)
    code, written = run(monkeypatch, capfd, ["db", "upgrade"])
    assert code == 1
    assert "RuntimeError: no way with ***" in written


def test_the_log_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    settings_module.load(database_url=f"postgresql://u:{ENCODED}@127.0.0.1:1/x")
    try:
        raise RuntimeError(f"no way with {ENCODED}")
    except RuntimeError:
        record = logging.getLogger().makeRecord("x", 40, "x", 1, "%s", ("Gr8-tango@:x y",), sys.exc_info())
    assert not PIECES.search(plaintext._Event("%(message)s").format(record))


def test_the_help_shows_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", SPELLINGS["postgresql://"])
    for command in (["--help"], ["work", "--help"], ["settings", "--help"]):
        code, written = run(monkeypatch, capfd, command)
        assert code == 0
        assert not PIECES.search(written)


@pytest.fixture
def guarded_postgresql(own_postgresql: PostgreSQL) -> str:
    """A server that asks for passwords; the URL of its maintenance database without one."""
    engine = engines.open_engine(own_postgresql.url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(f"CREATE ROLE guest LOGIN PASSWORD '{RAW}'"))
        file = connection.scalar(sa.text("SHOW hba_file"))
        lines = (
            "SELECT 'host all starttally 127.0.0.1/32 trust' UNION ALL SELECT 'host all all 127.0.0.1/32 scram-sha-256'"
        )
        connection.execute(sa.text(f"COPY ({lines}) TO '{file}'"))
        connection.execute(sa.text("SELECT pg_reload_conf()"))
    engine.dispose()
    wait_until_ready(own_postgresql.url)
    return own_postgresql.url.replace("starttally@", "guest:{}@")


def test_a_wrong_password_is_not_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], guarded_postgresql: str, tmp_path: Path
) -> None:
    """A real server: a wrong password, a database that has its name (the server echoes that), a syntax error; then a whole
    installation, its log and /readyz.
    """
    wrong = guarded_postgresql.format("Gr8-tango-wrong")
    named = guarded_postgresql.format(RAW).replace("/postgres", f"/{RAW}")
    for url, says in ((wrong, "password authentication failed"), (named, 'database "***" does not exist')):
        monkeypatch.setenv("STARTTALLY_DATABASE_URL", url)
        code, written = run(monkeypatch, capfd, ["db", "check"])
        assert (code, says in written) == (3, True), written
        assert not PIECES.search(written)
    http = free_port()
    named_settings = {
        "DATABASE_URL": wrong,
        "SPOOL": str(tmp_path / "spool"),
        "SMTP_LISTEN": f"127.0.0.1:{free_port()}",
        "HTTP_LISTEN": f"127.0.0.1:{http}",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    environment |= {f"STARTTALLY_{name}": value for name, value in named_settings.items()}
    with (tmp_path / "log").open("wb") as log:
        parts = [
            subprocess.Popen(
                [sys.executable, "-m", "dashboard.commands.app", part], env=environment, cwd=tmp_path, stderr=log
            )
            for part in ("receive", "work")
        ]
    try:
        text = eventually(lambda: "authentication failed" in (tmp_path / "log").read_text() and _ready(http), 60)
    finally:
        for part in parts:
            part.terminate()
        for part in parts:
            part.wait(20)
    assert not PIECES.search(text + (tmp_path / "log").read_text())


def _ready(port: int) -> str:
    """What /readyz says, once it says something about the database."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return ""
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return text if "database" in text else ""
    except OSError:
        return ""
