"""The PROXY protocol, versions 1 and 2: a load balancer's first words, which name the client it speaks for."""

import asyncio
from ipaddress import IPv4Address, IPv6Address

from aiosmtpd.proxy_protocol import V2_CMD, get_proxy

from ingest.text import plaintext

# A load balancer sends its header at once.
_SECONDS = 10.0


class HeaderRefused(Exception):
    """There is no proper header. The text says why, fit for a log line; end the connection."""


async def announced_client(reader: asyncio.StreamReader) -> str | None:
    """The client's address from the header; None when it names none (the balancer's own health checks). Raises HeaderRefused."""
    try:
        async with asyncio.timeout(_SECONDS):
            header = await get_proxy(reader)
    # The parser raises what its slips lead to, and says so in words instead for all but the first five octets.
    except (TimeoutError, asyncio.IncompleteReadError, OSError) as error:
        raise HeaderRefused(f"none came ({type(error).__name__})") from error
    if not header.valid:
        raise HeaderRefused(plaintext.one_line(header.error, 100))
    # The addresses of a LOCAL header, if it has any, are the balancer's own and mean nothing.
    if header.command == V2_CMD.LOCAL or not isinstance(header.src_addr, IPv4Address | IPv6Address):
        return None
    return str(header.src_addr)
