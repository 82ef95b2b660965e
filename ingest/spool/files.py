"""What doors and workers share of the file system below the spool: errors as SpoolUnavailable, and files that may be anything."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFLNK: "a link",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_READ_AT_ONCE = 16 * 1024 * 1024


class SpoolUnavailable(OSError):
    """The spool cannot take the message now (disk full, no permission): answer 'try later', never a refusal."""


@contextlib.contextmanager
def as_unavailable() -> Iterator[None]:
    """Errors of the operating system as SpoolUnavailable."""
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise SpoolUnavailable(error.errno or errno.EIO, f"spool not writable{where}: {error.strerror}") from error


def why_unreadable(path: Path, status: os.stat_result) -> str:
    """Why this process cannot read a file, told without opening it (a pipe would wait for its writer); "" when it can.

    ``status`` is that of the name itself: no mail server delivers links, and one may lead anywhere.
    """
    if not stat.S_ISREG(status.st_mode):
        return f"it is {_KINDS.get(stat.S_IFMT(status.st_mode), 'no file')}"
    ours = status.st_uid == os.geteuid() and status.st_mode & stat.S_IRUSR
    if ours or os.access(path, os.R_OK):
        return ""
    return f"it belongs to user {status.st_uid}, mode {stat.S_IMODE(status.st_mode):04o}"


def read_regular(path: Path) -> bytes:
    """The whole content of a regular file; whatever else has come under its name is not waited for. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "no regular file")
        pieces = []
        while piece := os.read(descriptor, min(status.st_size + 1, _READ_AT_ONCE)):
            pieces.append(piece)
    finally:
        os.close(descriptor)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
