"""What quarantine may hold (docs/reliability.md row 21), and what gives way when a bound is met.

Bounds hold within the transaction that writes. Within a network the oldest message without a signature gives way first; when
the whole is full, the network that takes most gives first. So a stranger displaces its own messages, and nobody else's. What
the operator loaded and what known reporters signed is exempt from the bound on a network, and gives way to nobody but its like.

What gives way is counted in the table ``quarantine_lost``, by reason and bound: nothing disappears without a trace.
"""

import datetime as dt
import itertools
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.models import quarantine, quarantine_lost, quarantine_origin
from ingest.database.sql import chunks, insert_into
from ingest.host import database_disk
from ingest.settings.settings import Settings
from ingest.spool.channels import OF_OPERATOR
from ingest.submissions import Quarantined
from ingest.testimony import reporters, voices
from ingest.text.stored import storable

from .rows import Row

# The bounds by which messages give way (``quarantine_lost.bound``).
OF_NETWORK, OF_WHOLE, OF_DISK = "network", "whole", "disk"
WORDS = {
    OF_NETWORK: "one network sent more than MAX_QUARANTINE_NETWORK_* allow",
    OF_WHOLE: "quarantine held more than MAX_QUARANTINE_* allow",
    OF_DISK: "the database's disk was nearly full (MIN_FREE_BYTES)",
}
# What stands for the content of a message that is not kept: the column is not nullable, for programs of the last version.
NO_CONTENT = zlib.compress(b"")
_LONGEST_EXPLANATION = 2_000
_AT_ONCE = 500
_LOCK = int.from_bytes(b"quarant", "big")
_origin = quarantine_origin.c
_messages, _bytes = sa.func.count(), sa.func.coalesce(sa.func.sum(_origin.size), 0)


class Bounds(msgspec.Struct, frozen=True):
    """Bytes and messages, of all and of one network; who is known; whether the database's disk is nearly full."""

    whole: tuple[int, int]
    network: tuple[int, int]
    signers: tuple[str, ...] = ()
    disk_full: bool = False

    def vouched(self, message: Quarantined) -> bool:
        """Whether the operator loaded it or a known reporter signed it: one of the list, or of STARTTALLY_VERDICT_SIGNERS."""
        if message.arrival.channel.is_operators:
            return True
        signer = message.signer
        if not signer:
            return False
        named = any(signer == domain or signer.endswith("." + domain) for domain in self.signers)
        return named or reporters.is_listed(voices.registrable(signer))


def of(settings: Settings) -> Bounds:
    """The bounds that the settings name, on the database's disk as it is now."""
    return Bounds(
        whole=(settings.max_quarantine_bytes, settings.max_quarantine_messages),
        network=(settings.max_quarantine_network_bytes, settings.max_quarantine_network_messages),
        signers=settings.verdict_signers,
        disk_full=database_disk.lack(settings) is not None,
    )


def _default(name: str) -> int:
    return int(Settings.model_fields[name].default)


DEFAULT = Bounds(
    whole=(_default("max_quarantine_bytes"), _default("max_quarantine_messages")),
    network=(_default("max_quarantine_network_bytes"), _default("max_quarantine_network_messages")),
)


class QuarantineSize(msgspec.Struct, frozen=True):
    """What quarantine holds now: messages with their content, and the bytes of these as they came."""

    messages: int
    bytes: int


class Lost(msgspec.Struct, frozen=True):
    """Messages that gave way for one reason at one bound, since when, and when the last one did."""

    reason: str
    bound: str
    messages: int
    bytes: int
    first_at: dt.datetime
    last_at: dt.datetime


def save(connection: sa.Connection, refused: Sequence[Quarantined], bounds: Bounds, now: dt.datetime) -> None:
    """Write quarantined messages within the caller's transaction, and let give way what is beyond the bounds."""
    messages = {message.arrival.message_digest: message for message in refused}
    if bounds.disk_full:
        turned_away = [message for message in messages.values() if not bounds.vouched(message)]
        for reason, group in itertools.groupby(sorted(turned_away, key=_reason), _reason):
            sizes = [len(message.message) for message in group]
            _count_lost(connection, reason, OF_DISK, (len(sizes), sum(sizes)), now)
        messages = {digest: message for digest, message in messages.items() if bounds.vouched(message)}
    if not messages:
        return
    lock(connection)
    insert = insert_into(connection, quarantine).on_conflict_do_nothing().returning(quarantine.c.message_digest)
    new = connection.execute(insert, [_row(message, now) for message in messages.values()]).scalars().all()
    origins = [_origin_row(messages[digest], bounds, now) for digest in sorted(new)]
    if origins:
        connection.execute(insert_into(connection, quarantine_origin).on_conflict_do_nothing(), origins)
        enforce(connection, bounds, now, sorted({row["network"] for row in origins}))


