"""What commands that only read refuse, with the program's own processes: days that are none, databases that are not there."""

from pathlib import Path

import pytest

from tests.test_end_to_end import Installation


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An empty folder, and settings that name a database in it."""
    return Installation(tmp_path, f"sqlite:///{tmp_path}/var/starttally.db", "127.0.0.1:9")


@pytest.mark.parametrize(
    "command",
    [
        ("verdict", "--on"),
        ("export", "summary", "--since"),
        ("export", "summary", "--until"),
        ("word", "accept", "receiver.example", "--note", "known", "--until"),
        ("word", "thresholds", "receiver.example", "--note", "known", "--until"),
        ("word", "policy", "receiver.example", "policy.txt", "--note", "known", "--until"),
        ("word", "mx", "receiver.example", "mx.receiver.example", "--note", "known", "--until"),
    ],
)
def test_each_command_refuses_it_in_the_same_words(installation: Installation, command: tuple[str, ...]) -> None:
    (installation.folder / "policy.txt").write_text("version: STSv1\nmode: testing\nmx: a.example\nmax_age: 604800\n")
    printed = installation.refused(*command, "2026-W11-6", expect=2)
    words = "'2026-W11-6' is no day; write it as YYYY-MM-DD, for example 2026-03-14"
    assert printed.splitlines()[-1] == f"Error: Invalid value for {command[-1]}: {words}"
    assert not (installation.folder / "var").exists()
