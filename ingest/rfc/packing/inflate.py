"""Bounded opening of what reports are packed in: compressed, in archives, as text. The bytes tell, never their label."""

import functools
import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple, cast

from . import armour, kinds, streams, tar
from .kinds import GZIP_MAGIC, ZIP_MAGIC, is_zip
from .streams import MAX_GZIP_MEMBERS, InflateError, refusal

__all__ = [
    "GZIP_MAGIC",
    "MAX_GZIP_MEMBERS",
    "ZIP_MAGIC",
    "InflateError",
    "Plain",
    "documents",
    "is_folder",
    "is_zip",
    "open_archive",
    "open_member",
]

# A gzipped report that somebody gzipped again is seen in forwarded mail; deeper nesting is an attack.
MAX_LAYERS = 3
# The same with wrappings that make nothing larger: tar, base64, uuencode.
_MAX_WRAPPINGS = 3
# Of all archives in the bytes together: 100 empty archives in 100 others would keep the reader busy, and take no space.
MAX_ZIP_MEMBERS = 100
# What damaged files of archives may unpack to together, in limits.
_MAX_WASTED = 2
# zipfile reads an archive's table of contents as a whole: 100 names of the greatest length and a few fields each.
_MAX_CONTENTS = 256 * 1024
# What zipfile raises for damaged archives beside its own error; UnicodeDecodeError (a ValueError) is for file names.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    OSError,
    OverflowError,
    ValueError,
    struct.error,
)


class Plain(NamedTuple):
    """Something unpacked: the name of the file in an archive (or ``""``), its bytes, what was odd but harmless, the kind of
    archive, such as ``"a zip archive"`` (or ``""``), and why this file of it cannot be opened (or ``""``).
    """

    name: str
    data: bytes
    notes: tuple[str, ...] = ()
    archive: str = ""
    failure: str = ""


def documents(data: bytes, limit: int) -> Iterator[Plain]:
    """What is in ``data`` once nothing is packed any more: at most ``limit`` bytes in all.

    Plain bytes yield themselves; a compressed stream yields one; an archive one for each file in it; a text with base64 or
    uuencode in it one for each block. Raises InflateError.
    """
    yield from Unpacking(limit).documents(data)


def open_archive(file: IO[bytes], max_contents: int = _MAX_CONTENTS) -> zipfile.ZipFile:
    """The zip archive in ``file``, whose table of contents may have ``max_contents`` bytes. Raises InflateError."""
    guarded = _Guarded(file, max_contents)
    try:
        archive = zipfile.ZipFile(cast("IO[bytes]", guarded))
    except _ZIP_ERRORS as error:
        raise InflateError(f"is a zip archive that cannot be read: {error}") from error
    guarded.largest = sys.maxsize
    return archive


def open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> IO[bytes]:
    """A file in an archive. Raises InflateError; reading may raise BadZipFile, zlib.error, EOFError or OSError."""
    # The other methods reserve memory as the archive asks, and expand without a bound; no sender uses them.
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise InflateError(f"is a zip archive that cannot be read: it uses method {member.compress_type}, not 0 or 8")
    try:
        return archive.open(member)
    except _ZIP_ERRORS as error:
        raise InflateError(f"is a zip archive that cannot be read: {error}") from error


def is_folder(member: zipfile.ZipInfo) -> bool:
    """Whether a member is a folder. Its own ``is_dir`` raises IndexError when the name is empty (until Python 3.12)."""
    return member.filename.endswith("/")


class _Guarded:
    """What zipfile sees of an archive: a reader that refuses to take in an endless table of contents."""

    def __init__(self, file: IO[bytes], largest: int) -> None:
        self._file = file
        self.largest = largest
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > self.largest:
            raise zipfile.BadZipFile(f"its table of contents has more than {self.largest} bytes")
        return self._file.read(size)


