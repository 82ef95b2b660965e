"""What a connection meets first at either door: a place, or a word of refusal."""

import asyncio
from collections.abc import Callable
from typing import cast

from ingest.monitoring import metrics

from .connections import Connections


class Admission(asyncio.Protocol):
    """Admits or refuses: a session costs a millisecond to make, which whoever is refused again and again must not cost.

    ``refusal`` puts a reason into the protocol's words; ``session`` makes what goes on with the connection.
    """

    def __init__(
        self,
        door: str,
        connections: Connections,
        refusal: Callable[[str], bytes],
        session: Callable[[], asyncio.Protocol],
    ) -> None:
        self._door = door
        self._connections = connections
        self._refusal = refusal
        self._session = session

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand over to a session, or send away."""
        if reason := self._connections.admit(peer_of(transport)):
            metrics.refused.labels(self._door, "connections").inc()
            two_way(transport).write(self._refusal(reason))
            transport.close()
            return
        session = self._session()
        two_way(transport).set_protocol(session)
        session.connection_made(transport)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address of who is at the other end; "unknown" when it is gone already."""
    address = transport.get_extra_info("peername") or ("unknown",)
    return str(address[0])


def two_way(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """uvloop's transports write and abort like asyncio's, without being related to them."""
    return cast("asyncio.Transport", transport)
