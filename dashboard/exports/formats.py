"""The formats of an export: CSV for spreadsheets, JSON for programs, Parquet for data tools. Each writes rows as they come.

CSV is read by spreadsheets, which run what looks like a formula, and by terminals, which obey control characters; the cells
hold text that strangers wrote. See ``csv_text``. JSON and Parquet carry the exact text.
"""

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from .schema import Column, Type

# A Parquet row group ends at whichever comes first; larger groups compress better.
_GROUP_ROWS = 20_000
_GROUP_CHARACTERS = 16 * 1024 * 1024

Values = tuple[Any, ...]


class Writer(Protocol):
    """Writes rows to an open file in one format, each as it comes: one row may hold a text as large as a report."""

    def __init__(self, target: io.RawIOBase, columns: Sequence[Column]) -> None: ...

    def add(self, row: Values) -> None:
        """Write a row."""

    def finish(self) -> None:
        """Write what stands at the end. The file stays open."""


# What begins a formula in a spreadsheet (OWASP, "CSV Injection"), in full width and in small form too, with the blanks,
# quotes and invisible characters before it that spreadsheets skip. Where the separator is a semicolon or a tab (the German
# Excel, LibreOffice's import), or a line break inside quotes is not honoured, a new cell begins within ours.
_SKIPPED = "[ \u00a0\u1680\u2000-\u200f\u202f\u205f-\u2064\u3000\u00ad\ufeff\"'`\u2018-\u201f\uff02\uff07]*"
_SIGN = "[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]"
_FORMULA = re.compile(rf"\A(?={_SKIPPED}(?:{_SIGN}|[\t\r\n]))|(?<=[;\t\r\n])(?={_SKIPPED}{_SIGN})")
# RFC 4180 has no control characters but CR and LF in its text, and a terminal acts on them, as on bidi overrides.
_ACTING = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_HARMLESS = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9 ,._:/+@=()-]*)?")


# Excel holds 32,767 UTF-16 units in a cell, and what is longer begins a new row: with a formula, if its author wants.
_LONGEST_CELL = 16_000


def csv_text(text: str) -> str:
    """``text`` as a CSV cell holds it (before quoting): no spreadsheet sees a formula in it, no terminal a command.

    An apostrophe goes before what would begin a formula (optional blanks and quotes, then one of ``= + - @``, also in full
    width or small form): at the cell's beginning, where a tab, CR or LF counts too, and behind a ``;``, a tab or a line break.
    Undo: drop one apostrophe in each of these places. Control characters other than tab, CR and LF, and bidi controls, are
    written as ``\\x1b`` and ``\\u202e``. What is longer than 16,000 characters is cut, and ends with ``…``.
    """
    cell = text[:_LONGEST_CELL]
    if not _HARMLESS.fullmatch(cell):
        cell = _FORMULA.sub("'", _ACTING.sub(_visible, cell))
    return cell if len(cell) <= _LONGEST_CELL >= len(text) else cell[: _LONGEST_CELL - 1] + "…"


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def _instant(moment: dt.datetime) -> str:
    """One form for all, whatever the sender wrote: pandas takes the first row's form for that of the whole column."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


_CSV_CELL: dict[Type, Callable[[Any], str]] = {
    Type.TEXT: csv_text,
    Type.DAY: dt.date.isoformat,
    Type.INSTANT: _instant,
    Type.COUNT: str,
    Type.FLAG: lambda flag: "true" if flag else "false",
    Type.RATE: repr,
}


class _Utf8:
    """What ``csv.writer`` asks of a file."""

    def __init__(self, target: io.RawIOBase) -> None:
        self._target = target

    def write(self, text: str) -> None:
        self._target.write(text.encode())


class _Csv:
    """RFC 4180: CRLF, quotes where they are needed, UTF-8; null is an empty cell."""

    def __init__(self, target: io.RawIOBase, columns: Sequence[Column]) -> None:
        self._lines = csv.writer(_Utf8(target), lineterminator="\r\n")
        self._lines.writerow([column.name for column in columns])
        self._cells = [_CSV_CELL[column.type] for column in columns]

    def add(self, row: Values) -> None:
        pairs = zip(self._cells, row, strict=True)
        self._lines.writerow(["" if value is None else cell(value) for cell, value in pairs])

    def finish(self) -> None:
        pass


# The characters of _ACTING that JSON does not escape by itself, as UTF-8: escaped they are the same text, and do nothing.
_ACTING_UTF8 = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]")


class _Json:
    """One array, an object in each line; days and instants as text, as CSV has them (RFC 3339)."""

    def __init__(self, target: io.RawIOBase, columns: Sequence[Column]) -> None:
        self._target = target
        self._names = [column.name for column in columns]
        self._instants = [column.name for column in columns if column.type is Type.INSTANT]
        self._between = b"[\n"

    def add(self, row: Values) -> None:
        values = dict(zip(self._names, row, strict=True))
        values |= {name: _instant(values[name]) for name in self._instants if values[name] is not None}
        line = msgspec.json.encode(values)
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

    def __init__(self, target: io.RawIOBase, columns: Sequence[Column]) -> None:
        self._schema = pa.schema([(column.name, _ARROW[column.type]) for column in columns])
        self._texts = [index for index, column in enumerate(columns) if column.type is Type.TEXT]
        self._writer = pq.ParquetWriter(target, self._schema, compression="zstd")
        self._rows: list[Values] = []
        self._characters = 0

    def add(self, row: Values) -> None:
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
