"""Second looks at mails whose DKIM key DNS could not give, again and again until it answers, for 3 days; and at signatures that
hold but are outside their time, for 30.

All this goes by this host's clock, which may be wrong (reliability.md row 22). So nothing is given up without many attempts, at
most one an hour, and a time of arrival that cannot be is not believed: one after today, or before the end of what is reported.

The messages are strangers' and may be large, and reading one may end this process (limited.py). So an attempt is counted
before it is made, one message is in memory at a time, and one that a reader died over is read alone.
"""

import collections
import datetime as dt
import logging
import time
import zlib

import msgspec
import sqlalchemy as sa

from ingest import intake
from ingest.authentication.dkim_message import MAX_HEADER_BYTES
from ingest.authentication.verdict import Authentication
from ingest.database.models import undetermined
from ingest.spool.trace import Arrival
from ingest.store import quarantine_bounds, saving
from ingest.store.upkeep import clock
from ingest.submissions import FILE_DELAY, Decoded, Quarantined, Submission
from ingest.testimony.trust import UNDETERMINED

from .blame import trouble_behind
from .owed import Owed
from .reader import Reader

log = logging.getLogger(__name__)

# Google's signatures expire after 7 days, and a key that cannot be found for 3 days will not be found.
GIVE_UP_AFTER = dt.timedelta(days=3)
# A clock that was set wrong may be noticed late.
_GIVE_UP_UNTIMELY_AFTER = dt.timedelta(days=30)
_LONGEST_WAIT = dt.timedelta(hours=1)
# Attempts in a third of the time. A clock that jumps by years makes none.
_ATTEMPTS_A_DAY = 8
# Look-ups are worth a batch: reports of 200 mails come from a few dozen domains.
_AT_ONCE = 200
# A worker may be killed for other reasons than the message it is reading.
_MAX_UNFINISHED = 3
# What dkim_message reads of a mail to find its signatures, and a little more.
_HEADER = MAX_HEADER_BYTES + 1024
# A name server that is only slow gets its chance in the background.
_DNS_SECONDS = 2.0


class Progress(msgspec.Struct):
    """What a round did: messages decided (or given up), and whether more are due now."""

    decided: int = 0
    more: bool = False


class _Due(msgspec.Struct, frozen=True):
    digest: str
    received_at: dt.datetime
    attempts: int
    unfinished: int
    door: str
    sender: str

    @property
    def mine(self) -> sa.ColumnElement[bool]:
        return undetermined.c.message_digest == self.digest

    def as_it_was(self, now: dt.datetime) -> sa.Update:
        """Take the claim back: no attempt was made, and it is due."""
        before = {"attempts": self.attempts, "unfinished": self.unfinished, "next_attempt": now}
        return sa.update(undetermined).where(self.mine).values(before)


def retry_undetermined(
    engine: sa.Engine, reader: Reader, now: dt.datetime, seconds: float = 10.0, owed: Owed | None = None
) -> Progress:
    """Authenticate the stored messages whose time has come, for about ``seconds``, so that new mail is not held up.

    ``owed`` is kept by the caller from one round to the next.

    After three days without an answer from DNS the report stays ``unverified``, its delivery keeps the verdict
    ``undetermined`` with a reason that says so, and the stored message is dropped. A signature that is outside its time for
    thirty days has failed.
    """
    deadline = time.monotonic() + seconds
    progress = Progress()
    owed = owed or Owed()
    owed.pay(engine)
    while due := _claim(engine, now):
        unseen = collections.deque(due)
        try:
            headers = [_header(engine, pending) for pending in due]
            reader.find_keys(headers, max(_DNS_SECONDS, reader.settings.dns_seconds))
            while unseen and (len(unseen) == len(due) or time.monotonic() < deadline):
                progress.decided += _look_again(engine, unseen[0], reader, now)
                unseen.popleft()
        except (sa.exc.SQLAlchemyError, OSError) as error:
            if trouble_behind(error):
                owed.owe(*(pending.as_it_was(now) for pending in unseen))
            raise
        owed.owe(*(pending.as_it_was(now) for pending in unseen))
        owed.pay(engine)
        if time.monotonic() >= deadline:
            progress.more = _any_due(engine, now)
            break
    if progress.decided:
        log.info("decided %d DKIM verdicts that had waited for DNS", progress.decided)
    return progress


def count(engine: sa.Engine) -> int:
    """How many messages wait for their verdict."""
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(undetermined)).scalar_one()


def _claim(engine: sa.Engine, now: dt.datetime) -> list[_Due]:
    """The next messages, with the attempt counted and the next one put off before anything is read: whatever happens to
    this process, it does not meet the same message again at once.
    """
    row = undetermined.c
    columns = (row.message_digest, row.received_at, row.attempts, row.unfinished, row.door, row.sender)
    waiting = sa.select(*columns).where(_is_due(now)).order_by(row.unfinished, row.next_attempt)
    with engine.begin() as connection:
        # Two workers must not take the same ones (SQLite has one writer at a time anyway).
        rows = connection.execute(waiting.limit(_AT_ONCE).with_for_update(skip_locked=True)).all()
        due = [_Due(*values) for values in rows]
        due = due[:1] if due and due[0].unfinished else [pending for pending in due if not pending.unfinished]
        for attempts in {pending.attempts for pending in due}:
            digests = [pending.digest for pending in due if pending.attempts == attempts]
            change = {
                "attempts": attempts + 1,
                "unfinished": row.unfinished + 1,
                "next_attempt": now + min(saving.FIRST_RETRY * 2 ** min(attempts + 1, 10), _LONGEST_WAIT),
            }
            connection.execute(sa.update(undetermined).where(row.message_digest.in_(digests)).values(change))
    return due


