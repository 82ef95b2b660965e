"""From a statement to a DataFrame whose columns have the same types on every engine, also when it is empty."""

import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

# A verdict needs no frame, and pandas takes a second of processor time.
if TYPE_CHECKING:
    import pandas as pd

# What a column holds. Counts can be missing (a report that says none), so they are nullable integers; sums of counts are
# floating point: exact up to 2^53, and no absurd report makes them overflow.
TEXT, COUNT, SUM, FLAG = "str", "Int64", "float64", "bool"
DAY, INSTANT = "datetime64[s]", "datetime64[us, UTC]"

# A cell of a table or a field on a page. Whole texts are in the raw report; a stranger's megabyte is no use on a screen.
LONGEST_TEXT = 2_000


def read(
    engine: sa.Engine, query: sa.Select[Any] | sa.CompoundSelect[Any], columns: Mapping[str, str]
) -> "pd.DataFrame":
    """The rows of ``query`` as a DataFrame with exactly ``columns`` (name to kind), in that order."""
    import pandas as pd

    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=kind) for name, kind in columns.items()})


def read_number(engine: sa.Engine, query: sa.Select[Any]) -> int:
    """The one number that ``query`` selects."""
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def shortened(column: sa.ColumnElement[Any], longest: int = LONGEST_TEXT) -> sa.ColumnElement[Any]:
    """A text column, cut by the database to one character more than ``longest`` (so that a reader sees that it is cut)."""
    return sa.func.substr(column, 1, longest + 1).label(column.key)


def total(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The sum of a BIGINT column as floating point, 0 when nothing is there to add: SQLite's SUM() raises beyond 2^63."""
    return sa.func.coalesce(sa.func.sum(sa.cast(column, sa.Double)), 0.0)


def inflate(compressed: bytes, longest: int | None) -> bytes:
    """What zlib or gzip packed, or its first ``longest`` bytes (None: all), without unpacking the rest."""
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(compressed, longest or 0)
