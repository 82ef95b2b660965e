"""Whether there is room for another message: free disk, and the number of messages that wait."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from ingest.monitoring.health import Backlog
from ingest.settings.settings import PREFIX, Settings
from ingest.spool.maildir import Spool

log = logging.getLogger(__name__)


class Room:
    """Asked for every mail, so it answers at once: the backlog is counted in a thread, and an answer may be seconds old."""

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self._backlog = Backlog(spool)
        self._waiting = 0
        self._counting = threading.Lock()
        self._counter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="backlog")

    def lack(self) -> str | None:
        """Why no message can be taken now, for the log; None when there is room."""
        if self._spool.free_bytes() < self._settings.min_free_bytes:
            return f"{self._spool.path}: less than {PREFIX}MIN_FREE_BYTES free"
        if self._counting.acquire(blocking=False):
            self._counter.submit(self._count)
        if self._waiting >= self._settings.max_backlog_messages:
            return f"{self._spool.path}: {self._waiting} messages wait, {PREFIX}MAX_BACKLOG_MESSAGES are allowed"
        return None

    def close(self) -> None:
        """Stop counting."""
        self._counter.shutdown(cancel_futures=True)

    def _count(self) -> None:
        try:
            self._waiting, _ = self._backlog.get()
        except OSError as error:
            log.error("the backlog cannot be counted: %s", error)
        finally:
            self._counting.release()