class Unpacking:
    """One unpacking, with what is left of its limits.

    ``unpacked`` is how many bytes have come out of all layers together, ``slow`` how many more they count as because of
    slow methods.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes_left = limit
        self.unpacked = self.slow = 0
        self._members_left = MAX_ZIP_MEMBERS

    def documents(self, data: bytes) -> Iterator[Plain]:
        """As the function of this name."""
        try:
            yield from self._open(Plain("", data), MAX_LAYERS, _MAX_WRAPPINGS)
        except InflateError as error:
            error.unpacked += self.unpacked
            raise

    def _open(self, packed: Plain, layers: int, wrappings: int) -> Iterator[Plain]:
        data = packed.data
        if kinds.begins_like_json(data) and not kinds.is_tar(data):
            yield self._counted(packed, is_packed=layers < MAX_LAYERS or wrappings < _MAX_WRAPPINGS)
        elif streams.is_stream(data):
            _descend(layers)
            plain, oddities = streams.plain(data, self._limit)
            self.unpacked += len(plain)
            self.slow += len(plain) * (streams.SLOWER - 1) if streams.is_slow(data) else 0
            yield from self._open(packed._replace(data=plain, notes=(*packed.notes, *oddities)), layers - 1, wrappings)
        elif is_zip(data):
            _descend(layers)
            for name, read in self._zip_members(data):
                yield from self._member(Plain(name, b"", packed.notes, "a zip archive"), read, layers - 1, wrappings)
        elif kinds.is_tar(data):
            _unwrap("is a tar archive within too many others", wrappings)
            for name, read in self._tar_members(data):
                yield from self._member(Plain(name, b"", packed.notes, "a tar archive"), read, layers, wrappings - 1)
        elif armour.begins(data) and not kinds.is_mail(data):
            _unwrap("is encoded as text too many times over", wrappings)
            for plain in armour.blocks(data):
                self.unpacked += len(plain)
                block = packed._replace(data=plain, notes=(*packed.notes, "is encoded as text (base64 or uuencode)"))
                yield from self._open(block, layers, wrappings - 1)
        else:
            yield self._counted(packed, is_packed=layers < MAX_LAYERS or wrappings < _MAX_WRAPPINGS)

    def _member(self, member: Plain, read: Callable[[], bytes], layers: int, wrappings: int) -> Iterator[Plain]:
        """What is in a file of an archive. A damaged one does not cost the others, until bombs have cost too much."""
        try:
            plain = read()
            self.unpacked += len(plain)
            yield from self._open(member._replace(data=plain), layers, wrappings)
        except InflateError as error:
            self.unpacked, error.unpacked = self.unpacked + error.unpacked, 0
            if min(self._bytes_left, self._members_left, _MAX_WASTED * self._limit - self.unpacked) < 0:
                raise
            yield member._replace(failure=str(error))

    def _counted(self, plain: Plain, *, is_packed: bool) -> Plain:
        self._bytes_left -= len(plain.data)
        if self._bytes_left < 0:
            raise InflateError(f"{'inflates to more' if is_packed else 'is larger'} than {self._limit} bytes")
        return plain

    def _zip_members(self, data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
        with open_archive(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not is_folder(member)]
            self._members_left -= len(members)
            if self._members_left < 0:
                raise InflateError(f"is a zip archive of more than {MAX_ZIP_MEMBERS} files")
            for member in members:
                yield member.filename, functools.partial(_read_member, archive, member, self._limit)

    def _tar_members(self, data: bytes) -> Iterator[tuple[str, Callable[[], bytes]]]:
        try:
            for name, plain in tar.members(data):
                self._members_left -= 1
                if self._members_left < 0:
                    raise InflateError(f"is a tar archive of more than {MAX_ZIP_MEMBERS} files")
                yield name, functools.partial(bytes, plain)
        except tar.TarError as error:
            raise InflateError(f"is a tar archive that cannot be read: {error}") from error


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    try:
        with open_member(archive, member) as file:
            # The size in the directory is the writer's word; reading stops one byte past the limit whatever it says.
            plain = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InflateError(f"cannot be read: {error}") from error
    if len(plain) > limit:
        raise refusal(f"inflates to more than {limit} bytes", limit)
    return plain


def _descend(layers: int) -> None:
    if layers == 0:
        raise InflateError(f"is compressed more than {MAX_LAYERS} times over")


def _unwrap(why: str, wrappings: int) -> None:
    if wrappings == 0:
        raise InflateError(why)
