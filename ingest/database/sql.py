"""The one difference between the engines that the writing side meets: INSERT ... ON CONFLICT is spelt per dialect."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

T = TypeVar("T")
Insert = sqlite.Insert | postgresql.Insert

# Bound parameters in one statement: SQLite allows 32,766, PostgreSQL 65,535.
MAX_KEYS = 5_000


def insert_into(connection: sa.Connection, table: sa.Table) -> Insert:
    """An INSERT that knows ``on_conflict_do_nothing`` and ``on_conflict_do_update``."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def chunks(items: Sequence[T], size: int = MAX_KEYS) -> Iterator[Sequence[T]]:
    """``items`` in pieces that fit one statement."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
