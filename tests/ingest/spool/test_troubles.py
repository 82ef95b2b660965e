"""The line never stops: what cannot be read is stepped over, and a full disk can be emptied (docs/reliability.md row 20)."""

import contextlib
import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.reliability.troubles import filled, obeying_modes, odd_files, small_disk
from ingest.database import engines
from ingest.monitoring import metrics
from ingest.settings.settings import Settings
from ingest.spool import claims, slots
from ingest.spool.maildir import Spool, SpoolUnavailable
from ingest.spool.slots import Slot, is_held
from ingest.store.upkeep import upgrades
from ingest.work.worker import Worker
from tests.goldens import entry, report, usual
from tests.ingest.work.test_worker import MakeSettings, NoKeys, deliver, numbered
from tests.support import ROOT, eventually

GOOD = 30
LONG = "9" * 255
NUMBER = {"new": 1_000, "cur": 2_000}


def long_name(folder: Path) -> list[Path]:
    (folder / LONG).write_bytes(numbered(NUMBER[folder.name])[0])
    return []


def odd_names(folder: Path) -> list[Path]:
    """All are mails that another server might deliver; all are to be stored."""
    names = (b"9\xff\xfe-bytes", b"9-new\nline,A=2", b"9 \xe2\x80\xae,W=0123456789abcdef:2,S", b"9:2,", b"9", b"9,A=0")
    for number, name in enumerate(names):
        mail = numbered(NUMBER[folder.name] + number)[0]
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(mail)
    return []


def unreadable(folder: Path) -> list[Path]:
    paths = [folder / "0-mode-000", folder / "0-mode-200"]
    for path in paths:
        path.write_bytes(b"x")
        path.chmod(int(path.name[-3:], 8))
    return paths


def of_another_owner(folder: Path) -> list[Path]:
    if os.geteuid():
        pytest.skip("needs root, to give a file away")
    path = folder / "0-foreign"
    path.write_bytes(b"x")
    path.chmod(0o600)
    os.chown(path, 65_534, 65_534)
    return [path]


KINDS: dict[str, tuple[Callable[[Path], list[Path]], int]] = {
    "pipe, socket, folder, links": (odd_files, 0),
    "a name of 255 octets": (long_name, 1),
    "odd names": (odd_names, 6),
    "no right to read": (unreadable, 0),
    "another owner": (of_another_owner, 0),
}


@pytest.fixture
def settings(settings_for: MakeSettings, tmp_path: Path) -> Settings:
    made = settings_for(database_url=f"sqlite:///{tmp_path}/starttally.db")
    upgrades.migrate(made.database_url)
    return made


@pytest.fixture
def hand(settings: Settings) -> Iterator[Worker]:
    engine = engines.open_engine(settings.database_url)
    yield Worker(settings, engine, Spool(settings.spool), NoKeys())
    engine.dispose()


