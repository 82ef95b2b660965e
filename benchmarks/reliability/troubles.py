"""What may befall database, spool and clock: each trouble, how it begins and how it ends (reliability.md rows 19, 20 and 22)."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import sqlalchemy as sa

from ingest.database import engines as database
from tests.databases import PostgreSQL
from tests.support import need

from .site import Site

SQLITE, POSTGRESQL = "SQLite", "PostgreSQL"
_PAGE_BYTES = 4096
_STRANGER = 65_534
_FAKETIME = "*/faketime/libfaketime.so.1"


class Stage(msgspec.Struct):
    """Where a trouble happens: an installation, its PostgreSQL where it has one, and a small file system where one is asked."""

    run: Site
    server: PostgreSQL | None
    disk: Path

    @property
    def file(self) -> Path:
        """SQLite's file."""
        return Path(str(sa.make_url(self.run.url).database))

    @property
    def database_name(self) -> str:
        """PostgreSQL's database."""
        return str(sa.make_url(self.run.url).database)

    def sql(self, *statements: str, maintenance: bool = False) -> None:
        """Run statements, each by itself; in PostgreSQL's ``maintenance`` database if asked."""
        engine = database.open_engine(self.server.url if self.server and maintenance else self.run.url)
        options = {"isolation_level": "AUTOCOMMIT"} if self.server else {}
        for statement in statements:
            with engine.connect().execution_options(**options) as connection:
                connection.exec_driver_sql(statement)
                connection.commit()
        engine.dispose()


class Trouble:
    """A trouble. ``noticed`` is in the worker's log while it lasts; "" where nothing can be said then."""

    name = ""
    noticed = ""
    engines: tuple[str, ...] = (SQLITE, POSTGRESQL)
    # What lies on a small file system of its own: database or spool.
    small = ""
    # The worker is started within it, and the reports come before it.
    cold = False
    waiting = False
    # The worker goes on storing meanwhile.
    harmless = False

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        """The trouble lasts while the context does."""
        raise NotImplementedError

    def under(self) -> tuple[str, ...]:
        """The command under which the programs run that meet it."""
        return ()


