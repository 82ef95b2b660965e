"""Files that nobody but this account may read, whatever the umask: made so, and said when they were made otherwise."""

import contextlib
import logging
import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from ingest.settings.settings import Settings, config_file
from ingest.text import confidential

log = logging.getLogger(__name__)

_FILE, _FOLDER = 0o600, 0o700
_OTHERS, _GROUP_AND_OTHERS = 0o007, 0o077
_SPOOL_FOLDERS = ("tmp", "new", "cur", "locks", "metrics")


def create(path: Path, buffering: int = -1) -> BinaryIO:
    """A new file, open for writing, that only this account may read. Raises FileExistsError and other OSErrors."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _FILE)
    return os.fdopen(descriptor, "wb", buffering=buffering)


def make_private(path: Path) -> None:
    """See that there is a file at ``path``; a new one is empty, and only this account may read it."""
    with contextlib.suppress(FileExistsError):
        create(path).close()


def say(lines: Iterable[str]) -> None:
    """Warn of what ``said_of_storage`` and ``said_of_secrets`` found, a line of the log each."""
    for line in lines:
        log.warning("%s", line)


def said_of_storage(settings: Settings) -> list[str]:
    """Folders of the spool and files of the database that other accounts may look into, each with the command that shuts it."""
    warnings = [_warning(settings.spool / folder, _FOLDER, _GROUP_AND_OTHERS, "messages") for folder in _SPOOL_FOLDERS]
    return list(
        filter(None, warnings + [_warning(path, _FILE, _GROUP_AND_OTHERS, "reports") for path in _database(settings)])
    )


def said_of_secrets(settings: Settings) -> list[str]:
    """The same for the private key, and for the file of settings if it holds a secret. A group may read these: that is how a
    service is given them.
    """
    warnings = [_warning(settings.tls_key, 0o640, _OTHERS, "the private key")] if settings.tls_key else []
    file = config_file()
    with contextlib.suppress(OSError, UnicodeDecodeError):
        text = file.read_text(encoding="utf-8")
        if confidential.without_secrets(text) != text:
            warnings.append(_warning(file, 0o640, _OTHERS, "passwords"))
    return list(filter(None, warnings))


def _database(settings: Settings) -> list[Path]:
    file = settings.database_file
    return [Path(f"{file}{suffix}") for suffix in ("", "-wal", "-shm")] if file else []


def _warning(path: Path, mode: int, shut: int, what: str) -> str:
    try:
        actual = path.stat().st_mode & 0o777
    except OSError:
        return ""
    if not actual & shut:
        return ""
    return f"{path} lets other accounts of this machine at {what} (mode {actual:04o}); shut it: chmod {mode:o} {path}"
