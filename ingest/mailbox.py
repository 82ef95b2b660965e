"""What ``load`` reads: files, folders, zip archives, mbox and Maildir, one message at a time and without touching the source.

The content says what a file is; names only help. The standard library's ``mailbox`` is not used: it builds a table of a whole
mbox before the first message, creates lock files beside it, and moves Maildir messages.
"""

import datetime as dt
import email
import email.policy
import email.utils
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import msgspec

_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_MBOX_FROM = b"From "
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_HEADER_LINE = re.compile(rb"^[A-Za-z0-9][A-Za-z0-9_-]{0,75}[ \t]*:")
_PEEK = 4_096
_MAX_HEADER = 256 * 1024
_MAX_ZIP_DEPTH = 2
_EARLIEST, _LATEST = dt.datetime(1990, 1, 1, tzinfo=dt.UTC), dt.datetime(2100, 1, 1, tzinfo=dt.UTC)


class Mail(msgspec.Struct, frozen=True):
    """A mail. ``origin`` says where it was found, ``modified`` when its file was last written (UTC)."""

    data: bytes
    origin: str
    modified: dt.datetime
    bytes_done: int


class ReportFile(msgspec.Struct, frozen=True):
    """A bare report (or anything else that is no mail), with the name of its file."""

    data: bytes
    file_name: str
    origin: str
    modified: dt.datetime
    bytes_done: int


class Problem(msgspec.Struct, frozen=True):
    """A source that could not be read, with a reason for people."""

    origin: str
    reason: str
    bytes_done: int


Found = Mail | ReportFile | Problem


def messages(paths: Sequence[Path], limit: int) -> Iterator[Found]:
    """Everything under ``paths``, in a stable order. ``limit`` bounds one message in bytes; larger ones are problems.

    ``bytes_done`` is the number of source bytes read so far, out of ``total_bytes``.
    """
    reader = _Reader(limit)
    for path in paths:
        yield from reader.path(path)


def total_bytes(paths: Sequence[Path]) -> int:
    """Size of all sources together, for a progress bar."""
    return sum(_size(file) for path in paths for file in _files(path))


def arrival_time(mail: bytes) -> dt.datetime | None:
    """When a mail came: its topmost readable Received date, else its Date; None when neither is plausible (UTC)."""
    head = email.message_from_bytes(_header_of(mail), policy=email.policy.compat32)
    stamps = [str(value).rpartition(";")[2] for value in head.get_all("Received", [])] + [str(head.get("Date", ""))]
    return next((moment for moment in map(_moment, stamps) if moment), None)


def _header_of(mail: bytes) -> bytes:
    header = mail[:_MAX_HEADER].replace(b"\r\n", b"\n")
    return header.partition(b"\n\n")[0] + b"\n\n"


def _moment(text: str) -> dt.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text.strip()[:200])
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError, TypeError):
        return None
    return moment if _EARLIEST <= moment < _LATEST else None


def _files(path: Path) -> Iterator[Path]:
    """The regular files of a source, in order. Links to folders are not followed (loops); hidden files are left out."""
    if not path.is_dir():
        yield path
        return
    if _is_maildir(path):
        for folder in ("cur", "new"):
            yield from sorted(file for file in (path / folder).iterdir() if file.is_file() and file.name[0] != ".")
    for child in sorted(path.iterdir()):
        if child.is_dir():
            inside_maildir = _is_maildir(path) and child.name in ("cur", "new", "tmp")
            hidden = child.name.startswith(".") and not _is_maildir(child)
            if not (child.is_symlink() or inside_maildir or hidden):
                yield from _files(child)
        elif child.name[0] != "." and not _is_maildir(path):
            yield child


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() and (path / "new").is_dir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


