"""A worker's place at the spool: a lock that ends with the process, and a note of the message that it is reading.

Places are files ``locks/<16 hex digits>``. They stay when a worker goes, with room for the note, so that on a full disk the
next worker needs nothing new. Where not even an empty file can be made, the folder itself is locked, by one worker.
"""

import contextlib
import errno
import fcntl
import os
import re
from pathlib import Path

from .files import SpoolUnavailable, as_unavailable

_MOST = 1_000
_TOKEN = re.compile(r"[0-9a-f]{16}")
_FOLDER = "f" * 16
# A file name has 255 octets at most.
_NOTE_BYTES = 512
# No file has this name, or none that a worker made.
_NO_PLACE = {errno.ENOENT, errno.ELOOP, errno.ENXIO}
_QUIET = os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


class Slot:
    """A place taken. ``token`` marks what its worker has claimed; ``last_words`` is what its last worker, if dead, was reading.

    Raises SpoolUnavailable.
    """

    def __init__(self, folder: Path) -> None:
        with as_unavailable():
            self.token, self._descriptor = _take(folder)
        self.last_words = _noted(self._descriptor)
        self.note("")  # takes its room now, while there is some

    def note(self, name: str) -> None:
        """Write down which message is being read ("": none). Without room for it nobody will be blamed."""
        if self.token == _FOLDER:
            return
        try:
            os.pwrite(self._descriptor, os.fsencode(name) + b"\0", 0)
        except OSError:
            with contextlib.suppress(OSError):  # better no note than that of another message
                os.ftruncate(self._descriptor, 0)

    def close(self) -> None:
        """Leave the place to others."""
        os.close(self._descriptor)


def is_held(folder: Path, token: str) -> bool:
    """Whether a living worker has this place, or may have it; a killed process lets go of its lock at once. Raises OSError."""
    try:
        descriptor = os.open(folder if token == _FOLDER else folder / token, os.O_RDONLY | _QUIET)
    except PermissionError:  # another user's worker
        return True
    except OSError as error:
        if error.errno in _NO_PLACE:
            return False
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def last_words(folder: Path, token: str) -> str:
    """The name that a worker noted last, or ""."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder / token, os.O_RDONLY | _QUIET)
        try:
            return _noted(descriptor)
        finally:
            os.close(descriptor)
    return ""


def tokens(folder: Path) -> list[str]:
    """All places, held or not."""
    return [entry.name for entry in os.scandir(folder) if _TOKEN.fullmatch(entry.name)]


def forget(folder: Path, token: str) -> None:
    """Remove the place of a dead worker of an earlier version, which took a new one at each start."""
    if int(token, 16) >= _MOST:
        with contextlib.suppress(OSError):
            (folder / token).unlink()


def _take(folder: Path) -> tuple[str, int]:
    for number in range(_MOST):
        token = f"{number:016x}"
        try:
            descriptor = os.open(folder / token, os.O_RDWR | os.O_CREAT | _QUIET, 0o600)
        except PermissionError:  # another user's worker has been here
            continue
        except OSError:
            break
        if _lock(descriptor) and _still_there(folder / token, descriptor):
            return token, descriptor
        os.close(descriptor)
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    if _lock(descriptor):
        return _FOLDER, descriptor
    os.close(descriptor)
    raise SpoolUnavailable(
        errno.EAGAIN, f"{folder}: no lock file can be made, and another worker has the folder's lock"
    )


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _still_there(path: Path, descriptor: int) -> bool:
    """A worker of an earlier version may have removed the file before it was locked."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _noted(descriptor: int) -> str:
    with contextlib.suppress(OSError):  # a folder has no note
        return os.fsdecode(os.pread(descriptor, _NOTE_BYTES, 0).partition(b"\0")[0])
    return ""
