"""The program's commands for tests, each run to its end in a process of its own.

Importing the program takes a second of processor time, and the suite runs hundreds of commands. So one process imports it, and
forks for each command: the fork goes its way like a program just started, with folder, environment and files of its own.
Commands that read come from a second one, which has imported what they need as well, and which no worker may carry.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from tests.support import ROOT

_READING = ("export", "override", "policy", "verdict")


def run(*arguments: str, cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    """``starttally ARGUMENTS``, with nothing to read on standard input."""
    return _program("reading" if arguments[0] in _READING else "writing").run(arguments, cwd, env)


class _Program:
    """The process that forks. One command at a time."""

    def __init__(self, kind: str) -> None:
        self._busy = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, kind], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(self.close)

    def run(self, arguments: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._busy, tempfile.TemporaryDirectory() as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            asked = {"arguments": arguments, "cwd": str(cwd), "env": dict(env), "out": str(out), "err": str(err)}
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            code = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(arguments, code, out.read_bytes(), err.read_bytes())

    def close(self) -> None:
        self._process.communicate()


@functools.cache
def _program(kind: str) -> _Program:
    return _Program(kind)


def _become_a_command() -> None:
    """Fork for each command that is asked for, and say how it ended. Returns in the fork."""
    while asked := sys.stdin.readline():
        child = os.fork()
        if not child:
            _arrange(json.loads(asked))
            return
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()
    raise SystemExit


def _arrange(asked: dict[str, object]) -> None:
    """Be where a program just started would be."""
    places = ((os.devnull, os.O_RDONLY), (str(asked["out"]), os.O_WRONLY), (str(asked["err"]), os.O_WRONLY))
    for number, (path, flags) in enumerate(places):
        opened = os.open(path, flags | (os.O_CREAT if number else 0), 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(str(asked["cwd"]))
    os.environ.clear()
    os.environ.update(asked["env"])  # type: ignore[call-overload]
    sys.argv = ["starttally", *asked["arguments"]]  # type: ignore[misc]
    sys.modules["__main__"].__package__ = None  # usage lines name the program by this, where there is one


if __name__ == "__main__":
    from dashboard.commands import app
    from ingest.loading import loader  # noqa: F401

    if sys.argv[1] == "reading":
        from dashboard import verdicts  # noqa: F401
        from dashboard.exports import writing  # noqa: F401

    _become_a_command()
    app.main()
