"""What operators and their monitoring ask the HTTP door: /healthz, /readyz, /metrics."""

import asyncio
import json
from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from . import metrics
from .settings import Settings
from .spool import Spool, SpoolUnavailable

Check = Callable[[], str | None]


def routes(settings: Settings, spool: Spool, checks: Mapping[str, Check]) -> list[Route]:
    """The three addresses. ``checks`` are further conditions of /readyz: each says what is wrong, or None."""
    health = _Health(settings, spool, checks)
    return [
        Route("/healthz", health.health),
        Route("/readyz", health.ready),
        Route("/metrics", health.metrics),
    ]


class _Health:
    def __init__(self, settings: Settings, spool: Spool, checks: Mapping[str, Check]) -> None:
        self._settings = settings
        self._spool = spool
        self._checks = checks

    async def health(self, _request: Request) -> Response:
        """The process is alive."""
        return PlainTextResponse("ok\n")

    async def ready(self, _request: Request) -> Response:
        """Whether reports can be taken and stored now; what is wrong, in words."""
        state = await asyncio.to_thread(self._state)
        problems = [problem for problem in state.values() if isinstance(problem, str)]
        return Response(json.dumps(state) + "\n", 503 if problems else 200, media_type="application/json")

    def _state(self) -> dict[str, str | float | None]:
        count, age = self._spool.backlog()
        free = self._spool.free_bytes()
        state: dict[str, str | float | None] = {
            "backlog": count,
            "backlog_age_seconds": round(age, 1),
            "free_bytes": free,
        }
        state["disk"] = "less than STARTTALLY_MIN_FREE_BYTES free" if free < self._settings.min_free_bytes else None
        try:
            self._spool.receive().abort()
            state["spool"] = None
        except SpoolUnavailable as error:
            state["spool"] = error.strerror
        return state | {name: check() for name, check in self._checks.items()}

    async def metrics(self, _request: Request) -> Response:
        """Prometheus."""
        count, age = await asyncio.to_thread(self._spool.backlog)
        metrics.backlog.set(count)
        metrics.backlog_age.set(age)
        return Response(metrics.text(), media_type="text/plain; version=0.0.4")
