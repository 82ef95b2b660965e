"""The promises of docs/reliability.md in their short form: real processes, few counts. ``make reliability`` has the long ones.

Nothing here is timed: what depends on the machine's speed (stalls, rates) is judged by ``make reliability`` alone.
"""

from pathlib import Path

import pytest

from benchmarks.reliability import (
    attack_throughput,
    bombs,
    cut_connections,
    dns_silence,
    forgeries,
    kill_loop,
    migrations,
    outage,
    poison,
    power_cut,
    quarantine_flood,
    sigterm,
    slow_peers,
)
from benchmarks.reliability.bomb_mails import BOMBS
from benchmarks.reliability.disk import Disk, calls
from benchmarks.reliability.figures import Figures
from benchmarks.reliability.quarantine_flood import KIB, MIB
from tests.support import need


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    return Figures(request.node.name)


def test_a_flood_of_rubbish_stays_within_the_bounds_of_quarantine(figures: Figures) -> None:
    quarantine_flood.run(figures, bounds=(MIB, 2 * MIB), attack=(256 * KIB, 40, 120), control=False)
    assert figures.passed, figures.broken


def test_killing_doors_and_worker_loses_and_doubles_nothing_and_the_control_loses(figures: Figures) -> None:
    kill_loop.run(figures, cycles=4, reports_each=50, control_cycles=3)
    assert figures.passed, figures.broken


def test_the_same_over_postgresql(figures: Figures, postgresql_server: str) -> None:
    kill_loop.run(figures, cycles=2, reports_each=50, control_cycles=2, postgresql=postgresql_server)
    assert figures.passed, figures.broken


def test_a_power_cut_after_the_answer_loses_nothing_and_the_controls_lose(figures: Figures) -> None:
    need("strace", "strace")
    power_cut.run(figures, mails=12)
    assert figures.passed, figures.broken


def test_sigterm_under_load_loses_nothing(figures: Figures) -> None:
    sigterm.run(figures, cycles=3, reports_each=50)
    assert figures.passed, figures.broken


def test_cut_connections_double_nothing(figures: Figures) -> None:
    cut_connections.run(figures, cuts=200)
    assert figures.passed, figures.broken


def test_mail_is_accepted_while_the_database_is_away(figures: Figures, postgresql_server: str) -> None:
    outage.run(figures, seconds=2, rate=20)
    assert figures.passed, figures.broken


def test_slow_peers_are_borne(figures: Figures) -> None:
    slow_peers.run(figures, connections=60, seconds=2, max_connections=40, timed=False)
    assert figures.passed, figures.broken


def test_bombs_stay_within_memory_and_harm_nobody(figures: Figures) -> None:
    short = ("gzip of 10 GiB", "19 MiB of [],", "100,000 MIME parts", "folded header of 10 MiB")
    bombs.run(figures, bombs=[bomb for bomb in BOMBS if bomb.name in short], rounds=1, timed=False)
    assert figures.passed, figures.broken


def test_an_attack_costs_no_honest_report(figures: Figures) -> None:
    attack_throughput.run(figures, honest=100, rounds=1, timed=False)
    assert figures.passed, figures.broken


def test_forgeries_move_no_verified_figure_and_displace_nothing(figures: Figures) -> None:
    forgeries.run(figures, forgeries=60, genuine=10, pairs=5)
    assert figures.passed, figures.broken


def test_poison_never_stops_the_line(figures: Figures) -> None:
    poison.run(figures, good=60)
    assert figures.passed, figures.broken


def test_silent_name_servers_make_no_wrong_verdict(figures: Figures) -> None:
    dns_silence.run(figures, mails=20, seconds=1)
    assert figures.passed, figures.broken


def test_an_upgrade_may_be_killed_at_any_step(figures: Figures, postgresql_server: str) -> None:
    migrations.run(figures, stride=23, postgresql=postgresql_server)
    assert figures.passed, figures.broken


TRACE = """\
10 openat(AT_FDCWD</s>, "spool/tmp/a", O_WRONLY|O_CREAT|O_EXCL|O_CLOEXEC, 0666) = 5</s/spool/tmp/a>
10 write(5</s/spool/tmp/a>, "x", 1) = 1
11 fsync(5</s/spool/tmp/a> <unfinished ...>
11 <... fsync resumed>) = 0
11 rename("spool/tmp/a", "spool/new/a") = 0
11 openat(AT_FDCWD</s>, "spool/new", O_RDONLY|O_DIRECTORY) = 6</s/spool/new>
11 fsync(6</s/spool/new> <unfinished ...>
11 <... fsync resumed>) = 0
"""


