"""One batch of the worker: messages on their way into one transaction, and who would be to blame if it failed now."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from ingest.spool.claims import Claimant, SpooledMessage
from ingest.submissions import Decoded, Quarantined

T = TypeVar("T")
U = TypeVar("U")

# Of the reports read, in bytes: what is read takes several times as much memory.
_READ_BYTES = 24 * 1024 * 1024
# Reading a batch takes so long and no longer: the next one may be of cheaper messages.
_READ_SECONDS = 0.5


class Costly(msgspec.Struct, frozen=True):
    """In place of what a message in the quick lane would cost too much to become."""

    held: int = 0


COSTLY = Costly()


class Batch:
    """Messages on their way into one transaction, and which of them would be to blame if that failed now.

    ``claimed`` is what may come into it, ``messages`` what its size allows. ``alive`` is called before each.
    """

    def __init__(self, claimant: Claimant, claimed: list[SpooledMessage], alive: Callable[[], None]) -> None:
        self.claimant = claimant
        self._alive = alive
        self.claimed = claimed
        self.messages = claimed
        self.suspects = claimed

    def read(
        self, do: Callable[[SpooledMessage], Decoded | Quarantined | Costly | None]
    ) -> list[Decoded | Quarantined | Costly | None]:
        """``do`` to one message after the other, until what they hold, or the time it took, is enough for a batch."""
        items: list[Decoded | Quarantined | Costly | None] = []
        size, until = 0, time.monotonic() + _READ_SECONDS
        for message in self.claimed:
            self._take_up(message)
            items.append(do(message))
            item = items[-1]
            size += item.held if item else 0
            if size >= _READ_BYTES or time.monotonic() >= until:
                break
        self.messages = self.claimed[: len(items)]
        self._put_down()
        return items

    def each(self, do: Callable[[T], U], items: Sequence[T]) -> list[U]:
        """``do`` to each message's item in turn; the message in hand is the suspect, here and for whoever finds us dead."""
        results = []
        for message, item in zip(self.messages, items, strict=True):
            self._take_up(message)
            results.append(do(item))
        self._put_down()
        return results

    def _take_up(self, message: SpooledMessage) -> None:
        self._alive()
        self.suspects = [message]
        self.claimant.reading(message)

    def _put_down(self) -> None:
        self.claimant.reading(None)
        self.suspects = self.messages

    def done(self, aside: Sequence[bool]) -> list[SpooledMessage]:
        """The database holds them: their files go, but for those put aside, which are returned and stay claimed."""
        aside_messages = []
        for message, stays in zip(self.messages, aside, strict=True):
            if stays:
                aside_messages.append(message)
            else:
                self.claimant.done(message)
        return aside_messages

    def blame(self) -> None:
        """Put every message back into the spool, with an attempt counted against the suspects."""
        for message in self.claimed:
            self.claimant.release(message, message.attempts + (message in self.suspects))

    def left_lying(self, message: SpooledMessage, error: OSError) -> bool:
        """See ``Claimant.left_lying``."""
        return self.claimant.left_lying(message, error)
