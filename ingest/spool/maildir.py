"""The Maildir between doors and worker: one file a message, and the only queue there is.

A door writes into ``tmp``, syncs the file, renames it into ``new``, syncs the directory, and only then answers 250 / 201.
A worker claims a message by renaming it from ``new`` into ``cur`` under its own token, and removes the file once the
database has committed (claims.py). A worker holds a lock on ``locks/<token>`` while it lives, and notes in it which message
it is reading (slots.py); what a dead one had claimed is put back, with an attempt counted against the message that it died
over. None of this needs room on the disk: a full spool can be emptied. Another mail server may deliver into ``new`` directly;
file names are only ever compared, never trusted, and what cannot be read is left where it lies.
"""

import contextlib
import itertools
import os
import secrets
import shutil
import time
from pathlib import Path

from ingest.host import rights

from .claims import Claimant
from .files import SpoolUnavailable, as_unavailable

__all__ = ["Claimant", "IncomingMessage", "Spool", "SpoolUnavailable"]

_serial = itertools.count()
_BUFFER = 64 * 1024


class IncomingMessage:
    """A message being received. Ends with exactly one of ``commit`` (it is safe now) or ``abort`` (as if never sent)."""

    def __init__(self, spool: "Spool") -> None:
        unique = f"{time.time():.6f}.P{os.getpid()}Q{next(_serial)}R{secrets.token_hex(4)}.starttally"
        self._temporary = spool.path / "tmp" / unique
        self._final = spool.path / "new" / unique
        with as_unavailable():
            self._file = rights.create(self._temporary, _BUFFER)

    def write(self, chunk: bytes) -> None:
        """Append bytes; only a small buffer stays in memory. Raises SpoolUnavailable."""
        with as_unavailable():
            self._file.write(chunk)

    def commit(self) -> str:
        """Put the message on stable storage, file and directory, and return its name. Blocks; raises SpoolUnavailable.

        After an error the message is gone from the spool and the sender must be told to try again.
        """
        try:
            with as_unavailable():
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._temporary.rename(self._final)
                _sync_directory(self._final.parent)
        except SpoolUnavailable:
            self.abort()
            # The rename may have happened before the directory failed to sync: nobody was told 250, so take it back.
            self._final.unlink(missing_ok=True)
            raise
        return self._final.name

    def abort(self) -> None:
        """Forget the message. Safe to call at any time before ``commit`` has returned."""
        with contextlib.suppress(OSError):  # flushing what is left may meet the same full disk
            self._file.close()
        self._temporary.unlink(missing_ok=True)


class Spool:
    """The Maildir at ``path``, created when absent. Any number of doors and workers on one host may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with as_unavailable():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(exist_ok=True, mode=0o700)
            for folder in ("tmp", "new", "cur", "locks", "metrics"):
                (path / folder).mkdir(exist_ok=True, mode=0o700)

    def receive(self) -> IncomingMessage:
        """Begin a new message. Raises SpoolUnavailable."""
        return IncomingMessage(self)

    def free_bytes(self) -> int:
        """Free space on the spool's file system, in bytes."""
        return shutil.disk_usage(self.path).free

    def backlog(self) -> tuple[int, float]:
        """Number of messages not yet stored, and the age in seconds of the oldest of them.

        Only the first name of each folder is asked for its time: names begin with the second of their delivery (Maildir), and
        a million files must not cost a million questions.
        """
        count, oldest = 0, time.time()
        for folder in ("new", "cur"):
            first = ""
            with os.scandir(self.path / folder) as entries:
                for entry in entries:
                    count += 1
                    if not first or entry.name < first:
                        first = entry.name
            if first:
                with contextlib.suppress(OSError):
                    oldest = min(oldest, (self.path / folder / first).lstat().st_mtime)
        return count, max(0.0, time.time() - oldest) if count else 0.0

    def claimant(self) -> Claimant:
        """Register this process as a worker. Close it (or die) and its unfinished messages are free again."""
        return Claimant(self.path)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
