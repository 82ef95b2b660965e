"""How the values of settings are written, and what they become: addresses, lists, networks, who may see what."""

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator
from pydantic_settings import NoDecode
from sqlalchemy.engine import URL

from ingest.text.shares import read_share

# Stored names are A-labels; a pattern that no stored name can match would be a silent refusal.
_PATTERN = re.compile(r"(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")


def sqlite_file(url: URL) -> Path | None:
    """The file of a SQLite database; None for one in memory and for PostgreSQL."""
    if url.get_backend_name() != "sqlite" or url.database in (None, "", ":memory:"):
        return None
    return Path(str(url.database))


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in ("::1", "localhost") or self.host.startswith("127.")


def _address(value: object, default_port: int | None = None) -> object:
    """``host:port`` or ``[v6]:port`` as an Address; anything else is refused in words."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.strip().rpartition(":")
    if default_port is not None and (not colon or (":" in host and not host.startswith("["))):
        host, port = value.strip(), str(default_port)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError("must be host:port, for example 127.0.0.1:8025 or [::1]:8025, with a port of 0 to 65535")
    return Address(host, int(port))


def _words(value: object) -> object:
    """A list written with commas or blanks between its members."""
    return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value


def _names(value: object) -> object:
    """Mail addresses or domains, compared without case and without a trailing dot."""
    words = _words(value)
    if not isinstance(words, list | tuple):
        return words
    return tuple(str(word).lower().rstrip(".").removeprefix("@") for word in words)


def _resolvers(value: object) -> object:
    """Name servers as addresses, port 53 unless said otherwise."""
    words = _words(value)
    return tuple(_address(word, 53) for word in words) if isinstance(words, list | tuple) else words


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _networks(value: object) -> object:
    """Addresses and networks; a bare address is a network of one."""
    words = _words(value)
    if not isinstance(words, list | tuple):
        return words
    try:
        return tuple(ipaddress.ip_network(str(word).strip("[]")) for word in words)
    except ValueError as error:
        raise ValueError(f"{error}; write addresses or networks such as 192.0.2.7 or 2001:db8::/64") from error


def _share(value: object) -> object:
    """``0.02`` or ``2%`` as a number."""
    return read_share(value) if isinstance(value, str) else value


def _access(value: object) -> object:
    """``alice@example.com=example.com *.example.com; bob@example.org=*``, or a table of lists, as pairs."""
    if isinstance(value, str):
        lines = [line.partition("=") for line in value.split(";") if line.strip()]
        if any(not user.strip() or not equals for user, equals, _ in lines):
            raise ValueError("must be user=pattern pattern; user=pattern, for example alice@example.com=example.com")
        value = {user.strip(): patterns for user, _, patterns in lines}
    if not isinstance(value, Mapping):
        return value
    return tuple((str(user).lower(), _patterns(str(user), patterns)) for user, patterns in value.items())


def _patterns(user: str, patterns: object) -> tuple[str, ...]:
    names = _names(patterns)
    if not isinstance(names, tuple) or not names:
        raise ValueError(f"{user} has no domain pattern; * is all domains, and who is not listed sees none")
    for pattern in names:
        if pattern != "*" and not _PATTERN.fullmatch(pattern):
            raise ValueError(f"{pattern!r} of {user} is no pattern: write example.com, *.example.com or *")
    return names


Listen = Annotated[Address, NoDecode, BeforeValidator(_address)]
Share = Annotated[float, BeforeValidator(_share)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)]
Resolvers = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_resolvers)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_networks)]
Access = Annotated[tuple[tuple[str, tuple[str, ...]], ...], NoDecode, BeforeValidator(_access)]
