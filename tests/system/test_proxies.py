"""Load balancers and reverse proxies in front of the doors: believed when they are named, and nobody else."""

import http.client
import logging
import smtplib
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.settings.settings import Address, Settings
from tests.doors import running_doors, spooled
from tests.goldens import INPUTS
from tests.ingest.doors.smtp.test_door import FROM, MAIL, TO, raw
from tests.support import eventually

MakeSettings = Callable[..., Settings]
V1 = b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n"
V1_IPV6 = b"PROXY TCP6 2001:db8::7 2001:db8::1 40000 25\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V2 = (
    SIGNATURE
    + bytes([0x21, 0x11])
    + struct.pack("!H", 12)
    + socket.inet_aton("198.51.100.7")
    + socket.inet_aton("192.0.2.1")
    + struct.pack("!HH", 40000, 25)
)
V2_LOCAL = SIGNATURE + bytes([0x20, 0x00]) + struct.pack("!H", 0)
# As haproxy writes it for its health checks when told to send addresses.
V2_LOCAL_WITH_ADDRESSES = SIGNATURE + bytes([0x20]) + V2[13:]


def talk(address: Address, header: bytes) -> str:
    """What the door says to a mail behind this header, to its end."""
    with socket.create_connection(address, timeout=20) as client, client.makefile("rb") as replies:
        client.sendall(header)
        greeting = replies.readline().decode()
        if not greeting.startswith("220"):
            return greeting
        for line in ("EHLO client.example", f"MAIL FROM:<{FROM}>", f"RCPT TO:<{TO}>", "DATA"):
            client.sendall(line.encode() + b"\r\n")
            while (reply := replies.readline())[3:4] == b"-":
                pass
            if line == "DATA":
                client.sendall(MAIL + b"\r\n.\r\n")
                reply = replies.readline()
        return reply.decode()


@pytest.mark.parametrize(
    ("header", "client"),
    [
        (V1, b"([198.51.100.7])"),
        (V1_IPV6, b"([2001:db8::7])"),
        (V2, b"([198.51.100.7])"),
        (V2_LOCAL, b"([127.0.0.1])"),
        (V2_LOCAL_WITH_ADDRESSES, b"([127.0.0.1])"),
        (b"PROXY UNKNOWN\r\n", b"([127.0.0.1])"),
    ],
)
def test_a_named_proxy_says_who_the_client_is(settings_for: MakeSettings, header: bytes, client: bytes) -> None:
    settings = settings_for(smtp_proxies="127.0.0.1")
    with running_doors(settings) as doors:
        assert talk(doors["smtp"], header).startswith("250")
    (message,) = spooled(settings)
    assert client in message.split(b"\r\n")[1]


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"EHLO client.example\r\n", "no header at all"),
        (b"PROXY TCP4 198.51.100.7\r\n", "cut short"),
        (b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n", "no address"),
        (b"PROXY TCP4 198.51.100.7 192.0.2.1 99999 25\r\n", "no port"),
        (b"PROXY\r\n", "nothing in it"),
        (b"PROXY TCP4 " + b"1" * 20_000 + b"\r\n", "endless"),
        (SIGNATURE + bytes([0x31, 0x11, 0, 0]), "version 3"),
        (SIGNATURE + bytes([0x21, 0x11]) + struct.pack("!H", 4) + b"abcd", "addresses cut short"),
        (SIGNATURE + bytes([0x21, 0xFF, 0, 0]), "no family"),
        (b"\r\n\r\n\x00\r\nQUIX\n\x21\x11\x00\x00", "another signature"),
    ],
)
def test_what_is_no_header_ends_the_connection(settings_for: MakeSettings, header: bytes, why: str) -> None:
    settings = settings_for(smtp_proxies="127.0.0.1")
    with running_doors(settings) as doors:
        assert talk(doors["smtp"], header).startswith("421"), why
        assert talk(doors["smtp"], V1).startswith("250")
    assert len(spooled(settings)) == 1


def test_a_proxy_that_says_nothing_or_hangs_up_leaves_nothing_behind(settings_for: MakeSettings) -> None:
    settings = settings_for(smtp_proxies="127.0.0.1", max_connections=2)
    with running_doors(settings) as doors:
        for header in (b"", b"PRO", SIGNATURE[:7], SIGNATURE + bytes([0x21, 0x11, 0, 12]) + b"abc"):
            with socket.create_connection(doors["smtp"], timeout=20) as client:
                client.sendall(header)
        assert eventually(lambda: talk(doors["smtp"], V1).startswith("250"))


