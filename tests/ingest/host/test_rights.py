"""Messages, reports and secrets are this account's alone, whatever the umask; what is older and too open is said."""

import logging
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ingest.database import engines
from ingest.host import rights
from ingest.settings.settings import Settings
from ingest.spool.maildir import Spool
from ingest.store.upkeep import upgrades

MakeSettings = Callable[..., Settings]


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode) for path in sorted(folder.rglob("*"))}


@pytest.mark.usefixtures("umask")
def test_the_database_and_the_files_beside_it_are_private(settings_for: MakeSettings, tmp_path: Path) -> None:
    url = settings_for().database_url
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE t (x)"))
        modes_now = modes(tmp_path)
    engine.dispose()
    assert modes_now == {"starttally.db": 0o600, "starttally.db-shm": 0o600, "starttally.db-wal": 0o600}
    assert rights.said_of_storage(settings_for()) == []


@pytest.mark.usefixtures("umask")
def test_a_back_up_is_private(settings_for: MakeSettings, tmp_path: Path) -> None:
    url = settings_for().database_url
    upgrades.migrate(url)
    engines.back_up(url, tmp_path / "copy.db")
    assert modes(tmp_path)["copy.db"] == 0o600


@pytest.mark.usefixtures("umask")
def test_the_spool_is_private(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "deep" / "spool")
    spool.receive().commit()
    waiting = spool.receive()
    with spool.claimant() as claimant:
        spool.receive().commit()
        assert len(claimant.claim(1)) == 1
        modes_now = modes(spool.path)
    waiting.abort()
    files = {mode for name, mode in modes_now.items() if "/" in name}
    folders = {mode for name, mode in modes_now.items() if "/" not in name}
    assert (files, folders) == ({0o600}, {0o700})
    assert stat.S_IMODE(spool.path.stat().st_mode) == 0o700


def test_a_place_that_cannot_be_written_to_is_the_databases_to_say(tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    with pytest.raises(engines.DatabaseAway, match="unable to open"):
        upgrades.migrate(f"sqlite:///{tmp_path}/folder.db")


@pytest.mark.parametrize("name", ["starttally.db", "spool/new", "spool/metrics"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666, 0o755])
def test_what_is_too_open_is_named_with_the_command(
    settings_for: MakeSettings, tmp_path: Path, name: str, mode: int
) -> None:
    settings = settings_for()
    upgrades.migrate(settings.database_url)
    Spool(settings.spool)
    assert rights.said_of_storage(settings) == []
    (tmp_path / name).chmod(mode)
    (warning,) = rights.said_of_storage(settings)
    (tmp_path / name).chmod(int(warning.split("chmod ")[1].split()[0], 8))
    assert warning.endswith(f" {tmp_path / name}")
    assert rights.said_of_storage(settings) == []


def test_key_and_file_of_settings_may_be_a_groups_but_not_everybodys(
    settings_for: MakeSettings, tmp_path: Path
) -> None:
    key, file = tmp_path / "key.pem", tmp_path / "starttally.toml"
    key.write_text("key")
    file.write_text('database_url = "postgresql://u:Gr8-tango-4@h/d"\n')
    settings = settings_for(tls_key=key, tls_certificate=key, database_url="postgresql://u:Gr8-tango-4@h/d")
    for path in (key, file):
        path.chmod(0o640)
    assert rights.said_of_secrets(settings) == []
    for path in (key, file):
        path.chmod(0o644)
    warnings_given = rights.said_of_secrets(settings)
    assert [line.split(" lets ")[0] for line in warnings_given] == [str(key), "starttally.toml"]
    file.write_text('hostname = "mx.example"\n')  # holds nothing that anybody must not know
    assert rights.said_of_secrets(settings) == warnings_given[:1]


def test_a_warning_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    rights.say(["/x lets other accounts of this machine at messages"])
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.WARNING, "/x lets other accounts of this machine at messages")
    ]
