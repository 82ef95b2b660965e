"""Metrics of several processes over one spool: each publishes its own in the spool, and any door answers for all.

``metrics/<slot>.prom`` is a process's registry as text, written anew every few seconds; its slot (door-0, worker-0, ...) is
claimed with a lock on ``metrics/<slot>.lock`` for as long as the process lives. What a dead one left is passed over.
"""

import contextlib
import fcntl
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from .metrics import omit_created

log = logging.getLogger(__name__)

DOOR, WORKER = "door", "worker"
_EVERY_SECONDS = 3.0
_MOST_SLOTS = 1_000
_STACK_BYTES = 512 * 1024

# Of this process, so that a scrape finds its own figures as they are now.
_active: "set[Publisher]" = set()

_DATABASE_UP, _DATABASE_SINCE = "starttally_database_up", "starttally_database_since_seconds"
_WAITS = "starttally_worker_waits"


class Publisher:
    """Publishes ``registry`` from a thread of its own, whatever the process waits for. A context manager.

    ``look`` is called before each publication. A spool that cannot be written to costs metrics, nothing else.
    """

    def __init__(
        self, spool: Path, kind: str, registry: CollectorRegistry, look: Callable[[], None] = lambda: None
    ) -> None:
        omit_created()
        self._registry = registry
        self._look = look
        self._stop = threading.Event()
        self._failing = False
        self._writing = threading.Lock()
        self._lock, self._path = _claim(spool / "metrics", kind)
        before = threading.stack_size(_STACK_BYTES)  # a worker's memory is bounded, stacks included
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()
        threading.stack_size(before)
        _active.add(self)

    def publish(self) -> None:
        """Publish now."""
        with self._writing:
            if self._path is None or self._stop.is_set():
                return
            try:
                write_to_textfile(str(self._path), self._registry)
                self._failing = False
            except OSError as error:
                if not self._failing:  # once, not every few seconds for as long as the disk is full
                    log.warning("metrics cannot be written: %s", error)
                self._failing = True

    def close(self) -> None:
        """Take back what was published and leave the slot."""
        _active.discard(self)
        self._stop.set()
        self._thread.join()
        with self._writing:
            if self._path is not None and self._lock is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)
                self._lock.close()

    def __enter__(self) -> "Publisher":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _run(self) -> None:
        while True:
            self._look()
            self.publish()
            if self._stop.wait(_EVERY_SECONDS):
                return


def _claim(folder: Path, kind: str) -> tuple[IO[bytes] | None, Path | None]:
    """The first free slot: its lock, held, and the file to publish in; nothing when the spool cannot be written to."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        for number in range(_MOST_SLOTS):
            lock = (folder / f"{kind}-{number}.lock").open("ab")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            return lock, folder / f"{kind}-{number}.prom"
    except OSError as error:
        log.warning("metrics cannot be published: %s", error)
    return None, None


def published(spool: Path) -> Iterator[tuple[str, list[Metric]]]:
    """What the living processes have published: slot and metrics."""
    for path in sorted((spool / "metrics").glob("*.prom")):
        if not _alive(path.with_suffix(".lock")):
            continue
        try:
            families = list(text_string_to_metric_families(path.read_text("utf-8")))
        except (OSError, ValueError):  # gone meanwhile, or half of it after a power cut
            continue
        yield path.stem, families


def _alive(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def merged(spool: Path, more: CollectorRegistry) -> bytes:
    """All that is published, each sample with the label ``process``, and what ``more`` holds, in Prometheus' text format."""
    for publisher in list(_active):
        publisher.publish()
    families: dict[str, Metric] = {}
    for slot, metrics in published(spool):
        for metric in metrics:
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                labels = {**sample.labels, "process": slot}
                family.samples.append(sample._replace(labels=labels))
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Given(families.values()))
    return generate_latest(registry) + generate_latest(more)


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        """The metrics given."""
        return self._families


class Workers:
    """What the workers say about themselves: how many live, since when (Unix time) one has found the database away, and why
    one can store nothing (one of trouble.WORDS).
    """

    def __init__(self, spool: Path) -> None:
        self.alive = 0
        self.database_away_since: float | None = None
        self.waits_for: str | None = None
        for slot, families in published(spool):
            if not slot.startswith(WORKER):
                continue
            self.alive += 1
            samples = [sample for metric in families for sample in metric.samples]
            values = {sample.name: sample.value for sample in samples}
            self.waits_for = next(
                (sample.labels["reason"] for sample in samples if sample.name == _WAITS), self.waits_for
            )
            # Before its first question to the database a worker cannot tell.
            since = values.get(_DATABASE_SINCE, 0.0)
            if since and not values.get(_DATABASE_UP):
                self.database_away_since = min(since, self.database_away_since or since)
