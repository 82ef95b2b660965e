"""What operators and their monitoring ask the HTTP door: /healthz, /readyz, /metrics."""

import asyncio
import datetime as dt
import json
import threading
import time
from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Gauge
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from ingest.host import database_disk
from ingest.settings.settings import PREFIX, Settings
from ingest.spool.maildir import Spool, SpoolUnavailable

from . import publishing, trouble
from .trouble import Trouble

Check = Callable[[], str | None]
State = dict[str, str | float | None]

# Counting a million files takes a second: it is done at most every few seconds, and at most this share of the time.
_FRESH_SECONDS = 3.0
_SHARE = 0.05


def routes(settings: Settings, spool: Spool, checks: Mapping[str, Check]) -> list[Route]:
    """The three addresses. ``checks`` are further conditions of /readyz: each says what is wrong, or None."""
    health = _Health(settings, spool, checks)
    return [
        Route("/healthz", health.health),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
    ]


class Backlog:
    """The spool's backlog, counted now and then, in whatever thread asks."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._lock = threading.Lock()
        self._fresh_until = 0.0
        self._counted = (0, 0.0)

    def get(self) -> tuple[int, float]:
        """Messages, and the age in seconds of the oldest."""
        with self._lock:
            before = time.monotonic()
            if before >= self._fresh_until:
                self._counted = self._spool.backlog()
                took = time.monotonic() - before
                self._fresh_until = before + max(_FRESH_SECONDS, took / _SHARE)
            return self._counted


class _Health:
    def __init__(self, settings: Settings, spool: Spool, checks: Mapping[str, Check]) -> None:
        self._settings = settings
        self._spool = spool
        self._checks = checks
        self._backlog = Backlog(spool)
        self._registry = CollectorRegistry()
        self._messages = Gauge(
            "starttally_backlog_messages", "Messages in the spool, not stored yet.", registry=self._registry
        )
        self._age = Gauge("starttally_backlog_age_seconds", "Age of the oldest of them.", registry=self._registry)
        self._free = Gauge("starttally_spool_free_bytes", "Free space for the spool.", registry=self._registry)

    async def health(self, _request: Request) -> Response:
        """The process is alive."""
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """Whether reports can be taken and stored now; what is wrong, in words."""
        state = await asyncio.to_thread(self._state)
        problems = [problem for problem in state.values() if isinstance(problem, str)]
        return Response(json.dumps(state) + "\n", 503 if problems else 200, media_type="application/json")

    def _state(self) -> State:
        count, age = self._backlog.get()
        free = self._spool.free_bytes()
        workers = publishing.Workers(self._spool.path)
        state: State = {
            "backlog": count,
            "backlog_age_seconds": round(age, 1),
            "free_bytes": free,
            # None is no fault by itself: where mail waits too long, "worker" says so.
            "workers": workers.alive,
        }
        state["disk"] = f"less than {PREFIX}MIN_FREE_BYTES free" if free < self._settings.min_free_bytes else None
        state["database_disk"] = database_disk.lack(self._settings)
        waits = Trouble(workers.waits_for) if workers.waits_for and workers.waits_for in trouble.WORDS else None
        state["worker"] = str(waits) if waits and not waits.of_database else self._behind(age)
        state["database"] = _away(workers.database_away_since, waits)
        try:
            self._spool.receive().abort()
            state["spool"] = None
        except SpoolUnavailable as error:
            state["spool"] = error.strerror
        return state | {name: check() for name, check in self._checks.items()}

    def _behind(self, age: float) -> str | None:
        limit = self._settings.ready_backlog_seconds
        return f"a message waits longer than {PREFIX}READY_BACKLOG_SECONDS={limit}" if age > limit else None

    async def metrics(self, _request: Request) -> Response:
        """Prometheus: what every process over this spool counts."""
        return Response(await asyncio.to_thread(self._metrics), media_type="text/plain; version=0.0.4")

    def _metrics(self) -> bytes:
        count, age = self._backlog.get()
        self._messages.set(count)
        self._age.set(age)
        self._free.set(self._spool.free_bytes())
        return publishing.merged(self._spool.path, self._registry)


def _away(since: float | None, waits: Trouble | None) -> str | None:
    if since is None:
        return None
    why = f": {waits}" if waits and waits.of_database else ""
    return f"a worker says that the database is away since {dt.datetime.fromtimestamp(since, dt.UTC):%Y-%m-%d %H:%M:%S} UTC{why}"
