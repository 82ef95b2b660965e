"""Strangers cannot fill the database: what quarantine holds is bounded, and what gives way is counted (reliability.md row 21)."""

import datetime as dt
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from ingest.authentication.dkim_keys import Keys
from ingest.database import compaction, engines, models
from ingest.host import database_disk
from ingest.settings import settings
from ingest.settings.settings import Settings
from ingest.spool import channels, trace
from ingest.spool.maildir import Spool
from ingest.spool.trace import Arrival
from ingest.store import quarantine, quarantine_bounds, saving
from ingest.store.quarantine_bounds import DEFAULT, OF_DISK, OF_NETWORK, OF_WHOLE, Bounds, QuarantineSize
from ingest.store.upkeep import retention, upgrades
from ingest.submissions import Quarantined
from ingest.testimony.unread import PARTLY_READ
from ingest.work.worker import Worker
from tests import signing
from tests.ingest.store.test_saving import NOW, USUAL, rows, submission
from tests.ingest.work.test_worker import deliver
from tests.nameserver import NameServer, txt

KIB, DAY = 1024, dt.timedelta(days=1)
FLOODER, NEIGHBOUR, UNKNOWN = "192.0.2.0/24", "198.51.100.0/24", "unknown"
SMALL = Bounds(whole=(100 * KIB, 50), network=(20 * KIB, 10))


def message(number: int, network: str = FLOODER, size: int = KIB, **more: Any) -> Quarantined:
    data = (b"%08d" % number).ljust(size, b"x")
    arrival = Arrival(channels.SMTP, NOW, trace.digest(data), network=network)
    return msgspec.structs.replace(Quarantined(arrival, data, "no-report", "no report", signer=""), **more)


def save(engine: sa.Engine, *messages: Quarantined, bounds: Bounds = SMALL, now: dt.datetime = NOW) -> None:
    with engine.begin() as connection:
        saving.save(connection, messages, now, bounds)


def numbers(engine: sa.Engine) -> list[int]:
    """The messages that are still there."""
    return sorted(int(quarantine.content(engine, digest)[:8]) for digest in quarantine.waiting(engine))


def lost(engine: sa.Engine) -> list[tuple[str, str, int, int]]:
    return [(each.reason, each.bound, each.messages, each.bytes) for each in quarantine.lost(engine)]


def held(engine: sa.Engine) -> QuarantineSize:
    with engine.connect() as connection:
        return quarantine_bounds.held(connection)


def later(number: int) -> dt.datetime:
    return NOW + dt.timedelta(seconds=number)


def test_one_network_fills_its_own_share_and_no_more(engine: sa.Engine) -> None:
    save(engine, message(900, NEIGHBOUR))
    for number in range(30):
        save(engine, message(number), now=later(number))
    assert numbers(engine) == [*range(20, 30), 900], "the oldest of its own give way"
    assert lost(engine) == [("no-report", OF_NETWORK, 20, 20 * KIB)]
    assert held(engine) == QuarantineSize(11, 11 * KIB)


def test_bytes_are_bounded_as_messages_are(engine: sa.Engine) -> None:
    save(engine, *(message(number, size=8 * KIB) for number in range(5)))
    assert held(engine) == QuarantineSize(2, 16 * KIB)
    save(engine, message(9, size=21 * KIB), now=later(1))
    assert held(engine) == QuarantineSize(0, 0), "what is larger than the bound has no place at all"
    assert lost(engine) == [("no-report", OF_NETWORK, 6, 61 * KIB)]


def test_the_same_message_again_counts_once(engine: sa.Engine) -> None:
    for _ in range(3):
        save(engine, message(1), message(1))
    assert held(engine) == QuarantineSize(1, KIB)


def test_what_is_signed_outlives_what_is_not(engine: sa.Engine) -> None:
    save(engine, message(1, signer="small.example"), message(2, signer=None))
    for number in range(10, 30):
        save(engine, message(number), now=later(number))
    assert numbers(engine) == [1, 2, *range(22, 30)]


def test_when_the_whole_is_full_the_greediest_network_gives_way(engine: sa.Engine) -> None:
    bounds = msgspec.structs.replace(SMALL, whole=(100 * KIB, 12))
    save(engine, *(message(number) for number in range(10)), bounds=bounds)
    save(engine, message(900, NEIGHBOUR), message(901, "203.0.113.0/24"), bounds=bounds, now=later(1))
    save(engine, message(902, "2001:db8::/48"), message(903, UNKNOWN), bounds=bounds, now=later(2))
    assert [number for number in numbers(engine) if number >= 900] == [900, 901, 902, 903]
    assert held(engine).messages == 12
    assert lost(engine) == [("no-report", OF_WHOLE, 2, 2 * KIB)]


