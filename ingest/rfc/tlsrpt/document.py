"""From bytes to JSON documents: encodings, wrappers and limits, before anything is asked of their content."""

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec

from ingest.rfc.packing import armour, inflate, kinds

# A value costs up to about 230 bytes in memory: 19 MiB of "[]," would otherwise take half a gigabyte. The largest
# failure-details list this admits has about 100,000 rows.
MAX_VALUES = 1_000_000
# A first look needs no more of a document than this.
_LOOK = 64 * 1024
_MAX_NAME = 100


class NotAReport(ValueError):
    """There is no TLS report in these bytes. The text completes "the attachment ..." and goes into quarantine with them.

    ``unpacked`` is how many bytes had been decompressed to find that out; ``meant`` is false for what looks like something
    else altogether, a text beside the report in an archive.
    """

    unpacked = 0
    meant = True


class Document(msgspec.Struct, frozen=True):
    """The text of one JSON object (as it came, or written anew when it was inside something else), and what was odd about it.

    ``packed`` is the gzip member that it came in, when that is at hand.
    """

    text: bytes
    name: str = ""
    notes: tuple[str, ...] = ()
    packed: bytes = b""


# What a JSON object says, and its document.
Value = tuple[dict[str, Any], Document]


def may_hold_report(data: bytes) -> bool:
    """A first look, cheap and bounded: whether ``data`` is packed or encoded, or begins like JSON.

    Damaged compressed data passes: it was meant as a report, and quarantine keeps it.
    """
    return _may_hold_report(data, inflate.MAX_LAYERS)


def _may_hold_report(data: bytes, layers: int) -> bool:
    start = data[:_LOOK]
    if layers and kinds.is_zlib_or_gzip(start):
        inner = _inflated(start)
        if not inner:
            return start.startswith(kinds.GZIP_MAGIC)
        return kinds.is_mail(inner) or _may_hold_report(inner, layers - 1)
    if kinds.begins_plainly(start):
        return True
    return armour.begins(data) and not kinds.is_mail(data)


def _inflated(start: bytes) -> bytes:
    try:
        return zlib.decompressobj(47).decompress(start, _LOOK)
    except zlib.error:
        return b""


def documents_in(data: bytes, limit: int) -> Iterator["Value | NotAReport"]:
    """Every JSON object in ``data``, which may be plain or compressed; a refusal in place of each part that holds none."""
    try:
        for plain in inflate.documents(data, limit):
            try:
                yield from _objects(plain)
            except NotAReport as refusal:
                in_archive = NotAReport(refused(plain, refusal))
                in_archive.unpacked = len(plain.data)
                in_archive.meant = bool(plain.failure) or kinds.begins_like_json(plain.data[:_LOOK])
                yield in_archive
    except inflate.InflateError as error:
        damaged = NotAReport(str(error))
        damaged.unpacked = error.unpacked
        yield damaged


def refused(plain: inflate.Plain, refusal: NotAReport) -> str:
    """Why something unpacked is no report, with its place when it comes from an archive."""
    return f"is {plain.archive} whose file {plain.name[:_MAX_NAME]} {refusal}" if plain.archive else str(refusal)


def _objects(plain: inflate.Plain) -> Iterator[Value]:
    if plain.failure:
        raise NotAReport(plain.failure)
    if not kinds.begins_like_json(plain.data):
        _refuse_what_is_known(plain.data)
    text, encoding_notes = _to_utf8(plain.data)
    notes = (*plain.notes, *encoding_notes)
    if not text.strip():
        raise NotAReport("is empty")
    if text.lstrip()[:1] == b"<":
        raise NotAReport("looks like XML or HTML, not like JSON (a DMARC report?)")
    if text.count(b",") + text.count(b"[") + text.count(b"{") > MAX_VALUES:
        raise NotAReport(f"has more than {MAX_VALUES} values")
    try:
        values, oddities = _decode(text)
        for value in values:
            for table, wrapping in _unwrap(value):
                # One among others is kept in its own words: thousands in a list would each be kept with all others.
                table_text = text if len(values) == 1 and table is value else msgspec.json.encode(table)
                yield table, Document(table_text, plain.name, (*notes, *oddities, *wrapping))
    except RecursionError as error:
        raise NotAReport("is nested too deeply") from error


def _refuse_what_is_known(data: bytes) -> None:
    if why := kinds.unopened(data):
        raise NotAReport(why)
    if kinds.is_mail(data):
        raise NotAReport("is a mail, and only report documents are looked for here")


def _to_utf8(plain: bytes) -> tuple[bytes, list[str]]:
    """I-JSON is UTF-8 without a byte order mark (RFC 7493 section 2.1); some senders see it otherwise."""
    encoding, mark = kinds.encoding(plain)
    if encoding:
        try:
            text = plain[mark:].decode(encoding).encode()
        except UnicodeError as error:
            raise NotAReport(f"is no {encoding.upper()} text: {error}") from error
        return text, ["begins with a byte order mark" if mark else f"is {encoding.upper()} without a byte order mark"]
    try:
        plain.decode()
    except UnicodeDecodeError:
        return plain.decode("latin-1").encode(), ["is not UTF-8; read as Latin-1"]
    return plain.rstrip(b"\0"), []


def _decode(text: bytes) -> tuple[list[Any], list[str]]:
    """The JSON values in ``text`` and what was odd: the strict, fast reader first, a forgiving one for what it refuses."""
    if b"\\u0000" not in text:
        try:
            return [msgspec.json.decode(text)], []
        except (msgspec.MsgspecError, ValueError) as error:
            refusal = str(error)
    else:
        refusal = "has NUL characters"
    values, oddity = _decode_forgivingly(text.decode())
    return values, [f"is no strict JSON: {refusal}", *oddity]


def _decode_forgivingly(source: str) -> tuple[list[Any], list[str]]:
    """Several values one after the other, NaN, raw control characters, and junk after the last value."""
    decoder = json.JSONDecoder(strict=False)
    values: list[Any] = []
    position = _skip_blanks(source, 0)
    while position < len(source):
        try:
            value, position = decoder.raw_decode(source, position)
        except ValueError as error:
            if not values:
                raise NotAReport(f"is no JSON: {error}") from error
            return values, [f"{len(source) - position} characters after the report were ignored"]
        values.append(_clean(value))
        position = _skip_blanks(source, position)
    return values, []


def _skip_blanks(source: str, position: int) -> int:
    while position < len(source) and source[position] in kinds.BLANKS:
        position += 1
    return position


def _unwrap(value: Any, layers: int = 2) -> Iterator[tuple[dict[str, Any], list[str]]]:  # noqa: ANN401
    """The objects in ``value``: itself, the members of a list, or what a JSON text inside a JSON string says."""
    if isinstance(value, dict):
        yield value, []
    elif isinstance(value, list) and value and layers:
        for item in value:
            for inner, oddities in _unwrap(item, layers - 1):
                yield inner, ["is inside a list", *oddities]
    elif isinstance(value, str) and layers and value.lstrip()[:1] in ("{", "["):
        for unquoted in _decode(value.encode())[0]:
            for inner, oddities in _unwrap(unquoted, layers - 1):
                yield inner, ["is JSON inside a string", *oddities]
    else:
        raise NotAReport("is JSON, but no object, so no TLS report (RFC 8460 section 4.4)")


def _clean(value: Any) -> Any:  # noqa: ANN401
    """``value`` without what no database keeps: NUL, lone surrogates (both become U+FFFD), NaN and infinities (text)."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
