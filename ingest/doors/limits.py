"""How much a door takes from whom (``connections`` says how many): time, and letters to postmaster."""

import collections
import time
from collections.abc import Callable, Iterable

from ingest.settings.values import Network
from ingest.text.addresses import address_of, client_of

# Below this on average a body drips. A report of 100 KiB takes less than two minutes then.
_LEAST_OCTETS_A_SECOND = 1_024
_HOUR = 3_600.0
# Of letters to postmaster: people write few, and nobody pays for these by sending reports.
_LETTERS_AN_HOUR = 100
_LETTERS_OF_ONE_CLIENT = 10


class Pace:
    """When a body that arrives has to go on: after no more than ``idle`` seconds of silence, at no less than the least rate on
    average (the first ``idle`` seconds are free), and never after more than ``whole`` seconds.
    """

    def __init__(self, idle: float, whole: float, begun: float) -> None:
        self._idle = idle
        self._whole = whole
        self._begun = begun

    def until(self, now: float, octets: int) -> float:
        """The moment by which more must be there, when so many octets have come."""
        in_all = min(self._whole, self._idle + octets / _LEAST_OCTETS_A_SECOND)
        return min(now + self._idle, self._begun + in_all)


class Letters:
    """How many letters to postmaster are taken within an hour: of one client, and of all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._taken: collections.deque[tuple[float, str]] = collections.deque()

    def take(self, peer: str) -> bool:
        """Whether one more may come from there; it is counted then."""
        now, client = self._clock(), client_of(peer)
        while self._taken and now - self._taken[0][0] >= _HOUR:
            self._taken.popleft()
        of_this_client = sum(writer == client for _, writer in self._taken)
        if len(self._taken) >= _LETTERS_AN_HOUR or of_this_client >= _LETTERS_OF_ONE_CLIENT:
            return False
        self._taken.append((now, client))
        return True


def in_networks(peer: str, networks: Iterable[Network]) -> bool:
    """Whether an address lies in one of the networks; what is no address lies in none."""
    address = address_of(peer)
    return address is not None and any(address in network for network in networks)