def test_a_flood_from_many_networks_is_bounded_too(engine: sa.Engine) -> None:
    bounds = msgspec.structs.replace(SMALL, whole=(30 * KIB, 1000))
    flood = [message(number, f"10.0.{number}.0/24") for number in range(200)]
    save(engine, *flood, bounds=bounds)
    assert held(engine) == QuarantineSize(30, 30 * KIB)
    save(engine, message(900, NEIGHBOUR, 5 * KIB), bounds=bounds)
    assert held(engine).bytes <= 30 * KIB
    assert sum(each[2] for each in lost(engine)) + held(engine).messages == 201


@pytest.mark.parametrize(
    ("demands", "beyond", "level"),
    [([9, 5, 1], 3, 6), ([9, 5, 1], 4, 5), ([9, 5, 1], 8, 3), ([9, 5, 1], 15, 0), ([1, 1, 1], 2, 0), ([], 5, 0)],
)
def test_the_greatest_come_down_to_one_level(demands: Sequence[int], beyond: int, level: int) -> None:
    assert quarantine_bounds._level(demands, beyond) == level
    assert sum(max(0, demand - level) for demand in demands) >= min(beyond, sum(demands))


def vouched() -> list[Quarantined]:
    known = message(901, signer="google.com", reason=PARTLY_READ)
    loaded = message(902, "")
    return [known, msgspec.structs.replace(loaded, arrival=msgspec.structs.replace(loaded.arrival, door=channels.LOAD))]


def test_known_reporters_and_the_operator_give_way_to_no_stranger(engine: sa.Engine) -> None:
    save(engine, *vouched())
    save(engine, *(message(number, size=9 * KIB) for number in range(3)), now=later(1))
    tight = msgspec.structs.replace(SMALL, whole=(100 * KIB, 2))
    save(engine, message(5, NEIGHBOUR), bounds=tight, now=later(2))
    assert numbers(engine) == [901, 902]


def test_among_themselves_the_oldest_of_them_give_way(engine: sa.Engine) -> None:
    tight = msgspec.structs.replace(SMALL, whole=(100 * KIB, 1))
    first, second = vouched()
    save(engine, first, bounds=tight)
    save(engine, second, bounds=tight, now=later(1))
    assert numbers(engine) == [902]
    assert lost(engine) == [(PARTLY_READ, OF_WHOLE, 1, KIB)]


@pytest.mark.parametrize(
    ("signer", "signers", "known"),
    [
        ("google.com", (), True),
        ("mail.google.com", (), True),
        ("evilgoogle.com", (), False),
        ("small.example", (), False),
        ("small.example", ("small.example",), True),
        ("a.small.example", ("small.example",), True),
        ("verysmall.example", ("small.example",), False),
        ("", ("small.example",), False),
        (None, (), False),
    ],
)
def test_who_is_known(signer: str | None, signers: tuple[str, ...], known: bool) -> None:
    bounds = msgspec.structs.replace(DEFAULT, signers=signers)
    assert bounds.vouched(message(1, signer=signer)) is known


def test_a_disk_nearly_full_takes_reports_and_no_rubbish(engine: sa.Engine) -> None:
    full = msgspec.structs.replace(SMALL, disk_full=True)
    with engine.begin() as connection:
        tally = saving.save(connection, [submission(USUAL), message(1), message(2), *vouched()], NOW, full)
    assert msgspec.structs.astuple(tally) == (1, 0, 4)
    assert (len(rows(engine, models.report)), numbers(engine)) == (1, [901, 902])
    assert lost(engine) == [("no-report", OF_DISK, 2, 2 * KIB)]


def test_the_databases_disk_counts(settings_for: Callable[..., Settings], tmp_path: Path) -> None:
    assert database_disk.lack(settings_for(min_free_bytes=0)) is None
    chosen = settings_for(min_free_bytes=2**60)
    assert "MIN_FREE_BYTES" in (database_disk.lack(chosen) or "")
    assert quarantine_bounds.of(chosen).disk_full
    elsewhere = settings_for(min_free_bytes=2**60, database_url=f"sqlite:///{tmp_path}/not/there/a.db")
    assert database_disk.lack(elsewhere) is None
    assert database_disk.lack(settings_for(min_free_bytes=2**60, database_url="postgresql://db.example/x")) is None


def test_two_writers_keep_one_bound(engine: sa.Engine) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 20):
            save(engine, message(number), message(number + 1000, NEIGHBOUR), now=later(number))

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert held(engine) == QuarantineSize(20, 20 * KIB)
    assert sum(each[2] for each in lost(engine)) == 60


