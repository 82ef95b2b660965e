"""An outage of database or spool as the worker lives through it: how long to wait, and one line in the log for each."""

import logging
import time

from ingest.monitoring import metrics, trouble
from ingest.monitoring.trouble import Trouble

log = logging.getLogger(__name__)

_FIRST_BACK_OFF = 0.5
_LONGEST_BACK_OFF = 30.0
# So often one reason is said again while it lasts.
_SAY_AGAIN_SECONDS = 600.0


class Outage:
    """None at first. ``back_off`` is how long to wait before the next try, in seconds; 0.0 while all is well."""

    def __init__(self) -> None:
        self.back_off = 0.0
        self._since = 0.0
        self._said: dict[str, float] = {}

    def met(self, of: Trouble) -> None:
        """A try has failed."""
        now = time.monotonic()
        if not self.back_off:
            self._since = now
        self.back_off = min(_LONGEST_BACK_OFF, self.back_off * 2 or _FIRST_BACK_OFF)
        metrics.waits_for(of.reason)
        if now - self._said.get(of.reason, -_SAY_AGAIN_SECONDS) >= _SAY_AGAIN_SECONDS:
            self._said[of.reason] = now
            log.warning("%s; mail waits in the spool, nothing is lost, and this is tried again and again", of)

    def over(self) -> None:
        """A try has succeeded."""
        if self.back_off:
            log.warning("after %.0f s it works again: %s", time.monotonic() - self._since, self._words())
            self.back_off = 0.0
            self._said.clear()
            metrics.waits_for(None)

    def _words(self) -> str:
        return "; ".join(trouble.WORDS[reason] for reason in self._said) + " no more"
