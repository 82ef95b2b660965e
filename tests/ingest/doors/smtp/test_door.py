"""The SMTP door with real clients and raw sockets."""

import contextlib
import datetime as dt
import errno
import logging
import os
import smtplib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import intake, submissions
from ingest.doors.receiving import CertificateUnusable, PortBusy
from ingest.doors.smtp.data import DataStream
from ingest.doors.smtp.hooks import Hooks
from ingest.doors.smtp.recipients import Recipients
from ingest.settings.settings import Address, Settings
from ingest.spool import maildir as spool_module
from ingest.spool import trace
from tests.certificates import write_certificate
from tests.doors import running_doors, spooled
from tests.goldens import INPUTS
from tests.support import eventually, need

MAIL = INPUTS["google-usual.eml"]
FROM, TO = "tls-reports@sender.example", "tlsrpt@receiver.example"
MakeSettings = Callable[..., Settings]


@contextlib.contextmanager
def door(settings: Settings) -> Iterator[Address]:
    with running_doors(settings) as addresses:
        yield addresses["smtp"]


class Raw:
    """A client that says what it likes."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=20)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()

    def reply(self) -> str:
        lines = []
        while True:
            line = self.file.readline().decode()
            lines.append(line.rstrip())
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say(self, line: str) -> str:
        self.send(line.encode() + b"\r\n")
        return self.reply()

    def to_data(self) -> None:
        assert self.say("EHLO client.example").startswith("250")
        assert self.say(f"MAIL FROM:<{FROM}>").startswith("250")
        assert self.say(f"RCPT TO:<{TO}>").startswith("250")
        assert self.say("DATA").startswith("354")

    def close(self) -> None:
        self.file.close()
        self.socket.close()


@contextlib.contextmanager
def raw(address: Address) -> Iterator[Raw]:
    client = Raw(address)
    try:
        yield client
    finally:
        client.close()


def bodies(settings: Settings) -> list[bytes]:
    return [trace.read(message, dt.datetime.now(dt.UTC))[1] for message in spooled(settings)]


def test_a_mail_is_spooled_byte_for_byte_under_our_trace(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings) as address, smtplib.SMTP(*address) as client:
        client.sendmail(FROM, [TO], MAIL)
    (message,) = spooled(settings)
    arrival, original = trace.read(message, dt.datetime.now(dt.UTC))
    assert original == MAIL
    assert (arrival.door, arrival.sender) == ("smtp", FROM)
    assert b"by receiver.example (StartTally) with ESMTP for <tlsrpt@receiver.example>" in message
    assert abs(arrival.received_at - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=1)


def test_the_null_sender_is_welcome(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings) as address, smtplib.SMTP(*address) as client:
        client.sendmail("", [TO], MAIL)
    assert spooled(settings)[0].startswith(b"Return-Path: <>\r\n")


def test_what_is_offered(settings_for: MakeSettings, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with door(settings_for(tls_certificate=certificate, tls_key=key, max_message_bytes=100_000)) as address:
        with raw(address) as client:
            assert client.greeting == "220 receiver.example ESMTP"
        with smtplib.SMTP(*address) as client:
            client.ehlo()
            assert client.esmtp_features["size"] == "100000"
            assert {"8bitmime", "smtputf8", "starttls"} <= set(client.esmtp_features)
            client.starttls()
            client.ehlo()
            assert not {"starttls", "auth"} & set(client.esmtp_features)
            assert client.docmd("AUTH PLAIN AGEAYg==")[0] == 500


def test_starttls_with_a_real_client(settings_for: MakeSettings, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    settings = settings_for(tls_certificate=certificate, tls_key=key)
    context = ssl.create_default_context(cafile=str(certificate))
    with door(settings) as address, smtplib.SMTP(*address, local_hostname="client.example") as client:
        client._host = "receiver.example"  # the name that the certificate must match
        client.starttls(context=context)
        client.sendmail(FROM, [TO], MAIL)
    assert b"with ESMTPS for" in spooled(settings)[0]
    assert bodies(settings) == [MAIL]


def test_a_renewed_certificate_is_used_and_a_broken_one_is_not(settings_for: MakeSettings, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    with door(settings_for(tls_certificate=certificate, tls_key=key)) as address:

        def certificate_shown() -> bytes | None:
            context = ssl._create_unverified_context()
            with smtplib.SMTP(*address) as client:
                client.starttls(context=context)
                assert isinstance(client.sock, ssl.SSLSocket)
                return client.sock.getpeercert(binary_form=True)

        first = certificate_shown()
        assert certificate_shown() == first
        write_certificate(tmp_path)
        second = certificate_shown()
        assert second != first
        certificate.write_text("nonsense")
        assert certificate_shown() == second


@pytest.mark.parametrize("broken", ["unreadable", "nonsense", "other key"])
def test_an_unusable_certificate_is_named(settings_for: MakeSettings, tmp_path: Path, broken: str) -> None:
    certificate, key = write_certificate(tmp_path)
    if broken == "unreadable":
        certificate.unlink()
        certificate.mkdir()
    elif broken == "nonsense":
        certificate.write_text("nonsense")
    else:
        (tmp_path / "other").mkdir()
        _, key = write_certificate(tmp_path / "other")
    with (
        pytest.raises(CertificateUnusable, match="STARTTALLY_TLS_CERTIFICATE"),
        door(settings_for(tls_certificate=certificate, tls_key=key)),
    ):
        pass


def test_a_busy_port_names_its_setting(settings_for: MakeSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(PortBusy, match=f"127.0.0.1:{port} is in use by another program; set STARTTALLY_SMTP_LISTEN"),
            door(settings_for(smtp_listen=f"127.0.0.1:{port}")),
        ):
            pass


def test_commands_sent_in_plain_after_starttls_are_forgotten(settings_for: MakeSettings, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    settings = settings_for(tls_certificate=certificate, tls_key=key)
    with door(settings) as address, raw(address) as client:
        client.say("EHLO client.example")
        client.send(b"STARTTLS\r\nEHLO injected.example\r\nMAIL FROM:<evil@sender.example>\r\n")
        assert client.reply().startswith("220")
        context = ssl._create_unverified_context()
        client.file.close()
        with (
            contextlib.suppress(ssl.SSLError, ConnectionError, TimeoutError),
            context.wrap_socket(client.socket) as secure,
        ):
            secure.sendall(f"RCPT TO:<{TO}>\r\n".encode())
            assert secure.recv(1000).startswith(b"503")
    assert spooled(settings) == []


LISTED = "tlsrpt@receiver.example, reports.example"


@pytest.mark.parametrize(
    ("recipient", "accepted", "why"),
    [
        ("tlsrpt@receiver.example", True, "listed"),
        ("TLSRPT@Receiver.Example", True, "case does not matter"),
        ("tlsrpt+2026@receiver.example", True, "a tag"),
        ("anything@reports.example", True, "a listed domain"),
        ("postmaster@receiver.example", True, "RFC 5321 section 4.5.1"),
        ("other@receiver.example", False, "not listed"),
        ("tlsrpt@sub.reports.example", False, "a subdomain is another domain"),
        ("tlsrpt@other.example", False, "relaying"),
        ("tlsrpt%other.example@receiver.example", False, "the percent hack is relaying"),
        ("postmaster", True, "RFC 5321 section 4.5.1: without a domain, and in any case"),
        ("PostMaster", True, "the same"),
        ("Postmaster@Reports.Example", True, "a domain served"),
        ("postmaster@mx.example", True, "this host"),
        ("postmaster@other.example", False, "relaying"),
        ("postmaster+tag@receiver.example", False, "a tag is another address, and not listed"),
        ("tlsrpt", False, "no domain"),
        ("@receiver.example", False, "nobody"),
    ],
)
def test_recipients(settings_for: MakeSettings, recipient: str, accepted: bool, why: str) -> None:
    settings = settings_for(recipients=LISTED, hostname="MX.example")
    assert Recipients(settings).accepts(recipient) is accepted, why


@pytest.mark.parametrize(
    ("listed", "recipient", "letter", "why"),
    [
        (LISTED, "Postmaster", True, "without a domain"),
        (LISTED, "postmaster@reports.example", True, "a listed domain takes reports at all addresses but this"),
        (LISTED, "tlsrpt@receiver.example", False, "listed"),
        ("postmaster@receiver.example", "postmaster@receiver.example", False, "the operator's reports go there"),
        ("postmaster@receiver.example", "postmaster", True, "but not there"),
        (LISTED, "postmaster@other.example", False, "not accepted at all"),
        ("", "postmaster@anywhere.example", True, "a door on loopback that takes everything"),
    ],
)
def test_who_gets_letters(settings_for: MakeSettings, listed: str, recipient: str, letter: bool, why: str) -> None:
    assert Recipients(settings_for(recipients=listed)).is_postmaster(recipient) is letter, why


def test_relaying_is_refused_in_words(settings_for: MakeSettings) -> None:
    settings = settings_for(recipients=LISTED)
    with (
        door(settings) as address,
        smtplib.SMTP(*address) as client,
        pytest.raises(smtplib.SMTPRecipientsRefused) as refused,
    ):
        client.sendmail(FROM, ["someone@elsewhere.example"], MAIL)
    code, words = refused.value.recipients["someone@elsewhere.example"]
    assert (code, b"does not relay" in words) == (550, True)
    assert spooled(settings) == []


def test_refused_recipients_are_cut_in_the_log(settings_for: MakeSettings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with door(settings_for(recipients=LISTED)) as address, raw(address) as client:
        client.say("EHLO client.example")
        client.say(f"MAIL FROM:<{FROM}>")
        for refused in ("jane.doe@elsewhere.example", "jane.doe", '"jane\tdoe"@e\x1b[2Jlsewhere.example'):
            assert client.say(f"RCPT TO:<{refused}>")[:1] == "5"
    assert "127.0.0.0/24: no mail for …@elsewhere.example" in caplog.text
    assert "no mail for … (no domain)" in caplog.text
    assert not any("jane" in record.getMessage() or "\x1b" in record.getMessage() for record in caplog.records)


def letters(settings: Settings, *recipients: str, mail: bytes = b"Subject: help\r\n\r\nplease\r\n") -> str:
    """The last reply to a mail for these."""
    with door(settings) as address, raw(address) as client:
        client.say("EHLO client.example")
        client.say(f"MAIL FROM:<{FROM}>")
        for recipient in recipients:
            replies = client.say(f"RCPT TO:<{recipient}>")
            if replies[:3] != "250":
                return replies
        client.say("DATA")
        client.send(mail + b".\r\n")
        return client.reply()


def judged(settings: Settings) -> submissions.Decoded | submissions.Quarantined:
    (message,) = spooled(settings)
    arrival, original = trace.read(message, dt.datetime.now(dt.UTC))
    return intake.decode_mail(original, arrival, settings)


@pytest.mark.parametrize("recipient", ["postmaster", "Postmaster", "POSTMASTER@reports.example"])
def test_letters_to_postmaster_are_kept_apart(settings_for: MakeSettings, recipient: str) -> None:
    settings = settings_for(recipients=LISTED)
    assert letters(settings, recipient).startswith("250")
    decoded = judged(settings)
    assert isinstance(decoded, submissions.Quarantined)
    assert (decoded.reason, decoded.subject) == ("postmaster", "help")


@pytest.mark.parametrize("recipients", [("postmaster", TO), (TO, "postmaster"), ("postmaster",)])
def test_a_report_is_one_whoever_else_it_is_for(settings_for: MakeSettings, recipients: tuple[str, ...]) -> None:
    settings = settings_for(recipients=LISTED)
    assert letters(settings, *recipients, mail=MAIL).startswith("250")
    assert isinstance(judged(settings), submissions.Decoded)


def test_no_report_for_both_is_a_failed_report(settings_for: MakeSettings) -> None:
    settings = settings_for(recipients=LISTED)
    assert letters(settings, "postmaster", TO).startswith("250")
    decoded = judged(settings)
    assert isinstance(decoded, submissions.Quarantined)
    assert decoded.reason == "no-report"
    assert f"for <{TO}>".encode() in spooled(settings)[0]


def test_letters_are_short_and_few(settings_for: MakeSettings) -> None:
    settings = settings_for(recipients=LISTED)
    long = b"Subject: x\r\n\r\n" + b"x" * 300_000 + b"\r\n"
    assert letters(settings, "postmaster", mail=long) == "552 5.3.4 Letter to postmaster larger than 262144 bytes"
    assert letters(settings, TO, mail=long).startswith("250")
    with door(settings) as address, raw(address) as client:
        client.say("EHLO client.example")
        client.say(f"MAIL FROM:<{FROM}>")
        assert [client.say("RCPT TO:<postmaster>")[:3] for _ in range(11)] == ["250"] * 10 + ["450"]
        assert client.say(f"RCPT TO:<{TO}>").startswith("250")


def test_too_many_recipients_wait_for_another_mail(settings_for: MakeSettings) -> None:
    with door(settings_for(max_recipients=2)) as address, raw(address) as client:
        client.say("EHLO client.example")
        client.say(f"MAIL FROM:<{FROM}>")
        assert [client.say(f"RCPT TO:<{TO}>")[:3] for _ in range(3)] == ["250", "250", "452"]


@pytest.mark.parametrize("announced", [True, False])
def test_too_large_a_mail_is_refused_and_leaves_nothing(settings_for: MakeSettings, announced: bool) -> None:
    settings = settings_for(max_message_bytes=65536)
    with door(settings) as address, raw(address) as client:
        client.say("EHLO client.example")
        if announced:
            assert client.say(f"MAIL FROM:<{FROM}> SIZE=70000").startswith("552")
        client.to_data()
        client.send(b"Subject: x\r\n\r\n" + b"x" * 70_000 + b"\r\n.\r\n")
        assert client.reply().startswith("552")
        client.to_data()
        client.send(b"Subject: small\r\n\r\n.\r\n")
        assert client.reply().startswith("250")
    assert bodies(settings) == [b"Subject: small\r\n\r\n"]


@pytest.mark.parametrize("flood", [b"x" * 65536, b"\r\n" * 32768, b"..\r\n" * 16384, b"\n" * 65536])
def test_a_mail_without_end_is_cut_off(settings_for: MakeSettings, flood: bytes) -> None:
    settings = settings_for(max_message_bytes=65536)
    with door(settings) as address, raw(address) as client:
        client.to_data()
        client.send(b"x\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(40):
                client.send(flood)
        with contextlib.suppress(ConnectionError):
            assert client.reply()[:3] in ("421", "500", "552", "")
    eventually(lambda: not list((settings.spool / "tmp").iterdir()))
    assert spooled(settings) == []


@pytest.mark.parametrize("end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\n", b"\r\n.\r"])
def test_only_crlf_dot_crlf_ends_a_mail(settings_for: MakeSettings, end: bytes) -> None:
    settings = settings_for()
    smuggled = b"MAIL FROM:<evil@sender.example>\r\nRCPT TO:<" + TO.encode() + b">\r\nDATA\r\nSubject: smuggled\r\n"
    with door(settings) as address, raw(address) as client:
        client.to_data()
        client.send(b"Subject: one\r\n\r\ntext" + end + smuggled + b"\r\n.\r\n")
        assert client.reply().startswith("250")
        assert client.say("NOOP").startswith("250")
    (body,) = bodies(settings)
    assert b"Subject: smuggled" in body


def test_dots_are_unstuffed_and_pipelined_commands_answered(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings) as address, raw(address) as client:
        client.to_data()
        client.send(b"..one\r\n.two\r\n...\r\n.\r\nNOOP\r\nQUIT\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["250", "250", "221"]
    assert bodies(settings) == [b".one\r\ntwo\r\n..\r\n"]


@given(
    st.lists(st.sampled_from([b"\r\n", b".", b"\r", b"\n", b"x", b"\r\n.", b"\r\n..\r\n"]), max_size=30),
    st.integers(1, 5),
)
def test_stuffing_and_decoding_is_the_identity_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    original = b"".join(pieces) + b"\r\n"
    stuffed = (b"\r\n" + original).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\nREST"
    stream = DataStream()
    decoded = b""
    for start in range(0, len(stuffed), size):
        if stream.ended:
            stream.rest += stuffed[start : start + size]
        else:
            decoded += stream.feed(stuffed[start : start + size])
    assert (stream.ended, decoded, stream.rest) == (True, original, b"REST")


def test_hanging_up_within_a_mail_leaves_nothing(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings) as address:
        with raw(address) as client:
            client.to_data()
            client.send(b"Subject: half\r\n\r\n")
        eventually(lambda: not list((settings.spool / "tmp").iterdir()))
    assert spooled(settings) == []


def test_every_fault_of_ours_is_temporary_and_says_nothing(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> str:
        raise RuntimeError("secret detail")

    settings = settings_for()
    for hook in ("handle_EHLO", "handle_MAIL", "handle_RCPT"):
        with monkeypatch.context() as patch:
            patch.setattr(Hooks, hook, _with_the_same_signature(hook, broken))
            with door(settings) as address, raw(address) as client:
                replies = [
                    client.say(line) for line in ("EHLO client.example", f"MAIL FROM:<{FROM}>", f"RCPT TO:<{TO}>")
                ]
            bad = next(reply for reply in replies if reply[0] != "2")
            assert bad.startswith("451 4.3.0")
            assert "secret" not in "".join(replies)
    with monkeypatch.context() as patch:
        patch.setattr(spool_module.IncomingMessage, "commit", lambda *_: 1 / 0)
        with door(settings) as address, raw(address) as client:
            client.to_data()
            client.send(b"x\r\n.\r\n")
            assert client.reply().startswith("451 4.3.0")
            assert client.say("NOOP").startswith("250")


def _with_the_same_signature(hook: str, broken: Callable[..., object]) -> object:
    async def ehlo(
        self: object, server: object, session: object, envelope: object, hostname: str, responses: list[str]
    ) -> object:
        return await broken()  # type: ignore[misc]

    return ehlo if hook == "handle_EHLO" else broken


def test_a_full_disk_is_temporary_and_heals_by_itself(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with door(settings) as address, raw(address) as client:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            client.to_data()
            client.send(b"x\r\n.\r\n")
            assert client.reply().startswith("452 4.3.1")
        client.to_data()
        client.send(b"y\r\n.\r\n")
        assert client.reply().startswith("250")
    assert bodies(settings) == [b"y\r\n"]


def test_too_little_free_space_is_temporary(settings_for: MakeSettings) -> None:
    with door(settings_for(min_free_bytes=2**62)) as address, raw(address) as client:
        client.say("EHLO client.example")
        assert client.say(f"MAIL FROM:<{FROM}>").startswith("452 4.3.1")


def test_connections_are_counted_per_client(settings_for: MakeSettings) -> None:
    with door(settings_for(max_connections_per_client=2)) as address, raw(address), raw(address):
        with raw(address) as third:
            assert third.greeting.startswith("421 4.7.0 receiver.example too many connections from your address")

        def free() -> bool:
            with raw(address) as client:
                return client.greeting.startswith("220")

        assert not free()
    with door(settings_for(max_connections=1)) as address:
        with raw(address), raw(address) as second:
            assert second.greeting.startswith("421")
        eventually(lambda: _greeted(address))


def _greeted(address: Address) -> bool:
    with raw(address) as client:
        return client.greeting.startswith("220")


@pytest.mark.parametrize(
    ("limits", "chatter"),
    [({"session_seconds": 2, "idle_seconds": 120}, b"NOOP\r\n"), ({"session_seconds": 600, "idle_seconds": 1}, b"")],
)
def test_slow_sessions_are_ended_with_421(settings_for: MakeSettings, limits: dict[str, int], chatter: bytes) -> None:
    with door(settings_for().model_copy(update=limits)) as address, raw(address) as client:
        stop = threading.Event()

        def chat() -> None:
            while chatter and not stop.wait(0.2):
                with contextlib.suppress(OSError):
                    client.send(chatter)

        talking = threading.Thread(target=chat)
        talking.start()
        try:
            while (reply := client.reply()).startswith("250"):
                pass
        finally:
            stop.set()
            talking.join()
        assert reply.startswith("421 4.4.2")
        with contextlib.suppress(ConnectionResetError):  # what the client said after it was sent away
            assert client.file.readline() == b""


def test_endless_chatter_is_ended(settings_for: MakeSettings) -> None:
    with door(settings_for()) as address:
        with raw(address) as client:
            replies = [client.say("NOOP")[:3] for _ in range(51)]
            assert replies[-1] == "421"
        with raw(address) as client:
            replies = [client.say("MAIL FROM")[:3] for _ in range(21)]
            assert client.reply().startswith("421 4.7.0 too many errors")


def test_stopping_lets_a_mail_in_flight_finish(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with contextlib.ExitStack() as doors:
        with running_doors(settings) as addresses:
            client, idle = Raw(addresses["smtp"]), Raw(addresses["smtp"])
            doors.callback(client.close)
            doors.callback(idle.close)
            client.to_data()
            client.send(b"Subject: in flight\r\n\r\n")
            threading.Timer(0.5, client.send, [b".\r\n"]).start()
        assert client.reply().startswith("250")
        assert client.reply().startswith("421 4.3.2 shutting down")
        assert idle.reply().startswith("421 4.3.2 shutting down")
    assert bodies(settings) == [b"Subject: in flight\r\n\r\n"]


def test_swaks_delivers_over_starttls(settings_for: MakeSettings, tmp_path: Path) -> None:
    swaks = need("swaks", "swaks")
    certificate, key = write_certificate(tmp_path)
    settings = settings_for(tls_certificate=certificate, tls_key=key)
    (tmp_path / "mail.eml").write_bytes(MAIL)
    with door(settings) as address:
        ended = subprocess.run(
            [
                swaks,
                "--server",
                address.host,
                "--port",
                str(address.port),
                "--tls",
                "--from",
                FROM,
                "--to",
                TO,
                "--data",
                f"@{tmp_path}/mail.eml",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if "requires Net::SSLeay" in ended.stderr:
        pytest.skip("needs swaks with TLS (Debian package libnet-ssleay-perl)")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert b"with ESMTPS for" in spooled(settings)[0]
    assert bodies(settings)[0].rstrip() == MAIL.rstrip()


def test_many_clients_at_once_lose_nothing(settings_for: MakeSettings) -> None:
    settings = settings_for()

    def send(address: Address, start: int) -> None:
        with smtplib.SMTP(*address) as client:
            for number in range(start, start + 20):
                client.sendmail(FROM, [TO], b"Subject: %d\r\n\r\n" % number)

    with door(settings) as address:
        senders = [threading.Thread(target=send, args=(address, 20 * index)) for index in range(8)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
    assert sorted(bodies(settings)) == sorted(b"Subject: %d\r\n\r\n" % number for number in range(160))
