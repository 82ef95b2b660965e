"""What several test modules need: system programs, the shared corpus, free ports."""

import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent.parent
# Real reports and mails, which are not the project's to copy; tests that need them are skipped where they are absent.
CORPUS = ROOT.parent / "shared" / "corpus"
FIELD = ROOT.parent / "shared" / "field" / "inputs"
# The reason of the only skip that STARTTALLY_TEST_ALL=1 allows: no package of Debian's has Citus.
NEEDS_CITUS = "needs a server with Citus: STARTTALLY_TEST_CITUS_URL"


def need(program: str, package: str) -> str:
    """The path of a system program; without it the test is skipped with the reason (a failure under STARTTALLY_TEST_ALL=1)."""
    path = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin" + os.pathsep + "/sbin"
    program_path = shutil.which(program, path=path)
    if program_path is None:
        pytest.skip(f"needs {program} (Debian package {package})")
    return program_path


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def eventually(look: Callable[[], T], seconds: float = 20) -> T:
    """The first true value of ``look``; fails the test when none comes in time (generous, not a speed test)."""
    deadline = time.monotonic() + seconds
    while True:
        value = look()
        if value:
            return value
        assert time.monotonic() < deadline, f"nothing true within {seconds} s"
        time.sleep(0.05)
