"""Archives and compressed files as streams: bounded memory, nothing written to disk, whatever the archive promises.

tarfile reads a name of any length into memory, and lzma's own reader sets no bound on a dictionary, so neither opens files here.
"""

import bz2
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from ingest.rfc.packing import inflate, kinds

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
# xz -9 needs 65 MiB to decompress.
_MAX_DICTIONARY = 80 * 1024 * 1024
_CHUNK = 64 * 1024

_BLOCK = 512
_END = bytes(_BLOCK)
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_WITHOUT_CONTENT = (
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.DIRTYPE,
    tarfile.FIFOTYPE,
)
# A long name of GNU tar, or pax's fields about the next file.
_NAMING_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE)
_MAX_NAME_BYTES = 64 * 1024
# What may be decompressed only to be passed over: some 15 seconds of bzip2.
_MAX_SKIPPED = 512 * 1024 * 1024

# Parts of an Office document, a book or a program: zip archives that users take for one file.
_DOCUMENT_MEMBERS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"mimetype", b"META-INF/", b"AndroidManifest")
_LOCAL_HEADER = 30


# What reading an archive or a compressed file raises where it is damaged.
DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)


class ArchiveError(ValueError):
    """The archive cannot be read, from here on. The text completes "the file ..."."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def is_xz_or_bzip2(start: bytes) -> bool:
    """Whether a file begins like xz or bzip2."""
    return start.startswith(kinds.XZ_MAGIC) or kinds.is_bzip2(start)


def decompressed(file: BinaryIO, start: bytes) -> io.BufferedReader:
    """What an xz or bzip2 file holds, as a stream that cannot seek. Reading raises OSError, lzma.LZMAError or EOFError."""
    return io.BufferedReader(_Decompressed(file, xz=start.startswith(kinds.XZ_MAGIC)), _CHUNK)


def first_bytes(data: bytes, size: int) -> bytes:
    """The first ``size`` bytes of what ``data`` (gzip, zlib, xz or bzip2) holds; fewer where it is damaged or cut."""
    if not is_xz_or_bzip2(data[:16]):
        try:
            return zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data, size)
        except zlib.error:
            return b""
    plain = b""
    try:
        with decompressed(io.BytesIO(data), data[:16]) as file:
            while len(plain) < size and (piece := file.read1(size - len(plain))):
                plain += piece
    except DAMAGED:
        return plain
    return plain


class _Decompressed(io.RawIOBase):
    def __init__(self, file: BinaryIO, *, xz: bool) -> None:
        super().__init__()
        self._file = file
        self._xz = xz
        self._decompressor = self._new()
        self._fault: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._fault:
            raise self._fault
        filled = 0
        try:
            while filled < len(buffer) and (piece := self._piece(len(buffer) - filled)):
                buffer[filled : filled + len(piece)] = piece
                filled += len(piece)
        except DAMAGED as fault:
            if not filled:
                raise
            self._fault = fault  # what came before the damage is whole
        return filled

    def _new(self) -> _Decompressor:
        return lzma.LZMADecompressor(memlimit=_MAX_DICTIONARY) if self._xz else bz2.BZ2Decompressor()

    def _piece(self, size: int) -> bytes:
        """The next bytes; none at the end. Streams may follow one another, and zeros may follow them."""
        while True:
            if self._decompressor.eof:
                following = (self._decompressor.unused_data or self._file.read(_CHUNK)).lstrip(b"\0")
                if not following:
                    return b""
                self._decompressor = self._new()
            else:
                following = self._file.read(_CHUNK) if self._decompressor.needs_input else b""
                if not following and self._decompressor.needs_input:
                    raise EOFError("it ends in the middle")
            piece = self._decompressor.decompress(following, size)
            if piece:
                return piece


# --- zip


def is_document(start: bytes) -> bool:
    """Whether users take a zip archive for one file: an Office document, a book, a program."""
    return inflate.is_zip(start) and start[_LOCAL_HEADER:].startswith(_DOCUMENT_MEMBERS)


def first_of_zip(data: bytes) -> tuple[str, bytes, bool]:
    """The name of an archive's first file, its bytes and what follows, and whether they are deflated; for damaged archives."""
    if len(data) < _LOCAL_HEADER:
        return "", b"", False
    method, name_size, extra_size = (int.from_bytes(data[place : place + 2], "little") for place in (8, 26, 28))
    content = _LOCAL_HEADER + name_size + extra_size
    name = data[_LOCAL_HEADER : _LOCAL_HEADER + name_size].decode("utf-8", "replace")
    return name, data[content:], method == zipfile.ZIP_DEFLATED


