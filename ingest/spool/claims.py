"""A worker's hold on messages: claimed by renaming, given back by renaming, removed when the database has them.

Names in ``cur`` are ``<unique>,A=<attempts>,W=<token>:2,``; what precedes is whatever the delivering server chose. A name
that would grow beyond what a file system allows is shortened, and no renaming ever covers another message.
"""

import collections
import contextlib
import datetime as dt
import errno
import hashlib
import logging
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from . import slots
from .files import read_regular, why_unreadable

log = logging.getLogger(__name__)

_CLAIM = re.compile(
    r"^(?P<unique>.*?)(?:,A=(?P<attempts>\d{1,3}))?(?:,W=(?P<worker>[0-9a-f]{16}))?(?::2,[A-Za-z]*)?$", re.DOTALL
)
_MOST_ATTEMPTS = 999
_NAME_BYTES = 255
_SHORTENED_BYTES = 80
# Files that cannot be read are looked at again: somebody may have mended their rights.
_LOOK_AGAIN_SECONDS = 60.0
# A spool of another owner may hold a million of them.
_MOST_NAMED = 50
# Of this process, not of a file.
_NOT_THE_FILE = {errno.EMFILE, errno.ENFILE, errno.ENOMEM}
# Names that this file system does not take.
_OF_THE_NAME = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ}


class SpooledMessage(msgspec.Struct, frozen=True):
    """A message that one worker has claimed: bytes, Unix time of its delivery, readers that died earlier with it in hand."""

    path: Path
    attempts: int
    size: int = 0
    modified: float = 0.0

    def read(self) -> bytes:
        """The whole message, trace headers first. Raises OSError; see ``Claimant.left_lying``."""
        return read_regular(self.path)

    @property
    def delivered(self) -> dt.datetime:
        """When the file was written; now, where its file system tells a time that there is not."""
        try:
            return dt.datetime.fromtimestamp(self.modified, dt.UTC)
        except (ValueError, OverflowError, OSError):
            return dt.datetime.now(dt.UTC)