def lock(connection: sa.Connection) -> None:
    """Keep others from adding to quarantine until the transaction ends. SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def enforce(connection: sa.Connection, bounds: Bounds, now: dt.datetime, networks: Sequence[str] | None = None) -> None:
    """Let give way what is beyond the bounds, of these networks (None: of each) and in all. The caller has the lock."""
    for network in networks if networks is not None else _networks_beyond(connection, bounds):
        if network:  # what an older version stored was never promised to be within bounds of its network
            of_network = (_origin.vouched == sa.false()) & (_origin.network == network)
            _shrink(connection, of_network, _excess(connection, of_network, bounds.network), OF_NETWORK, now)
    while any(excess := _excess(connection, sa.true(), bounds.whole)):
        if not _take_from_strangers(connection, excess, now):
            _shrink(connection, sa.true(), excess, OF_WHOLE, now)
            return


def is_beyond(connection: sa.Connection, bounds: Bounds) -> bool:
    """Whether ``enforce`` would let something give way."""
    return any(_networks_beyond(connection, bounds)) or any(_excess(connection, sa.true(), bounds.whole))


def held(connection: sa.Connection) -> QuarantineSize:
    """What quarantine holds now."""
    return QuarantineSize(*connection.execute(sa.select(_messages, _bytes)).one())


def lost(connection: sa.Connection) -> list[Lost]:
    """What gave way, since ever, most messages first."""
    query = sa.select(quarantine_lost).order_by(quarantine_lost.c.messages.desc(), quarantine_lost.c.reason)
    return [Lost(**row) for row in connection.execute(query).mappings()]


def largest_networks(connection: sa.Connection, limit: int) -> list[tuple[str, QuarantineSize]]:
    """The networks of strangers that take most bytes."""
    query = _demands(_bytes).limit(limit)
    return [(network, QuarantineSize(messages, size)) for network, size, messages in connection.execute(query)]


def empty(connection: sa.Connection, digests: Sequence[str]) -> None:
    """Forget the content of messages; their rows stay. The caller has the lock."""
    for chunk in chunks(digests):
        of_chunk = quarantine.c.message_digest.in_(chunk)
        connection.execute(sa.update(quarantine).where(of_chunk).values(message=NO_CONTENT))
        connection.execute(sa.delete(quarantine_origin).where(_origin.message_digest.in_(chunk)))


def note_origins(connection: sa.Connection, digests: Sequence[str]) -> None:
    """Count in what an older version of the program has stored. Where it came from is not known any more."""
    row = quarantine.c
    arrived_at = sa.func.coalesce(row.stored_at, row.received_at)
    names = ["message_digest", "network", "signer", "vouched", "size", "came_at"]
    for chunk in chunks(digests):
        columns = (row.message_digest, sa.literal(""), sa.null(), row.door.in_(OF_OPERATOR), row.size, arrived_at)
        older = sa.select(*columns).where(row.message_digest.in_(chunk))
        connection.execute(insert_into(connection, quarantine_origin).from_select(names, older))


def remove(connection: sa.Connection, digests: Sequence[str]) -> None:
    """Forget messages altogether. The caller has the lock."""
    for chunk in chunks(digests):
        for table in (quarantine, quarantine_origin):
            connection.execute(sa.delete(table).where(table.c.message_digest.in_(chunk)))


def _reason(message: Quarantined) -> str:
    return message.reason


def _row(message: Quarantined, now: dt.datetime) -> Row:
    return {
        "message_digest": message.arrival.message_digest,
        "received_at": message.arrival.received_at,
        "door": message.arrival.door,
        "reason": message.reason,
        "explanation": storable(message.explanation[:_LONGEST_EXPLANATION]),
        "sender": storable(message.arrival.sender),
        "subject": storable(message.subject),
        "file_name": None if message.file_name is None else storable(message.file_name),
        "size": len(message.message),
        "message": zlib.compress(message.message),
        "stored_at": now,
    }


def _origin_row(message: Quarantined, bounds: Bounds, now: dt.datetime) -> Row:
    return {
        "message_digest": message.arrival.message_digest,
        "network": message.arrival.network,
        "signer": message.signer,
        "vouched": bounds.vouched(message),
        "size": len(message.message),
        "came_at": now,
    }


def _networks_beyond(connection: sa.Connection, bounds: Bounds) -> list[str]:
    beyond = (_bytes > bounds.network[0]) | (_messages > bounds.network[1])
    return [network for network, *_ in connection.execute(_demands(_bytes).having(beyond))]


def _excess(connection: sa.Connection, condition: sa.ColumnElement[bool], most: tuple[int, int]) -> tuple[int, int]:
    """Bytes and messages beyond ``most``."""
    messages, size = connection.execute(sa.select(_messages, _bytes).where(condition)).one()
    return max(0, size - most[0]), max(0, messages - most[1])


def _demands(measure: sa.ColumnElement[int]) -> sa.Select[Any]:
    """Networks of strangers with what they take by one measure, and their messages; most first."""
    query = sa.select(_origin.network, measure, _messages).where(_origin.vouched == sa.false())
    return query.group_by(_origin.network).order_by(measure.desc(), _origin.network)


def _take_from_strangers(connection: sa.Connection, excess: tuple[int, int], now: dt.datetime) -> bool:
    """Bring the networks that take most down to one level. Whether there was anything to take."""
    by_bytes = excess[0] > 0
    beyond = excess[0] if by_bytes else excess[1]
    rows = connection.execute(_demands(_bytes if by_bytes else _messages).limit(_AT_ONCE)).all()
    level = _level([demand for _, demand, _ in rows], beyond)
    for network, demand, _ in rows:
        if beyond <= 0 or demand <= level:
            break
        part = min(beyond, demand - level)
        of_network = (_origin.vouched == sa.false()) & (_origin.network == network)
        taken = _shrink(connection, of_network, (part, 0) if by_bytes else (0, part), OF_WHOLE, now)
        beyond -= taken[0] if by_bytes else taken[1]
    return bool(rows)


def _level(demands: Sequence[int], beyond: int) -> int:
    """The demand to which the greatest of ``demands`` (descending) must come down, so that ``beyond`` is freed in all."""
    total = 0
    for number, (demand, following) in enumerate(itertools.pairwise([*demands, 0]), start=1):
        total += demand
        if total - number * following >= beyond:
            return max(0, (total - beyond) // number)
    return 0


def _shrink(
    connection: sa.Connection,
    condition: sa.ColumnElement[bool],
    excess: tuple[int, int],
    bound: str,
    now: dt.datetime,
) -> tuple[int, int]:
    """Let the oldest messages give way, unsigned ones first, until so many bytes and messages are freed. What was freed."""
    unsigned_first = sa.case((sa.and_(_origin.vouched == sa.false(), _origin.signer == ""), 0), else_=1)
    query = sa.select(_origin.message_digest, _origin.size).where(condition)
    query = query.order_by(_origin.vouched, unsigned_first, _origin.came_at, _origin.message_digest).limit(_AT_ONCE)
    freed_bytes = freed_messages = 0
    while freed_bytes < excess[0] or freed_messages < excess[1]:
        going: dict[str, int] = {}
        for digest, size in connection.execute(query).all():
            if freed_bytes >= excess[0] and freed_messages >= excess[1]:
                break
            going[digest] = size
            freed_bytes += size
            freed_messages += 1
        if not going:
            break
        _give_way(connection, going, bound, now)
    return freed_bytes, freed_messages


def _give_way(connection: sa.Connection, going: Mapping[str, int], bound: str, now: dt.datetime) -> None:
    row = quarantine.c
    query = sa.select(row.reason, sa.func.count(), sa.func.sum(row.size)).where(row.message_digest.in_(going))
    for reason, messages, size in connection.execute(query.group_by(row.reason).order_by(row.reason)).all():
        _count_lost(connection, reason, bound, (messages, int(size)), now)
    remove(connection, list(going))


def _count_lost(connection: sa.Connection, reason: str, bound: str, counts: tuple[int, int], now: dt.datetime) -> None:
    messages, size = counts
    insert = insert_into(connection, quarantine_lost)
    row = {"reason": reason, "bound": bound, "messages": messages, "bytes": size, "first_at": now, "last_at": now}
    change = {
        "messages": quarantine_lost.c.messages + messages,
        "bytes": quarantine_lost.c.bytes + size,
        "last_at": now,
    }
    connection.execute(insert.on_conflict_do_update(index_elements=["reason", "bound"], set_=change), row)
