"""reliability.md rows 2, 11, 12, 16 at the doors: our own faults are temporary and say nothing, and strangers' tricks lead nowhere."""

import contextlib
import errno
import json
import os
import smtplib
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ingest.doors import receiving
from ingest.doors.http import app, upload
from ingest.doors.room import Room
from ingest.doors.smtp.data import DataStream, HeaderSize
from ingest.doors.smtp.hooks import Hooks
from ingest.doors.smtp.recipients import Recipients
from ingest.doors.smtp.session import SmtpSession
from ingest.host import rights
from ingest.monitoring import metrics
from ingest.settings.settings import Settings, SettingsError
from ingest.spool import folders, trace
from ingest.spool.maildir import IncomingMessage, Spool
from tests.certificates import write_certificate
from tests.doors import running_doors, spooled
from tests.ingest.doors.http.test_app import REPORT, curl, post
from tests.ingest.doors.smtp.test_door import FROM, MAIL, TO, Raw, raw
from tests.support import ROOT, eventually, need

MakeSettings = Callable[..., Settings]
SECRET = "secret detail"


def raising(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def raising_later(*_: object, **__: object) -> Any:
    raise RuntimeError(SECRET)


async def ehlo_raising(
    self: object, server: object, session: object, envelope: object, name: str, messages: list[str]
) -> Any:
    raise RuntimeError(SECRET)


def whole_dialogue(client: Raw) -> list[str]:
    """Every answer to a mail, to the first that is not positive."""
    messages = []
    for line in ("EHLO client.example", f"MAIL FROM:<{FROM}>", f"RCPT TO:<{TO}>", "DATA", "x\r\n."):
        messages.append(client.say(line))
        if messages[-1][:1] not in "23":
            break
    return messages


@pytest.mark.parametrize(
    ("owner", "name", "broken"),
    [
        (Hooks, "handle_EHLO", ehlo_raising),
        (Hooks, "handle_MAIL", raising_later),
        (Hooks, "handle_RCPT", raising_later),
        (Recipients, "accepts", raising),
        (Room, "lack", raising),
        (SmtpSession, "_trace", raising),
        (trace, "for_mail", raising),
        (Spool, "receive", raising),
        (IncomingMessage, "write", raising),
        (IncomingMessage, "commit", raising),
        (DataStream, "feed", raising),
        (HeaderSize, "feed", raising),
        (metrics.accepted, "labels", raising),
        (SmtpSession, "smtp_EHLO", raising_later),
        (SmtpSession, "smtp_MAIL", raising_later),
        (SmtpSession, "smtp_RCPT", raising_later),
        (SmtpSession, "smtp_DATA", raising_later),
    ],
)
def test_each_fault_of_the_smtp_door_is_temporary(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, owner: object, name: str, broken: object
) -> None:
    settings = settings_for(recipients="receiver.example")
    with running_doors(settings) as doors:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, broken)
            with raw(doors["smtp"]) as client:
                replies = whole_dialogue(client)
        assert replies[-1].startswith(("451 4.3.0", "421 4.3.0")), replies
        assert SECRET not in "".join(replies)
        before = len(spooled(settings))
        with smtplib.SMTP(*doors["smtp"]) as honest:
            honest.sendmail(FROM, [TO], MAIL)
        assert len(spooled(settings)) == before + 1
    assert list((settings.spool / "tmp").iterdir()) == []


@pytest.mark.parametrize(("owner", "name"), [(DataStream, "feed"), (HeaderSize, "feed"), (IncomingMessage, "write")])
def test_the_rest_of_a_mail_is_never_read_as_commands(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    with running_doors(settings_for()) as doors, raw(doors["smtp"]) as client:
        client.to_data()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, raising)
            client.send(b"Subject: x\r\n")
            assert client.reply().startswith("421 4.3.0")
        with contextlib.suppress(ConnectionError):
            client.send(b"NOOP\r\n")
            assert client.file.readline() == b""


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (app._HttpDoor, "_check"),
        (app._HttpDoor, "_body"),
        (app._HttpDoor, "_commit"),
        (Room, "lack"),
        (trace, "for_upload"),
        (upload, "may_hold_report"),
        (Spool, "receive"),
        (IncomingMessage, "write"),
        (IncomingMessage, "commit"),
        (app.metrics.accepted, "labels"),
    ],
)
def test_each_fault_of_the_http_door_is_temporary(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, owner: object, name: str
) -> None:
    settings = settings_for()
    with running_doors(settings) as doors:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, raising)
            status, words, headers = post(doors["http"], REPORT)
        assert (status, headers["retry-after"]) == (503, "300")
        assert SECRET not in words
        assert post(doors["http"], REPORT)[0] == 201
    assert list((settings.spool / "tmp").iterdir()) == []