def test_discarding_makes_room(engine: sa.Engine) -> None:
    save(engine, *(message(number) for number in range(10)))
    assert (
        quarantine.discard(engine, [message(number).arrival.message_digest for number in range(9)], "", "a", NOW) == 9
    )
    save(engine, *(message(number) for number in range(20, 29)), now=later(1))
    assert numbers(engine) == [9, *range(20, 29)]
    assert lost(engine) == []


# Age, and what older versions left


def prune(engine: sa.Engine, now: dt.datetime, **changes: object) -> retention.Pruned:
    return retention.prune(engine, settings.load(**changes), now, force=True)


def test_what_strangers_sent_unsigned_is_kept_for_a_shorter_time(engine: sa.Engine) -> None:
    save(engine, message(1), message(2, signer="small.example"), message(3, signer=None), *vouched())
    assert prune(engine, NOW + 29 * DAY).quarantined == 0
    gone = prune(engine, NOW + 31 * DAY)
    assert (gone.quarantined, gone.bytes > 0, numbers(engine)) == (1, True, [2, 3, 901, 902])
    assert prune(engine, NOW + 401 * DAY).quarantined == 4
    assert rows(engine, models.quarantine_origin) == []


def test_what_an_older_version_stored_is_counted_in_and_keeps_its_time(engine: sa.Engine) -> None:
    save(engine, *(message(number) for number in range(10)), bounds=DEFAULT)
    save(engine, *(message(number, size=8 * KIB) for number in range(20, 25)), bounds=DEFAULT)
    with engine.begin() as connection:
        connection.execute(sa.delete(models.quarantine_origin))
        row = models.quarantine.c
        discarded = row.message_digest == message(0).arrival.message_digest
        connection.execute(sa.update(models.quarantine).where(discarded).values(state="discarded"))
    gone = prune(engine, NOW + 200 * DAY)
    assert (gone.quarantined, gone.discarded) == (0, 1)
    assert held(engine) == QuarantineSize(14, 49 * KIB)
    assert quarantine.content(engine, message(0).arrival.message_digest) == b""
    assert {row["signer"] for row in rows(engine, models.quarantine_origin)} == {None}
    # The bound on the whole holds for it, that on a network does not.
    save(engine, message(50, NEIGHBOUR), bounds=SMALL)
    assert len(numbers(engine)) == 15
    save(engine, message(51, NEIGHBOUR), bounds=msgspec.structs.replace(SMALL, whole=(10 * KIB, 50)))
    assert held(engine).bytes <= 10 * KIB
    assert {50, 51} <= set(numbers(engine))


def test_bounds_that_are_lowered_are_met_by_the_next_pruning(engine: sa.Engine) -> None:
    save(engine, *(message(number) for number in range(10)))
    prune(engine, NOW, max_quarantine_network_messages=4)
    assert held(engine).messages == 4


# Who sent it

BY = b"\tby mx.example (Postfix) with ESMTP id 1;\r\n\tSat, 14 Mar 2026 10:00:00 +0000\r\n"


@pytest.mark.parametrize(
    ("header", "network"),
    [
        (b"Received: from mail.example (mail.example [192.0.2.7])\r\n" + BY, FLOODER),
        (b"Received: from mail.example (unknown [192.0.2.7])\n" + BY.replace(b"\r\n", b"\n"), FLOODER),
        (b"received: from a (b [IPv6:2001:db8:0:1::7])\r\n" + BY, "2001:db8::/48"),
        (b"Return-Path: <a@b.example>\r\nReceived: from a\r\n\t(b [192.0.2.7])\r\n" + BY, FLOODER),
        (b"Received: from a (b [192.0.2.7])\r\n" + BY + b"Received: from x ([203.0.113.9])\r\n" + BY, FLOODER),
        (b"Received: by local.example id 1\r\nReceived: from x ([203.0.113.9])\r\n" + BY, UNKNOWN),
        (b"Received: from a (b [999.0.2.7])\r\n" + BY, UNKNOWN),
        (b"Subject: [192.0.2.7]\r\n", UNKNOWN),
        (b"", UNKNOWN),
    ],
)
def test_the_network_of_mail_that_another_server_delivered(header: bytes, network: str) -> None:
    newline = b"\r\n" if header.endswith(b"\r\n") or not header else b"\n"
    arrival, _ = trace.read(header + b"From: a@b.example" + newline * 2 + b"Received: from x ([10.0.0.1])", NOW)
    assert (arrival.door, arrival.network) == (channels.MAILDIR, network)


