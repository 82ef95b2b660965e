"""The queue: nothing acknowledged is lost, nothing is read by two, what a dead worker held comes back."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ingest.spool import maildir as spool_module
from ingest.spool.maildir import Claimant, Spool, SpoolUnavailable
from ingest.spool.slots import is_held, tokens


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def deliver(spool: Spool, *contents: bytes) -> None:
    for content in contents:
        incoming = spool.receive()
        incoming.write(content)
        incoming.commit()


def contents(claimant: Claimant, limit: int = 100) -> list[bytes]:
    return [message.read() for message in claimant.claim(limit)]


def test_messages_come_out_in_order_and_whole(spool: Spool) -> None:
    deliver(spool, b"one", b"x" * 300_000, b"three")
    with spool.claimant() as claimant:
        assert contents(claimant) == [b"one", b"x" * 300_000, b"three"]


def test_a_batch_is_bounded_in_bytes_but_never_empty(spool: Spool) -> None:
    deliver(spool, b"x" * 1000, b"y" * 10, b"z" * 10)
    with spool.claimant() as claimant:
        assert [len(claimant.claim(10, max_bytes=size)) for size in (1, 20)] == [1, 2]


def test_before_commit_and_after_abort_there_is_nothing(spool: Spool) -> None:
    incoming = spool.receive()
    incoming.write(b"half")
    with spool.claimant() as claimant:
        assert contents(claimant) == []
        incoming.abort()
        incoming.abort()
    assert list((spool.path / "tmp").iterdir()) == []
    assert spool.backlog() == (0, 0.0)


def test_file_then_rename_then_directory_are_synced_in_that_order(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, Path.rename

    def noted_fsync(descriptor: int) -> None:
        target = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append("sync " + ("directory" if target.is_dir() else "file"))
        fsync(descriptor)

    def noted_rename(self: Path, target: Path) -> Path:
        steps.append("rename")
        return rename(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    deliver(spool, b"x")
    assert steps == ["sync file", "rename", "sync directory"]


def test_a_message_is_claimed_by_one_worker_only(spool: Spool) -> None:
    deliver(spool, *(b"%d" % number for number in range(20)))
    with spool.claimant() as claimant, spool.claimant() as other:
        first, second = contents(claimant, 7), contents(other, 100)
        assert len(first) == 7
        assert sorted(first + second) == sorted(b"%d" % number for number in range(20))


def test_two_workers_with_the_same_listing_share_it(spool: Spool) -> None:
    deliver(spool, *(b"%d" % number for number in range(10)))
    with spool.claimant() as claimant, spool.claimant() as other:
        first = contents(claimant, 2)
        second = contents(other, 5)
        assert not set(first) & set(second)
        assert sorted(first + second + contents(claimant) + contents(other)) == [b"%d" % number for number in range(10)]


def test_done_removes_and_closing_gives_back(spool: Spool) -> None:
    deliver(spool, b"stored", b"not yet")
    with spool.claimant() as claimant:
        stored, _ = claimant.claim(10)
        claimant.done(stored)
        assert spool.backlog()[0] == 1
    with spool.claimant() as claimant:
        (again,) = claimant.claim(10)
        assert (again.read(), again.attempts) == (b"not yet", 0)


def test_a_living_workers_messages_are_left_alone(spool: Spool) -> None:
    deliver(spool, b"x")
    with spool.claimant() as first, spool.claimant() as other:
        first.claim(1)
        assert other.recover() == 0
        assert contents(other) == []


def test_a_killed_workers_messages_come_back_and_the_one_it_was_reading_is_blamed(spool: Spool) -> None:
    deliver(spool, b"a", b"b", b"c", b"d")
    program = (
        "import sys, time; from pathlib import Path; from ingest.spool.maildir import Spool\n"
        "claimant = Spool(Path(sys.argv[1])).claimant(); messages = claimant.claim(3)\n"
        "claimant.reading(messages[0]); claimant.reading(messages[1]); print(len(messages), flush=True); time.sleep(60)"
    )
    victim = subprocess.Popen([sys.executable, "-c", program, str(spool.path)], stdout=subprocess.PIPE)
    assert victim.stdout is not None
    assert victim.stdout.readline() == b"3\n"
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    victim.stdout.close()
    with spool.claimant() as claimant:
        assert claimant.recover() == 3
        batches = [[(message.read(), message.attempts) for message in claimant.claim(10)] for _ in range(3)]
    assert batches == [[(b"a", 0)], [(b"b", 1)], [(b"c", 0), (b"d", 0)]]
    assert not any(is_held(spool.path / "locks", token) for token in tokens(spool.path / "locks"))


def test_who_died_between_two_messages_blames_none(spool: Spool) -> None:
    deliver(spool, b"a")
    first = spool.claimant()
    (message,) = first.claim(1)
    first.reading(message)
    first.reading(None)
    first._slot.close()  # as death does
    with spool.claimant() as other:
        other.recover()
        assert [message.attempts for message in other.claim(1)] == [0]


def test_released_with_attempts_it_remembers(spool: Spool) -> None:
    deliver(spool, b"x")
    with spool.claimant() as claimant:
        (message,) = claimant.claim(1)
        claimant.release(message, 2)
        (again,) = claimant.claim(1)
        assert again.attempts == 2


@pytest.mark.parametrize(
    "name", ["1710410400.V1I2M3.mx.example", "1710410400.M1P2.mx,S=1024,W=1050:2,S", "weird name,A=x", "a:2,"]
)
def test_what_another_server_delivers_is_taken_whatever_its_name(spool: Spool, name: str) -> None:
    (spool.path / "new" / name).write_bytes(b"from postfix")
    with spool.claimant() as claimant:
        assert contents(claimant) == [b"from postfix"]


def test_what_another_reader_left_in_cur_is_read_too(spool: Spool) -> None:
    (spool.path / "cur" / "1710410400.M1.mx:2,S").write_bytes(b"seen by a mail reader")
    with spool.claimant() as claimant:
        assert claimant.recover() == 1
        assert contents(claimant) == [b"seen by a mail reader"]


def test_dot_files_are_not_messages(spool: Spool) -> None:
    (spool.path / "new" / ".nfs0001").write_bytes(b"")
    with spool.claimant() as claimant:
        assert contents(claimant) == []


def test_only_old_unfinished_files_are_swept(spool: Spool) -> None:
    old, young = spool.path / "tmp" / "old", spool.path / "tmp" / "young"
    old.touch()
    young.touch()
    os.utime(old, (time.time() - 40 * 3600,) * 2)
    with spool.claimant() as claimant:
        claimant.recover()
    assert not old.exists()
    assert young.exists()


@pytest.mark.parametrize("where", ["write", "sync file", "sync directory"])
def test_a_full_disk_is_unavailable_and_leaves_nothing(
    spool: Spool, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    incoming = spool.receive()
    failing = {"write": "flush", "sync file": "fsync", "sync directory": "_sync_directory"}[where]

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        if failing == "fsync":
            patch.setattr(os, "fsync", full)
        elif failing == "_sync_directory":
            patch.setattr(spool_module, "_sync_directory", full)
        else:
            patch.setattr(incoming, "_file", _FullFile(incoming._file))
        incoming.write(b"x")
        with pytest.raises(SpoolUnavailable, match="No space left on device"):
            incoming.commit()
    assert [path for folder in ("tmp", "new", "cur") for path in (spool.path / folder).iterdir()] == []
    deliver(spool, b"afterwards it works again")
    assert spool.backlog()[0] == 1


class _FullFile:
    """A file whose flush meets a full disk."""

    def __init__(self, file: object) -> None:
        self._file = file

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_spool_that_cannot_be_made_says_where(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SpoolUnavailable, match="spool not writable"):
        Spool(tmp_path / "file" / "spool")


def test_the_backlog_counts_and_ages(spool: Spool) -> None:
    deliver(spool, b"x", b"y")
    (first, _) = sorted((spool.path / "new").iterdir())
    os.utime(first, (time.time() - 100,) * 2)
    with spool.claimant() as claimant:
        claimant.claim(1)
        count, age = spool.backlog()
    assert count == 2
    assert 99 <= age < 200
    assert spool.free_bytes() > 0