def work_once(settings: Settings, *under: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")} | {
        "STARTTALLY_DATABASE_URL": settings.database_url,
        "STARTTALLY_SPOOL": str(settings.spool),
        "PYTHONPATH": str(ROOT),
    }
    command = [*under, sys.executable, "-m", "dashboard.commands.app", "work", "--once"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_read_is_stepped_over_and_the_rest_is_stored(settings: Settings, kind: str) -> None:
    make, readable = KINDS[kind]
    deliver(settings, *numbered(*range(GOOD)))
    left = [path for folder in ("new", "cur") for path in make(settings.spool / folder)]
    deliver(settings, *numbered(GOOD))
    done = work_once(settings, *obeying_modes())
    assert f"stored={GOOD + 1 + 2 * readable} duplicate=0 quarantined=0" in done.stdout, done.stderr
    beside = [path.name.partition(",")[0] for name in ("new", "cur") for path in (settings.spool / name).iterdir()]
    assert sorted(beside) == sorted(path.name for path in left)
    log_lines = [line for line in done.stderr.splitlines() if "cannot be read" in line]
    assert len(log_lines) == len(left), "each is named once"


def test_who_mends_the_rights_gets_the_message_read(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    why: dict[str, str] = {}
    monkeypatch.setattr(claims, "why_unreadable", lambda path, _status: why.get(path.name, ""))
    deliver(settings, *numbered(1, 2))
    first = min((settings.spool / "new").iterdir()).name
    why[first] = "it belongs to user 7"
    with Spool(settings.spool).claimant() as claimant:
        for _ in range(3):
            claimant.give_back()
            assert len(claimant.claim(10)) == 1
        assert claimant.unreadable == 1
        assert caplog.text.count("it belongs to user 7") == 1
        why.clear()
        assert claimant.claim(10) == [], "not yet: a million of them must not be asked all the time"
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 61)
        assert len(claimant.claim(10)) == 1
        assert claimant.unreadable == 0


def test_a_file_that_turns_out_unreadable_is_left_and_the_batch_goes_on(
    settings: Settings, hand: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = claims.read_regular
    deliver(settings, *numbered(1, 2, 3))
    bad = min((settings.spool / "new").iterdir()).name

    def failing(path: Path) -> bytes:
        if path.name.startswith(bad):
            raise OSError(5, "Input/output error")
        return read(path)

    monkeypatch.setattr(claims, "read_regular", failing)
    assert msgspec.structs.astuple(hand.run_once()) == (2, 0, 0)
    assert [path.name for path in (settings.spool / "new").iterdir()] == [f"{bad},A=0"]


def test_the_gauge_counts_what_cannot_be_read(settings: Settings, hand: Worker) -> None:
    odd_files(settings.spool / "new")
    stop = threading.Event()
    value = metrics.unreadable._value.get
    watcher = threading.Thread(target=lambda: (eventually(lambda: value() == 5, 60), stop.set()))
    watcher.start()
    hand.run(stop)
    watcher.join()
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    assert value() == 5


def test_no_message_covers_another(settings: Settings) -> None:
    """Names that become the same when they are claimed, or given back."""
    new = settings.spool / "new"
    spool = Spool(settings.spool)
    for name in ("x", "x,A=0", "x:2,S", "x,A=0,W=0123456789abcdef:2,"):
        (new / name).write_bytes(name.encode())
    with spool.claimant() as claimant:
        claimed = claimant.claim(10)
        assert len({message.path for message in claimed}) == len(claimed) == 4
        (new / "x,A=0").write_bytes(b"came meanwhile")
        claimant.give_back()
        assert len(claimant.claim(10)) == 5
    assert len({path.read_bytes() for path in new.iterdir()}) == 5


def test_a_file_of_no_possible_time_counts_as_of_now() -> None:
    for absurd in (1e15, -1e15, 1e300):
        when = claims.SpooledMessage(Path("x"), 0, modified=absurd).delivered
        assert abs(when - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_attempts_do_not_make_a_name_grow(settings: Settings) -> None:
    spool = Spool(settings.spool)
    deliver(settings, b"x")
    with spool.claimant() as claimant:
        (message,) = claimant.claim(1)
        for _ in range(3):
            claimant.release(message, 5_000)
            (message,) = claimant.claim(1)
            assert (message.attempts, message.path.name.count(",A=")) == (999, 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system for the spool."""
    try:
        with small_disk(tmp_path / "spool", "size=2m,nr_inodes=80") as place:
            yield place
    except subprocess.CalledProcessError as refused:
        pytest.skip(f"needs the right to mount a file system: {refused}")


@contextlib.contextmanager
def without_inodes(disk: Path) -> Iterator[None]:
    """Not even an empty file can be made."""
    more = disk / "more"
    more.mkdir()
    with contextlib.suppress(OSError):
        for number in range(1_000):
            (more / str(number)).touch()
    yield
    shutil.rmtree(more)


@pytest.mark.parametrize("worked_before", [True, False], ids=["worked before", "first start"])
@pytest.mark.parametrize("full", [filled, without_inodes], ids=["no block", "no inode"])
def test_a_full_spool_is_emptied(
    settings: Settings, hand: Worker, disk: Path, full: Callable[[Path], Any], *, worked_before: bool
) -> None:
    deliver(settings, *numbered(*range(20)))
    if worked_before:
        Spool(settings.spool).claimant().close()
    with full(disk):
        with pytest.raises(SpoolUnavailable):
            deliver(settings, usual(report(entry(1), vendor="x" * 100_000)))
        assert msgspec.structs.astuple(hand.run_once()) == (20, 0, 0)
    assert Spool(settings.spool).backlog()[0] == 0


def test_on_a_full_disk_the_right_message_is_blamed_when_its_reader_dies(settings: Settings, disk: Path) -> None:
    spool = Spool(settings.spool)
    spool.claimant().close()
    for content in (b"a", b"b"):
        incoming = spool.receive()
        incoming.write(content)
        incoming.commit()
    with filled(disk):
        program = (
            "import os, sys; from pathlib import Path; from ingest.spool.maildir import Spool\n"
            "claimant = Spool(Path(sys.argv[1])).claimant(); messages = claimant.claim(3)\n"
            "claimant.reading(messages[0]); claimant.reading(messages[1]); os.kill(os.getpid(), 9)"
        )
        subprocess.run([sys.executable, "-c", program, str(spool.path)], check=False, cwd=ROOT)
        with spool.claimant() as claimant:
            assert claimant.recover() == 2
            assert [[(m.read(), m.attempts) for m in claimant.claim(9)] for _ in range(2)] == [[(b"a", 0)], [(b"b", 1)]]


def test_places_are_taken_one_by_one_and_outlive_their_workers(tmp_path: Path) -> None:
    first, second = Slot(tmp_path), Slot(tmp_path)
    assert (first.token, second.token) == ("0" * 16, "0" * 15 + "1")
    first.note("x")
    assert is_held(tmp_path, first.token)
    first.close()
    assert not is_held(tmp_path, first.token)
    assert slots.last_words(tmp_path, first.token) == "x"
    third = Slot(tmp_path)
    assert (third.token, third.last_words, slots.last_words(tmp_path, third.token)) == (first.token, "x", "")
    second.close()
    third.close()


def test_where_no_file_can_be_made_the_folder_is_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = os.open

    def full(path: object, flags: int, *others: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(28, "No space left on device")
        return opened(path, flags, *others)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "open", full)
    only = Slot(tmp_path)
    only.note("x")
    assert is_held(tmp_path, only.token)
    with pytest.raises(SpoolUnavailable, match="another worker"):
        Slot(tmp_path)
    only.close()
    assert not is_held(tmp_path, only.token)


def test_a_place_of_another_user_counts_as_held_and_the_next_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose lock cannot be looked at may be alive: its messages are not for us."""
    opened = os.open

    def forbidden(path: object, flags: int, *others: int) -> int:
        if str(path).endswith("0" * 16):
            raise PermissionError(13, "Permission denied")
        return opened(path, flags, *others)  # type: ignore[call-overload]

    monkeypatch.setattr(os, "open", forbidden)
    assert is_held(tmp_path, "0" * 16)
    place = Slot(tmp_path)
    assert place.token == "0" * 15 + "1"
    place.close()