def test_the_network_that_our_door_saw() -> None:
    client = trace.Client("([10.0.0.1])", "2001:db8:0:1::7", "ESMTP")
    ours = trace.for_mail(client, sender="a@b.example", hostname="mx.example", recipient="a@b.example", now=NOW)
    assert trace.read(ours + b"Subject: x\r\n\r\n", NOW)[0].network == "2001:db8::/48"
    upload = trace.for_upload(b"{}", content_type="", filename="", peer="192.0.2.7", hostname="mx.example", now=NOW)
    assert trace.read(upload, NOW)[0].network == FLOODER


@pytest.fixture
def signers_dns() -> Iterator[NameServer]:
    key = txt(signing.record(signing.ed25519_key()))
    with NameServer({f"s1._domainkey.{domain}": key for domain in ("google.com", "small.example")}) as server:
        yield server


def test_the_worker_finds_out_who_signed_what_it_cannot_read(
    signers_dns: NameServer, settings_for: Callable[..., Settings]
) -> None:
    chosen = settings_for(nameservers=str(signers_dns.address))
    upgrades.migrate(chosen.database_url)

    def rubbish(domain: str) -> bytes:
        return f"From: a@{domain}\r\nSubject: {domain}\r\n\r\nno report\r\n".encode()

    def signed(domain: str) -> bytes:
        return signing.signed(rubbish(domain), key=signing.ed25519_key(), domain=domain, fields=("from", "subject"))

    altered = signed("google.com").replace(b"no report", b"a report")
    deliver(chosen, signed("google.com"), signed("small.example"), altered, rubbish("google.com"))
    work(chosen, signers_dns)
    engine = engines.open_engine(chosen.database_url)
    stored_rows = sorted(
        (row["signer"], row["vouched"], row["network"]) for row in rows(engine, models.quarantine_origin)
    )
    engine.dispose()
    assert stored_rows == [
        ("", False, UNKNOWN),
        ("", False, UNKNOWN),
        ("google.com", True, UNKNOWN),
        ("small.example", False, UNKNOWN),
    ]


def work(chosen: Settings, server: NameServer) -> None:
    engine = engines.open_engine(chosen.database_url)
    Worker(chosen, engine, Spool(chosen.spool), Keys((server.address,))).run_once()
    engine.dispose()


# Pages that SQLite no longer needs


def test_freed_pages_go_back_to_the_file_system(sqlite_engine: sa.Engine, tmp_path: Path) -> None:
    big = [message(number, size=64 * KIB) for number in range(200)]
    noisy = [msgspec.structs.replace(quarantined, message=hash_bytes(quarantined)) for quarantined in big]
    save(sqlite_engine, *noisy, bounds=DEFAULT)
    before = size_of(sqlite_engine, tmp_path)
    gone = prune(sqlite_engine, NOW + 31 * DAY)
    after = size_of(sqlite_engine, tmp_path)
    assert gone.quarantined == 200
    assert gone.bytes > 12_000_000
    assert before - after == gone.given_back > 5_000_000


def test_another_connection_waits_for_no_writer(sqlite_engine: sa.Engine) -> None:
    another = engines.open_engine(str(sqlite_engine.url))
    with sqlite_engine.begin() as writer:
        writer.execute(sa.delete(models.quarantine))
        connection = another.raw_connection()
        connection.cursor().execute("SELECT 1").fetchone()
        connection.close()
    another.dispose()


def test_an_older_file_is_written_anew(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/starttally.db"
    old = engines.sqlite_module().connect(tmp_path / "starttally.db")
    old.execute("CREATE TABLE older (x)")  # a file that gives nothing back, as older versions made them
    old.close()
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    noisy = [msgspec.structs.replace(message(number), message=hash_bytes(message(number))) for number in range(200)]
    save(engine, *noisy, bounds=DEFAULT)
    assert prune(engine, NOW + 31 * DAY).given_back == 0
    before = size_of(engine, tmp_path)
    assert compaction.rewrite(engine) == before - size_of(engine, tmp_path) > 10_000_000
    save(engine, *noisy, bounds=DEFAULT)
    assert prune(engine, NOW + 31 * DAY).given_back > 5_000_000
    engine.dispose()


def hash_bytes(quarantined: Quarantined) -> bytes:
    """What cannot be compressed."""
    return random.Random(quarantined.message[:8]).randbytes(64 * KIB)


def size_of(engine: sa.Engine, folder: Path) -> int:
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.exec_driver_sql("BEGIN")
    return (folder / "starttally.db").stat().st_size
