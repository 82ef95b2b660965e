"""Slips of aiosmtpd that fuzzing found, with a raw socket: each is a case here."""

import socket
from collections.abc import Callable

import pytest

from ingest.settings.settings import Settings
from tests.doors import running_doors

MakeSettings = Callable[..., Settings]


def _replies(settings: Settings, request: bytes) -> bytes:
    """Everything the door says until it hangs up."""
    with running_doors(settings) as addresses, socket.create_connection(addresses["smtp"], timeout=20) as client:
        client.sendall(request + b"QUIT\r\n")
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize("address", [b"<", b"<a@", b"< ", b"a@"])
def test_a_broken_address_is_the_clients_mistake(
    settings_for: MakeSettings, caplog: pytest.LogCaptureFixture, address: bytes
) -> None:
    replies = _replies(
        settings_for(),
        b"EHLO a\r\nMAIL FROM:" + address + b"\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:" + address + b"\r\n",
    )
    assert replies.count(b"553 5.1.3 Error: malformed address\r\n") == 2
    assert b"451" not in replies
    assert "fault in the SMTP door" not in caplog.text


def test_replies_hold_no_control_characters(settings_for: MakeSettings) -> None:
    replies = _replies(settings_for(), b"MA\rL\x00\x1b[2J a\r\n")
    assert b'500 Error: command "MA?L??[2J" not recognized\r\n' in replies
    assert all(byte in b"\r\n" or 32 <= byte < 127 for byte in replies)
    assert replies.count(b"\r") == replies.count(b"\n") == replies.count(b"\r\n")
