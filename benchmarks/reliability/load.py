"""Many senders at the same time, each of which tries again until it is told 250 or 201, as mail servers do."""

import asyncio
import threading
import time
from collections import Counter
from typing import Self

from .clients import BROKEN, HttpClient, Refused, SmtpClient
from .ledger import Ledger
from .site import Site, until

_RETRY_SECONDS = 0.02


class Load:
    """Senders in a thread of their own, while the context lasts.

    ``seconds`` holds how long each report took from its first attempt to its acknowledgement; ``refused`` counts answers
    that did not take one, by code. ``rate`` bounds the reports a second of all senders together; without
    ``reuse`` each report has a connection of its own.
    """

    def __init__(
        self,
        site: Site,
        ledger: Ledger,
        *,
        smtp: int = 8,
        http: int = 4,
        rate: float = 0.0,
        limit: int = 0,
        reuse: bool = True,
    ) -> None:
        self.ledger = ledger
        self.seconds: list[float] = []
        self.refused: Counter[str] = Counter()
        self._site = site
        self._kinds = [SmtpClient] * smtp + [HttpClient] * http
        self._pause = len(self._kinds) / rate if rate else 0.0
        self._limit = limit
        self._reuse = reuse
        self._stop = threading.Event()
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(120)
        if self._fault:
            raise self._fault

    def wait_for(self, acknowledged: int, seconds: float = 120) -> None:
        """Until so many reports in all have been acknowledged."""
        until(
            lambda: self._fault or len(self.ledger.acknowledged) >= acknowledged,
            seconds,
            f"{acknowledged} reports acknowledged; {len(self.ledger.acknowledged)} were, refused: {self.refused}",
        )

    def wait_for_all(self, seconds: float) -> None:
        """Until all ``limit`` reports have been acknowledged."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            raise TimeoutError(f"{len(self.ledger.acknowledged)} of {self._limit} acknowledged after {seconds} s")

    def _run(self) -> None:
        try:
            asyncio.run(self._all())
        except BaseException as fault:  # noqa: BLE001
            self._fault = fault

    async def _all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number, kind in enumerate(self._kinds):
                group.create_task(self._sender(kind, f"127.0.0.{2 + number % 50}"))

    async def _sender(self, kind: type[SmtpClient] | type[HttpClient], source: str) -> None:
        client = None
        address = self._site.smtp if kind is SmtpClient else self._site.http
        while not self._stop.is_set() and not (self._limit and len(self.ledger.sent) >= self._limit):
            report = self.ledger.new()
            began = time.monotonic()
            while not self._stop.is_set():
                try:
                    client = client or await kind.connect(address, source)
                    await client.report(report)
                except BROKEN as error:
                    if isinstance(error, Refused):
                        self.refused[error.code] += 1
                    if client:
                        client.reset()
                    client = None
                    await asyncio.sleep(_RETRY_SECONDS)
                else:
                    self.ledger.acknowledged.add(report.number)
                    self.seconds.append(time.monotonic() - began)
                    break
            if client and not self._reuse:
                client.close()
                client = None
            await asyncio.sleep(self._pause)
        if client:
            client.close()
