"""Bounded decompression. What the bytes are is told by the bytes, never by their label: senders mix the two up."""

import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, cast

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
# A gzipped report that somebody gzipped again is seen in forwarded mail; deeper nesting is an attack.
MAX_LAYERS = 3
# Of all archives in the bytes together: 100 empty archives in 100 others would keep the reader busy, and take no space.
MAX_ZIP_MEMBERS = 100
# Each costs a new decompressor; no sender appends reports to one another more often than a few times.
MAX_GZIP_MEMBERS = 10_000
# zipfile reads an archive's table of contents as a whole: 100 names of the greatest length and a few fields each.
_MAX_CONTENTS = 256 * 1024
_CHUNK = 64 * 1024
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


class InflateError(ValueError):
    """The bytes cannot be decompressed within the limits. The text says why; quarantine with it.

    ``unpacked`` is how many bytes had been decompressed by then.
    """

    unpacked = 0


def documents(data: bytes, limit: int) -> Iterator[tuple[str, bytes, list[str]]]:
    """The uncompressed documents in ``data``: ``(member name or "", bytes, notes)``, at most ``limit`` bytes in all.

    Plain bytes yield themselves; gzip (any number of members, RFC 1952 section 2.2) and zlib yield one document; a zip
    archive one for each file in it. Notes say what was odd but harmless. Raises InflateError.
    """
    yield from _Unpacking(limit).documents(data)


def is_zip(data: bytes) -> bool:
    """Whether ``data`` begins like a zip archive."""
    return data.startswith(ZIP_MAGIC)


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


class _Unpacking:
    """One unpacking, with what is left of its limits."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes_left = limit
        self._unpacked = 0
        self._members_left = MAX_ZIP_MEMBERS

    def documents(self, data: bytes) -> Iterator[tuple[str, bytes, list[str]]]:
        try:
            yield from self.unpack("", data, MAX_LAYERS, [])
        except InflateError as error:
            error.unpacked += self._unpacked
            raise

    def unpack(self, name: str, data: bytes, layers: int, notes: list[str]) -> Iterator[tuple[str, bytes, list[str]]]:
        if data.startswith(GZIP_MAGIC) or _is_zlib(data):
            _descend(layers)
            plain, oddities = _inflate(data, self._limit)
            self._unpacked += len(plain)
            yield from self.unpack(name, plain, layers - 1, notes + oddities)
        elif is_zip(data):
            _descend(layers)
            for member, plain in self._zip_members(data):
                yield from self.unpack(member, plain, layers - 1, notes)
        else:
            self._bytes_left -= len(data)
            if self._bytes_left < 0:
                packed = layers < MAX_LAYERS
                raise InflateError(f"{'inflates to more' if packed else 'is larger'} than {self._limit} bytes")
            yield name, data, notes

    def _zip_members(self, data: bytes) -> Iterator[tuple[str, bytes]]:
        with open_archive(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not is_folder(member)]
            self._members_left -= len(members)
            if self._members_left < 0:
                raise InflateError(f"is a zip archive of more than {MAX_ZIP_MEMBERS} files")
            for member in members:
                plain = _read_member(archive, member, self._limit)
                self._unpacked += len(plain)
                yield member.filename, plain


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int) -> bytes:
    try:
        with open_member(archive, member) as file:
            # The size in the directory is the writer's word; reading stops one byte past the limit whatever it says.
            plain = file.read(limit + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise InflateError(f"is a zip archive that cannot be read: {error}") from error
    if len(plain) > limit:
        raise _refusal(f"inflates to more than {limit} bytes", limit)
    return plain


def _refusal(why: str, unpacked: int) -> InflateError:
    error = InflateError(why)
    error.unpacked = unpacked
    return error


def _descend(layers: int) -> None:
    if layers == 0:
        raise InflateError(f"is compressed more than {MAX_LAYERS} times over")


def _is_zlib(data: bytes) -> bool:
    """RFC 1950 section 2.2: method 8 and a check value. HTTP calls this 'deflate'; no JSON text begins so."""
    return len(data) > 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0


def _inflate(data: bytes, limit: int) -> tuple[bytes, list[str]]:
    output = bytearray()
    position = 0
    for members in range(MAX_GZIP_MEMBERS):
        if members and not data.startswith(GZIP_MAGIC, position):
            return bytes(output), _notes_on(data[position:])
        try:
            position = _inflate_member(data, position, output, limit)
        except zlib.error as error:
            if members:
                return bytes(output), [f"bytes after the end of the compressed data were ignored: {error}"]
            raise _refusal(f"is damaged compressed data: {error}", len(output)) from error
    raise _refusal(f"has more than {MAX_GZIP_MEMBERS} compressed parts one after the other", len(output))


def _notes_on(rest: bytes) -> list[str]:
    """Padding with zeros is legitimate on tapes and in block transfers; anything else is noted."""
    return [f"{len(rest)} bytes after the end of the compressed data were ignored"] if rest.strip(b"\0") else []


def _inflate_member(data: bytes, position: int, output: bytearray, limit: int) -> int:
    """Inflate the member at ``position`` into ``output``; return where it ends.

    It is fed in pieces: zlib hands back a copy of all that it has not used, each time.
    """
    inflater = zlib.decompressobj(47)  # gzip or zlib, by its header
    pending = b""
    while not inflater.eof:
        if not pending:
            pending = data[position : position + _CHUNK]
            position += len(pending)
        piece = inflater.decompress(pending, _CHUNK)
        if not pending and not piece:
            raise _refusal("ends in the middle of the compressed data", len(output))
        output += piece
        if len(output) > limit:
            raise _refusal(f"inflates to more than {limit} bytes", limit)
        pending = inflater.unconsumed_tail
    return position - len(inflater.unused_data)
