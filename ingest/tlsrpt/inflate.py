"""Bounded decompression. What the bytes are is told by the bytes, never by their label: senders mix the two up."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

GZIP_MAGIC = b"\x1f\x8b"
ZIP_MAGIC = b"PK\x03\x04"
# A gzipped report that somebody gzipped again is seen in forwarded mail; deeper nesting is an attack.
MAX_LAYERS = 3
MAX_ZIP_MEMBERS = 100
_CHUNK = 64 * 1024


class InflateError(ValueError):
    """The bytes cannot be decompressed within the limits. The text says why; quarantine with it."""


def documents(data: bytes, limit: int) -> Iterator[tuple[str, bytes, list[str]]]:
    """The uncompressed documents in ``data``: ``(member name or "", bytes, notes)``, at most ``limit`` bytes in all.

    Plain bytes yield themselves; gzip (any number of members, RFC 1952 section 2.2) and zlib yield one document; a zip
    archive one for each file in it. Notes say what was odd but harmless. Raises InflateError.
    """
    yield from _unpack("", data, limit, MAX_LAYERS, [])


def is_zip(data: bytes) -> bool:
    """Whether ``data`` begins like a zip archive."""
    return data.startswith(ZIP_MAGIC)


def _unpack(
    name: str, data: bytes, limit: int, layers: int, notes: list[str]
) -> Iterator[tuple[str, bytes, list[str]]]:
    if data.startswith(GZIP_MAGIC) or _is_zlib(data):
        _descend(layers)
        plain, oddities = _inflate(data, limit)
        yield from _unpack(name, plain, limit, layers - 1, notes + oddities)
    elif is_zip(data):
        _descend(layers)
        left = limit
        for member, plain in _zip_members(data, limit):
            left -= len(plain)
            if left < 0:
                raise InflateError(f"inflates to more than {limit} bytes")
            yield from _unpack(member, plain, limit, layers - 1, notes)
    else:
        if len(data) > limit:
            raise InflateError(f"is larger than {limit} bytes")
        yield name, data, notes


def _descend(layers: int) -> None:
    if layers == 0:
        raise InflateError(f"is compressed more than {MAX_LAYERS} times over")


def _is_zlib(data: bytes) -> bool:
    """RFC 1950 section 2.2: method 8 and a check value. HTTP calls this 'deflate'; no JSON text begins so."""
    return len(data) > 2 and data[0] == 0x78 and int.from_bytes(data[:2], "big") % 31 == 0


def _inflate(data: bytes, limit: int) -> tuple[bytes, list[str]]:
    output = bytearray()
    notes: list[str] = []
    rest = data
    members = 0
    while rest:
        if members and not rest.startswith(GZIP_MAGIC):
            if rest.strip(b"\0"):  # padding with zeros is legitimate on tapes and in block transfers
                notes.append(f"{len(rest)} bytes after the end of the compressed data were ignored")
            break
        inflater = zlib.decompressobj(47)  # gzip or zlib, by its header
        try:
            rest = _inflate_member(inflater, rest, output, limit)
        except zlib.error as error:
            if members:
                notes.append(f"bytes after the end of the compressed data were ignored: {error}")
                break
            raise InflateError(f"is damaged compressed data: {error}") from error
        members += 1
    return bytes(output), notes


def _inflate_member(inflater: "zlib._Decompress", data: bytes, output: bytearray, limit: int) -> bytes:
    """Inflate one member into ``output``; return what follows it."""
    pending = data
    while not inflater.eof:
        output += inflater.decompress(pending, _CHUNK)
        if len(output) > limit:
            raise InflateError(f"inflates to more than {limit} bytes")
        pending = inflater.unconsumed_tail
        if not pending and not inflater.eof:
            output += inflater.flush(_CHUNK)
            if not inflater.eof:
                raise InflateError("ends in the middle of the compressed data")
    return inflater.unused_data


def _zip_members(data: bytes, limit: int) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            if len(members) > MAX_ZIP_MEMBERS:
                raise InflateError(f"is a zip archive of more than {MAX_ZIP_MEMBERS} files")
            for member in members:
                # The size in the directory is the writer's word; reading stops one byte past the limit whatever it says.
                with archive.open(member) as file:
                    yield member.filename, file.read(limit + 1)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        EOFError,
        OSError,
        struct.error,
    ) as error:
        raise InflateError(f"is a zip archive that cannot be read: {error}") from error
