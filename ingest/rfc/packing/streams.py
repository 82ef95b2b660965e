"""Bounded decompression of one stream of bytes: gzip and zlib, bzip2, xz, and zstd where Python has it (3.14)."""

import bz2
import importlib
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from . import kinds

# Each costs a new decompressor; no sender appends reports to one another more often than a few times.
MAX_GZIP_MEMBERS = 10_000
# bzip2 and xz take this many times as long as zlib for what is hard to compress, so that much less is unpacked.
SLOWER = 16
# Of the dictionary: `xz -9` needs 65 MiB.
_MAX_XZ_MEMORY = 96 * 1024 * 1024
_MAX_ZSTD_WINDOW_LOG = 27
_CHUNK = 64 * 1024


class InflateError(ValueError):
    """The bytes cannot be decompressed within the limits. The text says why; quarantine with it.

    ``unpacked`` is how many bytes had been decompressed by then (those of slow methods count several times).
    """

    unpacked = 0


class Decompressor(Protocol):
    """What Python's decompressors of bzip2, xz and zstd have in common."""

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether nothing comes without more input."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next bytes, at most ``max_length``."""


def library(name: str) -> Any:  # noqa: ANN401
    """A module of a newer Python, or None."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_zstd = library("compression.zstd")
# bz2 raises OSError; zstd an exception of its own.
_DAMAGED = (zlib.error, lzma.LZMAError, OSError, *([_zstd.ZstdError] if _zstd else []))


def is_stream(data: bytes) -> bool:
    """Whether ``data`` begins like something that ``plain`` opens, or refuses by name."""
    return kinds.is_zlib_or_gzip(data) or is_slow(data)


def plain(data: bytes, limit: int) -> tuple[bytes, list[str]]:
    """The decompressed bytes, at most ``limit``, and notes on what was odd but harmless. Raises InflateError.

    Members one after the other are one text (RFC 1952 section 2.2); bzip2 and xz of several streams likewise.
    """
    if not is_slow(data):
        return _joined(data, limit, _inflated_member, lambda trailing: trailing.startswith(kinds.GZIP_MAGIC))
    new = _slow_method(data)

    def member(data: bytes, position: int, output: bytearray, limit: int) -> int:
        return _slow_member(new(), data, position, output, limit)

    try:
        return _joined(data, limit // SLOWER, member, is_slow)
    except InflateError as error:
        error.unpacked *= SLOWER
        raise


def refusal(why: str, unpacked: int) -> InflateError:
    """An InflateError after ``unpacked`` bytes."""
    error = InflateError(why)
    error.unpacked = unpacked
    return error


def is_slow(data: bytes) -> bool:
    """Whether ``data`` begins like bzip2, xz or zstd."""
    return data.startswith((kinds.XZ_MAGIC, kinds.ZSTD_MAGIC)) or kinds.is_bzip2(data)


def _slow_method(data: bytes) -> Callable[[], Decompressor]:
    if data.startswith(kinds.XZ_MAGIC):
        return lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, _MAX_XZ_MEMORY)
    if not data.startswith(kinds.ZSTD_MAGIC):
        return bz2.BZ2Decompressor
    if _zstd is None:
        raise InflateError("is compressed with zstd, which this Python cannot open (3.14 can): unpack it (`zstd -d`)")
    options = {_zstd.DecompressionParameter.window_log_max: _MAX_ZSTD_WINDOW_LOG}
    return lambda: _zstd.ZstdDecompressor(options=options)


def _joined(
    data: bytes, limit: int, member: Callable[[bytes, int, bytearray, int], int], begins: Callable[[bytes], bool]
) -> tuple[bytes, list[str]]:
    output = bytearray()
    position = 0
    for members in range(MAX_GZIP_MEMBERS):
        if members and not begins(data[position : position + _CHUNK // 1024]):
            return bytes(output), _notes_on(data[position:])
        try:
            position = member(data, position, output, limit)
        except _DAMAGED as error:
            if members:
                return bytes(output), [f"bytes after the end of the compressed data were ignored: {error}"]
            raise refusal(f"is damaged compressed data: {error}", len(output)) from error
    raise refusal(f"has more than {MAX_GZIP_MEMBERS} compressed parts one after the other", len(output))


def _notes_on(trailing: bytes) -> list[str]:
    """Padding with zeros is legitimate on tapes and in block transfers; anything else is noted."""
    return [f"{len(trailing)} bytes after the end of the compressed data were ignored"] if trailing.strip(b"\0") else []


def _inflated_member(data: bytes, position: int, output: bytearray, limit: int) -> int:
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
            raise refusal("ends in the middle of the compressed data", len(output))
        output += piece
        if len(output) > limit:
            raise refusal(f"inflates to more than {limit} bytes", limit)
        pending = inflater.unconsumed_tail
    return position - len(inflater.unused_data)


def _slow_member(inflater: Decompressor, data: bytes, position: int, output: bytearray, limit: int) -> int:
    """The same for the others, which keep what they have not used."""
    while not inflater.eof:
        pending = b""
        if inflater.needs_input:
            pending = data[position : position + _CHUNK]
            position += len(pending)
            if not pending:
                raise refusal("ends in the middle of the compressed data", len(output))
        output += inflater.decompress(pending, _CHUNK)
        if len(output) > limit:
            raise refusal(f"inflates to more than {limit} bytes (bzip2, xz and zstd may have no more)", limit)
    return position - len(inflater.unused_data)
