"""From messages to what the store takes: decode, find the keys of the signatures, authenticate; each within its budget.

Whoever reads messages does it with a ``Reader``: ``load``, who reads again what waits for DNS or lies in quarantine, and the
worker, whose ``SpoolReader`` reads a batch in its lane and notes which message is in hand.
"""

import datetime as dt
import time
from collections.abc import Callable, Iterable, Sequence

from ingest import intake
from ingest.authentication import signatures
from ingest.authentication.dkim_keys import Keys
from ingest.authentication.verdict import Authentication
from ingest.settings.settings import Settings
from ingest.spool import trace
from ingest.spool.claims import SpooledMessage
from ingest.spool.trace import Arrival
from ingest.submissions import Decoded, Quarantined, Submission
from ingest.testimony import unread

from .batch import COSTLY, Batch, Costly
from .lanes import Lane, Turns

# Readers that a message may take down before it is set aside. After the first it is read alone, so two of them are its own
# doing; the first may have been killed by somebody else at that moment, and among 400 workers killed with SIGKILL one honest
# message met that twice.
_MAX_ATTEMPTS = 3

Ready = Submission | Quarantined


class Reader:
    """Reads messages by ``settings``, with the keys that DNS gave. ``begin`` is called before each step that a stranger's
    message can make costly, to allow the time for it.
    """

    def __init__(self, settings: Settings, keys: Keys, begin: Callable[[], None] = lambda: None) -> None:
        self.settings = settings
        self.begin = begin
        self._keys = keys

    def decode(self, message: bytes, arrival: Arrival, file_name: str | None = None) -> Decoded | Quarantined:
        """The reports in a mail, or in a bare file, which has a name (``intake``)."""
        self.begin()
        if file_name is None:
            return intake.decode_mail(message, arrival, self.settings)
        return intake.decode_file(message, file_name, arrival, self.settings)

    def find_keys(self, mails: Iterable[bytes], seconds: float | None = None) -> None:
        """Ask DNS for the keys of all signatures on these mails, whose headers are enough: together, and before any is judged.

        Waits so long at most; as long as the settings say when nothing is said here, and not at all for 0.
        """
        self.begin()
        names = [name for mail in mails for name in signatures.signature_names(mail)]
        self._keys.prefetch(names, self.settings.dns_seconds if seconds is None else seconds)

    def authenticate(self, message: bytes, now: dt.datetime) -> Authentication:
        """See ``intake.Authenticate``; by the keys found before."""
        self.begin()
        return signatures.authenticate(message, self._keys, now)

    def submission(self, decoded: Decoded, moment: dt.datetime | None = None) -> Submission:
        """A decoded message with its trust, as its signature stood on arrival, or at ``moment``."""

        def verdict(message: bytes, now: dt.datetime) -> Authentication:
            return self.authenticate(message, moment or now)

        return intake.authenticated(decoded, verdict if decoded.asks_for_key else None)


def asking_for_keys(items: Iterable[object]) -> list[bytes]:
    """The mails among what was decoded, or refused, whose signatures count."""
    return [item.message for item in items if isinstance(item, Decoded | Quarantined) and item.asks_for_key]


class SpoolReader:
    """Reads batches of the spool. ``turns`` pays for the quick lane's waiting."""

    def __init__(self, reader: Reader, turns: Turns) -> None:
        self._reader = reader
        self._turns = turns

    def read(self, batch: Batch, lane: Lane) -> list[Ready | Costly | None]:
        """What became of each message of the batch; ``batch.suspects`` are to blame while this runs.

        COSTLY in the quick lane, for what needs the thorough one. None when the file is gone (an operator removed it), or left
        where it lies because nobody can read it.
        """
        items = batch.read(lambda message: self._decode(message, lane, batch))
        self._find_keys(asking_for_keys(items), lane)
        return batch.each(lambda item: self._authenticated(item, lane), items)

    def _decode(self, spooled: SpooledMessage, lane: Lane, batch: Batch) -> Decoded | Quarantined | Costly | None:
        if lane.quick and (spooled.attempts or spooled.size > lane.file_bytes):
            return COSTLY
        try:
            raw = spooled.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            if batch.left_lying(spooled, error):
                return None
            raise
        arrival, message = trace.read(raw, spooled.delivered)
        if spooled.attempts >= _MAX_ATTEMPTS:
            why = (
                f"reading it failed {spooled.attempts} times (memory or time ran out, or a fault of ours; see the log)"
            )
            return Quarantined(arrival, message, unread.KILLED_READER, why)
        self._reader.begin()
        decoded = intake.decode_mail(message, arrival, lane.settings, lane.rows)
        # What could not be read may only be too large for this lane.
        in_doubt = isinstance(decoded, Quarantined) or decoded.unread
        return COSTLY if lane.quick and in_doubt else decoded

    def _find_keys(self, mails: Sequence[bytes], lane: Lane) -> None:
        """In the quick lane the wait is taken from the time of costly work; when that is used up, only what is known counts."""
        begun = time.monotonic()
        self._reader.find_keys(mails, lane.dns_seconds if not lane.quick or self._turns.costly_due else 0)
        if lane.quick:
            self._turns.costly(begun)

    def _authenticated(self, item: Decoded | Quarantined | Costly | None, lane: Lane) -> Ready | Costly | None:
        if isinstance(item, Quarantined):
            return intake.with_signer(item, self._reader.authenticate)
        if not isinstance(item, Decoded):
            return item
        submission = self._reader.submission(item)
        return COSTLY if lane.quick and submission.undetermined else submission