@contextlib.contextmanager
def broken_disk(monkeypatch: pytest.MonkeyPatch, step: str, number: int) -> Iterator[None]:
    """The spool's file system fails with this error at this step of storing a message."""
    error = OSError(number, os.strerror(number))
    real_open, real_fsync, real_rename = rights.create, os.fsync, Path.rename

    class Broken:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self.file, name)

        def write(self, _: bytes) -> int:
            raise error

    def opened(path: Path, *arguments: Any, **options: Any) -> Any:
        if step == "open":
            raise error
        file = real_open(path, *arguments, **options)
        return Broken(file) if step == "write" else file

    def synced(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode) == (step == "directory sync"):
            raise error
        real_fsync(descriptor)

    def renamed(path: Path, target: Any) -> Path:
        if step == "rename" and path.parent.name == "tmp":
            raise error
        return real_rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(rights, "create", opened)
        patch.setattr(Path, "rename", renamed)
        if "sync" in step:
            patch.setattr(os, "fsync", synced)
        yield


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EDQUOT, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("step", ["open", "write", "sync", "rename", "directory sync"])
def test_each_fault_of_the_disk_is_temporary_and_heals(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, step: str, number: int
) -> None:
    settings = settings_for()
    with running_doors(settings) as doors:
        with broken_disk(monkeypatch, step, number):
            with raw(doors["smtp"]) as client:
                replies = whole_dialogue(client)
            status, words, _ = post(doors["http"], REPORT)
        assert replies[-1] == "452 4.3.1 Insufficient system storage, please try again later"
        assert (status, os.strerror(number) in words, str(settings.spool) in words) == (503, False, False)
        assert spooled(settings) == []
        with smtplib.SMTP(*doors["smtp"]) as honest:
            honest.sendmail(FROM, [TO], MAIL)
        assert post(doors["http"], REPORT)[0] == 201
    assert len(spooled(settings)) == 2
    assert list((settings.spool / "tmp").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB, really mounted."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        [need("mount", "mount"), "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs the right to mount a file system: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run([need("umount", "mount"), str(place)], check=True)


def test_a_full_file_system_loses_nothing_and_heals_without_restart(
    settings_for: MakeSettings, small_disk: Path
) -> None:
    settings = settings_for(spool=small_disk / "spool")
    large = b"Subject: large\r\n\r\n" + b"x" * 200_000 + b"\r\n"
    acknowledged = 0
    with running_doors(settings) as doors, smtplib.SMTP(*doors["smtp"]) as client:
        for _ in range(20):
            try:
                client.sendmail(FROM, [TO], large)
                acknowledged += 1
            except smtplib.SMTPDataError as refused:
                assert refused.smtp_code == 452
        assert 5 <= acknowledged < 15
        assert post(doors["http"], b"{" + b" " * 600_000)[0] == 503
        assert list((settings.spool / "tmp").iterdir()) == []
        stored = sorted((settings.spool / "new").iterdir())
        assert len(stored) == acknowledged
        assert all(path.read_bytes().endswith(large) for path in stored)
        stored[0].unlink()
        client.sendmail(FROM, [TO], large)
    assert len(spooled(settings)) == acknowledged


def remounted(place: Path, how: str) -> None:
    subprocess.run([need("mount", "mount"), "-o", f"remount,{how}", str(place)], check=True)


def test_a_read_only_spool_is_said_at_start_and_heals_without_restart(
    settings_for: MakeSettings, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = settings_for(spool=small_disk / "spool")
    Spool(settings.spool)
    remounted(small_disk, "ro")
    with running_doors(settings) as doors:
        assert f"{settings.spool} cannot be used (tmp or new: Read-only file system)" in caplog.text
        status, words, _ = curl(doors["http"], path="/readyz")
        state = json.loads(words)
        assert (status, state["folders"]) == (503, "tmp or new: Read-only file system")
        assert post(doors["http"], REPORT)[0] == 503
        with smtplib.SMTP(*doors["smtp"]) as client, pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(FROM, [TO], MAIL)
        assert refused.value.smtp_code == 452
        remounted(small_disk, "rw")
        assert curl(doors["http"], path="/readyz")[0] == 200
        assert post(doors["http"], REPORT)[0] == 201


@pytest.mark.parametrize("kind", ["another file system", "another mount of the same"])
@pytest.mark.parametrize(("folder", "words"), [("new", "tmp and new"), ("cur", "new and cur")])
def test_a_spool_on_two_file_systems_is_refused(
    settings_for: MakeSettings, small_disk: Path, tmp_path: Path, kind: str, folder: str, words: str
) -> None:
    settings = settings_for(spool=small_disk / "spool")
    Spool(settings.spool)
    place = settings.spool / folder
    other = small_disk / "other" if "same" in kind else tmp_path / "other"
    other.mkdir()
    subprocess.run([need("mount", "mount"), "--bind", str(other), str(place)], check=True)
    try:
        with (
            pytest.raises(SettingsError, match=f"STARTTALLY_SPOOL=.*: {words} are on different"),
            running_doors(settings),
        ):
            pass
        environment = os.environ | {"STARTTALLY_SPOOL": str(settings.spool), "STARTTALLY_DATABASE_URL": "sqlite://"}
        command = [sys.executable, "-m", "dashboard.commands.app", "work", "--once"]
        ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 2
        assert f"STARTTALLY_SPOOL={settings.spool}: {words} are on different" in ran.stderr
    finally:
        subprocess.run([need("umount", "mount"), str(place)], check=True)
    with running_doors(settings) as doors:
        assert curl(doors["http"], path="/readyz")[0] == 200


def test_folders_that_are_gone_or_foreign_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Spool(tmp_path)
    assert folders.unusable(tmp_path) is None
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "cur")  # root may write anywhere
    assert folders.unusable(tmp_path) == "cur: Permission denied"
    (tmp_path / "cur").rmdir()
    assert folders.unusable(tmp_path) == "new or cur: No such file or directory"
    assert folders.divided(tmp_path) is None
    assert list(tmp_path.glob("*/*")) == []


def test_an_upload_is_on_disk_while_it_arrives(settings_for: MakeSettings) -> None:
    """docs/reliability.md row 4: fifty bodies of 20 MiB at once must not be fifty times 20 MiB of memory."""
    settings = settings_for()
    head = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000\r\n\r\n{"

    def size() -> int:
        return sum(path.stat().st_size for path in (settings.spool / "tmp").iterdir())

    with running_doors(settings) as doors:
        with socket.create_connection(doors["http"], timeout=20) as client:
            client.sendall(head + b" " * 8_000_000)
            eventually(lambda: size() > 10_000_000)
        eventually(lambda: size() == 0)
    assert spooled(settings) == []


@pytest.mark.parametrize("size", [1, 56, 57, 58, 65_535, 65_536, 65_537, 300_001])
def test_an_upload_in_pieces_is_spooled_as_one(settings_for: MakeSettings, size: int) -> None:
    settings = settings_for()
    body = b"{" + os.urandom(size - 1)
    spool = Spool(settings.spool)
    for step in (1_000, 57, 100_000):
        taken = upload.Upload(spool, b"Header: x\r\n\r\n")
        for start in range(0, size, step):
            taken.write(body[start : start + step])
        assert taken.octets == size
        whole = (settings.spool / "new" / taken.commit()).read_bytes()
        assert whole == b"Header: x\r\n\r\n" + upload.base64.encodebytes(body)


def test_stopping_lets_an_upload_finish_or_asks_to_come_again(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "_DRAIN_SECONDS", 2.0)
    settings = settings_for()
    head = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with contextlib.ExitStack() as held:
        with running_doors(settings) as doors:
            clients = [held.enter_context(socket.create_connection(doors["http"], timeout=20)) for _ in range(3)]
            quick, slow, _ = clients
            for client in (quick, slow):
                client.sendall(head + b"{")
            eventually(lambda: curl(doors["http"], path="/healthz")[0] == 200)
            threading.Timer(0.5, quick.sendall, [b" " * 99]).start()
        answers = [b"".join(iter(lambda client=client: client.recv(1000), b"")) for client in clients]
    assert [answer[:12] for answer in answers] == [b"HTTP/1.1 201", b"HTTP/1.1 503", b""]
    assert len(spooled(settings)) == 1
    assert list((settings.spool / "tmp").iterdir()) == []


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("BDAT 5 LAST", "500"),
        ("EXPN staff", "502"),
        ("VRFY tlsrpt", "252"),
        ("ETRN example.com", "500"),
        ("TURN", "500"),
        ("AUTH PLAIN AGEAYg==", "500"),
        ("EHLO " + "x" * 600, "500"),
        ("NOOP " + "x" * 40_000, "500"),
        ("DATA", "503"),
        ("\x80\xff", "500"),
        ("EHL\x00 x", "500"),
        ("STARTTLS", "454"),
        ("", "500"),
    ],
)
def test_odd_commands_are_answered_and_the_session_goes_on(
    settings_for: MakeSettings, command: str, answer: str
) -> None:
    settings = settings_for()
    with running_doors(settings) as doors, raw(doors["smtp"]) as client:
        client.send(command.encode("latin-1") + b"\r\n")
        replies = client.reply()
        assert replies.startswith(answer), replies
        client.to_data()
        client.send(b"x\r\n.\r\n")
        assert client.reply().startswith("250")


