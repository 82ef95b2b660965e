"""What is asked of every execution: no exception, at most a second of CPU time. And what is counted."""

import time
from collections.abc import Callable

MAX_SECONDS = 1.0


class TooSlow(AssertionError):
    """An input that costs more than MAX_SECONDS of CPU time."""


class Watch:
    """Runs a target and counts; ``slowest`` is in seconds of CPU time, ``slowest_input`` what cost it."""

    def __init__(
        self,
        run: Callable[[bytes], None],
        max_seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._run = run
        self._max_seconds = max_seconds
        self._clock = clock
        self.executions = 0
        self.slowest = 0.0
        self.slowest_input = b""

    def __call__(self, data: bytes) -> None:
        """Run the target once. Raises what it raises, and TooSlow."""
        before = self._clock()
        self._run(data)
        seconds = self._clock() - before
        self.executions += 1
        if seconds > self.slowest:
            self.slowest, self.slowest_input = seconds, data
        if seconds > self._max_seconds:
            raise TooSlow(f"{seconds:.2f} s of CPU time for {len(data)} bytes")
