"""What the worker does beside storing new mail: each chore in its time, and none that fails stops the mail."""

import logging
import time
from collections.abc import Callable

import sqlalchemy as sa

from .blame import trouble_behind

log = logging.getLogger(__name__)


class Chores:
    """When each was begun last, and which of them fail. ``alive`` is called after each."""

    def __init__(self, alive: Callable[[], None]) -> None:
        self._alive = alive
        self._due: dict[str, float] = {}
        # Of which trouble; said once.
        self._failing: dict[str, str] = {}

    def now_and_then(self, chore: str, every: float, do: Callable[[], object]) -> None:
        """Do it when ``every`` seconds have gone by since the last time. Raises what it raises."""
        now = time.monotonic()
        if now >= self._due.get(chore, 0.0):
            self._due[chore] = now + every
            do()
            self._alive()

    def if_possible(self, chore: str, every: float, do: Callable[[], object]) -> None:
        """The same for what can wait: a trouble of the database is said once. Where it is really away, storing finds out."""
        self.now_and_then(chore, every, lambda: self._try(chore, do))

    def at_once(self, chore: str) -> None:
        """Do it when it is asked for next."""
        self._due.pop(chore, None)

    def _try(self, chore: str, do: Callable[[], object]) -> None:
        try:
            do()
            self._failing.pop(chore, None)
        except sa.exc.SQLAlchemyError as error:
            of = trouble_behind(error)
            if of is None:
                log.exception("%s failed", chore)
            elif self._failing.get(chore) != of.reason:
                log.warning("%s has to wait: %s", chore, of)
            self._failing[chore] = of.reason if of else ""
