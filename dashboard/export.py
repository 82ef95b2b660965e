"""Exports for spreadsheets (CSV), programs (JSON) and data tools (Parquet), streamed: memory does not grow with the rows.

CSV is read by spreadsheets, which run what looks like a formula, and by terminals, which obey control characters; the cells
hold text that strangers wrote. See ``csv_text``. JSON and Parquet carry the exact text.
"""

import contextlib
import csv
import datetime as dt
import io
import itertools
import os
import re
import secrets
import stat
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from ingest import database

from .export_queries import EXPORTS, Export, ExportRefused, Filters, Type, Values

__all__ = [
    "EXPORTS",
    "FORMATS",
    "ExportRefused",
    "FileNotWritable",
    "Filters",
    "csv_text",
    "file_name",
    "write",
    "write_file",
]

# Rows written at once.
_CHUNK = 200
# A Parquet row group ends at whichever comes first; larger groups compress better.
_GROUP_ROWS = 20_000
_GROUP_CHARACTERS = 16 * 1024 * 1024
# How long a reader of standard output (less, a slow disk) may pause before PostgreSQL ends the export.
_PATIENCE = "1h"

Progress = Callable[[int], None]


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

    ``kind`` is a key of EXPORTS, ``format`` one of FORMATS. ``progress`` is called with the rows written so far. Open the
    engine read-only: on SQLite any other one keeps writers waiting until the export ends. Raises ExportRefused before
    anything is read, DatabaseAway, and what ``target`` raises.
    """
    chosen, writer_for = _choose(kind, format)
    written = 0
    # Closed at once when the target fails, so that no connection is left in the middle of a result.
    with _Sink(target) as sink, contextlib.closing(_chunks(engine, chosen, filters)) as chunks:
        writer = writer_for(sink, chosen.columns)
        for chunk in chunks:
            writer.add(chunk)
            written += len(chunk)
            if progress:
                progress(written)
        writer.finish()
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
    _choose(kind, format)
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
    _choose(kind, format)
    about = list(filters.domains[:1]) if len(filters.domains) < 2 else [f"{len(filters.domains)}-domains"]
    days = [f"{word}{day}" for word, day in (("from-", filters.since), ("to-", filters.until)) if day]
    if filters.since and filters.until:
        days = [str(filters.since), str(filters.until)]
    return re.sub(r"[^A-Za-z0-9.-]", "_", "-".join(["starttally", kind, *about, *days]))[:200] + f".{format}"


def _choose(kind: str, format: str) -> tuple[Export, "type[Writer]"]:  # noqa: A002
    if kind not in EXPORTS:
        raise ExportRefused(f"there is no export {kind!r}; choose one of {', '.join(EXPORTS)}")
    if format not in FORMATS:
        raise ExportRefused(f"there is no format {format!r}; choose one of {', '.join(FORMATS)}")
    return EXPORTS[kind], FORMATS[format]


def _chunks(engine: sa.Engine, chosen: Export, filters: Filters) -> Generator[list[Values], None, None]:
    """The rows of an export, some at a time, all as they were at one moment."""
    try:
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
                connection.exec_driver_sql(f"SET LOCAL idle_in_transaction_session_timeout = '{_PATIENCE}'")
            with contextlib.closing(chosen.rows(connection, filters)) as rows:
                while chunk := list(itertools.islice(rows, _CHUNK)):
                    yield chunk
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise database.as_away(error) from error


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


class Writer(Protocol):
    """Writes rows to an open file in one format."""

    def __init__(self, target: io.RawIOBase, columns: Mapping[str, Type]) -> None: ...

    def add(self, rows: Sequence[Values]) -> None:
        """Write some rows."""

    def finish(self) -> None:
        """Write what stands at the end. The file stays open."""


# What begins a formula in a spreadsheet (OWASP, "CSV Injection"), in full width too, with the blanks, quotes and invisible
# characters before it that spreadsheets skip. Where the separator is a semicolon or a tab (the German Excel, LibreOffice's
# import), or a line break inside quotes is not honoured, a new cell begins within ours.
_SKIPPED = "[ \u00a0\u1680\u2000-\u200f\u202f\u205f-\u2064\u3000\u00ad\ufeff\"'`\u2018-\u201f\uff02\uff07]*"
_SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20]"
_FORMULA = re.compile(rf"\A(?={_SKIPPED}(?:{_SIGN}|[\t\r\n]))|(?<=[;\t\r\n])(?={_SKIPPED}{_SIGN})")
# RFC 4180 has no control characters but CR and LF in its text, and a terminal acts on them, as on bidi overrides.
_ACTING = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_HARMLESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9 ,._:/+@=()-]*)?")


def csv_text(text: str) -> str:
    """``text`` as a CSV cell holds it (before quoting): no spreadsheet sees a formula in it, no terminal a command.

    An apostrophe goes before what would begin a formula (optional blanks and quotes, then one of ``= + - @``, also in full
    width): at the cell's beginning, where a tab, CR or LF counts too, and behind a ``;``, a tab or a line break within it.
    Undo: drop one apostrophe in each of these places. Control characters other than tab, CR and LF, and bidi controls, are
    written as ``\\x1b`` and ``\\u202e``.
    """
    if _HARMLESS.fullmatch(text):
        return text
    return _FORMULA.sub("'", _ACTING.sub(_visible, text))


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _instant(moment: dt.datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


_CSV_CELL: dict[Type, Callable[[Any], str]] = {
    Type.TEXT: csv_text,
    Type.DAY: dt.date.isoformat,
    Type.INSTANT: _instant,
    Type.COUNT: str,
    Type.FLAG: lambda flag: "true" if flag else "false",
    Type.RATE: repr,
}


class _Csv:
    """RFC 4180: CRLF, quotes where they are needed, UTF-8; null is an empty cell."""

    def __init__(self, target: io.RawIOBase, columns: Mapping[str, Type]) -> None:
        self._target = target
        self._cells = [_CSV_CELL[kind] for kind in columns.values()]
        self._write([list(columns)])

    def add(self, rows: Sequence[Values]) -> None:
        cells = self._cells
        self._write(
            [["" if value is None else cell(value) for cell, value in zip(cells, row, strict=True)] for row in rows]
        )

    def _write(self, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\r\n").writerows(rows)
        self._target.write(text.getvalue().encode())

    def finish(self) -> None:
        pass


# The characters of _ACTING that JSON does not escape by itself, as UTF-8: escaped they are the same text, and do nothing.
_ACTING_UTF8 = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


class _Json:
    """One array, an object in each line; days and instants (UTC, Z) as text (RFC 3339)."""

    def __init__(self, target: io.RawIOBase, columns: Mapping[str, Type]) -> None:
        self._target = target
        self._names = list(columns)
        self._between = b"[\n"

    def add(self, rows: Sequence[Values]) -> None:
        for row in rows:
            line = msgspec.json.encode(dict(zip(self._names, row, strict=True)))
            line = _ACTING_UTF8.sub(lambda match: f"\\u{ord(match[0].decode()):04x}".encode(), line)
            self._target.write(self._between + line)
            self._between = b",\n"

    def finish(self) -> None:
        self._target.write(b"[]\n" if self._between == b"[\n" else b"\n]\n")


_ARROW = {
    Type.TEXT: pa.string(),
    Type.DAY: pa.date32(),
    Type.INSTANT: pa.timestamp("us", tz="UTC"),
    Type.COUNT: pa.int64(),
    Type.FLAG: pa.bool_(),
    Type.RATE: pa.float64(),
}


class _Parquet:
    """Row groups of bounded size, with the same schema whatever the rows hold."""

    def __init__(self, target: io.RawIOBase, columns: Mapping[str, Type]) -> None:
        self._schema = pa.schema([(name, _ARROW[kind]) for name, kind in columns.items()])
        self._texts = [index for index, kind in enumerate(columns.values()) if kind is Type.TEXT]
        self._writer = pq.ParquetWriter(target, self._schema, compression="zstd")
        self._rows: list[Values] = []
        self._characters = 0

    def add(self, rows: Sequence[Values]) -> None:
        for row in rows:
            self._rows.append(row)
            self._characters += sum(len(row[index] or "") for index in self._texts)
            if len(self._rows) >= _GROUP_ROWS or self._characters >= _GROUP_CHARACTERS:
                self._flush()

    def _flush(self) -> None:
        columns = zip(*self._rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._rows, self._characters = [], 0

    def finish(self) -> None:
        if self._rows:
            self._flush()
        self._writer.close()


FORMATS: Mapping[str, type[Writer]] = {"csv": _Csv, "json": _Json, "parquet": _Parquet}
