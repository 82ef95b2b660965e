"""The Maildir between doors and worker: one file a message, and the only queue there is.

A door writes into ``tmp``, syncs the file, renames it into ``new``, syncs the directory, and only then answers 250 / 201.
A worker claims a message by renaming it from ``new`` into ``cur`` under its own token, and removes the file once the
database has committed. A worker holds a lock on ``locks/<token>`` while it lives, and notes in it which message it is
reading; what a dead one had claimed is put back, with an attempt counted against the message that it died over. Another
mail server may deliver into ``new`` directly; file names are only ever compared, never trusted.
"""

import collections
import contextlib
import errno
import fcntl
import itertools
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from . import rights

_serial = itertools.count()
_BUFFER = 64 * 1024
# <unique>[,A=<attempts>][,W=<worker token>]; what precedes is whatever the delivering server chose.
_CLAIM = re.compile(
    r"^(?P<unique>.*?)(?:,A=(?P<attempts>\d{1,3}))?(?:,W=(?P<worker>[0-9a-f]{16}))?(?::2,[A-Za-z]*)?$", re.DOTALL
)


class SpoolUnavailable(OSError):
    """The spool cannot take the message now (disk full, no permission): answer 'try later', never a refusal."""


class SpooledMessage(msgspec.Struct, frozen=True):
    """A message that one worker has claimed, of ``size`` bytes. ``attempts`` counts earlier readers that died with it in hand."""

    path: Path
    attempts: int
    size: int = 0

    def read(self) -> bytes:
        """The whole message, trace headers first."""
        return self.path.read_bytes()


class IncomingMessage:
    """A message being received. Ends with exactly one of ``commit`` (it is safe now) or ``abort`` (as if never sent)."""

    def __init__(self, spool: "Spool") -> None:
        unique = f"{time.time():.6f}.P{os.getpid()}Q{next(_serial)}R{secrets.token_hex(4)}.starttally"
        self._temporary = spool.path / "tmp" / unique
        self._final = spool.path / "new" / unique
        with _as_unavailable():
            self._file = rights.create(self._temporary, _BUFFER)

    def write(self, chunk: bytes) -> None:
        """Append bytes; only a small buffer stays in memory. Raises SpoolUnavailable."""
        with _as_unavailable():
            self._file.write(chunk)

    def commit(self) -> str:
        """Put the message on stable storage, file and directory, and return its name. Blocks; raises SpoolUnavailable.

        After an error the message is gone from the spool and the sender must be told to try again.
        """
        try:
            with _as_unavailable():
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
        with _as_unavailable():
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
                with contextlib.suppress(FileNotFoundError):
                    oldest = min(oldest, (self.path / folder / first).stat().st_mtime)
        return count, max(0.0, time.time() - oldest) if count else 0.0

    def claimant(self) -> "Claimant":
        """Register this process as a worker. Close it (or die) and its unfinished messages are free again."""
        return Claimant(self)


