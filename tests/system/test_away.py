"""Whatever befalls database, spool or clock is no message's fault: the matrix of docs/reliability.md in its short form."""

import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.reliability import matrix
from benchmarks.reliability.troubles import ALL, POSTGRESQL, SQLITE, Clock, Trouble
from tests.databases import PostgreSQL
from tests.support import need


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    running = PostgreSQL()
    yield running
    running.remove()


def survived(trouble: Trouble, server: PostgreSQL | None) -> None:
    if isinstance(trouble, Clock):
        need("faketime", "faketime")
    try:
        outcome = matrix.cell(trouble, server)
    except subprocess.CalledProcessError as refused:
        pytest.skip(f"needs the right to mount a file system: {refused}")
    assert (outcome.stored, outcome.lost, outcome.quarantined) == (outcome.acknowledged, 0, 0)
    assert outcome.acknowledged >= 5
    assert outcome.log_bytes < 15_000


@pytest.mark.parametrize("trouble", ALL[SQLITE], ids=lambda trouble: trouble.name)
def test_sqlite(trouble: Trouble) -> None:
    survived(trouble, None)


@pytest.mark.parametrize("trouble", ALL[POSTGRESQL], ids=lambda trouble: trouble.name)
def test_postgresql(trouble: Trouble, server: PostgreSQL) -> None:
    survived(trouble, server)
