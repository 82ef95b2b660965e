"""Giving pages back that SQLite's file no longer needs. PostgreSQL reuses freed space by itself (autovacuum)."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa

# A file that shrinks and grows again each hour gains nothing.
_SPARE_PAGES = 1_000
_AT_ONCE = 500
_INCREMENTAL = 2


def give_back(engine: sa.Engine, progress: Callable[[], None] = lambda: None) -> int:
    """Give free pages of a SQLite file back to the file system in small steps, ``progress`` after each. By how many bytes the
    file became smaller: 0 for a file that an older version has made, until ``rewrite``, and for other engines.
    """
    if engine.dialect.name != "sqlite":
        return 0
    with _cursor(engine) as cursor:
        if _number(cursor, "auto_vacuum") != _INCREMENTAL:
            return 0
        pages = _number(cursor, "page_count")
        while _number(cursor, "freelist_count") > _SPARE_PAGES:
            # Each row that is fetched moves one page.
            cursor.execute(f"PRAGMA incremental_vacuum({_AT_ONCE})").fetchall()
            progress()
        return (pages - _number(cursor, "page_count")) * _number(cursor, "page_size")


def rewrite(engine: sa.Engine) -> int:
    """Write a SQLite file anew without free pages, as one that gives pages back from now on. By how many bytes it became
    smaller. Needs as much free space again as its content takes; writers wait.
    """
    if engine.dialect.name != "sqlite":
        return 0
    with _cursor(engine) as cursor:
        before = _number(cursor, "page_count")
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")
        cursor.execute("VACUUM")
        return (before - _number(cursor, "page_count")) * _number(cursor, "page_size")


@contextlib.contextmanager
def _cursor(engine: sa.Engine) -> Iterator[Any]:
    """Outside of SQLAlchemy's transactions: neither statement may stand in one."""
    connection = engine.raw_connection()
    try:
        cursor = connection.cursor()
        yield cursor
        cursor.close()
    finally:
        connection.close()


def _number(cursor: Any, pragma: str) -> int:  # noqa: ANN401
    return int(cursor.execute(f"PRAGMA {pragma}").fetchone()[0])
