"""Connections and schema: SQLite embedded, PostgreSQL for more. The only module that knows which one it is talking to."""

import contextlib
import functools
import importlib
import os
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from ingest.host import filesystems, rights
from ingest.settings.values import sqlite_file
from ingest.text import confidential

from . import models

# Alembic is imported where a schema is migrated: it would cost every other command a quarter of its start.
if TYPE_CHECKING:
    import alembic.config

_MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
# Waiting for another writer: a batch takes milliseconds, an upgrade of a large file seconds.
_SQLITE_WAIT_SECONDS = 60
# An option of a connection; see ``reading``.
_READS_ONLY = "starttally_reads_only"
_ALEMBIC_VERSION = sa.table("alembic_version", sa.column("version_num"))
_REVISION = re.compile(r'^revision = "(\d+)"$', re.MULTILINE)
_POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,
    # A server that is stopped but not dead must not hold the worker for ever.
    "tcp_user_timeout": 30_000,
    "keepalives_idle": 30,
    "options": "-c timezone=UTC -c idle_in_transaction_session_timeout=60s",
    "application_name": "starttally",
}


class DatabaseAway(Exception):
    """The database cannot be reached now. Keep the message in the spool and try again; on the command line exit with 3."""


class SchemaMismatch(Exception):
    """The database's schema is not this program's. The text says what to do about it; exit with 2."""


class NotBackedUp(Exception):
    """The back-up was not made. The text says why; exit with 2."""


