"""Exports, streamed: memory does not grow with the rows, and a file is whole or not there."""

import contextlib
import io
import os
import re
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import sqlalchemy as sa

from ingest.database import engines

from . import reading, schema
from .formats import FORMATS, Writer, csv_text
from .reading import ExportRefused, Filters, Rows
from .schema import Column

__all__ = [
    "EXPORTS",
    "FORMATS",
    "ExportRefused",
    "FileNotWritable",
    "Filters",
    "choose",
    "csv_text",
    "file_name",
    "write",
    "write_file",
]

# Rows between two calls of ``progress``.
_STEP = 200
# How long a reader of standard output (less, a slow disk) may pause before PostgreSQL ends the export.
_PATIENCE = "1h"

Progress = Callable[[int], None]


class Export(msgspec.Struct, frozen=True):
    """One kind of export: its columns in order, and its rows as values of these columns."""

    columns: Sequence[Column]
    rows: Callable[[sa.Connection, Filters], Rows]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, as the first line of a CSV file has them."""
        return tuple(column.name for column in self.columns)


EXPORTS: Mapping[str, Export] = {
    "summary": Export(schema.SUMMARY, reading.summary_rows),
    "failures": Export(schema.FAILURES, reading.failure_rows),
    "domains": Export(schema.DOMAINS, reading.domain_rows),
    "reports": Export(schema.REPORTS, reading.report_rows),
}


class FileNotWritable(Exception):
    """The output file cannot be written. The text names it and the reason; nothing is left of it; exit with code 2."""


def write(
    engine: sa.Engine,
    kind: str,
    format: str,  # noqa: A002
    filters: Filters,
    target: BinaryIO,
    progress: Progress | None = None,
) -> int:
    """Write one export to ``target`` (which stays open) and return the number of rows.

    ``kind`` is a key of EXPORTS, ``format`` one of FORMATS. ``progress`` is called now and then, and at the end, with the
    rows written so far. Open the engine read-only: on SQLite any other one keeps writers waiting until the export ends.
    Raises ExportRefused before anything is read, DatabaseAway, and what ``target`` raises.
    """
    chosen, writer_for = choose(kind, format)
    written = 0
    # Closed at once when the target fails, so that no connection is left in the middle of a result.
    with _Sink(target) as sink, contextlib.closing(_rows(engine, chosen, filters)) as rows:
        writer = writer_for(sink, chosen.columns)
        for row in rows:
            writer.add(row)
            written += 1
            if progress and written % _STEP == 0:
                progress(written)
        writer.finish()
    if progress:
        progress(written)
    return written


class _Sink(io.RawIOBase):
    """Hands bytes on until it is closed, and drops what comes later.

    A Parquet writer that is abandoned half-way still writes its footer when it is destroyed, and half an export would
    look like a whole one.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._target = target

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401
        return memoryview(data).nbytes if self.closed else self._target.write(data)


def write_file(
    engine: sa.Engine,
    kind: str,
    format: str,  # noqa: A002
    filters: Filters,
    path: Path,
    progress: Progress | None = None,
) -> int:
    """Write one export to a file, which appears (or changes) only when the export is complete; return the number of rows.

    Raises FileNotWritable besides what ``write`` raises.
    """
    choose(kind, format)
    try:
        if path.exists() and not path.is_file():  # /dev/stdout, a named pipe: nothing to rename over
            with path.open("wb") as target:
                return write(engine, kind, format, filters, target, progress)
        with _replacing(path) as target:
            return write(engine, kind, format, filters, target, progress)
    except OSError as error:
        raise FileNotWritable(f"{path} cannot be written: {error.strerror or error}") from error


def file_name(kind: str, format: str, filters: Filters) -> str:  # noqa: A002
    """A name for the download, such as ``starttally-failures-example.com-2026-03-01-2026-03-14.csv``."""
    choose(kind, format)
    subject = list(filters.domains[:1]) if len(filters.domains) < 2 else [f"{len(filters.domains)}-domains"]
    days = [f"{word}{day}" for word, day in (("from-", filters.since), ("to-", filters.until)) if day]
    if filters.since and filters.until:
        days = [str(filters.since), str(filters.until)]
    return re.sub(r"[^A-Za-z0-9.-]", "_", "-".join(["starttally", kind, *subject, *days]))[:200] + f".{format}"


def choose(kind: str, format: str) -> tuple[Export, type[Writer]]:  # noqa: A002
    """The export and the format of these names. Raises ExportRefused."""
    if kind not in EXPORTS:
        raise ExportRefused(f"there is no export {kind!r}; choose one of {', '.join(EXPORTS)}")
    if format not in FORMATS:
        raise ExportRefused(f"there is no format {format!r}; choose one of {', '.join(FORMATS)}")
    return EXPORTS[kind], FORMATS[format]


def _rows(engine: sa.Engine, chosen: Export, filters: Filters) -> Rows:
    """The rows of an export, all as they were at one moment."""
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
                connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_PATIENCE}'")
            with contextlib.closing(chosen.rows(connection, filters)) as rows:
                yield from rows
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise engines.as_away(error) from error


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file beside ``path`` that takes its name when the block ends well, and disappears when it does not."""
    final = Path(os.path.realpath(path))  # of a symbolic link, the file behind it is replaced
    partial = final.with_name(f".starttally-{secrets.token_hex(6)}.part")
    target = partial.open("xb")
    try:
        with target:
            if final.exists():  # who could read the old file can read the new one, and nobody else
                os.fchmod(target.fileno(), stat.S_IMODE(final.stat().st_mode))
            yield target
            target.flush()
            os.fsync(target.fileno())
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
