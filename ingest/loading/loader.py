"""``starttally load``: files, folders, mbox and Maildir into the database, in bounded memory and any number of times."""

import collections
import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from multiprocessing.sharedctypes import RawValue
from pathlib import Path

import msgspec
import sqlalchemy as sa

from ingest.authentication.dkim_keys import Keys
from ingest.database import engines
from ingest.settings.settings import Settings
from ingest.store import quarantine_bounds, saving
from ingest.submissions import Decoded, Quarantined, Submission
from ingest.testimony import unread
from ingest.work import limited
from ingest.work.reader import Reader, asking_for_keys

from . import mailbox, outcomes

# A batch ends at whichever comes first: mail archives hold anything from 2 KB reports to 20 MiB attachments.
_BATCH_MESSAGES = 200
_BATCH_BYTES = 16 * 1024 * 1024
# Readers that may end over a message before it is set aside; and what a message, and finding the next one, may cost.
_MAX_ENDS = 2
_CPU_SECONDS = 30


# Messages that are named one by one; thousands of lines help nobody.
_MAX_NAMED = 20


class Loaded(msgspec.Struct):
    """What ``load`` did: the tally of messages, and what of them is no report.

    ``problems`` are the sources that could not be read (origin: reason), ``unreachable`` of them not even opened. ``ignored``
    counts, by what it is, what was recognised as none of ours. ``quarantined`` are the digests of what is kept in quarantine;
    ``reasons`` says of the first few, by digest, where they are and what is wrong with them, ``remarks`` of files that the
    user named what they are instead, and ``advice`` of each kind of file that may hold reports what to do with the first one.
    """

    tally: saving.Tally = msgspec.field(default_factory=saving.Tally)
    problems: list[str] = msgspec.field(default_factory=list)
    unreachable: int = 0
    ignored: collections.Counter[tuple[str, str]] = msgspec.field(default_factory=collections.Counter)
    quarantined: set[str] = msgspec.field(default_factory=set)
    reasons: dict[str, str] = msgspec.field(default_factory=dict)
    remarks: list[str] = msgspec.field(default_factory=list)
    advice: dict[str, str] = msgspec.field(default_factory=dict)

    def __iadd__(self, other: "Loaded") -> "Loaded":
        self.tally += other.tally
        self.problems += other.problems
        self.unreachable += other.unreachable
        self.ignored += other.ignored
        self.quarantined |= other.quarantined
        self.reasons = dict(itertools.islice((self.reasons | other.reasons).items(), _MAX_NAMED))
        self.advice = other.advice | self.advice
        self.remarks = (self.remarks + other.remarks)[:_MAX_NAMED]
        return self

    @property
    def in_words(self) -> str:
        """What was ignored, most frequent first: "400 mails without ..., 1 DMARC aggregate report"."""
        return ", ".join(
            f"{count} {plural if count > 1 else singular}" for (singular, plural), count in self.ignored.most_common()
        )

    def leave(self, origin: str, why: outcomes.Ignored | outcomes.Unread, *, named: bool) -> None:
        """Count a source that is not stored; ``named`` as in mailbox.Mail."""
        if isinstance(why, outcomes.Unread):
            self.problems.append(f"{origin}: {why.reason}")
            return
        self.ignored[why.singular, why.plural] += 1
        if why.advice:
            self.advice.setdefault(why.plural, why.advice)
        if named:
            self.remarks.append(f"{origin}: {why.singular}")

    def keep(self, origin: str, digest: str, reason: str) -> None:
        """Count a message that goes to quarantine."""
        self.quarantined.add(digest)
        self.reasons.setdefault(digest, f"{origin}: {reason}")


class ReadBatch(msgspec.Struct, frozen=True):
    """Sources that were read: what of them is stored next, what became of the others, how many sources are done with so far,
    and how many bytes.
    """

    ready: list[Submission | Quarantined]
    loaded: Loaded
    sources: int
    bytes_done: int