@pytest.mark.parametrize(
    ("without", "survives"),
    [
        pytest.param("nothing", True, id="everything synced"),
        pytest.param("/s/spool/tmp/a> <unfin", False, id="the file was not synced"),
        pytest.param("/s/spool/new> <unfin", False, id="the folder was not synced"),
        pytest.param("rename", False, id="never renamed"),
    ],
)
def test_the_model_of_the_disk_forgets_what_was_not_synced(without: str, survives: bool) -> None:
    lines = TRACE.splitlines()
    left = [
        line
        for at, line in enumerate(lines)
        if without not in line and not (at and without in lines[at - 1] and "resumed" in line)
    ]
    disk = Disk(Path("/s"))
    for call in calls(left):
        disk.follow(call)
    assert (disk.survivors(Path("/s/spool/new")) == {"a"}) is survives


def test_a_sync_that_has_not_ended_makes_nothing_safe() -> None:
    disk = Disk(Path("/s"))
    for call in calls(TRACE.splitlines()[:-1]):
        disk.follow(call)
    assert disk.survivors(Path("/s/spool/new")) == set()


def test_what_is_written_after_the_sync_is_not_safe() -> None:
    disk = Disk(Path("/s"))
    for call in calls([*TRACE.splitlines(), '10 write(5</s/spool/new/a>, "y", 1) = 1']):
        disk.follow(call)
    assert disk.survivors(Path("/s/spool/new")) == set()


# Two sessions of a door: each has its file synced, renames it and syncs the folder; the second name comes between the syncs.
OVERLAP = """\
10 write(5</s/spool/tmp/a>, "x", 1) = 1
10 fsync(5</s/spool/tmp/a>) = 0
11 write(6</s/spool/tmp/b>, "x", 1) = 1
11 fsync(6</s/spool/tmp/b>) = 0
10 rename("spool/tmp/a", "spool/new/a") = 0
10 fsync(7</s/spool/new> <unfinished ...>
11 rename("spool/tmp/b", "spool/new/b") = 0
11 fsync(8</s/spool/new> <unfinished ...>
"""
FIRST_ENDS, SECOND_ENDS = "10 <... fsync resumed>) = 0", "11 <... fsync resumed>) = 0"


@pytest.mark.parametrize(
    ("ends", "survivors"),
    [
        pytest.param([], "", id="neither has ended"),
        pytest.param([FIRST_ENDS], "a", id="b came after the first began"),
        pytest.param([SECOND_ENDS], "ab", id="a was there when the second began"),
        pytest.param([FIRST_ENDS, SECOND_ENDS], "ab", id="in the order in which they began"),
        pytest.param([SECOND_ENDS, FIRST_ENDS], "ab", id="the first takes nothing back"),
        pytest.param(["11 <... fsync resumed>) = -1 EIO", FIRST_ENDS], "a", id="the second failed"),
        pytest.param([SECOND_ENDS, "10 <... fsync resumed>) = -1 EIO"], "ab", id="the first failed"),
        pytest.param(
            [SECOND_ENDS, FIRST_ENDS, '11 unlink("spool/new/b") = 0', "11 fsync(8</s/spool/new>) = 0"],
            "a",
            id="a later sync takes names away",
        ),
    ],
)
def test_overlapping_syncs_of_a_folder_count_in_the_order_of_their_beginnings(ends: list[str], survivors: str) -> None:
    disk = Disk(Path("/s"))
    for call in calls([*OVERLAP.splitlines(), *ends]):
        disk.follow(call)
    assert disk.survivors(Path("/s/spool/new")) == set(survivors)


@pytest.mark.parametrize("ends", [[FIRST_ENDS, SECOND_ENDS], [SECOND_ENDS, FIRST_ENDS]])
def test_overlapping_syncs_of_a_file_count_in_the_order_of_their_beginnings(ends: list[str]) -> None:
    lines = ["10 fsync(5</s/db-wal> <unfinished ...>", '11 write(5</s/db-wal>, "x", 1) = 1']
    lines += ["11 fsync(5</s/db-wal> <unfinished ...>", *ends]
    disk = Disk(Path("/s"))
    for call in calls(['9 write(5</s/db-wal>, "x", 1) = 1', *lines]):
        disk.follow(call)
    assert disk.safe_writes("db-wal") == 2
    assert not disk.unsafe("db-wal")
