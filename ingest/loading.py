"""``starttally load``: files, folders, mbox and Maildir into the database, in bounded memory and any number of times."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from . import database, intake, mailbox, store, trace
from .authentication import Authentication, authenticate, signature_names
from .dkim_keys import Keys
from .intake import Decoded, Quarantined, Submission
from .settings import Settings
from .tlsrpt.document import may_hold_report
from .trace import Arrival

# A batch ends at whichever comes first: mail archives hold anything from 2 KB reports to 20 MiB attachments.
_BATCH_MESSAGES = 200
_BATCH_BYTES = 16 * 1024 * 1024


# What is named so was meant as a report; if it is none, quarantine keeps it. Other files that do not even look like one
# just happen to lie in the same folder.
_NAMED_AS_REPORTS = (".json", ".gz", ".zip", ".eml")


class Loaded(msgspec.Struct):
    """What ``load`` did: the tally of messages, the sources that could not be read at all (origin: reason), and the number
    of files passed over because nothing about them looks like a report.
    """

    tally: store.Tally
    problems: list[str]
    passed_over: int = 0


def load(
    paths: Sequence[Path],
    settings: Settings,
    engine: sa.Engine,
    keys: Keys,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Loaded:
    """Store everything under ``paths``. ``progress`` is called with the source bytes done so far.

    A mail is ``verified`` when its DKIM signature still verifies, else ``imported``, as bare report files are. Raises
    DatabaseAway; what was stored before stays, and loading again goes on from there.
    """
    loaded = Loaded(store.Tally(), [])
    # A bare file needs no transfer encoding, so it may be as large as a report.
    largest = max(settings.max_message_bytes, settings.max_report_bytes)
    for batch in _batches(mailbox.messages(paths, largest)):
        found: list[Decoded | Quarantined] = []
        for source in batch:
            if isinstance(source, mailbox.Problem):
                loaded.problems.append(f"{source.origin}: {source.reason}")
            elif _is_something_else(source):
                loaded.passed_over += 1
            else:
                found.append(_decoded(source, settings))
        try:
            with engine.begin() as connection:
                loaded.tally += store.save(connection, _authenticated(found, keys, settings), dt.datetime.now(dt.UTC))
        except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
            raise database.as_away(error) from error
        progress(batch[-1].bytes_done)
    return loaded


def _batches(found: Iterator[mailbox.Found]) -> Iterator[list[mailbox.Found]]:
    batch: list[mailbox.Found] = []
    size = 0
    for item in found:
        batch.append(item)
        size += 0 if isinstance(item, mailbox.Problem) else len(item.data)
        if len(batch) >= _BATCH_MESSAGES or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _is_something_else(source: mailbox.Mail | mailbox.ReportFile) -> bool:
    if isinstance(source, mailbox.Mail) or source.file_name.lower().endswith(_NAMED_AS_REPORTS):
        return False
    return not may_hold_report(source.data)


def _decoded(source: mailbox.Mail | mailbox.ReportFile, settings: Settings) -> Decoded | Quarantined:
    digest = trace.digest(source.data)
    if isinstance(source, mailbox.ReportFile):
        arrival = Arrival(trace.LOAD, source.modified, digest, estimated=True)
        return intake.decode_file(source.data, source.file_name, arrival, settings)
    said = mailbox.arrival_time(source.data)
    arrival = Arrival(trace.LOAD, said or source.modified, digest, estimated=said is None)
    return intake.decode_mail(source.data, arrival, settings)


def _authenticated(
    found: Sequence[Decoded | Quarantined], keys: Keys, settings: Settings
) -> list[Submission | Quarantined]:
    mails = [item.message for item in found if isinstance(item, Decoded) and item.file_name is None]
    keys.prefetch(sorted({name for mail in mails for name in signature_names(mail)}), settings.dns_seconds)

    today = dt.datetime.now(dt.UTC)

    def verdict(message: bytes, now: dt.datetime) -> Authentication:  # noqa: ARG001
        # "Still verifies" is a question about today, not about the day the mail came.
        return authenticate(message, keys, today)

    return [
        intake.authenticated(item, None if item.file_name is not None else verdict)
        if isinstance(item, Decoded)
        else item
        for item in found
    ]
