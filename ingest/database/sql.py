"""The one difference between the engines that the writing side meets: INSERT ... ON CONFLICT is spelt per dialect."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Insert = sqlite.Insert | postgresql.Insert

# Bound parameters in one statement: SQLite allows 32,766, PostgreSQL 65,535.
MAX_KEYS = 5_000


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    return _insert_of(connection.dialect, table)


def _insert_of(dialect: sa.Dialect, table: sa.Table) -> Insert:
    return sqlite.insert(table) if dialect.name == "sqlite" else postgresql.insert(table)


def do_nothing(insert: Insert) -> Insert:
    """Rows whose key is there already stay as they are."""
    return insert.on_conflict_do_nothing()


def insert_rows(
    connection: sa.Connection,
    table: sa.Table,
    rows: Sequence[Mapping[str, Any]],
    on_conflict: Callable[[Insert], Insert] = do_nothing,
) -> None:
    """Write rows that name the same columns. ``on_conflict`` says, for a table, what becomes of those that are there already.

    The driver takes them at once: SQLAlchemy makes objects of each row, which costs more than to write it.
    """
    if rows:
        insert = _driver_insert(table, connection.dialect, tuple(rows[0]), on_conflict)
        connection.exec_driver_sql(insert.statement, [insert.parameters(row) for row in rows])


class _DriverInsert(NamedTuple):
    """A statement as the driver takes it, its columns, and what converts values for the driver, by place.

    SQLite's parameters have places, those of psycopg names.
    """

    statement: str
    columns: Sequence[str]
    conversions: Sequence[tuple[int, Callable[[Any], Any]]]
    by_place: bool

    def parameters(self, row: Mapping[str, Any]) -> Any:  # noqa: ANN401
        values = [row[column] for column in self.columns]
        for place, convert in self.conversions:
            values[place] = convert(values[place])
        return tuple(values) if self.by_place else dict(zip(self.columns, values, strict=True))


@functools.lru_cache(100)
def _driver_insert(
    table: sa.Table, dialect: sa.Dialect, columns: tuple[str, ...], on_conflict: Callable[[Insert], Insert]
) -> _DriverInsert:
    compiled = on_conflict(_insert_of(dialect, table)).compile(dialect=dialect, column_keys=list(columns))
    names = compiled.positiontup or list(columns)
    processors = [table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names]
    conversions = [(place, process) for place, process in enumerate(processors) if process]
    return _DriverInsert(str(compiled), names, conversions, bool(compiled.positiontup))


def chunks(items: Sequence[T], size: int = MAX_KEYS) -> Iterator[Sequence[T]]:
    """``items`` in pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
