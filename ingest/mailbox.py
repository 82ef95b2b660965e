"""What ``load`` reads: files, folders, zip archives, mbox and Maildir, one message at a time and without touching the source.

The content says what a file is; names only help. The standard library's ``mailbox`` is not used: it builds a table of a whole
mbox before the first message, creates lock files beside it, and moves Maildir messages.
"""

import datetime as dt
import email.utils
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from . import folders
from .folders import Place, Source
from .tlsrpt import inflate

_LOOK = 64 * 1024
_LINE = 64 * 1024
_GZIP_TAG = 16 + zlib.MAX_WBITS
# A zip archive's table of contents is read as a whole: this admits some 150,000 files, for about 100 MB of memory.
_MAX_ZIP_CONTENTS = 16 * 1024 * 1024
_MAX_ZIP_DEPTH = 2
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError)

_BLANK_LINES = (b"\n", b"\r\n")
_FROM = b"From "
# "From a@b Sat Mar 14 10:00:00 2026", "From - Sat, 14 Mar 2026 10:00:00": a day of the week, then a time.
_DATED_FROM = re.compile(rb"From [^\n]{0,250}\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b[^\n]{0,20}\d{1,2}:\d\d")
_QUOTED_FROM = re.compile(rb"^>(?=>*From )", re.MULTILINE)
# RFC 5322 section 2.2 allows more characters in a name; nobody uses them, and JSON texts would match.
_FIELD_LINE = re.compile(rb"[A-Za-z][A-Za-z0-9_.-]{0,75}[ \t]*:")
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\0 \t\r\n]*[{\[]")

_HEADER_END = re.compile(rb"(?:\A|\r?\n)\r?\n")
_TIME_FIELDS = re.compile(rb"^(received|date)[ \t]*:((?:[^\n]*\n[ \t])*[^\n]*)", re.IGNORECASE | re.MULTILINE)
_MAX_STAMPS = 100  # RFC 5321 section 6.3: a mail with as many Received fields goes round in circles
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
    """A source that could not be read, with a reason for people that completes "<origin> ..."."""

    origin: str
    reason: str
    bytes_done: int


Found = Mail | ReportFile | Problem


def messages(paths: Sequence[Path], limit: int) -> Iterator[Found]:
    """Everything under ``paths``, in a stable order. ``limit`` bounds one message in bytes; larger ones are problems.

    ``bytes_done`` is the number of source bytes read so far, out of ``total_bytes``. In memory are one message and the
    names of one folder's files. Files that lie beside a Maildir's folders are its mail program's own and left out, unless
    they look like mails or reports.
    """
    before = 0
    for source in folders.sources(paths):
        origin = _shown(str(source.path))
        if source.reason:
            yield Problem(origin, source.reason, before)
            continue
        try:
            with folders.open_quietly(source.path) as file:
                yield from _contents(_stream_of(source, file, origin, before), limit)
        except OSError as error:
            if not source.moved(error):
                yield Problem(origin, _reason(error), before + source.size)
        before += source.size


def total_bytes(paths: Sequence[Path]) -> int:
    """Size of all sources together, for a progress bar."""
    return sum(source.size for source in folders.sources(paths))


def arrival_time(mail: bytes) -> dt.datetime | None:
    """When a mail came (UTC): its topmost readable Received date, else its Date; None when neither is within 1990..2099.

    Looks at the first 64 KiB of the header only. A date without a zone is taken as UTC (RFC 5322 section 4.3).
    """
    start = mail[:_LOOK]
    end = _HEADER_END.search(start)
    fields = _TIME_FIELDS.findall(start[: end.start()] if end else start)[:_MAX_STAMPS]
    stamps = [value.rpartition(b";")[2] for name, value in fields if name.lower() == b"received"]
    stamps += [value for name, value in fields if name.lower() == b"date"]
    return next((moment for moment in map(_moment, stamps) if moment), None)


def _moment(stamp: bytes) -> dt.datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(" ".join(stamp.decode("latin-1").split())[:100])
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
    except (ValueError, OverflowError, TypeError, IndexError):  # what parsedate raises on garbage
        return None
    return moment if _EARLIEST <= moment < _LATEST else None


# --- contents


def _reason(error: Exception) -> str:
    """Why a file cannot be read, or what is wrong with what was read."""
    if isinstance(error, OSError) and error.strerror:
        return folders.why(error)
    return f"is damaged compressed data: {error}"


def _shown(text: str) -> str:
    """A name from a disk or an archive, fit for a terminal and for the database."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


class _Stream(NamedTuple):
    """A file, or a file in an archive: seekable; ``done`` says how far the whole reading has come."""

    file: BinaryIO
    name: str
    origin: str
    modified: dt.datetime
    done: Callable[[], int]
    place: Place
    depth: int = 0  # archives around it


def _stream_of(source: Source, file: BinaryIO, origin: str, before: int) -> _Stream:
    try:
        modified = dt.datetime.fromtimestamp(source.modified, dt.UTC)
    except (ValueError, OverflowError, OSError):  # file systems keep times far beyond the year 9999
        modified = _EARLIEST

    def done() -> int:  # an archive may point behind its own end
        return before + min(file.tell(), source.size)

    return _Stream(file, _shown(source.path.name), origin, modified, done, source.place)


def _contents(stream: _Stream, limit: int) -> Iterator[Found]:
    start = stream.file.read(_LOOK)
    stream.file.seek(0)
    if not start:
        if stream.place != Place.BESIDE:
            yield Problem(stream.origin, "is empty", stream.done())
    elif start.startswith(inflate.GZIP_MAGIC):
        yield from _compressed(stream, start, limit)
    elif inflate.is_zip(start):
        yield from _archive(stream, limit)
    elif stream.place != Place.BESIDE or _is_mail(start, "") or _JSON_START.match(start):
        yield from _plain(stream, start, limit)


def _compressed(stream: _Stream, start: bytes, limit: int) -> Iterator[Found]:
    """A compressed mail or mbox is read through; a compressed report, and what is damaged, goes on as it is."""
    name = stream.name.removesuffix(".gz")
    try:
        inner = zlib.decompressobj(_GZIP_TAG).decompress(start, _LOOK)
    except zlib.error:
        inner = b""
    if not (_is_mail(inner, name) or (_holds_mail(stream) and inner)):
        yield from _whole(stream, limit, is_mail=False)
        return
    try:
        with gzip.GzipFile(fileobj=stream.file) as plain:
            yield from _plain(stream._replace(file=_buffered(plain), name=name), inner, limit)
    except _DAMAGED as error:
        yield Problem(stream.origin, _reason(error), stream.done())


def _plain(stream: _Stream, start: bytes, limit: int) -> Iterator[Found]:
    if _holds_mail(stream):  # one file, one message, whatever it looks like
        yield from _whole(stream, limit, is_mail=True)
    elif start.lstrip(b"\r\n").startswith(_FROM) or (
        _is_mail(start, "") and stream.name.lower().endswith((".mbox", ".mbx"))
    ):
        yield from _mbox(stream, limit)
    else:
        yield from _whole(stream, limit, is_mail=_is_mail(start, stream.name))


def _holds_mail(stream: _Stream) -> bool:
    return stream.place in (Place.NEW, Place.CUR)


def _is_mail(start: bytes, name: str) -> bool:
    """Whether a text begins with a header field or is an mbox. What is neither that nor JSON goes by its name."""
    text = start.lstrip(b"\r\n")
    if _FIELD_LINE.match(text) or text.startswith(_FROM):
        return True
    return bool(start) and name.lower().endswith(".eml") and not _JSON_START.match(start)


def _whole(stream: _Stream, limit: int, *, is_mail: bool) -> Iterator[Found]:
    data = stream.file.read(limit + 1)
    if len(data) > limit:
        yield Problem(stream.origin, f"is larger than {limit} bytes", stream.done())
    elif is_mail:
        yield Mail(data, stream.origin, stream.modified, stream.done())
    else:
        yield ReportFile(data, stream.name, stream.origin, stream.modified, stream.done())


def _archive(stream: _Stream, limit: int) -> Iterator[Found]:
    """The files of a zip archive, each like a file of its own; hidden ones (``__MACOSX/._x``) are left out."""
    if stream.depth == _MAX_ZIP_DEPTH:
        yield Problem(stream.origin, "is an archive within an archive within an archive", stream.done())
        return
    try:
        archive = inflate.open_archive(stream.file, _MAX_ZIP_CONTENTS)
    except inflate.InflateError as error:
        yield Problem(stream.origin, str(error), stream.done())
        return
    with archive:
        members = archive.infolist()
        size = stream.file.seek(0, io.SEEK_END)
        stream.file.seek(0)
        # Honest members lie one after the other; a bomb's many members share the same bytes.
        if sum(member.compress_size for member in members) > size:
            yield Problem(stream.origin, "is a zip archive whose files overlap", stream.done())
            return
        for member in members:
            if not inflate.is_folder(member) and not Path(member.filename).name.startswith("."):
                yield from _member(stream, archive, member, limit)


def _member(stream: _Stream, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> Iterator[Found]:
    inner = stream._replace(
        name=_shown(Path(member.filename).name),
        origin=f"{stream.origin}: {_shown(member.filename)}",
        depth=stream.depth + 1,
        place=Place.ANYWHERE,
    )
    try:
        with _buffered(inflate.open_member(archive, member)) as file:
            if inflate.is_zip(file.peek(4)):  # read at random places, so not as a stream
                data = file.read(limit + 1)
                if len(data) > limit:
                    yield Problem(inner.origin, f"is larger than {limit} bytes", inner.done())
                    return
                yield from _archive(inner._replace(file=io.BytesIO(data)), limit)
            else:
                yield from _contents(inner._replace(file=file), limit)
    except inflate.InflateError as error:
        yield Problem(inner.origin, str(error), inner.done())
    except _DAMAGED as error:
        yield Problem(inner.origin, _reason(error), inner.done())


def _buffered(file: object) -> io.BufferedReader:
    """Fast lines and a look ahead for the standard library's decompressors, which are readers without saying so."""
    return io.BufferedReader(cast("io.RawIOBase", file), _LOOK)


# --- mbox


def _mbox(stream: _Stream, limit: int) -> Iterator[Found]:
    for number, data in enumerate(_mbox_messages(stream.file, limit), start=1):
        where = f"{stream.origin}, message {number}"
        if data is None:
            yield Problem(where, f"is larger than {limit} bytes", stream.done())
        else:
            yield Mail(_QUOTED_FROM.sub(b"", data), where, stream.modified, stream.done())


def _mbox_messages(file: BinaryIO, limit: int) -> Iterator[bytes | None]:
    """The messages of an mbox (one at least) without their "From " lines, still quoted; None for one beyond ``limit``."""
    message = bytearray()
    size = 0
    started, after_blank, fresh = False, True, True  # fresh: this is the beginning of a line, not more of a long one
    line = file.readline(_LINE)
    while line:
        following = file.readline(_LINE)
        if fresh and line.startswith(_FROM) and (not started or _begins_message(line, after_blank, following)):
            if started:
                yield _finished(message, size, limit)
            message.clear()
            size, started = 0, True
        elif started or line not in _BLANK_LINES:
            started = True
            size += len(line)
            if size <= limit + 2:
                message += line
            else:
                message.clear()
        after_blank = fresh and line in _BLANK_LINES
        fresh = line.endswith(b"\n")
        line = following
    yield _finished(message, size, limit)


def _begins_message(line: bytes, after_blank: bool, following: bytes) -> bool:
    """Whether a "From " line begins a message. Thunderbird leaves out the date, and some programs do not quote such text.

    A dated line does, even without the blank line before it that concatenated files lack; an undated one only between a
    blank line and a header field.
    """
    return bool(_DATED_FROM.match(line)) or (after_blank and bool(_FIELD_LINE.match(following)))


def _finished(message: bytearray, size: int, limit: int) -> bytes | None:
    """The message without the blank line that separates it from the next one."""
    separator = 2 if message.endswith(b"\n\r\n") else 1 if message.endswith(b"\n\n") else 0
    size -= separator
    del message[len(message) - separator :]
    return bytes(message) if size <= limit else None
