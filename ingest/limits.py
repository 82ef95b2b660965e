"""How many connections a door serves, in all and from one client; and how a client is named in a log."""

import ipaddress
from collections import Counter


class Connections:
    """The connections of one door. ``enter`` and ``leave`` come in pairs; ``enter`` says why not, or None."""

    def __init__(self, total: int, per_client: int) -> None:
        self._total = total
        self._per_client = per_client
        self._clients: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def enter(self, peer: str) -> str | None:
        """Count a connection in. A reason to refuse it (nothing is counted then), or None."""
        client = client_of(peer)
        if self._count >= self._total:
            return "too many connections, try again later"
        if self._clients[client] >= self._per_client:
            return "too many connections from your address, try again later"
        self._count += 1
        self._clients[client] += 1
        return None

    def leave(self, peer: str) -> None:
        """Count a connection out."""
        client = client_of(peer)
        self._count -= 1
        self._clients[client] -= 1
        if self._clients[client] <= 0:
            del self._clients[client]


def client_of(peer: str) -> str:
    """What counts as one client: an IPv4 address, an IPv6 /64 network (a single customer has at least that)."""
    return _network(peer, 32, 64)


def in_log(peer: str) -> str:
    """A peer's address as logs may keep it (privacy): the IPv4 /24, the IPv6 /48."""
    return _network(peer, 24, 48)


def _network(peer: str, v4_bits: int, v6_bits: int) -> str:
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    bits = v4_bits if address.version == 4 else v6_bits
    return str(ipaddress.ip_network((address, bits), strict=False))
