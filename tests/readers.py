"""A reader of messages that knows what a test tells it."""

import datetime as dt
from collections.abc import Callable, Iterable, Sequence

from ingest.authentication.dkim_keys import Keys
from ingest.authentication.verdict import Authentication
from ingest.intake import Authenticate
from ingest.settings.settings import Settings
from ingest.work.reader import Reader


class ToldReader(Reader):
    """Gives the verdicts of ``authenticate``; ``look_up`` is called with the mails whose keys are asked for."""

    def __init__(
        self,
        settings: Settings,
        authenticate: Authenticate,
        look_up: Callable[[Sequence[bytes]], object] = lambda _mails: None,
    ) -> None:
        super().__init__(settings, Keys())
        self._told = authenticate
        self._look_up = look_up

    def find_keys(self, mails: Iterable[bytes], seconds: float | None = None) -> None:
        self._look_up(list(mails))

    def authenticate(self, message: bytes, now: dt.datetime) -> Authentication:
        return self._told(message, now)
