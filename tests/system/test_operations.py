"""docs/operations.md, carried out: a back-up taken while mail arrives, restored elsewhere, holds everything acknowledged before."""

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.databases import PostgreSQL, _binaries
from tests.nameserver import NameServer
from tests.support import eventually
from tests.system.test_end_to_end import Installation, numbered

MakeSettings = Callable[..., Settings]


@pytest.fixture
def nameserver() -> Iterator[str]:
    with NameServer({}) as server:
        yield str(server.address)


class Mailing(threading.Thread):
    """Sends numbered reports one after the other until told to stop; ``acknowledged`` are those that got their 250."""

    def __init__(self, installation: Installation) -> None:
        super().__init__()
        self.acknowledged: list[int] = []
        self.stop = threading.Event()
        self._installation = installation

    def run(self) -> None:
        number = 0
        while not self.stop.is_set():
            self._installation.send(*numbered(number))
            self.acknowledged.append(number)
            number += 1


def copy_spool(source: Path, target: Path) -> None:
    """``cp --archive spool back-up``; messages that are stored meanwhile vanish from it, which is no loss."""
    subprocess.run(["cp", "--archive", str(source), str(target)], check=False, capture_output=True)


def report_numbers(installation: Installation) -> list[int]:
    rows = json.loads(installation.run("export", "reports", "--format", "json"))
    return sorted(int(row["report_id"].removeprefix("number-")) for row in rows)


def back_up_under_load(installation: Installation, folder: Path, dump: list[str] | None) -> list[int]:
    """Spool first, then the database; the numbers that were acknowledged before it began."""
    with installation.running("receive"), installation.running("work"):
        installation.wait_for_smtp()
        mailing = Mailing(installation)
        mailing.start()
        try:
            eventually(lambda: installation.count(models.report) > 20, 60)
            before = list(mailing.acknowledged)
            copy_spool(installation.spool, folder / "spool")
            if dump is None:
                installation.run("db", "backup", str(folder / "starttally.db"))
            else:
                subprocess.run(dump, check=True, capture_output=True)
        finally:
            mailing.stop.set()
            mailing.join()
    return before


def restored(place: Path, url: str, nameserver: str, folder: Path) -> Installation:
    """An installation at ``place`` over the restored database at ``url``, with the spool of the back-up, worked off."""
    installation = Installation(place, url, nameserver)
    shutil.copytree(folder / "spool", installation.spool)
    installation.run("db", "upgrade")
    installation.run("work", "--once")
    return installation


def expect_all(before: list[int], installation: Installation) -> None:
    numbers = report_numbers(installation)
    assert set(before) <= set(numbers)
    assert len(numbers) == len(set(numbers))


def test_a_sqlite_back_up_restored_elsewhere(tmp_path: Path, nameserver: str) -> None:
    installation = Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", nameserver)
    installation.run("db", "upgrade")
    folder, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    folder.mkdir()
    before = back_up_under_load(installation, folder, None)
    (elsewhere / "var").mkdir(parents=True)
    shutil.copy(folder / "starttally.db", elsewhere / "var" / "starttally.db")
    expect_all(before, restored(elsewhere, f"sqlite:///{elsewhere}/var/starttally.db", nameserver, folder))


def test_a_postgresql_dump_restored_elsewhere(tmp_path: Path, own_postgresql: PostgreSQL, nameserver: str) -> None:
    programs = _binaries()
    url = own_postgresql.new_database()
    installation = Installation(tmp_path, url, nameserver)
    installation.run("db", "upgrade")
    folder, elsewhere = tmp_path / "backup", tmp_path / "elsewhere"
    folder.mkdir()
    dump = str(folder / "starttally.dump")
    before = back_up_under_load(
        installation, folder, [str(programs / "pg_dump"), "--format=custom", f"--file={dump}", url]
    )
    new_url = own_postgresql.new_database()
    restore = [str(programs / "pg_restore"), "--no-owner", f"--dbname={new_url}", dump]
    subprocess.run(restore, check=True, capture_output=True)
    elsewhere.mkdir()
    expect_all(before, restored(elsewhere, new_url, nameserver, folder))


def test_a_back_up_overwrites_nothing_and_leaves_nothing_half(tmp_path: Path, settings_for: MakeSettings) -> None:
    url = settings_for().database_url
    with pytest.raises(engines.DatabaseAway):
        engines.back_up(url, tmp_path / "copy.db")  # there is no database yet
    upgrades.migrate(url)
    there = tmp_path / "there.db"
    there.write_bytes(b"mine")
    with pytest.raises(engines.NotBackedUp, match="exists"):
        engines.back_up(url, there)
    assert there.read_bytes() == b"mine"
    with pytest.raises(engines.NotBackedUp, match="cannot be written"):
        engines.back_up(url, tmp_path / "no-such-folder" / "copy.db")
    with pytest.raises(engines.NotBackedUp, match="pg_dump"):
        engines.back_up("postgresql://127.0.0.1:1/x", tmp_path / "copy.db")
    engines.back_up(url, tmp_path / "copy.db")
    engine = engines.open_engine(f"sqlite:///{tmp_path}/copy.db")
    engines.check(engine)
    engine.dispose()
    assert not list(tmp_path.glob("*.part"))