class Claimant:
    """One worker's hold on messages. A context manager; closing gives unfinished messages back, attempts unchanged."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._token = secrets.token_hex(8)
        self._waiting: collections.deque[str] = collections.deque()
        self._lock_path = spool.path / "locks" / self._token
        # Locked before it appears under its name: another worker's sweep must never see it unlocked.
        hidden = spool.path / "tmp" / f"lock.{self._token}"
        with _as_unavailable():
            self._lock = rights.create(hidden)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            hidden.rename(self._lock_path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what is unfinished and unregister."""
        for entry in self._held_by(self._token):
            self.release(SpooledMessage(Path(entry.path), _parse(entry.name)[1]))
        self._lock_path.unlink(missing_ok=True)
        self._lock.close()

    def claim(self, limit: int, max_bytes: int = 2**63) -> list[SpooledMessage]:
        """At most ``limit`` messages of together about ``max_bytes`` (but one at least), oldest name first.

        Those that a reader died over come alone, one to a batch.
        """
        claimed: list[SpooledMessage] = []
        size = 0
        for name in self._next_names():
            _, attempts, _ = _parse(name)
            if attempts and claimed:
                self._waiting.appendleft(name)
                break
            message = self._take(name)
            if message is None:
                continue  # another worker was quicker
            claimed.append(message)
            size += message.size
            if attempts or len(claimed) >= limit or size >= max_bytes:
                break
        return claimed

    def _next_names(self) -> Iterator[str]:
        """Names in ``new``; the folder is listed again only when the last listing is used up, so a backlog stays cheap."""
        if not self._waiting:
            self._waiting.extend(sorted(e.name for e in os.scandir(self._spool.path / "new") if e.name[0] != "."))
        while self._waiting:
            yield self._waiting.popleft()

    def _take(self, name: str) -> SpooledMessage | None:
        unique, attempts, _ = _parse(name)
        target = self._spool.path / "cur" / f"{unique},A={attempts},W={self._token}:2,"
        try:
            (self._spool.path / "new" / name).rename(target)
        except FileNotFoundError:
            return None
        return SpooledMessage(target, attempts, target.stat().st_size)

    def reading(self, message: SpooledMessage | None) -> None:
        """Note which message is being read (None: none), so that the right one is blamed if that ends this process."""
        name = os.fsencode(message.path.name) if message else b""
        os.ftruncate(self._lock.fileno(), 0)
        os.pwrite(self._lock.fileno(), name, 0)

    def done(self, message: SpooledMessage) -> None:
        """Remove a message that the database now holds."""
        message.path.unlink(missing_ok=True)

    def release(self, message: SpooledMessage, attempts: int | None = None) -> None:
        """Put a message back, with ``attempts`` counted against it if given."""
        unique, before, _ = _parse(message.path.name)
        count = before if attempts is None else attempts
        with contextlib.suppress(FileNotFoundError):
            message.path.rename(self._spool.path / "new" / f"{unique},A={count}")

    def recover(self) -> int:
        """Put back what dead workers had claimed and return how many. Call at start and now and then."""
        dead = [entry for entry in os.scandir(self._spool.path / "locks") if not self._alive(entry.name)]
        blamed = {self._last_words(Path(entry.path)) for entry in dead}
        recovered = 0
        for entry in list(os.scandir(self._spool.path / "cur")):
            _, attempts, worker = _parse(entry.name)
            if worker != self._token and not self._alive(worker):
                self.release(SpooledMessage(Path(entry.path), attempts), attempts + (entry.name in blamed))
                recovered += 1
        for entry in dead:
            Path(entry.path).unlink(missing_ok=True)
        self._sweep_unfinished()
        return recovered

    def _last_words(self, lock: Path) -> str:
        """The message a dead worker was reading, or ""."""
        try:
            return os.fsdecode(lock.read_bytes())
        except FileNotFoundError:
            return ""

    def _sweep_unfinished(self) -> None:
        """Files left in ``tmp`` by a door that died were never acknowledged; Maildir removes them after 36 hours."""
        horizon = time.time() - 36 * 3600
        for entry in os.scandir(self._spool.path / "tmp"):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat().st_mtime < horizon:
                    Path(entry.path).unlink()

    def _held_by(self, token: str) -> Iterator[os.DirEntry[str]]:
        return (entry for entry in list(os.scandir(self._spool.path / "cur")) if _parse(entry.name)[2] == token)

    def _alive(self, token: str | None) -> bool:
        """Whether the worker still holds its lock; a killed process lets go of it at once."""
        if token is None:
            return False
        if token == self._token:
            return True
        try:
            with (self._spool.path / "locks" / token).open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


def _parse(name: str) -> tuple[str, int, str | None]:
    """A file name's unique part, its attempts and the token of its worker."""
    match = _CLAIM.match(name)
    if match is None:  # the pattern matches any text; this keeps the type checker honest
        return name, 0, None
    return match["unique"], int(match["attempts"] or 0), match["worker"]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _as_unavailable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        raise SpoolUnavailable(error.errno or errno.EIO, f"spool not writable{where}: {error.strerror}") from error
