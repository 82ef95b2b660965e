"""Each fuzz target over its seeds and a fixed number of mutated inputs; ``make fuzz`` runs the same targets for hours."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutation import LONGEST, Mutator
from tests.fuzz.run import SHARES, jobs
from tests.fuzz.targets import TARGETS
from tests.fuzz.watch import TooSlow, Watch
from tests.support import ROOT

# Inputs a target in this file: about a second of CPU time each, by what one costs.
SMALL = {name: max(600, 5 * share) for name, share in SHARES.items()}
LARGE = 8


@pytest.mark.parametrize("name", TARGETS)
def test_seeds_and_mutated_inputs_keep_the_promises(name: str) -> None:
    target = TARGETS[name]
    watch = Watch(target.run)
    mutator = Mutator(target.seeds, target.words, 1)
    for data in itertools.chain(target.seeds, (mutator.next() for _ in range(SMALL[name]))):
        _run(watch, data)
    assert watch.executions == len(target.seeds) + SMALL[name]


@pytest.mark.parametrize("name", TARGETS)
def test_large_inputs_are_read_in_a_second(name: str) -> None:
    target = TARGETS[name]
    watch = Watch(target.run)
    mutator = Mutator(target.seeds, target.words, 2, grow=True)
    for _ in range(LARGE):
        _run(watch, mutator.next())
    assert watch.executions == LARGE


def _run(watch: Watch, data: bytes) -> None:
    try:
        watch(data)
    except Exception as error:
        error.add_note(f"for the input {data[:2_000]!r}")
        raise


def test_a_planted_fault_is_found() -> None:
    """The harness can fail: a parser that dies over one character in a certain place is found by these few inputs."""

    def planted(data: bytes) -> None:
        TARGETS["policy"].run(data)
        if b"mode: \xff" in data or b"max_age: \xef\xbb\xbf" in data or data.count(b"mx: *.") > 2:
            raise IndexError("planted")

    def fuzz() -> None:
        mutator = Mutator(TARGETS["policy"].seeds, TARGETS["policy"].words, 1)
        for _ in range(2_000):
            Watch(planted)(mutator.next())

    with pytest.raises(IndexError, match="planted"):
        fuzz()


def test_a_slow_input_is_found() -> None:
    clock = itertools.count(step=0.75)
    Watch(lambda _: None, clock=lambda: next(clock))(b"")
    slower = itertools.count(step=1.25)
    with pytest.raises(TooSlow):
        Watch(lambda _: None, clock=lambda: next(slower))(b"")


def test_mutation_is_the_same_every_time_and_bounded() -> None:
    first, second = (Mutator([b"a seed"], [b"word"], 7, grow=True) for _ in range(2))
    made = [first.next() for _ in range(200)]
    assert made == [second.next() for _ in range(200)]
    assert len(set(made)) > 100
    assert LONGEST // 2 < max(map(len, made)) <= LONGEST


def test_every_target_has_its_share_of_the_runs() -> None:
    assert set(SHARES) == set(TARGETS)
    planned = jobs(list(SHARES), 1_000_000, 0, 2)
    small = sum(job.runs for job in planned if job.engine != "large")
    assert 999_000 <= small <= 1_000_000
    assert {job.target for job in planned if job.engine == "large"} == set(TARGETS)


def test_a_worker_writes_down_what_it_finds(tmp_path: Path) -> None:
    """A real process: figures after a run without findings; after one with, the input itself and exit code 1."""
    command = [sys.executable, "-m", "tests.fuzz.worker", "records", "mutation", "50", "0", str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert '"executions": 50' in (tmp_path / "figures.json").read_text()
    assert not list(tmp_path.glob("finding-*"))
    broken = (
        "import sys; from tests.fuzz import targets, worker\n"
        "def fail(data): raise IndexError('planted')\n"
        "targets.TARGETS['records'] = targets.Target(fail, [], [])\n"
        f"sys.exit(worker.main(['records', 'mutation', '50', '0', {str(tmp_path)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", broken], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 1
    assert len(list(tmp_path.glob("finding-*"))) == 1
