"""The files that lie under a path, in a stable order and bounded memory; folders are only read, Maildirs included."""

import enum
import heapq
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

# Names of a folder that are in memory at a time, in order; a folder of a million takes ten passes.
_NAMES_AT_ONCE = 100_000


class Place(enum.Enum):
    """Where a file lies: what is in a Maildir's ``new`` and ``cur`` is mail, and what lies beside them mostly is not."""

    ANYWHERE = enum.auto()
    NEW = enum.auto()
    CUR = enum.auto()
    BESIDE = enum.auto()


class Source(NamedTuple):
    """A file with its size, or a path with the reason why it cannot be read; ``named`` is what the user named himself."""

    path: Path
    place: Place = Place.ANYWHERE
    size: int = 0
    modified: float = 0.0
    reason: str = ""
    named: bool = False

    def moved(self, error: OSError) -> bool:
        """Whether a running mail program has moved the message from new to cur, which is read after it."""
        return self.place == Place.NEW and isinstance(error, FileNotFoundError)


def sources(paths: Sequence[Path]) -> Iterator[Source]:
    """All files, folder by folder. Each folder is visited once, so links in a circle come to an end."""
    seen: set[tuple[int, int]] = set()
    folders: list[tuple[Source, Iterator[Source]]] = [
        (Source(Path()), iter([Source(path, named=True) for path in paths]))
    ]
    while folders:
        folder, members = folders[-1]
        source = folder
        try:
            source = next(members)
            status = source.path.stat()
        except StopIteration:
            folders.pop()
        except OSError as error:
            if not source.moved(error):
                yield source._replace(reason=why(error))
        else:
            if stat.S_ISREG(status.st_mode):
                yield source._replace(size=status.st_size, modified=status.st_mtime)
            elif not stat.S_ISDIR(status.st_mode):
                yield source._replace(reason="is no regular file")
            elif (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                folders.append((source, _members(source)))


def _members(folder: Source) -> Iterator[Source]:
    """What is in a folder: without hidden files, and of a Maildir new before cur, never tmp, with its ``.Subfolders``."""
    if folder.place in (Place.NEW, Place.CUR):
        yield from (Source(folder.path / name, folder.place) for name in _names(folder.path) if name[0] != ".")
        return
    maildir = _is_maildir(folder.path)
    if maildir:
        yield Source(folder.path / "new", Place.NEW)
        yield Source(folder.path / "cur", Place.CUR)
    place = Place.BESIDE if maildir else folder.place
    for name in _names(folder.path):
        path = folder.path / name
        if not (maildir and name in ("new", "cur", "tmp")) and (name[0] != "." or _is_maildir(path)):
            yield Source(path, place)


def _names(folder: Path) -> Iterator[str]:
    """The names in a folder in order, however many there are."""
    last = ""
    while True:
        with os.scandir(folder) as entries:
            names = heapq.nsmallest(_NAMES_AT_ONCE, (entry.name for entry in entries if entry.name > last))
        yield from names
        if len(names) < _NAMES_AT_ONCE:
            return
        last = names[-1]


def _is_maildir(path: Path) -> bool:
    return all(os.path.isdir(path / name) for name in ("new", "cur"))  # noqa: PTH112  (Path.is_dir may raise)


def open_quietly(path: Path) -> BinaryIO:
    """Open for reading, without waiting for the writer of a pipe.

    Where the system allows it, the time of last access stays: mail programs tell new mail in an mbox by it.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:  # only the owner may ask for it
        descriptor = os.open(path, flags)
    return os.fdopen(descriptor, "rb")


def why(error: OSError) -> str:
    """Why a path cannot be read, for people."""
    return f"cannot be read: {error.strerror or error}"
