"""The database that a worker has opened: still the one at its path, and still with this program's tables?

An operator who restores a back-up puts another file under the same name. A process that had the old one open would go on
writing into a file without a name, and everything it stored would be gone with its end.
"""

import contextlib

import sqlalchemy as sa

from ingest.database import engines
from ingest.monitoring import trouble
from ingest.settings.values import sqlite_file


class FileChanged(engines.DatabaseAway):
    """The file that was opened is no longer the one at its path; ``reason`` is one of trouble.WORDS. Try again."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(f"{trouble.WORDS[reason]}: {path}")
        self.reason = reason
        self.path = path


class Opened:
    """A worker's engine. Ask ``look`` before each round, and the other two around each commit."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._path = sqlite_file(engine.url)
        self._file: tuple[int, int] | None = None
        self._checked = False
        self.ever_right = False

    def look(self) -> None:
        """Open the database anew and check its tables where that is due. Raises SchemaMismatch, DatabaseAway."""
        if self._checked:
            self.must_be_same_file()
            return
        self._engine.dispose()
        self._file = self._at_path()
        if self._file is None and self._path and self.ever_right:  # SQLite would make an empty file
            raise FileChanged("database-gone", str(self._path))
        engines.check(self._engine)
        self._file = self._file or self._at_path()
        self._checked = self.ever_right = True
        self.must_be_same_file()

    def must_be_same_file(self) -> None:
        """Raise FileChanged when the path has another file than the one opened, or none."""
        now = self._at_path()
        if now != self._file:
            raise FileChanged("database-replaced" if now else "database-gone", str(self._path))

    def must_have_our_tables(self, connection: sa.Connection) -> None:
        """Raise SchemaMismatch when somebody has migrated the database since it was checked."""
        engines.refuse_other_revision(connection)

    def leave(self) -> None:
        """Let go of the connections; ``look`` opens the database anew.

        A file that was replaced leaves its write-ahead log under the name that its successor's log will have, and SQLite would
        apply it to the successor. So the old file takes in what is its own first.
        """
        self._checked = False
        pool = self._engine.pool
        if self._file and self._at_path() != self._file and isinstance(pool, sa.QueuePool) and pool.checkedin():
            with contextlib.suppress(engines.sqlite_module().Error), contextlib.closing(pool.connect()) as old:
                old.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._engine.dispose()

    def _at_path(self) -> tuple[int, int] | None:
        """Device and inode."""
        if self._path is None:
            return None
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino
