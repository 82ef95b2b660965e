"""What ``load`` reads: files, folders, archives, mbox and Maildir, one message at a time and without touching the source.

The content says what a file is; names only help. The standard library's ``mailbox`` is not used: it builds a table of a whole
mbox before the first message, creates lock files beside it, and moves Maildir messages.
"""

import datetime as dt
import gzip
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import msgspec

from ingest.rfc.packing import inflate

from . import archives, folders, mbox, signs
from .folders import Place, Source

_LOOK = 64 * 1024
_GZIP_TAG = 16 + zlib.MAX_WBITS
# A zip archive's table of contents is read as a whole: this admits some 150,000 files, for about 100 MB of memory.
_MAX_ZIP_CONTENTS = 16 * 1024 * 1024
_ENCRYPTED = 1  # in a member's flags
_MAX_ARCHIVE_DEPTH = 2
_MAX_LAYERS = 3

# Files that were meant as reports or mails, whatever is in them.
NAMED_AS_REPORTS = (".json", ".eml", ".emlx", ".gz", ".tgz", ".xz", ".txz", ".bz2", ".tbz2", ".zip", ".tar")

# Editors write a byte order mark, exports begin with blank lines, procmail and Mutt quote the envelope's line.
_BEFORE_HEADER = re.compile(rb"(?:\xef\xbb\xbf|[ \t]*\r?\n|>From [^\r\n]{0,250}\r?\n)+(?=%b)" % mbox.FIELD_LINE.pattern)
# Apple Mail: the mail's length in bytes, the mail, then what the program itself noted about it.
_EMLX = re.compile(rb"(?:\xef\xbb\xbf)?(\d{1,10})[ \t]*\r?\n(?=%b)" % mbox.FIELD_LINE.pattern)
_JSON_START = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?[\0 \t\r\n]*[{\[]")
# Windows writes texts as UTF-16, with and without a byte order mark. The first line of a mail or mbox has a colon.
_UTF16 = {
    "utf-16-le": re.compile(rb"(?:\xff\xfe)?(?:[ -~]\0){3,120}?:\0"),
    "utf-16-be": re.compile(rb"(?:\xfe\xff)?(?:\0[ -~]){3,120}?\0:"),
}
# File systems keep times far beyond the year 9999, which is no time to anybody else.
_UNKNOWN_TIME = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)


class Mail(msgspec.Struct, frozen=True):
    """A mail. ``origin`` says where it was found, ``modified`` when its file was last written (UTC).

    ``named`` says that the user named this file, and not a folder, an archive or an mbox around it.
    """

    data: bytes
    origin: str
    modified: dt.datetime
    bytes_done: int
    named: bool = False


class ReportFile(msgspec.Struct, frozen=True):
    """A bare report (or anything else that is no mail), with the name of its file."""

    data: bytes
    file_name: str
    origin: str
    modified: dt.datetime
    bytes_done: int
    named: bool = False


class Problem(msgspec.Struct, frozen=True):
    """A source that could not be read, with a reason for people that completes "<origin> ...".

    ``unreachable`` says that the file system does not give it out, or that there is none.
    """

    origin: str
    reason: str
    bytes_done: int
    unreachable: bool = False


class TooLarge(Problem, frozen=True):
    """A message beyond the limit, with its first 64 KiB; the file's name when it is no mail."""

    beginning: bytes = b""
    file_name: str | None = None
    named: bool = False


MailboxEntry = Mail | ReportFile | Problem


def messages(paths: Sequence[Path], limit: int) -> Iterator[MailboxEntry]:
    """Everything under ``paths``, in a stable order. ``limit`` bounds one message in bytes; larger ones are problems.

    ``bytes_done`` is the number of source bytes read so far, out of ``total_bytes``. In memory are one message and the
    names of one folder's files. Files that lie beside a Maildir's folders are its mail program's own and left out, unless
    they look like mails or reports.
    """
    before = 0
    for source in folders.sources(paths):
        origin = _printable(str(source.path))
        if source.reason:
            yield Problem(origin, source.reason, before, unreachable=True)
            continue
        try:
            with folders.open_quietly(source.path) as file:
                yield from _contents(_stream_of(source, file, origin, before), limit)
        except OSError as error:
            if not source.moved(error):
                yield Problem(origin, _reason(error), before + source.size, unreachable=True)
        before += source.size


def total_bytes(paths: Sequence[Path]) -> int:
    """Size of all sources together, for a progress bar."""
    return sum(source.size for source in folders.sources(paths))


# --- contents


def _reason(error: Exception) -> str:
    """Why a file cannot be read, or what is wrong with what was read."""
    if isinstance(error, OSError) and error.strerror:
        return folders.why(error)
    return f"is damaged compressed data: {error}"


def _printable(text: str) -> str:
    """A name from a disk or an archive, fit for a terminal and for the database."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


class _Stream(NamedTuple):
    """A file, or a file in an archive; ``done`` says how far the whole reading has come."""

    file: BinaryIO
    name: str
    origin: str
    modified: dt.datetime
    done: Callable[[], int]
    place: Place
    depth: int = 0  # archives around it
    layers: int = 0  # compressions around it, beside those of zip archives
    named: bool = False

    def problem(self, reason: str) -> Problem:
        return Problem(self.origin, reason, self.done())

    def member(self, name: str) -> "_Stream":
        """The stream of a file in this archive, which is to be opened."""
        origin = f"{self.origin}: {_printable(name)}"
        place, depth = Place.ANYWHERE, self.depth + 1
        return self._replace(name=_printable(Path(name).name), origin=origin, place=place, depth=depth, named=False)


def _stream_of(source: Source, file: BinaryIO, origin: str, before: int) -> _Stream:
    try:
        modified = dt.datetime.fromtimestamp(source.modified, dt.UTC)
    except (ValueError, OverflowError, OSError):
        modified = _UNKNOWN_TIME

    def done() -> int:  # an archive may point behind its own end
        return before + min(file.tell(), source.size)

    return _Stream(file, _printable(source.path.name), origin, modified, done, source.place, named=source.named)


def _contents(stream: _Stream, limit: int) -> Iterator[MailboxEntry]:
    start = _beginning(stream.file)
    if not start:
        yield from _empty(stream)
    elif start.startswith(inflate.GZIP_MAGIC):
        yield from _gzipped(stream, start, limit)
    elif archives.is_xz_or_bzip2(start):
        yield from _unpacked(stream, start, limit)
    elif archives.is_document(start) and not stream.name.lower().endswith(".zip"):
        yield from _whole(stream, limit, is_mail=False)
    elif inflate.is_zip(start):
        yield from _zip(stream, limit)
    elif archives.is_tar(start):
        yield from _tar(stream, limit)
    elif stream.place != Place.BESIDE or _is_mail(start, "") or _JSON_START.match(start):
        yield from _plain(stream, start, limit)


def _beginning(file: BinaryIO) -> bytes:
    """The first 64 KiB, which stay to be read."""
    if isinstance(file, io.BufferedReader) and not file.seekable():
        return file.peek(_LOOK)
    start = file.read(_LOOK)
    file.seek(0)
    return start


def _empty(stream: _Stream) -> Iterator[MailboxEntry]:
    """Mail programs keep empty folders, and others empty marks: only what was meant as a report is missed."""
    if stream.named or _holds_mail(stream) or stream.name.lower().endswith(NAMED_AS_REPORTS):
        yield stream.problem("is empty")
    elif stream.place != Place.BESIDE:
        yield ReportFile(b"", stream.name, stream.origin, stream.modified, stream.done())


def _gzipped(stream: _Stream, start: bytes, limit: int) -> Iterator[MailboxEntry]:
    """A compressed mail, mbox or archive is read through; a compressed report, and what is damaged, goes on as it is."""
    name = stream.name.removesuffix(".gz")
    try:
        inner = zlib.decompressobj(_GZIP_TAG).decompress(start, _LOOK)
    except zlib.error:
        inner = b""
    holds_tar = archives.is_tar(inner)
    if not (holds_tar or _is_mail(inner, name) or (_holds_mail(stream) and inner)):
        yield from _whole(stream, limit, is_mail=False)
        return
    try:
        with gzip.GzipFile(fileobj=stream.file) as plain:
            within = stream._replace(file=_buffered(plain), name=name, layers=stream.layers + 1)
            yield from _tar(within, limit) if holds_tar else _plain(within, inner, limit)
    except archives.DAMAGED as error:
        yield stream.problem(_reason(error))


def _unpacked(stream: _Stream, start: bytes, limit: int) -> Iterator[MailboxEntry]:
    """What is in an xz or bzip2 file, as if it lay there itself."""
    if stream.layers == _MAX_LAYERS:
        yield stream.problem(f"is compressed more than {_MAX_LAYERS} times over")
        return
    try:
        with archives.decompressed(stream.file, start) as plain:
            within = stream._replace(file=plain, name=signs.unpacked_name(stream.name), layers=stream.layers + 1)
            yield from _contents(within, limit)
    except archives.DAMAGED as error:
        yield stream.problem(_reason(error))


def _plain(stream: _Stream, start: bytes, limit: int) -> Iterator[MailboxEntry]:
    if _holds_mail(stream):  # one file, one message, whatever it looks like
        yield from _whole(stream, limit, is_mail=True)
    elif encoding := _utf16(start):
        yield from _recoded(stream, encoding, limit)
    elif length := _EMLX.match(start):
        stream.file.read(length.end())
        yield from _whole(stream, limit, is_mail=True, length=int(length[1]))
    elif _without_blanks(start).startswith(mbox.FROM) or (
        _is_mail(start, "") and stream.name.lower().endswith((".mbox", ".mbx"))
    ):
        yield from _mbox(stream, limit)
    else:
        yield from _whole(stream, limit, is_mail=_is_mail(start, stream.name))


def _holds_mail(stream: _Stream) -> bool:
    return stream.place in (Place.NEW, Place.CUR)


def _without_blanks(start: bytes) -> bytes:
    return start.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")


def _is_mail(start: bytes, name: str) -> bool:
    """Whether a text begins with a header field or is an mbox. What is neither that nor JSON goes by its name."""
    text = _BEFORE_HEADER.sub(b"", start, count=1) if _BEFORE_HEADER.match(start) else _without_blanks(start)
    if mbox.FIELD_LINE.match(text) or text.startswith(mbox.FROM) or _utf16(start) or _EMLX.match(start):
        return True
    return bool(start) and name.lower().endswith(".eml") and not _JSON_START.match(start)


def _utf16(start: bytes) -> str:
    """The encoding of a mail that was saved as UTF-16; ``""`` for other texts."""
    if _JSON_START.match(start):
        return ""
    return next((encoding for encoding, field in _UTF16.items() if field.match(start)), "")


def _recoded(stream: _Stream, encoding: str, limit: int) -> Iterator[MailboxEntry]:
    data = stream.file.read(2 * limit + 1)
    text = data.decode(encoding, "replace").removeprefix("\ufeff").encode("utf-8", "replace")
    if len(data) > 2 * limit:
        yield _too_large(stream, text, limit, is_mail=True)
    else:
        yield from _plain(stream._replace(file=io.BytesIO(text)), text[:_LOOK], limit)


def _whole(stream: _Stream, limit: int, *, is_mail: bool, length: int | None = None) -> Iterator[MailboxEntry]:
    data = stream.file.read(limit + 1 if length is None else min(length, limit + 1))
    if len(data) > limit:
        yield _too_large(stream, data, limit, is_mail=is_mail)
    elif is_mail:
        before = _BEFORE_HEADER.match(data)
        data = data[before.end() :] if before else data
        yield Mail(data, stream.origin, stream.modified, stream.done(), stream.named)
    else:
        yield ReportFile(data, stream.name, stream.origin, stream.modified, stream.done(), stream.named)


def _too_large(stream: _Stream, data: bytes, limit: int, *, is_mail: bool) -> TooLarge:
    name = None if is_mail else stream.name
    why = f"is larger than {limit} bytes"
    return TooLarge(stream.origin, why, stream.done(), beginning=data[:_LOOK], file_name=name, named=stream.named)


def _mbox(stream: _Stream, limit: int) -> Iterator[MailboxEntry]:
    for number, message in enumerate(mbox.messages(stream.file, limit), start=1):
        within = stream._replace(origin=f"{stream.origin}, message {number}", named=False)
        if message.whole:
            yield from _whole(within._replace(file=io.BytesIO(message.data)), limit, is_mail=True)
        else:
            yield _too_large(within, message.data, limit, is_mail=True)


# --- archives


def _zip(stream: _Stream, limit: int) -> Iterator[MailboxEntry]:
    """The files of a zip archive, each like a file of its own; hidden ones (``__MACOSX/._x``) are left out."""
    if stream.depth == _MAX_ARCHIVE_DEPTH:
        yield stream.problem("is an archive within an archive within an archive")
        return
    try:
        archive = inflate.open_archive(stream.file, _MAX_ZIP_CONTENTS)
    except inflate.InflateError as error:
        yield stream.problem(str(error))
        return
    with archive:
        members = archive.infolist()
        size = stream.file.seek(0, io.SEEK_END)
        stream.file.seek(0)
        # Honest members lie one after the other; a bomb's many members share the same bytes.
        if sum(member.compress_size for member in members) > size:
            yield stream.problem("is a zip archive whose files overlap")
            return
        locked = [member for member in members if member.flag_bits & _ENCRYPTED]
        if locked:
            what_to_do = "unpack it with its password, then load what comes out"
            yield stream.problem(f"is a zip archive with a password on {len(locked)} of its files: {what_to_do}")
        for member in members:
            readable = not (inflate.is_folder(member) or _is_hidden(member.filename) or member.flag_bits & _ENCRYPTED)
            if readable:
                yield from _zip_member(stream.member(member.filename), archive, member, limit)


def _zip_member(
    stream: _Stream, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int
) -> Iterator[MailboxEntry]:
    try:
        with _buffered(inflate.open_member(archive, member)) as file:
            yield from _member(stream._replace(file=file), limit)
    except inflate.InflateError as error:
        yield stream.problem(str(error))
    except archives.DAMAGED as error:
        yield stream.problem(_reason(error))


def _tar(stream: _Stream, limit: int) -> Iterator[MailboxEntry]:
    """The files of a tar archive, from beginning to end; hidden ones are left out."""
    if stream.depth == _MAX_ARCHIVE_DEPTH:
        yield stream.problem("is an archive within an archive within an archive")
        return
    try:
        for member in archives.tar_members(stream.file, seeks=not (stream.depth or stream.layers)):
            if not _is_hidden(member.name):
                yield from _member(stream.member(member.name)._replace(file=member.file), limit)
    except archives.ArchiveError as error:
        yield stream.problem(str(error))
    except archives.DAMAGED as error:
        yield stream.problem(_reason(error))


def _member(stream: _Stream, limit: int) -> Iterator[MailboxEntry]:
    """A file in an archive, like any other; an archive in it is read at random places, so not as a stream."""
    if not inflate.is_zip(_beginning(stream.file)[:4]):
        yield from _contents(stream, limit)
        return
    data = stream.file.read(limit + 1)
    if len(data) > limit:
        yield stream.problem(f"is larger than {limit} bytes")
    else:
        yield from _contents(stream._replace(file=io.BytesIO(data)), limit)


def _is_hidden(name: str) -> bool:
    return Path(name).name.startswith(".")


def _buffered(file: object) -> io.BufferedReader:
    """Fast lines and a look ahead for the standard library's decompressors, which are readers without saying so."""
    return io.BufferedReader(cast("io.RawIOBase", file), _LOOK)