class _Reader:
    """Keeps count of the bytes read over all sources."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._before = 0

    def path(self, path: Path) -> Iterator[Found]:
        try:
            files = _files(path)
            while (file := next(files, None)) is not None:
                yield from self._file(file)
        except OSError as error:
            yield Problem(str(path), _reason(error), self._before)

    def _file(self, path: Path) -> Iterator[Found]:
        size = _size(path)
        try:
            if not path.is_file() and path.exists():
                raise OSError(0, "is no regular file")
            with path.open("rb") as file:
                modified = dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC)
                yield from self._stream(file, path.name, str(path), modified, _Counter(file, self._before))
        except (OSError, EOFError, zlib.error) as error:
            yield Problem(str(path), _reason(error), self._before + size)
        self._before += size

    def _stream(
        self, file: BinaryIO, name: str, origin: str, modified: dt.datetime, done: "_Counter"
    ) -> Iterator[Found]:
        start = file.read(_PEEK)
        file.seek(0)
        if start.startswith(_GZIP):
            inner = self._gzip_start(file)
            if inner.startswith(_MBOX_FROM) or _looks_like_mail(inner):
                with gzip.open(file) as plain:
                    yield from self._plain(cast("BinaryIO", plain), inner, name.removesuffix(".gz"), origin, modified, done)
                return
        if start.startswith(_ZIP):
            yield from self._zip(file, origin, modified, done, _MAX_ZIP_DEPTH)
            return
        yield from self._plain(file, start, name, origin, modified, done)

    def _gzip_start(self, file: BinaryIO) -> bytes:
        try:
            with gzip.open(file) as plain:
                return plain.read(_PEEK)
        except (OSError, EOFError, zlib.error):
            return b""  # damaged: it goes on as it is, and intake says what is wrong with it
        finally:
            file.seek(0)

    def _plain(
        self, file: BinaryIO, start: bytes, name: str, origin: str, modified: dt.datetime, done: "_Counter"
    ) -> Iterator[Found]:
        if start.startswith(_MBOX_FROM):
            yield from self._mbox(file, origin, modified, done)
            return
        data = file.read(self._limit + 1)
        if len(data) > self._limit:
            yield Problem(origin, f"is larger than {self._limit} bytes", done())
        else:
            yield _found(data, name, origin, modified, done())

    def _zip(self, file: BinaryIO, origin: str, modified: dt.datetime, done: "_Counter", depth: int) -> Iterator[Found]:
        try:
            with zipfile.ZipFile(file) as archive:
                for member in archive.infolist():
                    if not member.is_dir():
                        yield from self._zip_member(archive, member, origin, modified, done, depth)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            yield Problem(origin, f"is a zip archive that cannot be read: {error}", done())

    def _zip_member(
        self,
        archive: zipfile.ZipFile,
        member: zipfile.ZipInfo,
        origin: str,
        modified: dt.datetime,
        done: "_Counter",
        depth: int,
    ) -> Iterator[Found]:
        origin = f"{origin}: {member.filename}"
        with archive.open(member) as file:
            data = file.read(self._limit + 1)
        if len(data) > self._limit:
            yield Problem(origin, f"is larger than {self._limit} bytes", done())
        elif data.startswith(_ZIP) and depth > 1:
            yield from self._zip(io.BytesIO(data), origin, modified, done, depth - 1)
        else:
            yield from self._stream_of_member(data, member.filename, origin, modified, done)

    def _stream_of_member(
        self, data: bytes, name: str, origin: str, modified: dt.datetime, done: "_Counter"
    ) -> Iterator[Found]:
        if data.startswith(_MBOX_FROM):
            yield from self._mbox(io.BytesIO(data), origin, modified, done)
        else:
            yield _found(data, name, origin, modified, done())

    def _mbox(self, file: BinaryIO, origin: str, modified: dt.datetime, done: "_Counter") -> Iterator[Found]:
        """One message at a time (mboxrd). A message ends before a line that begins with "From " after a blank line."""
        for number, data in enumerate(_mbox_messages(file, self._limit), start=1):
            where = f"{origin}, message {number}"
            if data is None:
                yield Problem(where, f"is larger than {self._limit} bytes", done())
            else:
                yield Mail(_QUOTED_FROM.sub(rb"\1", data), where, modified, done())


def _mbox_messages(file: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """The raw messages of an mbox without their "From " lines; None for one that is too large."""
    lines: list[bytes] | None = None
    size = 0
    after_blank = True
    while line := file.readline(65_536):
        if after_blank and line.startswith(_MBOX_FROM):
            if lines is not None or size > limit:
                yield _joined(lines, size, limit)
            lines, size = [], 0
        elif lines is not None:
            size += len(line)
            if size <= limit:
                lines.append(line)
            else:
                lines.clear()
        after_blank = line in (b"\n", b"\r\n")
    if lines is not None:
        yield _joined(lines, size, limit)


def _joined(lines: list[bytes] | None, size: int, limit: int) -> bytes | None:
    if size > limit or lines is None:
        return None
    if lines and lines[-1] in (b"\n", b"\r\n"):  # the blank line that separates messages
        lines = lines[:-1]
    return b"".join(lines)


class _Counter:
    """How far the reading has come, in bytes over all sources."""

    def __init__(self, file: BinaryIO, before: int) -> None:
        self._file = file
        self._before = before

    def __call__(self) -> int:
        return self._before + (0 if self._file.closed else self._file.tell())


def _found(data: bytes, name: str, origin: str, modified: dt.datetime, done: int) -> Found:
    if _looks_like_mail(data[:_PEEK]):
        return Mail(data, origin, modified, done)
    return ReportFile(data, name, origin, modified, done)


def _looks_like_mail(start: bytes) -> bool:
    """Whether the first line is a header field: ``name: value`` (RFC 5322 section 2.2). No JSON and no archive begins so."""
    return bool(_HEADER_LINE.match(start))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.errno == 0 else f"cannot be read: {error.strerror}"
    return f"is damaged compressed data: {error}"
