"""Addresses of peers and people: which of them are one client, and how a log may name them (privacy)."""

import functools
import ipaddress
from collections.abc import Iterable

from .plaintext import one_line


def as_seen(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> list[str]:
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
    return "…@" + one_line(address.rpartition("@")[2], 100) if "@" in address else "… (no domain)"


@functools.lru_cache(maxsize=4_096)
def _network(peer: str, v4_bits: int, v6_bits: int) -> str:
    address = address_of(peer)
    if address is None:
        return "unknown"
    bits = v4_bits if address.version == 4 else v6_bits
    return str(ipaddress.ip_network((address, bits), strict=False))


def address_of(peer: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address of a peer; an IPv4 client's own where a socket shows it as IPv6. None for what is no address."""
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
