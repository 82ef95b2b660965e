"""What the session does quicker than aiosmtpd, it does alike."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st

from ingest.doors.smtp import session

ADDRESSES = [
    ("<a@sender.example>", ("a@sender.example", "")),
    (
        " <tls+reports@mail.sender.example> SIZE=1 BODY=8BITMIME",
        ("tls+reports@mail.sender.example", "SIZE=1 BODY=8BITMIME"),
    ),
    ("<>", ("<>", "")),
    ('<"a b"@sender.example>', ('"a b"@sender.example', "")),
    ("<a..b@sender.example>", ("a..b@sender.example", "")),
    ("<a@", (None, None)),
]


def library(arg: str) -> tuple[str | None, str | None]:
    return SMTP._getaddr(SimpleNamespace(local_part_limit=None), arg)  # type: ignore[arg-type]


def ours(arg: str) -> tuple[str | None, str | None]:
    bare = session.SmtpSession.__new__(session.SmtpSession)
    bare.local_part_limit = 0
    return bare._getaddr(arg)


@pytest.mark.parametrize(("arg", "expected"), ADDRESSES, ids=[arg for arg, _ in ADDRESSES])
def test_addresses(arg: str, expected: tuple[str | None, str | None]) -> None:
    assert ours(arg) == expected


PIECES = st.sampled_from(
    ["<", ">", "@", ".", " ", "a", "B-c", "sender", "example", "=?", "(x)", '"', "[1.2.3.4]", "SIZE=1", ":", ","]
)


@given(st.lists(PIECES, max_size=8).map("".join) | st.from_regex(session._USUAL_ADDRESS, fullmatch=True))
def test_usual_addresses_are_read_as_the_library_reads_them(arg: str) -> None:
    if session._USUAL_ADDRESS.fullmatch(arg):
        assert ours(arg) == library(arg)


def test_a_session_knows_every_command_of_the_library(settings_for: Any, tmp_path: Path) -> None:
    """They are looked for among few names only."""
    commands = {name for name in dir(SMTP) if name.startswith("smtp_")}
    assert set(session._COMMANDS) == commands

    async def methods() -> set[str]:
        door = SimpleNamespace(settings=settings_for(), room=None, recipients=None, letters=None, connections=None)
        return set(session.SmtpSession(door, None)._smtp_methods)  # type: ignore[arg-type]

    assert asyncio.run(methods()) == {name.removeprefix("smtp_") for name in commands} - {"AUTH"}
