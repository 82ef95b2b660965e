"""Regular files in a tar archive that is in memory (POSIX.1-1988 "ustar", GNU and pax extensions as far as names go).

Not the standard library's tarfile: it follows links, sparse maps and negative sizes (CVE-2025-8194) before one can ask.
"""

from collections.abc import Iterator

from .kinds import TAR_BLOCK, is_tar

_NAME, _SIZE, _KIND, _PREFIX = slice(0, 100), slice(124, 136), slice(156, 157), slice(345, 500)
_REGULAR = (b"0", b"\0", b"7")
_GNU_LONG_NAME, _PAX = b"L", b"x"
_MAX_NAME = 1_000
# Links and folders cost as much as files; no archive of reports has as many.
_MAX_HEADERS = 1_000


class TarError(ValueError):
    """The archive is damaged. The text says where."""


def members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """``(name, content)`` of each regular file; of links, folders and devices nothing. Raises TarError.

    An archive ends with empty blocks, or where the data end.
    """
    position, long_name = 0, ""
    for _ in range(_MAX_HEADERS):
        header = data[position : position + TAR_BLOCK]
        if not header.strip(b"\0"):
            return
        if not is_tar(header):
            raise TarError(f"its header at byte {position} is damaged")
        start = position + TAR_BLOCK
        size = _number(header[_SIZE])
        if size is None or start + size > len(data):
            raise TarError(f"it ends in the middle of the file at byte {position}")
        kind = header[_KIND]
        if kind == _GNU_LONG_NAME:
            long_name = _text(data[start : start + min(size, _MAX_NAME)])
        elif kind == _PAX:
            long_name = _pax_path(data[start : start + min(size, TAR_BLOCK * 16)]) or long_name
        else:
            name, long_name = long_name or _name(header), ""
            if kind in _REGULAR and not name.endswith("/"):
                yield name, data[start : start + size]
        position = start + -(-size // TAR_BLOCK) * TAR_BLOCK
    raise TarError(f"it has more than {_MAX_HEADERS} entries")


def _number(field: bytes) -> int | None:
    if field[0] == 0x80:  # GNU: base 256, for sizes beyond 8 GiB and from writers that always use it
        return int.from_bytes(field[1:], "big")
    digits = field.strip(b" \0")
    try:
        number = int(digits or b"0", 8)
    except ValueError:
        return None
    return number if number >= 0 else None


def _name(header: bytes) -> str:
    prefix = _text(header[_PREFIX]) if header[257:263] == b"ustar\0" else ""
    name = _text(header[_NAME])
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def _pax_path(records: bytes) -> str:
    """The record ``LENGTH path=NAME`` of a pax header (POSIX.1-2001)."""
    for record in records.split(b"\n"):
        key, _, value = record.partition(b" ")[2].partition(b"=")
        if key == b"path":
            return _text(value[:_MAX_NAME])
    return ""
