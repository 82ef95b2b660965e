"""What is counted for Prometheus. Labels are bounded: reasons are ours, never a peer's words.

Doors and workers are processes of their own, often in containers of their own, with the spool between them. So each publishes
what it counts in the spool (publishing.py), and any door answers for all.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

# Of a door.
registry = CollectorRegistry()
# Of a worker.
worker_registry = CollectorRegistry()

accepted = Counter("starttally_accepted_total", "Messages acknowledged (250 or 201).", ["door"], registry=registry)
accepted_bytes = Counter(
    "starttally_accepted_bytes_total", "Bytes of acknowledged messages.", ["door"], registry=registry
)
refused = Counter(
    "starttally_refused_total", "Connections and messages refused.", ["door", "reason"], registry=registry
)
connections = Gauge("starttally_connections", "Open connections.", ["door"], registry=registry)

stored = Counter("starttally_stored_total", "Reports stored.", registry=worker_registry)
duplicate = Counter("starttally_duplicate_total", "Reports that were known already.", registry=worker_registry)
quarantined = Counter(
    "starttally_quarantined_total", "Messages put into quarantine.", ["reason"], registry=worker_registry
)
dkim = Counter("starttally_dkim_total", "DKIM verdicts on mails with reports.", ["outcome"], registry=worker_registry)
batch_seconds = Histogram(
    "starttally_batch_seconds",
    "Time that a batch took, from the spool into the database.",
    buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100),
    registry=worker_registry,
)
undetermined = Gauge(
    "starttally_undetermined_messages", "Mails that wait for DNS to give their DKIM key.", registry=worker_registry
)
quarantine_messages = Gauge(
    "starttally_quarantine_messages", "Messages in quarantine with their content.", registry=worker_registry
)
quarantine_bytes = Gauge(
    "starttally_quarantine_bytes", "Bytes of these messages, as they came.", registry=worker_registry
)
quarantine_lost = Gauge(
    "starttally_quarantine_lost_messages",
    "Messages that gave way in quarantine since ever, by the bound that was met.",
    ["bound"],
    registry=worker_registry,
)
_database_up = Gauge(
    "starttally_database_up", "Whether the database answers (1) or is away (0).", registry=worker_registry
)
_database_since = Gauge(
    "starttally_database_since_seconds", "Since when that is so (Unix time).", registry=worker_registry
)
_waiting = Gauge(
    "starttally_worker_waits", "1 while nothing can be stored, by reason.", ["reason"], registry=worker_registry
)
unreadable = Gauge(
    "starttally_unreadable_files",
    "Files in the spool that cannot be read, and are left there.",
    registry=worker_registry,
)

for _registry in (registry, worker_registry):
    Gauge(
        "starttally_process_start_time_seconds", "When this process started (Unix time).", registry=_registry
    ).set_to_current_time()


def omit_created() -> None:
    """Tell the library, for this whole process, to leave out when each counter began: it is one more line for each, and says
    nothing that the process's start does not.
    """
    disable_created_metrics()  # type: ignore[no-untyped-call]


def waits_for(reason: str | None) -> None:
    """The worker can store nothing, for one of the reasons of trouble.WORDS; None: it can again."""
    _waiting.clear()
    if reason:
        _waiting.labels(reason).set(1)


class DatabaseState:
    """Whether the database can be used, as the worker finds out; may be asked from any thread.

    A frozen server answers a client never: after ``patience`` seconds without an answer it counts as away. ``on_change`` is
    called when the state is another one, in the thread that finds out.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None, patience: float = 10.0) -> None:
        self.on_change = on_change
        self._patience = patience
        self._asked: float | None = None
        self._lock = threading.Lock()
        self._up: bool | None = None
        self._failed = False

    def asked(self) -> None:
        """A question to the database begins."""
        self._asked = time.time()

    def answered(self) -> None:
        """It came to its end. After a failure that says little: a database that is read-only answers, too."""
        self._asked = None
        if not self._failed:
            self._set(up=True, since=time.time())

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """A question from beginning to end; one that fails is not answered, and whoever catches the error says what it means."""
        self.asked()
        yield
        self.answered()

    def works(self) -> None:
        """All that was to be done has been done."""
        self._failed = False
        self.answered()

    def away(self) -> None:
        """It did not."""
        self._asked = None
        self._failed = True
        self._set(up=False, since=time.time())

    def look(self) -> None:
        """Bring the metric up to date; for the thread that publishes."""
        asked = self._asked
        if asked is not None and time.time() - asked > self._patience:
            self._set(up=False, since=asked)

    def _set(self, *, up: bool, since: float) -> None:
        with self._lock:
            if up is self._up:
                return
            self._up = up
            _database_up.set(up)
            _database_since.set(since)
        self.on_change()
