"""The days that prove, and how far they reach back (docs/verdict.md). Pure."""

import datetime as dt
from collections.abc import Callable

import msgspec

from .evidence import Thresholds

_DAY = dt.timedelta(days=1)


class Window(msgspec.Struct, frozen=True):
    """The days that prove: ``start`` to ``end``. The days after ``end`` are still arriving; they can only accuse.

    ``start`` after ``end`` means that no day is complete yet: the policy has enforced for too short a time.
    """

    start: dt.date
    end: dt.date

    @classmethod
    def on(cls, day: dt.date, thresholds: Thresholds) -> "Window":
        """The shortest window of a verdict on ``day``: the last complete UTC days without the newest, still arriving."""
        end = day - (1 + thresholds.late_days) * _DAY
        return cls(end - (thresholds.window_days - 1) * _DAY, end)

    @property
    def days(self) -> int:
        """How many complete days it has."""
        return max(0, (self.end - self.start).days + 1)

    def holds(self, day: dt.date) -> bool:
        """Whether a report about ``day`` can prove something."""
        return self.start <= day <= self.end

    def reaching(self, start: dt.date) -> "Window":
        """The same end, and a start that is no later than ``start``."""
        return Window(min(self.start, start), self.end)

    def reaching_until(self, start: dt.date, suffices: Callable[["Window"], bool]) -> "Window":
        """This window, or the shortest that reaches further back and ``suffices``; but no further than ``start``, where it
        stays when nothing suffices.
        """
        window = self
        while not suffices(window) and window.start > start:
            window = Window(window.start - _DAY, window.end)
        return window


class Clock(msgspec.Struct, frozen=True):
    """How many complete days have been clean. ``begin`` is the first day that counts; ``blocked`` the last day that did not,
    None when the clock began with the mx patterns. ``ready`` is the first day on which there are enough, if it stays so.
    """

    begin: dt.date
    days: int
    need: int
    ready: dt.date
    blocked: dt.date | None = None

    @classmethod
    def since(cls, mx_since: dt.date, blocked: dt.date | None, on: dt.date, thresholds: Thresholds) -> "Clock":
        """The clock on the day ``on``: it runs from the later of the mx change and the day after the last blocking one."""
        if blocked is not None and blocked < mx_since:
            blocked = None
        begin = mx_since if blocked is None else blocked + _DAY
        end = Window.on(on, thresholds).end
        ready = begin + (thresholds.window_days + thresholds.late_days) * _DAY
        return cls(begin, max(0, (end - begin).days + 1), thresholds.window_days, ready, blocked)
