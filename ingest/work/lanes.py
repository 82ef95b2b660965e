"""Two lanes for the worker: what is cheap to read goes first, what is not gets a share of the time while others wait.

Whoever sends bombs, or signatures of domains whose name servers are dead, then delays its own kind and hardly anybody else.
"""

import collections
import time
from collections.abc import Sequence

import msgspec

from ingest.rfc.tlsrpt.report import MAX_ROWS
from ingest.settings.settings import Settings
from ingest.spool.claims import SpooledMessage

# Nearly all reports are far below this, and nearly all keys are found sooner.
_QUICK_FILE_BYTES = 512 * 1024
_QUICK_REPORT_BYTES = 1024 * 1024
_QUICK_ROWS = 5_000
_QUICK_DNS_SECONDS = 0.1
# Of the time in which cheap messages wait.
_COSTLY_SHARE = 0.2
_MAX_CREDIT_SECONDS = 2.0


class Lane(msgspec.Struct, frozen=True):
    """What a message may cost here: bytes of its file, ``settings`` with the bytes of its reports, their ``rows`` (policies and
    failure details), seconds of DNS for a batch.

    In the ``quick`` lane, what costs more or cannot be read is put aside for the other one; only there is a verdict final.
    """

    settings: Settings
    file_bytes: int
    rows: int
    dns_seconds: float
    quick: bool


def lanes(settings: Settings) -> tuple[Lane, Lane]:
    """The quick lane and the thorough one, which has all that the settings allow."""
    report_bytes = min(_QUICK_REPORT_BYTES, settings.max_report_bytes)
    quick = settings.model_copy(update={"max_report_bytes": report_bytes})
    return (
        Lane(quick, _QUICK_FILE_BYTES, _QUICK_ROWS, min(_QUICK_DNS_SECONDS, settings.dns_seconds), quick=True),
        Lane(settings, settings.max_message_bytes * 2, MAX_ROWS, settings.dns_seconds, quick=False),
    )


class Turns:
    """Whose turn it is: costly work earns its time while cheap work is done, and may save up little of it."""

    def __init__(self) -> None:
        self._credit = 0.0

    @property
    def costly_due(self) -> bool:
        """Whether costly work may be done although cheap work waits."""
        return self._credit >= 0

    def cheap(self, begun: float) -> None:
        """Cheap work has been done since ``begun`` (time.monotonic)."""
        earned = (time.monotonic() - begun) * _COSTLY_SHARE / (1 - _COSTLY_SHARE)
        self._credit = min(_MAX_CREDIT_SECONDS, self._credit + earned)

    def costly(self, begun: float) -> None:
        """Costly work has been done since ``begun``; what it took beyond its share has to be earned back, within bounds."""
        self._credit = max(-_MAX_CREDIT_SECONDS * 10, self._credit - (time.monotonic() - begun))


class Aside:
    """Claimed messages that the quick lane has put aside; they wait for the thorough one."""

    def __init__(self) -> None:
        self._messages: collections.deque[SpooledMessage] = collections.deque()

    def __bool__(self) -> bool:
        return bool(self._messages)

    def put(self, messages: Sequence[SpooledMessage]) -> None:
        """Behind those that wait already."""
        self._messages.extend(messages)

    def put_back(self, messages: Sequence[SpooledMessage]) -> None:
        """Before all others, as they were taken."""
        self._messages.extendleft(reversed(messages))

    def take(self, limit: int, max_bytes: int) -> list[SpooledMessage]:
        """The next ones, as ``Claimant.claim`` gives them: one that was tried before comes alone."""
        messages: list[SpooledMessage] = []
        size = 0
        while self._messages and len(messages) < limit and size < max_bytes:
            if messages and self._messages[0].attempts:
                break
            messages.append(self._messages.popleft())
            size += messages[-1].size
            if messages[-1].attempts:
                break
        return messages

    def clear(self) -> None:
        """They have been given back."""
        self._messages.clear()
