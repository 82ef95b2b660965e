"""Fixtures of the whole suite, and the rule that under STARTTALLY_TEST_ALL=1 a skip is a failure."""

import functools
import os
import resource
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import coverage
import hypothesis
import pytest

from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from tests.support import FIELD, NEEDS_CITUS

pytest_plugins = ["tests.databases"]

# How long examples take to make says how busy the machine is, not whether the program is right.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

# The tests of what `make coverage` wants covered in full. Being traced costs a test half its time again, so others are not.
TRACED = (
    *("tests/ingest/rfc/", "tests/ingest/testimony/", "tests/dashboard/decision/", "tests/dashboard/words/"),
    "tests/dashboard/commands/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin each process of pytest-xdist with a share of the whole programs.

    Those tests take seconds and wait for most of them. In one process, at the end, they held up the suite for minutes.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    by_file: dict[Path, list[pytest.Item]] = {}
    for item in items:
        by_file.setdefault(item.path, []).append(item)
    systems = [tests for path, tests in by_file.items() if "system" in path.parts]
    others = [item for item in items if "system" not in item.path.parts]
    length = -(-len(others) // processes)
    items[:] = [
        item
        for number in range(processes)
        for part in (*systems[number::processes], others[number * length : (number + 1) * length])
        for item in part
    ]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    """Trace what is worth it, fixtures included."""
    tracing = None if item.nodeid.startswith(TRACED) else coverage.Coverage.current()
    if tracing is None:
        return (yield)
    tracing.stop()
    try:
        return (yield)
    finally:
        if nextitem is not None and nextitem.nodeid.startswith(TRACED):
            _forget_computed()
        tracing.start()


def _forget_computed() -> None:
    """What a test that is not traced left in a cache, a traced one would never be seen computing."""
    for name, module in list(sys.modules.items()):
        if name.startswith(("ingest.", "dashboard.")):
            for value in vars(module).values():
                if isinstance(value, functools._lru_cache_wrapper):
                    value.cache_clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """CI installs everything a test may need, so there a skipped test is a test that was lost."""
    report = yield
    # What lies beside the checkout nobody can install, and Citus is in no package of Debian's.
    beside = not FIELD.exists() and "beside the checkout" in str(report.longrepr)
    allowed = hasattr(report, "wasxfail") or beside or NEEDS_CITUS in str(report.longrepr)
    if report.skipped and os.environ.get("STARTTALLY_TEST_ALL") == "1" and not allowed:
        report.outcome = "failed"
        report.longrepr = f"skipped under STARTTALLY_TEST_ALL=1: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _unlimited() -> Iterator[None]:
    """A worker that runs in a test's own process leaves the limits it needs there, and the next tests would die of them."""
    seconds, size = resource.getrlimit(resource.RLIMIT_CPU), resource.getrlimit(resource.RLIMIT_DATA)
    yield
    resource.setrlimit(resource.RLIMIT_CPU, seconds)
    assert resource.getrlimit(resource.RLIMIT_DATA) == size, "let a process of its own call limit_process"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell or folder reaches a test."""
    for name in list(os.environ):
        if name.startswith("STARTTALLY_") and not name.startswith("STARTTALLY_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Settings with everything under the test's own folder; keyword arguments override."""

    def make(**overrides: object) -> Settings:
        defaults: dict[str, object] = {
            "spool": tmp_path / "spool",
            "database_url": f"sqlite:///{tmp_path}/starttally.db",
            "hostname": "receiver.example",
            "smtp_listen": "127.0.0.1:0",
            "http_listen": "127.0.0.1:0",
            "dashboard_listen": "127.0.0.1:0",
            "min_free_bytes": 0,
        }
        return settings_module.load(**(defaults | overrides))

    return make
