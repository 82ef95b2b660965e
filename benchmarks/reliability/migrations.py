"""Row 17: kill -9 at every statement and every commit of every migration; the next upgrade repairs or refuses clearly.

From an empty database, and from each older schema with rows in all its tables. Afterwards the schema must be that of the
models, and the rows those of an upgrade that nobody disturbed: unchanged, but for reports, which get the keys of today, and the
sums over them.
"""

import contextlib
import datetime as dt
import itertools
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.autogenerate
import alembic.command
import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

from ingest.database import engines, models
from ingest.store.upkeep import upgrades
from tests.databases import PostgreSQL, create_database

from .figures import Figures, options
from .killed_upgrade import killed
from .site import folder

_ROWS = 3
# What an upgrade writes anew (ingest.store.upkeep.rekeying).
_REKEYED = (
    "report",
    "policy_entry",
    "failure_detail",
    "delivery",
    "raw_report",
    "domain_day",
    "domain_reporter",
    "voice_month",
)
# What an interrupted upgrade still owes: no rows that last.
_OWED = models.pending_upgrade.name
# Columns in which the program reads more than text.
_MEANING: dict[str, object] = {"trust": "imported", "signer": "", "door": "load", "defects": None}
_MOMENT = dt.datetime(2026, 3, 14, 12, tzinfo=dt.UTC)
Rows = dict[str, list[tuple[Any, ...]]]


def revisions() -> list[str | None]:
    """Where an upgrade may begin: no schema, then each revision but the last, oldest first."""
    return [None, *engines.revisions()[:-1]]


def prepare(url: str, revision: str | None) -> Rows:
    """Bring an empty database to a revision and write rows into every table; the rows."""
    if revision is None:
        return {}
    engine = engines.open_engine(url)
    with engine.begin() as connection:
        config = engines.migrations_config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
    with engine.begin() as connection:
        for table in _tables(connection):
            if table.name == _OWED:
                continue
            connection.execute(sa.insert(table), [_row(table, number) for number in range(_ROWS)])
    written = rows(url)
    engine.dispose()
    return written


def _tables(connection: sa.Connection) -> list[sa.Table]:
    metadata = sa.MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def _row(table: sa.Table, number: int) -> dict[str, object]:
    return {column.name: _MEANING.get(column.name, _value(column.type, number)) for column in table.columns}


def _value(kind: sa.types.TypeEngine[Any], number: int) -> object:
    if isinstance(kind, sa.DateTime):
        return _MOMENT.replace(tzinfo=_MOMENT.tzinfo if kind.timezone else None)
    of_type = {dt.date: _MOMENT.date(), bool: True, int: number, float: number / 2, bytes: b"x" * number}
    return of_type.get(kind.python_type, f"value {number}")


def rows(url: str, columns: Rows | None = None) -> Rows:
    """All rows as text, by table; of the columns in ``columns``' first rows (their names) if given."""
    engine = engines.open_engine(url, read_only=True)
    collected: Rows = {}
    with engine.connect() as connection:
        for table in _tables(connection):
            if table.name == models.domain_due.name:  # how often a domain was marked depends on how often it was tried
                continue
            names = columns[table.name][0] if columns and table.name in columns else tuple(table.columns.keys())
            stored = connection.execute(sa.select(*(table.c[name] for name in names))).all()
            collected[table.name] = [names, *sorted(tuple(map(str, row)) for row in stored)]
    engine.dispose()
    return collected


def differences(url: str) -> list[object]:
    """How the schema differs from the models' (what ``alembic check`` reports)."""
    engine = engines.open_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        schema_differences = list(alembic.autogenerate.compare_metadata(context, models.metadata))
    engine.dispose()
    return schema_differences


class _Copies:
    """Fresh copies of one prepared database."""

    def __init__(self, where: Path | str, revision: str | None) -> None:
        self._where = where
        self.original = f"sqlite:///{where}/original.db" if isinstance(where, Path) else create_database(where)
        if isinstance(where, Path):
            (where / "original.db").unlink(missing_ok=True)
        self.rows = prepare(self.original, revision)

    @contextlib.contextmanager
    def fresh(self) -> Iterator[str]:
        """The URL of a copy."""
        if isinstance(self._where, Path):
            for old in self._where.glob("copy.db*"):
                old.unlink()
            if (self._where / "original.db").exists():
                shutil.copy(self._where / "original.db", self._where / "copy.db")
            yield f"sqlite:///{self._where}/copy.db"
            return
        original, copy = sa.make_url(self.original).database, sa.make_url(self.original).set(database="copy")
        _run(self._where, f'CREATE DATABASE "copy" TEMPLATE "{original}"')
        yield copy.render_as_string(hide_password=False)
        _run(self._where, 'DROP DATABASE "copy" WITH (FORCE)')


def _run(url: str, statement: str) -> None:
    engine = engines.open_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sa.text(statement))
    engine.dispose()


def check(figures: Figures, engine: str, where: Path | str, stride: int) -> None:
    """Every ``stride``-th step of every migration on one engine."""
    kills = refused = wrong = changed = 0
    for revision in revisions():
        copies = _Copies(where, revision)
        with copies.fresh() as url:
            upgrades.migrate(url)
            expected = rows(url)
            undisturbed = rows(url, copies.rows)
            changed += any(undisturbed[name] != copies.rows[name] for name in copies.rows if name not in _REKEYED)
            changed += any(len(undisturbed[name]) != len(copies.rows[name]) for name in copies.rows)
        for last in itertools.count(1, stride):
            with copies.fresh() as url:
                alive = not killed(url, last)
                kills += not alive
                try:
                    upgrades.migrate(url)
                except engines.SchemaMismatch:
                    refused += 1
                else:
                    wrong += bool(differences(url))
                    changed += rows(url) != expected
            if alive:
                break
    figures.must(f"{engine}: killed at so many steps", kills, kills > 0, "else nothing was tried")
    figures.show(f"{engine}: refused by the next upgrade", refused)
    figures.must(f"{engine}: schema differs from the models", wrong, wrong == 0, "repaired, or refused clearly")
    figures.must(f"{engine}: rows changed or lost", changed, changed == 0, "nothing is lost")


def run(figures: Figures, *, stride: int, postgresql: str = "") -> None:
    """Both engines; ``postgresql`` names a server to use instead of an own one."""
    with folder() as path:
        check(figures, "SQLite", path, stride)
    if postgresql:
        check(figures, "PostgreSQL", postgresql, stride)
        return
    server = PostgreSQL()
    try:
        check(figures, "PostgreSQL", server.url, stride)
    finally:
        server.remove()


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("migrations")
    run(figures, stride=1 if chosen.long else 7)
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