def inflated(data: bytes, size: int) -> bytes:
    """The first ``size`` bytes of what is deflated in ``data`` (RFC 1951); none where it is damaged at once."""
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size)
    except zlib.error:
        return b""


# --- tar


class TarMember(NamedTuple):
    """A regular file in a tar archive, to be read before the next one is asked for."""

    name: str
    size: int
    file: io.BufferedReader


def is_tar(start: bytes) -> bool:
    """Whether ``start`` begins with the header of a tar archive: its check sum is right."""
    try:
        return len(start) >= _BLOCK and tarfile.TarInfo.frombuf(start[:_BLOCK], "utf-8", "surrogateescape").size >= 0
    except tarfile.HeaderError:
        return False


def tar_members(file: BinaryIO, *, seeks: bool) -> Iterator[TarMember]:
    """The regular files of a tar archive, read once from beginning to end; links and devices are left out.

    ``seeks`` says that passing over bytes of ``file`` costs nothing. Raises ArchiveError where it cannot go on, EOFError, and
    whatever reading ``file`` raises.
    """
    name = ""
    while (header := _next_header(file)) is not None:
        size = 0 if header.type in _WITHOUT_CONTENT else header.size
        if header.type in _NAMING_TYPES:
            if size > _MAX_NAME_BYTES:
                raise ArchiveError("is a tar archive with a name longer than any")
            name = _next_name(header.type, file.read(size)) or name
            _skip(file, -size % _BLOCK, seeks=seeks)
            continue
        member = _Member(file, size)
        if header.type in _FILES:
            yield TarMember(name or header.name, size, io.BufferedReader(member, _CHUNK))
        _skip(file, member.left + -size % _BLOCK, seeks=seeks)
        name = ""


def _next_header(file: BinaryIO) -> tarfile.TarInfo | None:
    block = file.read(_BLOCK)
    if block in (b"", _END):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except tarfile.HeaderError as error:
        raise ArchiveError(f"is a damaged tar archive: {error}") from error
    if header.size < 0 or header.type == tarfile.GNUTYPE_SPARSE:
        raise ArchiveError("is a tar archive with a file that has holes, or no size")
    return header


def _next_name(kind: bytes, fields: bytes) -> str:
    """The next file's name in a GNU long name, or in pax's fields ("LENGTH path=NAME", one a line)."""
    if kind == tarfile.XHDTYPE:
        fields = fields.partition(b" path=")[2].partition(b"\n")[0]
    return fields.rstrip(b"\0").decode("utf-8", "surrogateescape")


def _skip(file: BinaryIO, size: int, *, seeks: bool) -> None:
    if seeks:
        file.seek(size, io.SEEK_CUR)
        return
    if size > _MAX_SKIPPED:
        raise ArchiveError(f"holds a file of more than {_MAX_SKIPPED} bytes; what follows it was not read")
    while size > 0 and (piece := file.read(min(size, _CHUNK))):
        size -= len(piece)


class _Member(io.RawIOBase):
    """The content of one file in an archive; ``left`` is what has not been read of it."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__()
        self._file = file
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(min(len(buffer), self.left))
        if not piece and self.left:
            raise EOFError("it ends in the middle")
        self.left -= len(piece)
        buffer[: len(piece)] = piece
        return len(piece)