class ReadOnly(Trouble):
    name, noticed = "database read-only", "the database is read-only"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        stage.sql("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        yield
        stage.sql("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")


class ReadOnlyFile(ReadOnly):
    cold = True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        stage.file.chmod(0o444)
        yield
        stage.file.chmod(0o600)

    def under(self) -> tuple[str, ...]:
        return obeying_modes()


class TablesMissing(Trouble):
    name, noticed = "tables missing", "tables of the database are missing"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        stage.sql("ALTER TABLE report RENAME TO report_gone")
        yield
        stage.sql("ALTER TABLE report_gone RENAME TO report")


class Locked(Trouble):
    name = "lock held"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        engine = database.open_engine(stage.run.url)
        with engine.connect() as connection:
            if stage.server:
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
                connection.exec_driver_sql("LOCK TABLE report")
            else:
                connection.exec_driver_sql("SELECT 1")  # every transaction of ours begins with the writer's lock
            yield
        engine.dispose()


class Frozen(Trouble):
    name = "frozen"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        assert stage.server
        stage.server.freeze()
        try:
            yield
        finally:
            stage.server.thaw()


class Restarted(Trouble):
    name, noticed = "restarted", "the database is away"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        assert stage.server
        stage.server.stop()
        yield
        stage.server.start()


class DiskFull(Trouble):
    name, noticed, small = "database's disk full", "the database's disk is full", "database"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        with filled(stage.disk):
            yield


class Replaced(Trouble):
    """The worker stands still for that moment: what it stored after the back-up would not be in it, whoever wrote it."""

    name, noticed = "file replaced by its back-up", "the database's file was replaced"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        worker = stage.run.parts["work"]
        worker.send_signal(signal.SIGSTOP)
        copy = stage.file.with_name("copy.db")
        database.back_up(stage.run.url, copy)
        for suffix in ("-wal", "-shm"):
            stage.file.with_name(stage.file.name + suffix).unlink(missing_ok=True)
        copy.replace(stage.file)
        worker.send_signal(signal.SIGCONT)
        yield


class Restored(Trouble):
    name, noticed = "dropped and restored", "the database is away"

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        name = stage.database_name
        stage.sql(
            f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false',
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
            f'ALTER DATABASE "{name}" RENAME TO "{name}_dump"',
            maintenance=True,
        )
        yield
        stage.sql(f'CREATE DATABASE "{name}" TEMPLATE "{name}_dump"', maintenance=True)


class Damaged(Trouble):
    name, noticed, cold = "damaged page", "the database is damaged", True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        path, offset = self._page(stage)
        with self._stopped(stage.server), path.open("r+b") as file:
            file.seek(offset)
            page = file.read(_PAGE_BYTES)
            file.seek(offset)
            file.write(b"\xff" * _PAGE_BYTES)
        yield
        with self._stopped(stage.server), path.open("r+b") as file:
            file.seek(offset)
            file.write(page)

    @contextlib.contextmanager
    def _stopped(self, server: PostgreSQL | None) -> Iterator[None]:
        if server:
            server.stop()
        yield
        if server:
            server.start()

    def _page(self, stage: Stage) -> tuple[Path, int]:
        """The first page of the table of reports."""
        if stage.server:
            stage.sql("CHECKPOINT")
            path = sa.text("current_setting('data_directory') || '/' || pg_relation_filepath('report')")
            return Path(str(stage.run.rows(sa.select(path))[0][0])), 0
        question = "SELECT rootpage FROM sqlite_master WHERE name = 'report'"
        root = stage.run.rows(sa.select(sa.text(f"({question}), page_size FROM pragma_page_size")))[0]
        return stage.file, (int(str(root[0])) - 1) * int(str(root[1]))


class SpoolFull(Trouble):
    """No block is free, and nothing more can be received: what waits is stored all the same."""

    name, small, cold, waiting, harmless = "spool full", "spool", True, True, True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        with filled(stage.disk):
            yield


class SpoolReadOnly(Trouble):
    name, noticed, cold, waiting = "spool read-only", "the spool is read-only", True, True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        place, view = str(stage.run.spool), stage.run.folder / "view"
        view.mkdir()
        # Made read-only where nobody has a file open yet.
        with mounted("--bind", place, on=view):
            mount("-o", "remount,bind,ro", str(view))
            with mounted("--bind", str(view), on=stage.run.spool):
                yield


class OtherOwner(Trouble):
    name, noticed, cold, waiting = "spool of another owner", "cannot be read and is left where it is", True, True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        messages = list((stage.run.spool / "new").iterdir())
        mine = os.geteuid()
        for path in messages:
            path.chmod(0)
            if not mine:
                shutil.chown(path, _STRANGER)
        yield
        for path in (stage.run.spool / "new").iterdir():
            if not mine:
                shutil.chown(path, mine)
            path.chmod(0o600)

    def under(self) -> tuple[str, ...]:
        return obeying_modes()


class Fifo(Trouble):
    """And what else is no message: a socket, a folder, a dangling link."""

    name, noticed, harmless = "pipe in the spool", "cannot be read and is left where it is: it is a pipe", True

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:
        for folder in ("new", "cur"):
            odd_files(stage.run.spool / folder)
        yield


class Clock(Trouble):
    cold, harmless = True, True

    def __init__(self, days: int) -> None:
        self.name = f"clock {days:+} days"
        self._days = days

    @contextlib.contextmanager
    def on(self, stage: Stage) -> Iterator[None]:  # noqa: ARG002
        yield

    def under(self) -> tuple[str, ...]:
        (library,) = map(str, Path("/usr/lib").glob(_FAKETIME))
        return "env", f"LD_PRELOAD={library}", f"FAKETIME={self._days:+}d", "DONT_FAKE_MONOTONIC=1"


ALL: dict[str, tuple[Trouble, ...]] = {
    SQLITE: (
        ReadOnlyFile(),
        TablesMissing(),
        Locked(),
        DiskFull(),
        Replaced(),
        Damaged(),
        *(SpoolFull(), SpoolReadOnly(), OtherOwner(), Fifo(), Clock(500), Clock(-500)),
    ),
    POSTGRESQL: (
        ReadOnly(),
        TablesMissing(),
        Locked(),
        Frozen(),
        Restarted(),
        DiskFull(),
        Restored(),
        Damaged(),
        *(SpoolFull(), SpoolReadOnly(), OtherOwner(), Fifo(), Clock(500), Clock(-500)),
    ),
}


def obeying_modes() -> tuple[str, ...]:
    """A command under which root obeys the modes of files as everybody does."""
    if os.geteuid():
        return ()
    return need("setpriv", "util-linux"), "--bounding-set=-dac_override,-dac_read_search"


def mount(*arguments: str) -> None:
    """Mount. Raises CalledProcessError where that is not allowed."""
    subprocess.run([need("mount", "mount"), *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def mounted(*arguments: str, on: Path) -> Iterator[None]:
    """Mounted while the context lasts. What has a file of it open then keeps it, and the name leads elsewhere at once."""
    mount(*arguments, str(on))
    try:
        yield
    finally:
        subprocess.run([need("umount", "mount"), "--lazy", str(on)], check=True)


@contextlib.contextmanager
def small_disk(place: Path, options: str = "size=3m") -> Iterator[Path]:
    """A small file system. Raises CalledProcessError where mounting is not allowed."""
    place.mkdir(parents=True, exist_ok=True)
    with mounted("-t", "tmpfs", "-o", options, "tmpfs", on=place):
        yield place


@contextlib.contextmanager
def filled(disk: Path) -> Iterator[None]:
    """No block is free on a file system."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(_PAGE_BYTES))
    yield
    filler.unlink()


def odd_files(folder: Path) -> list[Path]:
    """What is no message, and must not be waited for."""
    odd = [folder / name for name in ("0-pipe", "0-socket", "0-folder", "0-dangling", "0-link")]
    os.mkfifo(odd[0])
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(folder)  # the address of a socket holds 108 octets
        listener.bind(odd[1].name)
        os.chdir(here)
    odd[2].mkdir()
    odd[3].symlink_to(folder / "nothing")
    odd[4].symlink_to("/etc/hostname")
    return odd