class Claimant:
    """One worker's hold on messages. A context manager; closing gives unfinished messages back, attempts unchanged.

    Raises SpoolUnavailable when it cannot be made.
    """

    def __init__(self, spool: Path) -> None:
        self._tmp, self._new, self._cur, self._locks = (spool / name for name in ("tmp", "new", "cur", "locks"))
        self._slot = slots.Slot(self._locks)
        self._waiting: collections.deque[str] = collections.deque()
        self._held: set[str] = set()
        # What the last worker in this place has left, until ``recover`` gives it back.
        self._left = {entry.name for entry in os.scandir(self._cur) if _parse(entry.name)[2] == self._slot.token}
        # Paths of files that cannot be read, and when to look at them again (time.monotonic).
        self._unreadable: dict[Path, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    @property
    def unreadable(self) -> int:
        """How many files lie in the spool that cannot be read."""
        return len(self._unreadable)

    def close(self) -> None:
        """Give back what is unfinished and unregister."""
        with contextlib.suppress(OSError):
            self.give_back()
        self._slot.close()

    def give_back(self) -> None:
        """Put everything back that is claimed and not done, attempts unchanged. Raises OSError."""
        self._slot.note("")
        for name in list(self._held):
            self.release(SpooledMessage(self._cur / name, _parse(name)[1]))

    def claim(self, limit: int, max_bytes: int = 2**63) -> list[SpooledMessage]:
        """At most ``limit`` messages of together about ``max_bytes`` (but one at least), oldest name first. Raises OSError.

        Those that a reader died over come alone, one to a batch.
        """
        claimed: list[SpooledMessage] = []
        size = 0
        for name in self._next_names():
            _, attempts, _ = _parse(name)
            if attempts and claimed:
                self._waiting.appendleft(name)
                break
            try:
                message = self._take(name)
            except OSError:
                self._waiting.appendleft(name)
                if claimed:  # on a full disk they make room for more
                    break
                raise
            if message is None:
                continue  # another worker was quicker, or nobody can read it
            claimed.append(message)
            size += message.size
            if attempts or len(claimed) >= limit or size >= max_bytes:
                break
        return claimed

    def _next_names(self) -> Iterator[str]:
        """Names in ``new``; the folder is listed again only when the last listing is used up, so a backlog stays cheap."""
        if not self._waiting:
            names = sorted(entry.name for entry in os.scandir(self._new) if entry.name[0] != ".")
            if self._unreadable:
                names = self._without_unreadable(names)
            self._waiting.extend(names)
        while self._waiting:
            yield self._waiting.popleft()

    def _without_unreadable(self, names: list[str]) -> list[str]:
        self._forget_gone(self._new, names)
        now = time.monotonic()
        return [name for name in names if self._unreadable.get(self._new / name, now) <= now]

    def _take(self, name: str) -> SpooledMessage | None:
        path = self._new / name
        try:
            status = path.lstat()
        except FileNotFoundError:
            return None
        if why := why_unreadable(path, status):
            self._leave_lying(path, why)
            return None
        unique, attempts, _ = _parse(name)
        claim = f",A={attempts},W={self._slot.token}:2,"
        target = _fitting(unique, claim)
        if target in self._held or target in self._left:
            target = _fitting(_another(unique), claim)
        if not self._rename(path, self._cur / target):
            return None
        self._unreadable.pop(path, None)
        self._held.add(target)
        return SpooledMessage(self._cur / target, attempts, status.st_size, status.st_mtime)

    def reading(self, message: SpooledMessage | None) -> None:
        """Note which message is being read (None: none), so that the right one is blamed if that ends this process."""
        self._slot.note(message.path.name if message else "")

    def done(self, message: SpooledMessage) -> None:
        """Remove a message that the database now holds. Raises OSError."""
        message.path.unlink(missing_ok=True)
        self._held.discard(message.path.name)

    def release(self, message: SpooledMessage, attempts: int | None = None) -> Path | None:
        """Put a message back, with ``attempts`` counted against it if given. Where it is now, if it is still there.

        Raises OSError.
        """
        unique, before, _ = _parse(message.path.name)
        count = f",A={min(_MOST_ATTEMPTS, before if attempts is None else attempts)}"
        target = self._new / _fitting(unique, count)
        if os.path.lexists(target):
            target = self._new / _fitting(_another(unique), count)
        moved = self._rename(message.path, target)
        self._held.discard(message.path.name)
        self._left.discard(message.path.name)
        return target if moved else None

    def left_lying(self, message: SpooledMessage, error: OSError) -> bool:
        """Put back a message whose file cannot be read after all. False when the error is not the file's."""
        if error.errno in _NOT_THE_FILE:
            return False
        if path := self.release(message):
            self._leave_lying(path, error.strerror or str(error))
        return True

    def recover(self) -> int:
        """Put back what dead workers had claimed and return how many. Call at start and now and then. Raises OSError."""
        dead = [token for token in slots.tokens(self._locks) if not self._is_held(token)]
        blamed = {self._slot.last_words, *(slots.last_words(self._locks, token) for token in dead)}
        entries = [entry for entry in os.scandir(self._cur) if entry.name[0] != "."]
        self._forget_gone(self._cur, [entry.name for entry in entries])
        alive: set[str | None] = set()
        recovered = 0
        for entry in entries:
            _, attempts, worker = _parse(entry.name)
            path = Path(entry.path)
            if not entry.is_file(follow_symlinks=False):
                with contextlib.suppress(FileNotFoundError):
                    self._leave_lying(path, why_unreadable(path, path.lstat()))
            elif entry.name in self._held or worker in alive:
                continue
            elif worker and worker != self._slot.token and slots.is_held(self._locks, worker):
                alive.add(worker)
            else:
                self.release(SpooledMessage(path, attempts), attempts + (entry.name in blamed))
                recovered += 1
        self._slot.last_words = ""
        for token in dead:
            slots.forget(self._locks, token)
        self._sweep_unfinished()
        return recovered

    def _is_held(self, token: str) -> bool:
        return token == self._slot.token or slots.is_held(self._locks, token)

    def _sweep_unfinished(self) -> None:
        """Files left in ``tmp`` by a door that died were never acknowledged; Maildir removes them after 36 hours."""
        horizon = time.time() - 36 * 3600
        for entry in os.scandir(self._tmp):
            with contextlib.suppress(OSError):
                status = entry.stat(follow_symlinks=False)
                if status.st_mtime < horizon and stat.S_ISREG(status.st_mode):
                    Path(entry.path).unlink()

    def _rename(self, path: Path, target: Path) -> bool:
        """Whether the file was still there. Raises OSError when it is not this one file's fault."""
        try:
            path.rename(target)
        except FileNotFoundError:
            return False
        except OSError as error:
            rights = error.errno in (errno.EACCES, errno.EPERM)
            if error.errno not in _OF_THE_NAME and not rights:
                raise
            if rights and not all(os.access(folder, os.W_OK | os.X_OK) for folder in (path.parent, target.parent)):
                raise
            self._leave_lying(path, f"it cannot be moved ({error.strerror})")
            return False
        return True

    def _leave_lying(self, path: Path, why: str) -> None:
        """Step over a file, and say so once."""
        if path not in self._unreadable and len(self._unreadable) < _MOST_NAMED:
            log.warning("%s cannot be read and is left where it is: %s", path, why)
        elif path not in self._unreadable and len(self._unreadable) == _MOST_NAMED:
            log.warning("more files in the spool cannot be read; starttally_unreadable_files counts them")
        self._unreadable[path] = time.monotonic() + _LOOK_AGAIN_SECONDS

    def _forget_gone(self, folder: Path, names: list[str]) -> None:
        there = set(names)
        for path in [path for path in self._unreadable if path.parent == folder and path.name not in there]:
            del self._unreadable[path]


def _parse(name: str) -> tuple[str, int, str | None]:
    """A file name's unique part, its attempts and the token of its worker."""
    match = _CLAIM.match(name)
    if match is None:  # the pattern matches any text; this keeps the type checker honest
        return name, 0, None
    return match["unique"], int(match["attempts"] or 0), match["worker"]


def _fitting(unique: str, suffix: str) -> str:
    """A name with this ending, its unique part shortened when the whole were longer than a name may be."""
    octets = os.fsencode(unique)
    if len(octets) + len(suffix) <= _NAME_BYTES:
        return unique + suffix
    return f"{os.fsdecode(octets[:_SHORTENED_BYTES])}~{hashlib.sha256(octets).hexdigest()[:16]}{suffix}"


def _another(unique: str) -> str:
    """A name of its own for a file whose name another one has already."""
    return f"{unique}~{secrets.token_hex(8)}"
