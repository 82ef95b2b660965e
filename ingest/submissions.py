"""What becomes of a message on its way: Decoded, then a Submission; or Quarantined, with the reason. Data only."""

import datetime as dt

import msgspec

from ingest.authentication.verdict import Authentication
from ingest.rfc.tlsrpt import message as report_mail
from ingest.rfc.tlsrpt.document import Document
from ingest.rfc.tlsrpt.report import Report
from ingest.spool.trace import Arrival
from ingest.testimony.trust import UNDETERMINED
from ingest.testimony.unread import KILLED_READER, PARTLY_READ

# docs/verdict.md: a bare file is taken to have arrived one day after its range's end.
FILE_DELAY = dt.timedelta(days=1)


class Decoded(msgspec.Struct, frozen=True):
    """A message with at least one report in it, not authenticated yet. ``message`` is as its sender wrote it.

    ``file_name`` is that of a bare report file, None for a mail; ``unread`` says why parts of it could not be read.
    """

    arrival: Arrival
    message: bytes
    reports: tuple[tuple[Report, Document], ...]
    submitter: str = ""
    author: str = ""
    file_name: str | None = None
    unread: str = ""

    @property
    def asks_for_key(self) -> bool:
        """Whether it is mail, which may carry a signature: no HTTPS body, no bare file."""
        return self.arrival.channel.is_signed and self.file_name is None

    @property
    def held(self) -> int:
        """Bytes of message and reports: what keeping it costs, roughly."""
        return len(self.message) + sum(len(document.text) for _, document in self.reports)


class Submission(msgspec.Struct, frozen=True):
    """A message ready for the store: its reports, how it came, and how far it is trusted."""

    decoded: Decoded
    authentication: Authentication
    trust: str

    @property
    def undetermined(self) -> bool:
        """Whether the message must be kept, to be authenticated again later."""
        return self.authentication.dkim == UNDETERMINED

    @property
    def unread(self) -> "Quarantined | None":
        """The message once more, for quarantine, when a part that looks like a report could not be read."""
        decoded = self.decoded
        if not decoded.unread:
            return None
        refused = quarantined(decoded.message, decoded.arrival, PARTLY_READ, decoded.unread)
        return msgspec.structs.replace(refused, signer=signer_of(self.authentication))


class Quarantined(msgspec.Struct, frozen=True):
    """A message that could not be read. ``reason`` is a short code, ``explanation`` a sentence for people.

    ``file_name`` is that of a bare file, None for a mail; ``signer`` the domain whose signature holds, "" when none does, None
    when nobody has looked or could.
    """

    arrival: Arrival
    message: bytes
    reason: str
    explanation: str
    subject: str = ""
    file_name: str | None = None
    signer: str | None = None

    @property
    def asks_for_key(self) -> bool:
        """Whether its signature is worth a look: not where reading it ended its reader, and only mail has one."""
        return self.arrival.channel.waits_for_dns and self.file_name is None and self.reason != KILLED_READER

    @property
    def held(self) -> int:
        """Bytes of the message."""
        return len(self.message)


def quarantined(message: bytes, arrival: Arrival, reason: str, explanation: str) -> Quarantined:
    """A message on its way to quarantine."""
    return Quarantined(arrival, message, reason, explanation, report_mail.subject(message))


def signer_of(verdict: Authentication) -> str | None:
    """The domain whose signature holds, "" when none does; None while DNS owes the key."""
    return None if verdict.dkim == UNDETERMINED else verdict.signer