def _any_due(engine: sa.Engine, now: dt.datetime) -> bool:
    with engine.connect() as connection:
        first = sa.select(undetermined.c.message_digest).where(_is_due(now)).limit(1)
        return connection.execute(first).first() is not None


def _is_due(now: dt.datetime) -> sa.ColumnElement[bool]:
    """Its time has come, or is so far off that the clock has been set back since."""
    next_attempt = undetermined.c.next_attempt
    return (next_attempt <= now) | (next_attempt > now + 2 * _LONGEST_WAIT)


def _header(engine: sa.Engine, pending: _Due) -> bytes:
    return zlib.decompressobj().decompress(_compressed(engine, pending), _HEADER)


def _compressed(engine: sa.Engine, pending: _Due) -> bytes:
    with engine.connect() as connection:
        stored = connection.execute(sa.select(undetermined.c.message).where(pending.mine)).scalar_one_or_none()
    return zlib.compress(b"") if stored is None else bytes(stored)


def _look_again(engine: sa.Engine, pending: _Due, reader: Reader, now: dt.datetime) -> bool:
    reader.begin()
    if pending.unfinished >= _MAX_UNFINISHED:
        why = f"given up: checking the signature again ended the worker {pending.unfinished} times"
        with engine.begin() as connection:
            saving.give_up(connection, pending.digest, why, None, now)
        return True
    arrival = Arrival(pending.door, pending.received_at, pending.digest, sender=pending.sender)
    decoded = reader.decode(zlib.decompress(_compressed(engine, pending)), arrival)
    bounds = quarantine_bounds.of(reader.settings)
    if isinstance(decoded, Quarantined):  # STARTTALLY_DOMAINS has changed meanwhile; its rows stay as they are
        with engine.begin() as connection:
            connection.execute(sa.delete(undetermined).where(pending.mine))
        return True
    waiting = intake.authenticated(decoded, lambda _message, _now: Authentication(UNDETERMINED))
    submission = _authenticated(decoded, reader, now)
    with engine.begin() as connection:
        return _note(connection, pending, waiting, submission, now, bounds)


def _authenticated(decoded: Decoded, reader: Reader, now: dt.datetime) -> Submission:
    """The verdict by the time of arrival, which is estimated where the recorded one cannot be."""
    arrived = decoded.arrival.received_at
    end = max(report.end for report, _ in decoded.reports)
    if arrived > now + clock.LARGEST_ERROR or now > end > arrived + clock.LARGEST_ERROR:
        estimate = min(now, end + FILE_DELAY)
        arrival = msgspec.structs.replace(decoded.arrival, received_at=estimate, estimated=True)
        decoded = msgspec.structs.replace(decoded, arrival=arrival)
        # It came at some time in between.
        moments = [now, min(now, end)]
    else:
        moments = [arrived, now]

    def at_one_of(message: bytes, now: dt.datetime) -> Authentication:  # noqa: ARG001
        verdict = reader.authenticate(message, moments[0])
        return reader.authenticate(message, moments[1]) if verdict.untimely else verdict

    return intake.authenticated(decoded, at_one_of)


def _is_given_up(pending: _Due, after: dt.timedelta, now: dt.datetime) -> bool:
    """After so long, and attempts enough; or where the time of arrival tells nothing, after attempts of so long."""
    enough = pending.attempts >= after.days * _ATTEMPTS_A_DAY
    if pending.received_at > now + clock.LARGEST_ERROR:
        return pending.attempts >= after / _LONGEST_WAIT
    return enough and now - pending.received_at >= after


def _note(
    connection: sa.Connection,
    pending: _Due,
    waiting: Submission,
    submission: Submission,
    now: dt.datetime,
    bounds: quarantine_bounds.Bounds,
) -> bool:
    verdict = submission.authentication
    if verdict.untimely and _is_given_up(pending, _GIVE_UP_UNTIMELY_AFTER, now):
        submission = msgspec.structs.replace(submission, authentication=verdict.for_good)
    if submission.authentication.dkim != UNDETERMINED:
        saving.settle(connection, waiting, submission, now, bounds)
        return True
    if not verdict.untimely and _is_given_up(pending, GIVE_UP_AFTER, now):
        why = f"given up: DNS gave no answer for {GIVE_UP_AFTER.days} days ({verdict.reason})"
        saving.give_up(connection, pending.digest, why, submission, now)
        return True
    connection.execute(sa.update(undetermined).where(pending.mine).values(unfinished=0))
    return False