def load(
    paths: Sequence[Path],
    settings: Settings,
    engine: sa.Engine,
    keys: Keys,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Loaded:
    """Store everything under ``paths``, in this process. ``progress`` is called with the source bytes done so far.

    A mail is ``verified`` when its DKIM signature still verifies, else ``imported``, as bare report files are. Raises
    DatabaseAway; what was stored before stays, and loading again goes on from there.
    """
    loaded = Loaded()
    for batch in _Reading(Reader(settings, keys)).batches(paths):
        loaded += _store(batch, engine, settings)
        progress(batch.bytes_done)
    return loaded


def load_in_children(
    paths: Sequence[Path], settings: Settings, progress: Callable[[int], None] = lambda _bytes: None
) -> Loaded:
    """The same with reading in limited child processes (limited.py), one at a time, while this one stores what the child has
    read before: a message that ends its reader twice goes to quarantine, and the rest is loaded.
    """
    loaded = Loaded()
    engine = engines.open_engine(settings.database_url)
    # Sources read so far, the one in hand (the child writes it where this process sees it), and how many readers ended over each.
    sources, in_hand, ends = 0, RawValue("q", 0), collections.Counter[int]()

    def receive(batch: ReadBatch) -> None:
        nonlocal loaded, sources
        loaded += _store(batch, engine, settings)
        sources = batch.sources
        progress(batch.bytes_done)

    def read(say: limited.Say) -> None:
        def begin(source: int) -> None:
            limited.allow_cpu(_CPU_SECONDS)
            in_hand.value = source

        # What a message may cost is allowed for each source, as finding it costs, too; the reader allows no more.
        reading = _Reading(Reader(settings, Keys(settings.nameservers)), begin, ends)
        for batch in reading.batches(paths, sources):
            say(batch)

    try:
        while not limited.in_a_child(read, receive):
            engine.dispose()  # a child must not inherit a connection
            ends[in_hand.value] += 1
            if (
                ends[in_hand.value] > _MAX_ENDS
            ):  # it was not even read the last time: finding the next source is what fails
                loaded.problems.append(f"reading stopped after {in_hand.value + 1} messages (memory or time ran out)")
                break
    finally:
        engine.dispose()
    return loaded


def _store(batch: ReadBatch, engine: sa.Engine, settings: Settings) -> Loaded:
    """Store what was read, in one transaction; what became of the batch."""
    try:
        with engine.begin() as connection:
            bounds = quarantine_bounds.of(settings)
            batch.loaded.tally += saving.save(connection, batch.ready, dt.datetime.now(dt.UTC), bounds)
    except (sa.exc.OperationalError, sa.exc.InterfaceError) as error:
        raise engines.as_away(error) from error
    return batch.loaded


class _Reading:
    """``begin`` is called with the number of each source before it is read; ``ends`` says how many readers ended over it."""

    def __init__(
        self,
        reader: Reader,
        begin: Callable[[int], None] = lambda _source: None,
        ends: Mapping[int, int] | None = None,
    ) -> None:
        self._reader = reader
        self._settings = reader.settings
        self._begin = begin
        self._ends = ends or {}

    def batches(self, paths: Sequence[Path], skip: int = 0) -> Iterator[ReadBatch]:
        """Read batch after batch, without the first ``skip`` sources; suspects come alone."""
        # A bare file needs no transfer encoding, so it may be as large as a report.
        largest = max(self._settings.max_message_bytes, self._settings.max_report_bytes)
        batch, to_store, size, count, bytes_done = Loaded(), list[Decoded | Quarantined](), 0, 0, 0
        for number, source in enumerate(mailbox.messages(paths, largest)):
            if number in self._ends and count:
                yield ReadBatch(self._authenticated(to_store), batch, number, bytes_done)
                batch, to_store, size, count = Loaded(), [], 0, 0
            self._begin(number)
            if number < skip:
                continue
            size += self._read(source, number, batch, to_store)
            count, bytes_done = count + 1, source.bytes_done
            if number in self._ends or count >= _BATCH_MESSAGES or size >= _BATCH_BYTES:
                yield ReadBatch(self._authenticated(to_store), batch, number + 1, bytes_done)
                batch, to_store, size, count = Loaded(), [], 0, 0
        if count:
            yield ReadBatch(self._authenticated(to_store), batch, number + 1, bytes_done)

    def _read(
        self, source: mailbox.MailboxEntry, number: int, batch: Loaded, to_store: list[Decoded | Quarantined]
    ) -> int:
        """Read a source into ``batch`` or ``to_store``; the bytes that it holds from now on."""
        if isinstance(source, mailbox.Problem):
            batch.unreachable += source.unreachable
            batch.leave(source.origin, outcomes.of_problem(source), named=False)
            return 0
        if self._ends.get(number, 0) >= _MAX_ENDS:
            outcome: outcomes.Outcome = _set_aside(source)
        else:
            outcome = outcomes.of_source(source, self._reader)
        if isinstance(outcome, outcomes.Ignored | outcomes.Unread):
            batch.leave(source.origin, outcome, named=source.named)
            return 0
        wrong = outcome.explanation if isinstance(outcome, Quarantined) else outcome.unread
        wrong = wrong.removeprefix(f"{outcome.file_name} ")
        if wrong:
            batch.keep(source.origin, outcome.arrival.message_digest, wrong)
        to_store.append(outcome)
        return outcome.held

    def _authenticated(self, to_store: Sequence[Decoded | Quarantined]) -> list[Submission | Quarantined]:
        # "Still verifies" is a question about today, not about the day the mail came.
        self._reader.find_keys(asking_for_keys(to_store))
        today = dt.datetime.now(dt.UTC)
        return [self._reader.submission(item, today) if isinstance(item, Decoded) else item for item in to_store]


def _set_aside(source: mailbox.Mail | mailbox.ReportFile) -> Quarantined:
    why = f"reading it failed {_MAX_ENDS} times (memory or time ran out)"
    name = source.file_name if isinstance(source, mailbox.ReportFile) else None
    arrival = msgspec.structs.replace(outcomes.arrival_of(source), received_at=source.modified, estimated=True)
    return Quarantined(arrival, source.data, unread.KILLED_READER, why, "", name)
