"""How much a door takes from whom (``connections`` says how many): time, letters; how people are named in a log."""

import collections
import functools
import ipaddress
import time
from collections.abc import Callable, Iterable

from ingest.settings.values import Network
from ingest.text import plaintext

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
    address = _address(peer)
    return address is not None and any(address in network for network in networks)


def as_seen(networks: Iterable[Network]) -> list[str]:
    """Networks in words, and once more as a socket that takes both IPv6 and IPv4 shows the addresses of IPv4 clients."""
    mapped = [
        f"::ffff:{network.network_address}/{96 + network.prefixlen}" for network in networks if network.version == 4
    ]
    return [str(network) for network in networks] + mapped


def client_of(peer: str) -> str:
    """What counts as one client: an IPv4 address, an IPv6 /64 network (a single customer has at least that)."""
    return _network(peer, 32, 64)


def in_log(peer: str) -> str:
    """A peer's address as logs may keep it (privacy): the IPv4 /24, the IPv6 /48."""
    return _network(peer, 24, 48)


def address_in_log(address: str) -> str:
    """A mail address as logs may keep it (privacy): its domain, on one line."""
    return "…@" + plaintext.one_line(address.rpartition("@")[2], 100) if "@" in address else "… (no domain)"


@functools.lru_cache(maxsize=4_096)
def _network(peer: str, v4_bits: int, v6_bits: int) -> str:
    address = _address(peer)
    if address is None:
        return "unknown"
    bits = v4_bits if address.version == 4 else v6_bits
    return str(ipaddress.ip_network((address, bits), strict=False))


def _address(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