def test_a_handshake_that_drips_is_cut_by_the_session_deadline(settings_for: MakeSettings, tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path)
    settings = settings_for(tls_certificate=certificate, tls_key=key).model_copy(update={"session_seconds": 2})
    with running_doors(settings) as doors, raw(doors["smtp"]) as client:
        client.say("EHLO client.example")
        client.say("STARTTLS")
        client.send(b"\x16\x03\x01\x40\x00")

        def cut() -> bool:
            with contextlib.suppress(TimeoutError):
                client.socket.settimeout(0.2)
                try:
                    client.send(b"\x00")
                    return client.socket.recv(100) == b""
                except ConnectionError:
                    return True
            return False

        eventually(cut, 40)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}   ",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost : x\r\n\r\n",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\n folded: y\r\n\x00\r\n\r\n",
        b"POST /v1/tlsrpt HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_requests_of_two_meanings_are_refused(settings_for: MakeSettings, request_bytes: bytes) -> None:
    settings = settings_for(idle_seconds=5)
    with running_doors(settings) as doors:
        with socket.create_connection(doors["http"], timeout=20) as client, contextlib.suppress(ConnectionError):
            client.sendall(request_bytes)
            answer = client.recv(2000)
            assert answer[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404", b""), answer
        assert curl(doors["http"], path="/healthz")[0] == 200
    assert spooled(settings) == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"])
def test_other_methods_store_nothing(settings_for: MakeSettings, method: str) -> None:
    settings = settings_for()
    with running_doors(settings) as doors:
        assert curl(doors["http"], "-X", method, "--data-binary", "@-", body=REPORT)[0] in (400, 404, 405)
    assert spooled(settings) == []


def test_pipelined_uploads_are_answered_in_order(settings_for: MakeSettings) -> None:
    settings = settings_for()
    request = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    with running_doors(settings) as doors, socket.create_connection(doors["http"], timeout=20) as client:
        client.sendall(request * 3)
        answers = b""
        while answers.count(b"201 Created") < 3:
            answers += client.recv(2000) or pytest.fail(answers.decode())
    assert len(spooled(settings)) == 3


def test_a_public_socket_from_systemd_needs_recipients(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The setting that is checked is SMTP_LISTEN; what counts is where the door really listens."""
    public = socket.create_server(("0.0.0.0", 0))
    monkeypatch.setattr("ingest.doors.receiving.handed_over", lambda: {"smtp": public})
    with pytest.raises(SettingsError, match="STARTTALLY_RECIPIENTS"), running_doors(settings_for()):
        pass
    public.close()
