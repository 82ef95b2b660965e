"""The connections of a door: how many there may be, in all and from one client, and who leaves when it is full."""

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from ingest.settings.values import Network
from ingest.text.addresses import client_of

from .limits import in_networks

TOO_MANY = "too many connections, try again later"
TOO_MANY_OF_YOURS = "too many connections from your address, try again later"
CLOSING = "closing, try again later"
# So many octets of a mail or body are a step forward, as is each stage of a dialogue.
STEP_OCTETS = 16 * 1024
# Who has taken none for so long is still: the round trip to the other end of the world.
_STILL_SECONDS = 0.3
# Whoever was sent away without a report sends nobody away for so long after it was last here; so many are remembered. Mail
# servers come again after some minutes, attackers at once.
_MEMORY_SECONDS = 60.0
_MOST_REMEMBERED = 65_536
# Who holds so many times as much as a newcomer would gives way first, and to anybody.
_FAR_MORE = 4
# Of those that were still for longest, so many are looked at, however many connections there are.
_LOOKED_AT = 50
_UNKNOWN = "behind a proxy "


class Guest(Protocol):
    """A connection, as the door's limits see it."""

    def evict(self) -> None:
        """Close it now: somebody else needs the place."""


@dataclasses.dataclass(slots=True)
class _Stay:
    """A connection's client, its last step forward, whether it has taken any, and whether it has brought a report."""

    client: str
    since: float
    moved: bool = False
    useful: bool = False

    def moves(self, now: float) -> bool:
        return self.moved and now - self.since < _STILL_SECONDS


class Connections:
    """The connections of one door. ``proxies`` are exempt from the limit for one client: behind one stand many.

    When the door is full, a newcomer takes the place of a connection that stands still, or has not said a word: first of a
    client that holds far more, then of the one that has been so for longest. So hundreds of slow connections, of one address
    or of as many, cost an honest newcomer nothing. A connection that moves gives way only to a client that has fewer. Who was
    sent away and comes back at once is refused, or a thousand of them would send each other away, and everybody else.
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
        self._closed = False
        self._serial = itertools.count()
        # In the order of their last step, or of their coming.
        self._stays: dict[Guest, _Stay] = {}
        # Of these, who has taken none.
        self._silent: dict[Guest, None] = {}
        self._guests_of: dict[str, dict[Guest, None]] = {}
        # Clients by the number of their connections, which is never more than ``_most``.
        self._clients_with: dict[int, dict[str, None]] = {}
        self._most = 0
        # Clients and when, oldest first.
        self._sent_away: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._stays)

    def is_proxy(self, peer: str) -> bool:
        """Whether this address is one of the proxies in front of the door."""
        return in_networks(peer, self._proxies)

    def close(self) -> None:
        """Let nobody else in."""
        self._closed = True

    def enter(self, peer: str, guest: Guest) -> str | None:
        """Count a connection in. A reason to refuse it (nothing is counted then), or None."""
        refusal = self.admit(peer)
        if refusal is None:
            self._add(self._client(peer), guest)
        return refusal

    def admit(self, peer: str) -> str | None:
        """Make room for a connection, to be counted in at once. A reason to refuse it, or None."""
        if self._closed:
            return CLOSING
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

    def moved(self, guest: Guest) -> None:
        """The connection has come a step nearer to a report."""
        stay = self._stays.pop(guest, None)
        if stay is not None:
            stay.since, stay.moved = self._clock(), True
            self._stays[guest] = stay
            self._silent.pop(guest, None)

    def busy(self, guest: Guest) -> None:
        """Its message is being stored, which is our time and not its own: it counts as moving until the next word about it."""
        if stay := self._stays.get(guest):
            self.moved(guest)
            stay.since = math.inf

    def useful(self, guest: Guest) -> None:
        """The connection has brought a report."""
        self.moved(guest)
        if stay := self._stays.get(guest):
            stay.useful = True

    def leave(self, guest: Guest) -> None:
        """Count a connection out; once is enough, and twice does no harm."""
        stay = self._stays.pop(guest, None)
        if stay is not None:
            self._silent.pop(guest, None)
            del self._guests_of[stay.client][guest]
            self._count_again(stay.client, self._count(stay.client) + 1)

    def _client(self, peer: str) -> str:
        """Behind a proxy stands somebody else each time, as far as anybody knows."""
        return f"{_UNKNOWN}{next(self._serial)}" if self.is_proxy(peer) else client_of(peer)

    def _add(self, client: str, guest: Guest) -> None:
        self._stays[guest] = _Stay(client, self._clock())
        self._silent[guest] = None
        self._guests_of.setdefault(client, {})[guest] = None
        self._count_again(client, self._count(client) - 1)

    def _count(self, client: str) -> int:
        return len(self._guests_of.get(client, ()))

    def _count_again(self, client: str, before: int) -> None:
        if before:
            del self._clients_with[before][client]
        if count := self._count(client):
            self._clients_with.setdefault(count, {})[client] = None
            self._most = max(self._most, count)
        else:
            del self._guests_of[client]
        while self._most and not self._clients_with[self._most]:
            del self._clients_with[self._most]
            self._most -= 1

    def _make_room(self, newcomer: str) -> bool:
        """Send one connection away for a newcomer; whether that was possible."""
        share, now = self._count(newcomer) + 1, self._clock()
        if now - self._sent_away.get(newcomer, -math.inf) < _MEMORY_SECONDS and self._most < _FAR_MORE * share:
            self._remember(newcomer, now)
            return False
        if share > self._most:
            return False
        victim = self._victim(share, now)
        if victim is None:
            return False
        stay = self._stays[victim]
        if not stay.useful and not stay.client.startswith(_UNKNOWN):
            self._remember(stay.client, now)
        self.leave(victim)
        victim.evict()
        return True

    def _victim(self, share: int, now: float) -> Guest | None:
        """Who leaves for a client that will have ``share`` connections then; None when all of the others keep their place."""
        of_holder = self._guests_of[next(iter(self._clients_with[self._most]))]
        if self._most >= _FAR_MORE * share and (stillest := self._stillest(of_holder, share, now)):
            return stillest
        looked_at = (*itertools.islice(self._silent, _LOOKED_AT), *itertools.islice(self._stays, _LOOKED_AT))
        if stillest := self._stillest(looked_at, share, now):
            return stillest
        slowest = min(of_holder, key=lambda guest: self._stays[guest].since)
        return slowest if self._most > share and self._stays[slowest].since < math.inf else None

    def _stillest(self, guests: Iterable[Guest], share: int, now: float) -> Guest | None:
        """Who stands still for longest, of clients that have no fewer than ``share``."""
        still = [
            (stay.since, guest)
            for guest in guests
            if (stay := self._stays[guest]) and not stay.moves(now) and self._count(stay.client) >= share
        ]
        return min(still, key=lambda pair: pair[0])[1] if still else None

    def _remember(self, client: str, now: float) -> None:
        self._sent_away.pop(client, None)
        self._sent_away[client] = now
        if len(self._sent_away) > _MOST_REMEMBERED:
            del self._sent_away[next(iter(self._sent_away))]