def test_nobody_else_is_believed(settings_for: MakeSettings) -> None:
    settings = settings_for(smtp_proxies="192.0.2.1")
    with running_doors(settings) as doors, raw(doors["smtp"]) as client:
        assert client.say(V1.decode().strip()).startswith("500")
        client.to_data()
        client.send(MAIL + b"\r\n.\r\n")
        assert client.reply().startswith("250")
    assert b"([127.0.0.1])" in spooled(settings)[0]


def test_each_client_behind_a_proxy_has_its_own_share(settings_for: MakeSettings) -> None:
    settings = settings_for(smtp_proxies="127.0.0.1", max_connections_per_client=2)

    def greeting(address: str) -> tuple[socket.socket, bytes]:
        client = socket.create_connection(doors["smtp"], timeout=20)
        client.sendall(f"PROXY TCP4 {address} 192.0.2.1 40000 25\r\n".encode())
        return client, client.recv(100)

    with running_doors(settings) as doors:
        open_ones = [greeting("198.51.100.7") for _ in range(3)] + [greeting("198.51.100.8")]
        codes = [reply[:3] for _, reply in open_ones]
        for client, _ in open_ones:
            client.close()
    assert codes == [b"220", b"220", b"421", b"220"]


def upload(address: Address, forwarded: str) -> int:
    client = http.client.HTTPConnection(*address, timeout=20)
    headers = {"Content-Type": "application/tlsrpt+gzip", "X-Forwarded-For": forwarded}
    client.request("POST", "/v1/tlsrpt", INPUTS["gzip-trailing-bytes.json.gz"], headers)
    status = client.getresponse().status
    client.close()
    return status


@pytest.mark.parametrize(
    ("proxies", "forwarded", "client"),
    [
        ("127.0.0.0/8", "198.51.100.7", b"([198.51.100.7])"),
        # What the client itself wrote stands before what our proxy added.
        ("127.0.0.0/8", "203.0.113.99, 198.51.100.7", b"([198.51.100.7])"),
        ("192.0.2.1", "198.51.100.7", b"([127.0.0.1])"),
        ("", "198.51.100.7", b"([127.0.0.1])"),
    ],
)
def test_forwarded_addresses_count_only_from_named_proxies(
    settings_for: MakeSettings, proxies: str, forwarded: str, client: bytes
) -> None:
    settings = settings_for(http_proxies=proxies)
    with running_doors(settings) as doors:
        assert upload(doors["http"], forwarded) == 201
    assert client in spooled(settings)[0].split(b"\r\n")[1]


def test_a_proxy_is_known_where_ipv4_comes_in_by_an_ipv6_socket(settings_for: MakeSettings) -> None:
    """Such a socket shows 127.0.0.1 as ::ffff:127.0.0.1."""
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("needs IPv6")
    named = settings_for(
        http_listen="[::]:0",
        smtp_listen="[::]:0",
        recipients="receiver.example",
        http_proxies="127.0.0.0/8",
        smtp_proxies="127.0.0.1",
    )
    with running_doors(named) as doors:
        assert upload(Address("127.0.0.1", doors["http"].port), "198.51.100.7") == 201
        assert talk(Address("127.0.0.1", doors["smtp"].port), V1).startswith("250")
    assert all(b"([198.51.100.7])" in message.split(b"\r\n")[1] for message in spooled(named))


def test_a_proxy_may_open_more_connections_than_a_client(settings_for: MakeSettings) -> None:
    settings = settings_for(http_proxies="127.0.0.1", max_connections_per_client=1)
    with running_doors(settings) as doors:
        held = [socket.create_connection(doors["http"], timeout=20) for _ in range(5)]
        assert upload(doors["http"], "198.51.100.7") == 201
        for client in held:
            client.close()


def test_idle_connections_behind_a_proxy_keep_nobody_out(settings_for: MakeSettings) -> None:
    settings = settings_for(http_proxies="127.0.0.1", max_connections=5)
    with running_doors(settings) as doors:
        held = [socket.create_connection(doors["http"], timeout=20) for _ in range(12)]
        assert [upload(doors["http"], "198.51.100.7") for _ in range(3)] == [201] * 3
        for client in held:
            client.close()


def test_no_whole_address_in_the_log(
    settings_for: MakeSettings, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.INFO)
    settings = settings_for(smtp_proxies="127.0.0.1", http_proxies="127.0.0.1")
    with running_doors(settings) as doors:
        assert talk(doors["smtp"], V1).startswith("250")
        assert upload(doors["http"], "198.51.100.7") == 201
    assert "198.51.100.0/24" in caplog.text
    assert "198.51.100.7" not in caplog.text


def test_smtplib_reaches_a_door_without_proxies_as_ever(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with running_doors(settings) as doors, smtplib.SMTP(*doors["smtp"]) as client:
        client.sendmail(FROM, [TO], MAIL)
    assert len(spooled(settings)) == 1