def open_engine(url: str, *, read_only: bool = False) -> sa.Engine:
    """An engine for ``url``. SQLite files are created with their folder (not when ``read_only``); nothing is migrated.

    Raises filesystems.OnNetwork for a SQLite file on a network file system.
    """
    confidential.keep_url(url)
    target = make_url(url)
    if target.get_backend_name() == "sqlite":
        return _open_sqlite(target, read_only=read_only)
    engine = sa.create_engine(
        target.set(drivername="postgresql+psycopg"), connect_args=_POSTGRESQL_OPTIONS, pool_pre_ping=True, pool_size=5
    )
    if read_only:

        @sa.event.listens_for(engine, "connect")
        def _never_write(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401
            connection.read_only = True

    return engine


def open_existing(url: str, *, read_only: bool = False) -> sa.Engine:
    """An engine on a database that is there and has this version's tables; nothing is created and nothing is migrated.

    Raises DatabaseAway, also for a SQLite file that is not there, and SchemaMismatch.
    """
    _refuse_missing(make_url(url))
    reader = open_engine(url, read_only=True)
    try:
        check(reader)
    except (DatabaseAway, SchemaMismatch):
        reader.dispose()
        raise
    if read_only:
        return reader
    reader.dispose()
    return open_engine(url)


def revision(engine: sa.Engine) -> str | None:
    """The schema's revision; None without tables. Raises DatabaseAway."""
    with connected(engine) as connection:
        return current_revision(connection)


def check(engine: sa.Engine) -> None:
    """Return when the schema is this program's. Raises SchemaMismatch with the way out, or DatabaseAway."""
    try:
        with engine.connect() as connection:
            current = current_revision(connection)
            unfinished = current == revisions()[-1] and pending_upgrades(connection)
    except sa.exc.DBAPIError as error:
        raise as_away(error) from error
    refuse_newer(current)
    if unfinished:
        raise SchemaMismatch("an upgrade of the stored reports was interrupted; run `starttally db upgrade`")
    if current != revisions()[-1]:
        state = "is empty" if current is None else f"has an older schema ({current})"
        raise SchemaMismatch(f"the database {state}; run `starttally db upgrade`")


def pending_upgrades(connection: sa.Connection) -> set[str]:
    """The work on stored rows that a migration left, and that is not done."""
    return set(connection.scalars(sa.select(models.pending_upgrade.c.task)))


def back_up(url: str, target: Path) -> None:
    """Copy a SQLite database, as it is at one moment, into the new file ``target``; writers are not held up.

    The file appears when it is complete and on stable storage, and only its owner may read it. Raises NotBackedUp,
    DatabaseAway.
    """
    if make_url(url).get_backend_name() != "sqlite":
        raise NotBackedUp("PostgreSQL has its own tools for this: pg_dump --format=custom; see docs/operations.md")
    if target.exists():
        raise NotBackedUp(f"{target} exists; a back-up never overwrites anything")
    _refuse_missing(make_url(url))
    source = open_engine(url, read_only=True)
    partial = target.with_name(target.name + ".part")
    try:
        partial.unlink(missing_ok=True)  # of a back-up that was killed
        rights.make_private(partial)
        with source.connect() as connection, contextlib.closing(sqlite_module().connect(partial)) as copy:
            connection.connection.driver_connection.backup(copy)  # type: ignore[union-attr]
        _sync(partial)
        partial.rename(target)
        _sync(target.parent)
    except sa.exc.DBAPIError as error:
        raise as_away(error) from error
    except (OSError, sqlite_module().Error) as error:
        raise NotBackedUp(f"{target} cannot be written: {error}") from error
    finally:
        source.dispose()
        partial.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def connected(engine: sa.Engine, *, write: bool = False) -> Iterator[sa.Connection]:
    """A connection (``write``: a transaction). Raises DatabaseAway."""
    try:
        with engine.begin() if write else engine.connect() as connection:
            yield connection
    except sa.exc.DBAPIError as error:
        raise as_away(error) from error


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection that only reads, from an engine that may write: on SQLite it keeps no writer waiting, and waits for none."""
    with engine.connect() as connection:
        yield connection.execution_options(**{_READS_ONLY: True})


def refuse_other_revision(connection: sa.Connection) -> None:
    """Raise SchemaMismatch when the schema is not this program's; one quick question, for before every batch."""
    current = connection.execute(sa.select(_ALEMBIC_VERSION.c.version_num)).scalar()
    if current != revisions()[-1]:
        refuse_newer(current)
        raise SchemaMismatch(f"the database has another schema ({current}); run `starttally db upgrade`")


def as_away(error: sa.exc.DBAPIError) -> DatabaseAway:
    """A driver's error in one line, without statement, values or password."""
    first_line = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    return DatabaseAway(f"the database cannot be used now: {confidential.without_secrets(first_line)}")


def sqlite_module() -> ModuleType:
    """The SQLite driver: pysqlite3, whose SQLite has the WAL-reset corruption (3.7.0 to 3.51.2) fixed, else Python's own."""
    try:
        return importlib.import_module("pysqlite3.dbapi2")
    except ModuleNotFoundError:
        return sqlite3


def _open_sqlite(target: URL, *, read_only: bool) -> sa.Engine:
    file = sqlite_file(target)
    if file:
        filesystems.refuse_database(file)
    if file and not read_only:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # what is wrong with the place SQLite will say
            rights.make_private(file)  # and it gives the files beside it the same mode
    if read_only:
        target = target.set(database=f"file:{target.database or ':memory:'}", query={"mode": "ro", "uri": "true"})
    engine = sa.create_engine(target, module=sqlite_module(), connect_args={"timeout": _SQLITE_WAIT_SECONDS})
    sa.event.listen(engine, "connect", _configure_sqlite_reader if read_only else _configure_sqlite)
    sa.event.listen(engine, "begin", _begin_deferred if read_only else _begin_immediate)
    return engine


def _configure_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    _configure_sqlite_reader(connection, _record)
    cursor = connection.cursor()
    if not cursor.execute("PRAGMA page_count").fetchone()[0]:
        # It takes effect before anything else is written, and would wait for every other writer later (``compaction``).
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # a committed report survives a power cut
    cursor.close()


def _configure_sqlite_reader(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver's own transaction handling is switched off; see the "begin" events.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA cache_size=-{16 * 1024}")
    cursor.close()


def _begin_immediate(connection: sa.Connection) -> None:
    """Writers queue at the beginning: a lock taken half-way through a transaction cannot be waited for."""
    reads_only = connection.get_execution_options().get(_READS_ONLY, False)
    connection.exec_driver_sql("BEGIN" if reads_only else "BEGIN IMMEDIATE")


def _begin_deferred(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _refuse_missing(target: URL) -> None:
    """SQLite would make a file for any name, or say that it cannot be opened."""
    file = sqlite_file(target)
    if file and not file.is_file():
        raise DatabaseAway(
            f"no database at {file.absolute()}; look at STARTTALLY_DATABASE_URL and at the folder you are in, "
            "or make one with `starttally load`, `serve` or `db upgrade`"
        )


def migrations_config() -> "alembic.config.Config":
    """Where Alembic finds the migrations."""
    import alembic.config

    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    return config


@functools.cache
def revisions() -> list[str]:
    """The schema's revisions, oldest first; each follows the one before."""
    scripts = (path.read_text("utf-8") for path in (_MIGRATIONS / "versions").glob("*.py"))
    return sorted(match[1] for match in map(_REVISION.search, scripts) if match)


def current_revision(connection: sa.Connection) -> str | None:
    """The schema's revision; None without tables."""
    if not sa.inspect(connection).has_table(_ALEMBIC_VERSION.name):
        return None
    return connection.execute(sa.select(_ALEMBIC_VERSION.c.version_num)).scalar()


def refuse_newer(current: str | None) -> None:
    """Raise SchemaMismatch for a revision that this program does not know."""
    if current is not None and current not in revisions():
        raise SchemaMismatch(
            f"the database was written by a newer StartTally (schema {current}); install that version, "
            "or restore a back-up made before the upgrade"
        )
