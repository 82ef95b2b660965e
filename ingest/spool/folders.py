"""Whether a message can take its way through the spool's folders: from tmp to new (a door), from new to cur (a worker).

Asked without a file of its own, which a worker might take for a message.
"""

import errno
import os
from itertools import pairwise
from pathlib import Path

from ingest.settings.settings import PREFIX, SettingsError

_WAY = ("tmp", "new", "cur")
# The kernel compares where two folders are mounted, and whether they may be written to, before it looks for the file.
_NOWHERE = ".no-such-message"


def divided(spool: Path) -> str | None:
    """Which folders lie on different file systems (a mount between them is enough), in words; no message is ever renamed
    from one to the other. None when none do, or that cannot be told.
    """
    for before, after in pairwise(_WAY):
        if _cannot_rename(spool / before, spool / after) == errno.EXDEV:
            return f"{before} and {after} are on different file systems or mounts, so no message can go from one to the other"
    return None


def refuse_divided(spool: Path) -> None:
    """Raise SettingsError for a spool whose folders lie on different file systems: no waiting cures that."""
    if apart := divided(spool):
        raise SettingsError(f"{PREFIX}SPOOL={spool}: {apart}")


def unusable(spool: Path) -> str | None:
    """What keeps messages from going their way now, in words; None when nothing does."""
    if apart := divided(spool):
        return apart
    for before, after in pairwise(_WAY):
        if code := _cannot_rename(spool / before, spool / after):
            return f"{before} or {after}: {os.strerror(code)}"
    for name in _WAY:
        if not os.access(spool / name, os.W_OK | os.X_OK):
            return f"{name}: {os.strerror(errno.EACCES)}"
    return None


def _cannot_rename(source: Path, target: Path) -> int | None:
    """The error of a rename between two folders, None when it would do."""
    try:
        if source.stat().st_dev != target.stat().st_dev:
            return errno.EXDEV
        (source / _NOWHERE).rename(target / _NOWHERE)
    except FileNotFoundError:
        return None if source.is_dir() and target.is_dir() else errno.ENOENT
    except OSError as error:
        return error.errno
    return None
