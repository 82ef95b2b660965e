"""How much a door takes from whom: connections, and who leaves when it is full; letters; how people are named in a log."""

import collections
import ipaddress
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from . import plaintext
from .setting_values import Network

TOO_MANY = "too many connections, try again later"
TOO_MANY_OF_YOURS = "too many connections from your address, try again later"
# Who has sent nothing useful for so long may be sent away for somebody new, whoever it is.
_PATIENCE_SECONDS = 10.0
_HOUR = 3_600.0
# Of letters to postmaster: people write few, and nobody pays for these by sending reports.
_LETTERS_AN_HOUR = 100
_LETTERS_OF_ONE_CLIENT = 10


class Guest(Protocol):
    """A connection, as the door's limits see it."""

    def evict(self) -> None:
        """Close it now: somebody else needs the place."""


class Connections:
    """The connections of one door. ``proxies`` are exempt from the limit for one client: behind one stand many.

    When the door is full, the client with most connections loses the one that has been useless for longest, so whoever opens
    hundreds of slow connections takes the place away from itself and not from others.
    """

    def __init__(
        self,
        total: int,
        per_client: int,
        proxies: Iterable[Network] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._per_client = per_client
        self._proxies = tuple(proxies)
        self._clock = clock
        self._client_of: dict[Guest, str] = {}
        # Each client's guests, and since when each has been useless.
        self._guests_of: dict[str, dict[Guest, float]] = {}

    def __len__(self) -> int:
        return len(self._client_of)

    def is_proxy(self, peer: str) -> bool:
        """Whether this address is one of the proxies in front of the door."""
        return in_networks(peer, self._proxies)

    def enter(self, peer: str, guest: Guest) -> str | None:
        """Count a connection in. A reason to refuse it (nothing is counted then), or None."""
        refusal = self.admit(peer)
        if refusal is None:
            self._add(self._client(peer), guest)
        return refusal

    def admit(self, peer: str) -> str | None:
        """Make room for a connection, to be counted in at once. A reason to refuse it, or None."""
        client = self._client(peer)
        if not self.is_proxy(peer) and self._count(client) >= self._per_client:
            return TOO_MANY_OF_YOURS
        if len(self) >= self._total and not self._make_room(client):
            return TOO_MANY
        return None

    def identify(self, guest: Guest, peer: str) -> str | None:
        """A proxy has said whose connection it is. A reason to refuse it, or None."""
        client = client_of(peer)
        if self._count(client) >= self._per_client:
            return TOO_MANY_OF_YOURS
        self.leave(guest)
        self._add(client, guest)
        return None

    def useful(self, guest: Guest) -> None:
        """The connection has brought a report."""
        client = self._client_of.get(guest)
        if client is not None:
            self._guests_of[client][guest] = self._clock()

    def leave(self, guest: Guest) -> None:
        """Count a connection out; once is enough, and twice does no harm."""
        client = self._client_of.pop(guest, None)
        if client is None:
            return
        del self._guests_of[client][guest]
        if not self._guests_of[client]:
            del self._guests_of[client]

    def _client(self, peer: str) -> str:
        return f"proxy {peer}" if self.is_proxy(peer) else client_of(peer)

    def _add(self, client: str, guest: Guest) -> None:
        self._client_of[guest] = client
        self._guests_of.setdefault(client, {})[guest] = self._clock()

    def _count(self, client: str) -> int:
        return len(self._guests_of.get(client, ()))

    def _make_room(self, newcomer: str) -> bool:
        """Send one connection away for a client that has fewer; whether that was possible."""
        most = max(map(len, self._guests_of.values()), default=0)
        share = self._count(newcomer) + 1
        crowd = [guests for guests in self._guests_of.values() if len(guests) == most]
        useless_since, victim = min(
            ((since, guest) for guests in crowd for guest, since in guests.items()), key=lambda pair: pair[0]
        )
        if share < most or (share == most and self._clock() - useless_since > _PATIENCE_SECONDS):
            self.leave(victim)
            victim.evict()
            return True
        return False


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
