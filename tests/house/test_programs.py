"""A command run by tests.programs ends as one that was started for itself."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import programs


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["settings"], {"STARTTALLY_HOSTNAME": "receiver.example"}),
        (["settings"], {"STARTTALLY_HOSTNAME": "no name"}),
        (["verdict"], {}),
        (["load", "there.json", "nowhere.json"], {}),
        (["no-such-command"], {}),
    ],
    ids=["done", "a wrong setting", "no database", "a file that is not there", "wrong usage"],
)
def test_a_fork_ends_as_a_program_does(tmp_path: Path, arguments: list[str], settings: dict[str, str]) -> None:
    (tmp_path / "there.json").write_text("{}")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STARTTALLY_HOSTNAME": "x.example"} | settings
    command = [sys.executable, "-m", "dashboard.commands.app", *arguments]
    alone = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, check=False)
    fork = programs.run(*arguments, cwd=tmp_path, env=environment)
    # How it was called stands in the lines about wrong usage.
    outputs = [alone.stdout, alone.stderr.replace(b"python -m dashboard.commands.app", b"starttally")]
    assert (fork.returncode, fork.stdout, fork.stderr) == (alone.returncode, *outputs)


def test_commands_leave_nothing_to_the_next(tmp_path: Path) -> None:
    """Neither settings nor the folder."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    named = {"PATH": os.environ["PATH"], "STARTTALLY_HOSTNAME": "receiver.example"}
    assert b"receiver.example" in programs.run("settings", cwd=first, env=named).stdout
    assert b"receiver.example" not in programs.run("settings", cwd=second, env={"PATH": os.environ["PATH"]}).stdout
    done = programs.run("db", "upgrade", cwd=second, env=named)
    assert done.returncode == 0
    assert [path.name for path in tmp_path.rglob("*.db")] == ["starttally.db"]
    assert (second / "var/starttally.db").exists()
