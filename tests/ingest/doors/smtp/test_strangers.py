"""Connections that end where none should, and TLS that never comes up: they cost a stranger's own place, and nothing else."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.doors.smtp.door import SmtpDoor
from ingest.monitoring import metrics
from ingest.settings.settings import Address, Settings
from ingest.spool.maildir import Spool
from tests.certificates import write_certificate
from tests.doors import running_doors, spooled
from tests.ingest.doors.smtp.test_door import MAIL, Raw, raw
from tests.support import eventually
from tests.system.test_proxies import V1, talk

MakeSettings = Callable[..., Settings]
Ending = Callable[[socket.socket], None]
_PLACES = 3


def open_connections() -> float:
    return metrics.registry.get_sample_value("starttally_connections", {"door": "smtp"}) or 0


def refused(reason: str) -> float:
    return metrics.registry.get_sample_value("starttally_refused_total", {"door": "smtp", "reason": reason}) or 0


def hang_up(_: socket.socket) -> None:
    pass


def half_close(client: socket.socket) -> None:
    client.shutdown(socket.SHUT_WR)


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("proxies", ["", "127.0.0.1"], ids=["clients", "proxies"])
@pytest.mark.parametrize("ending", [hang_up, half_close, reset])
def test_a_connection_that_ends_at_once_gives_its_place_back(
    settings_for: MakeSettings, proxies: str, ending: Ending
) -> None:
    """aiosmtpd cancels the task that would close the connection before it has begun: 299 of 300 places were lost so."""
    places = {"max_connections": _PLACES, "max_connections_per_client": _PLACES}
    with running_doors(settings_for(smtp_proxies=proxies, **places)) as doors:
        for _ in range(20):
            with socket.create_connection(doors["smtp"], timeout=20) as client:
                ending(client)
        eventually(lambda: open_connections() == 0)
        if proxies:
            assert talk(doors["smtp"], V1).startswith("250")
        else:
            with raw(doors["smtp"]) as client:
                assert client.greeting.startswith("220")


class Gone(asyncio.Transport):
    """A connection that is no more."""

    def is_closing(self) -> bool:
        return True


def test_the_error_that_a_connection_ends_with_is_nobodys_to_retrieve(settings_for: MakeSettings) -> None:
    """asyncio keeps it in a future; 8 of 3,000 resets were an ERROR in the log, as the garbage collector liked."""

    async def lose() -> BaseException | None:
        settings = settings_for()
        session = SmtpDoor(settings, Spool(settings.spool))._session()
        session.connection_made(Gone({"peername": ("192.0.2.1", 1)}))
        session.connection_lost(ConnectionResetError())
        closed: asyncio.Future[None] = session._closed  # type: ignore[attr-defined]
        return closed.exception()

    assert asyncio.run(lose()) is None


@pytest.fixture
def with_tls(settings_for: MakeSettings, tmp_path: Path) -> Settings:
    certificate, key = write_certificate(tmp_path)
    return settings_for(tls_certificate=certificate, tls_key=key, max_connections=_PLACES)


@contextlib.contextmanager
def before_handshake(address: Address) -> Iterator[socket.socket]:
    with raw(address) as client:
        client.say("EHLO client.example")
        assert client.say("STARTTLS").startswith("220")
        yield client.socket


def silent(_: socket.socket) -> None:
    pass


def garbage(client: socket.socket) -> None:
    client.sendall(b"GARBAGE\r\n" * 10)
    client.recv(1_000)


def plain_http(client: socket.socket) -> None:
    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
    client.recv(1_000)


def half_a_hello(client: socket.socket) -> None:
    client.sendall(b"\x16\x03\x01\x02\x00\x01")


def half_a_hello_and_reset(client: socket.socket) -> None:
    half_a_hello(client)
    reset(client)


def handshake(context: ssl.SSLContext) -> Ending:
    def ending(client: socket.socket) -> None:
        context.wrap_socket(client, server_hostname="receiver.example").recv(100)

    return ending


def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = context.maximum_version = version
    return context


def _outdated() -> ssl.SSLContext:
    context = ssl._create_unverified_context()
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize(
    ("ending", "word"),
    [
        (silent, "ConnectionResetError"),
        (reset, "ConnectionResetError"),
        (garbage, "WRONG_VERSION_NUMBER"),
        (plain_http, "HTTP_REQUEST"),
        (half_a_hello, "ConnectionResetError"),
        (half_a_hello_and_reset, "ConnectionResetError"),
        (lambda client: handshake(only(ssl.TLSVersion.TLSv1_2))(client), "TLSV1_ALERT_UNKNOWN_CA"),
        (lambda client: handshake(only(ssl.TLSVersion.TLSv1_3))(client), "TLSV1_ALERT_UNKNOWN_CA"),
        (lambda client: handshake(_outdated())(client), "UNSUPPORTED_PROTOCOL"),
    ],
    ids=["silent", "reset", "garbage", "http", "half", "half, reset", "rejects us 1.2", "rejects us 1.3", "TLS 1.0"],
)
def test_a_strangers_broken_handshake_is_no_fault_of_ours(
    with_tls: Settings, caplog: pytest.LogCaptureFixture, ending: Ending, word: str
) -> None:
    caplog.set_level(logging.INFO)
    faults, broken = refused("fault"), refused("tls")
    with running_doors(with_tls) as doors:
        for _ in range(2 * _PLACES):
            with before_handshake(doors["smtp"]) as client, contextlib.suppress(OSError):
                ending(client)
        eventually(lambda: open_connections() == 0)
        with raw(doors["smtp"]) as honest:
            honest.to_data()
            honest.send(MAIL + b"\r\n.\r\n")
            assert honest.reply().startswith("250")
    assert (refused("fault"), refused("tls")) == (faults, broken + 2 * _PLACES)
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []
    assert [record.exc_info for record in caplog.records if record.exc_info] == []
    assert caplog.text.count("127.0.0.0/24: TLS failed: ") == 2 * _PLACES
    assert f"TLS failed: {word}" in caplog.text
    assert len(spooled(with_tls)) == 1


@pytest.mark.parametrize("ending", [silent, half_a_hello])
def test_a_stalled_handshake_gives_its_place_back(with_tls: Settings, ending: Ending) -> None:
    """asyncio calls a handshake that we cut short done, and the session waited for its first command until the end of days."""
    with running_doors(with_tls.model_copy(update={"idle_seconds": 1})) as doors:
        with before_handshake(doors["smtp"]) as client:
            ending(client)
            eventually(lambda: open_connections() == 0)
        with raw(doors["smtp"]) as honest:
            assert honest.greeting.startswith("220")


@contextlib.contextmanager
def within_tls(address: Address) -> Iterator[Raw]:
    """A client that says what it likes within TLS."""
    with before_handshake(address) as plain, ssl._create_unverified_context().wrap_socket(plain) as secure:
        client = Raw.__new__(Raw)
        client.socket, client.file = secure, secure.makefile("rb")
        yield client
        client.file.close()


def test_starttls_within_tls_is_refused_and_not_offered(with_tls: Settings) -> None:
    with running_doors(with_tls) as doors, within_tls(doors["smtp"]) as client:
        assert "STARTTLS" not in client.say("EHLO client.example")
        assert client.say("STARTTLS") == "503 5.5.1 Error: TLS is active"
        client.to_data()
        client.send(MAIL + b"\r\n.\r\n")
        assert client.reply().startswith("250")
    assert b"with ESMTPS for" in spooled(with_tls)[0]
