"""Deleting in short transactions, so that a writer waits for one of them at most.

What is to go is read first, which holds up nobody; a transaction then deletes it by its keys. Where there is nothing to delete,
nothing is written.
"""

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from ingest.database import engines

T = TypeVar("T")

# Of one transaction, which then takes less than a tenth of a second on a small machine.
ROWS_AT_ONCE = 5_000
# Keys that are held in memory.
_AT_ONCE = 5_000
# A large value lies on pages of its own, and freeing a page costs about as much as deleting a row.
_PAGE_BYTES = 4_096
# SQLite keeps no queue of writers: who waits looks again after 25 ms, and later after 50 and 100.
_PAUSE_SECONDS = 0.03
_LOCK = int.from_bytes(b"pruning", "big")


class WritingTurns:
    """Transactions of one run, each of at most ``rows`` rows, with a pause after each. ``progress`` is called after each."""

    def __init__(self, engine: sa.Engine, progress: Callable[[], None], rows: int = ROWS_AT_ONCE) -> None:
        self.engine = engine
        self.rows = rows
        self._progress = progress

    @contextlib.contextmanager
    def take(self) -> Iterator[sa.Connection]:
        """A transaction. No two runs are in one at the same time, so none deletes, or takes from sums, what another does."""
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield connection
        self.pause()

    def pause(self) -> None:
        """Let other writers have their turn."""
        if self.engine.dialect.name == "sqlite":
            time.sleep(_PAUSE_SECONDS)
        self._progress()


def weight(size: int, rows: int = 1) -> int:
    """What deleting a value of so many bytes costs, with its rows, counted in rows."""
    return rows + size // _PAGE_BYTES


def batches(items: Iterable[T], weigh: Callable[[T], int], most: int) -> Iterator[list[T]]:
    """``items`` in pieces that weigh ``most`` at most; what weighs more by itself is a piece of its own."""
    batch: list[T] = []
    total = 0
    for item in items:
        added = weigh(item)
        if batch and total + added > most:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += added
    if batch:
        yield batch


def delete_rows(
    turns: WritingTurns, table: sa.Table, condition: sa.ColumnElement[bool], content: sa.Column[bytes] | None = None
) -> tuple[int, int]:
    """Delete the rows that meet an indexed condition. How many they were, and the bytes of their ``content``."""
    size: sa.ColumnElement[Any] = sa.literal(0) if content is None else sa.func.length(content)
    candidates = sa.select(size, *table.primary_key).where(condition).limit(_AT_ONCE)
    removed = freed = 0
    while True:
        with engines.reading(turns.engine) as connection:
            rows = connection.execute(candidates).all()
        if not rows:
            return removed, freed
        for batch in batches(rows, lambda row: weight(row[0]), turns.rows):
            with turns.take() as connection:
                removed += delete_by_key(connection, table, [row[1:] for row in batch], condition)
            freed += sum(row[0] for row in batch)


def delete_by_key(
    connection: sa.Connection, table: sa.Table, keys: Sequence[Sequence[Any]], *conditions: sa.ColumnElement[bool]
) -> int:
    """Delete the rows whose primary key begins so, as far as they meet the conditions. How many they were.

    One prepared statement for all keys: a list of keys within the statement takes several times as long to write as to carry out.
    """
    if not keys:
        return 0
    columns = tuple(table.primary_key)[: len(keys[0])]
    of_key = [column == sa.bindparam(f"key_{column.name}") for column in columns]
    values = [{f"key_{column.name}": part for column, part in zip(columns, key, strict=True)} for key in keys]
    return connection.execute(sa.delete(table).where(*of_key, *conditions), values).rowcount
