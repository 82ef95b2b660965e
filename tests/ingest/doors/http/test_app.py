"""The HTTP door with curl and raw sockets."""

import contextlib
import datetime as dt
import errno
import gzip
import json
import os
import re
import select
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest

from ingest import intake, submissions
from ingest.doors.http.app import _HttpDoor
from ingest.settings.settings import Address, Settings
from ingest.spool import trace
from tests.doors import running_doors, spooled
from tests.goldens import entry, packed, report, text, zipped
from tests.support import ROOT, eventually, need

MakeSettings = Callable[..., Settings]
REPORT = text(report(entry(3)))


@contextlib.contextmanager
def door(settings: Settings, **checks: Callable[[], str | None]) -> Iterator[Address]:
    with running_doors(settings, checks) as addresses:
        yield addresses["http"]


def curl(
    address: Address, *arguments: str, body: bytes = b"", path: str = "/v1/tlsrpt"
) -> tuple[int, str, dict[str, str]]:
    """Status, body and headers of one request by the real curl."""
    program = need("curl", "curl")
    command = [program, "--silent", "--include", "--max-time", "30", *arguments, f"http://{address}{path}"]
    ended = subprocess.run(command, input=body, capture_output=True, check=False)
    head, _, content = ended.stdout.decode().replace("HTTP/1.1 100 Continue\r\n\r\n", "").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), content, dict(line.lower().split(": ", 1) for line in lines if ": " in line)


def post(
    address: Address, body: bytes, content_type: str = "application/tlsrpt+gzip", *more: str
) -> tuple[int, str, dict[str, str]]:
    return curl(address, "--data-binary", "@-", "-H", f"Content-Type: {content_type}", *more, body=body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/tlsrpt+gzip", packed(REPORT)),
        ("application/tlsrpt+json", REPORT),
        ("application/json; charset=utf-8", REPORT),
        ("application/gzip", packed(REPORT)),
        ("application/octet-stream", packed(REPORT)),
        ("application/x-www-form-urlencoded", REPORT),
        ("text/plain", REPORT),
        ("", packed(REPORT)),
        ("application/tlsrpt+gzip", REPORT),
        ("application/tlsrpt+json", packed(REPORT)),
        ("application/zip", zipped(r__json=REPORT)),
        ("application/tlsrpt+json", b"\xef\xbb\xbf \r\n" + REPORT),
        ("application/tlsrpt+json", json.dumps(REPORT.decode()).encode()),
        ("application/tlsrpt+gzip", packed(packed(REPORT))),
    ],
)
def test_a_report_is_accepted_and_readable_by_intake(
    settings_for: MakeSettings, content_type: str, body: bytes
) -> None:
    settings = settings_for()
    with door(settings) as address:
        status, words, headers = post(address, body, content_type)
    assert (status, words) == (201, "accepted\n")
    assert "server" not in headers
    arrival, message = trace.read(spooled(settings)[0], dt.datetime.now(dt.UTC))
    decoded = intake.decode_mail(message, arrival, settings)
    assert isinstance(decoded, submissions.Decoded)
    assert (arrival.door, decoded.reports[0][0].entries[0].successful_sessions) == ("https", 3)
    assert intake.authenticated(decoded, None).trust == "unauthenticated"


def test_a_slash_at_the_end_of_the_address_is_taken(settings_for: MakeSettings) -> None:
    """curl as tlsrpt-reporter calls it: it follows no redirect, and takes any answer for delivered."""
    settings = settings_for()
    with door(settings) as address:
        arguments = ("--header", "Content-Type: application/tlsrpt+gzip", "--data-binary", "@-")
        status, words, _ = curl(address, *arguments, body=packed(REPORT), path="/v1/tlsrpt/")
    assert (status, words) == (201, "accepted\n")
    assert len(spooled(settings)) == 1


@pytest.mark.parametrize("path", ["/v1/tlsrpt//", "//v1/tlsrpt", "/v1/", "/healthz/"])
def test_no_other_path_is_taken_nor_redirected(settings_for: MakeSettings, path: str) -> None:
    settings = settings_for()
    with door(settings) as address:
        assert curl(address, "--data-binary", "@-", body=REPORT, path=path)[0] == 404
    assert spooled(settings) == []


def test_the_file_name_serves_a_silent_report(settings_for: MakeSettings) -> None:
    settings = settings_for()
    body = packed(text(report(entry(3, policy_domain=...))))
    name = 'Content-Disposition: attachment; filename="s.example!named.example!1773446400!1773532799.json.gz"'
    with door(settings) as address:
        assert post(address, body, "application/tlsrpt+gzip", "-H", name)[0] == 201
    arrival, message = trace.read(spooled(settings)[0], dt.datetime.now(dt.UTC))
    decoded = intake.decode_mail(message, arrival, settings)
    assert isinstance(decoded, submissions.Decoded)
    assert decoded.reports[0][0].entries[0].policy_domain == "named.example"


def test_doubtful_reports_are_accepted_for_quarantine(settings_for: MakeSettings) -> None:
    """Postfix's uploader takes any status for delivered: what is turned away is lost."""
    settings = settings_for()
    doubtful = [b'{"policy": 1}', b"[1", packed(REPORT)[:50], gzip.compress(b"{"), b"\x1f\x8bbroken"]
    with door(settings) as address:
        assert [post(address, body)[0] for body in doubtful] == [201] * 5
    assert len(spooled(settings)) == 5


@pytest.mark.parametrize(
    ("arguments", "body", "status", "words"),
    [
        (["-H", "Content-Type: application/tlsrpt+json"], b"hello", 400, "no TLS report"),
        (["-H", "Content-Type: application/tlsrpt+json"], b"<html>", 400, "no TLS report"),
        (["-H", "Content-Type: application/tlsrpt+json"], b"", 400, "no TLS report"),
        (["-H", "Content-Type: application/tlsrpt+gzip"], packed(b"<?xml?>"), 400, "no TLS report"),
        (["-H", "Content-Type: application/tlsrpt+gzip"], b"\x78\x9cnonsense", 400, "no TLS report"),
        (["-H", "Content-Type: image/png"], REPORT, 415, "application/tlsrpt+gzip"),
        (["-H", "Content-Type: multipart/form-data; boundary=x"], REPORT, 415, "application/tlsrpt+gzip"),
        (["-H", "Content-Type: application/tlsrpt+json"], b"{" * 70_000, 413, "larger than 65536"),
        (
            ["-H", "Content-Type: application/tlsrpt+json", "-H", "Transfer-Encoding: chunked"],
            b"{" * 70_000,
            413,
            "larger than 65536",
        ),
    ],
)
def test_what_is_refused_gets_a_reason(
    settings_for: MakeSettings, arguments: list[str], body: bytes, status: int, words: str
) -> None:
    settings = settings_for(max_message_bytes=65536)
    with door(settings) as address:
        status_answered, answer, _ = curl(address, "--data-binary", "@-", *arguments, body=body)
    assert (status_answered, words in answer) == (status, True)
    assert spooled(settings) == []


def test_other_methods_and_paths(settings_for: MakeSettings) -> None:
    with door(settings_for()) as address:
        status, _, headers = curl(address)
        assert (status, headers["allow"]) == (405, "post")
        assert curl(address, path="/elsewhere")[0] == 404


def test_storage_trouble_is_temporary_and_heals(settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_for()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with door(settings) as address:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            status, words, headers = post(address, REPORT)
            assert (status, headers["retry-after"]) == (503, "300")
            assert "space" not in words
        assert post(address, REPORT)[0] == 201
    assert len(spooled(settings)) == 1


def test_too_little_space_is_temporary(settings_for: MakeSettings) -> None:
    with door(settings_for(min_free_bytes=2**62)) as address:
        assert post(address, REPORT)[0] == 503
        status, words, _ = curl(address, path="/readyz")
        answer = json.loads(words)
        assert (status, answer["disk"]) == (503, "less than STARTTALLY_MIN_FREE_BYTES free")
        assert answer["database_disk"].startswith("less than STARTTALLY_MIN_FREE_BYTES free where the database is")


def test_a_fault_of_ours_is_temporary_and_says_nothing(
    settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_HttpDoor, "_commit", lambda *_: 1 / 0)
    with door(settings_for()) as address:
        status, words, _ = post(address, REPORT)
    assert status == 503
    assert "division" not in words


def test_health_readiness_and_metrics(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings, database=lambda: None) as address:
        assert curl(address, path="/healthz")[:2] == (200, "ok\n")
        post(address, REPORT)
        post(address, b"nothing")
        status, words, _ = curl(address, path="/readyz")
        state = json.loads(words)
        assert (status, state["backlog"], state["spool"], state["database"]) == (200, 1, None, None)
        metrics = curl(address, path="/metrics")[1]
    assert 'starttally_accepted_total{door="https",process="door-0"}' in metrics
    assert 'starttally_refused_total{door="https",process="door-0",reason="no-report"}' in metrics
    assert "starttally_backlog_messages 1.0" in metrics


def test_a_failing_check_is_not_ready(settings_for: MakeSettings) -> None:
    with door(settings_for(), database=lambda: "away") as address:
        status, words, _ = curl(address, path="/readyz")
    assert (status, json.loads(words)["database"]) == (503, "away")


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST /v1/tlsrpt HTT",
        b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{",
    ],
    ids=["silent", "half a header", "half a body"],
)
def test_slow_requests_are_ended(settings_for: MakeSettings, sent: bytes) -> None:
    settings = settings_for().model_copy(update={"idle_seconds": 1})
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(sent)
        answer = client.recv(1000)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408")
    assert spooled(settings) == []


def test_a_body_that_moves_is_not_cut_by_the_idle_deadline(settings_for: MakeSettings) -> None:
    """Each part comes within the idle time, all of them together do not."""
    settings = settings_for().model_copy(update={"idle_seconds": 1.5})
    head = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 61440\r\n\r\n"
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(head + b"{" + b" " * 20_479)
        for _ in range(2):
            assert select.select([client], [], [], 1.0)[0] == []
            client.sendall(b" " * 20_480)
        assert client.recv(1000).startswith(b"HTTP/1.1 201")
    assert len(spooled(settings)) == 1


def test_a_body_that_drips_is_ended(settings_for: MakeSettings) -> None:
    settings = settings_for().model_copy(update={"idle_seconds": 1})
    head = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 61440\r\n\r\n{"
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(head)
        while not select.select([client], [], [], 0.2)[0]:
            client.sendall(b" ")
        assert client.recv(1000).startswith(b"HTTP/1.1 408")
    assert spooled(settings) == []
    assert list((settings.spool / "tmp").iterdir()) == []


def test_an_old_connection_ends_between_its_requests_and_never_within_one(settings_for: MakeSettings) -> None:
    settings = settings_for().model_copy(update={"session_seconds": 0})
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        answers = b"".join(iter(lambda: client.recv(1000), b""))
    assert answers.count(b"HTTP/1.1 200") == 2


def test_a_pipelined_request_has_the_time_of_any_other(settings_for: MakeSettings) -> None:
    """Its header is there when the answer before it is sent; the deadline for a header went on, and cut its body."""
    settings = settings_for().model_copy(update={"idle_seconds": 1.5})
    first = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 61440\r\n\r\n"
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(first + second + b"{" + b" " * 20_479)
        answers = client.recv(1000)
        for _ in range(2):
            assert select.select([client], [], [], 1.0)[0] == []
            client.sendall(b" " * 20_480)
        answers += client.recv(1000)
    assert (answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 201")) == (1, 1)


_SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: smuggled\r\n\r\n"
_POST = b"POST /v1/tlsrpt HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
_CHUNKED = b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "ambiguous",
    [
        _POST + b"Content-Length: %d\r\nTransfer-Encoding: chunked" % (12 + len(_SMUGGLED)) + _CHUNKED,
        _POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4" + _CHUNKED,
        _POST + b"Transfer-Encoding:\tChunked\r\ncontent-length:2" + _CHUNKED,
        _POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        _POST + b"Content-Length: 2, 3\r\n\r\n{}",
        _POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity" + _CHUNKED,
        _POST + b"Transfer-Encoding: gzip, chunked" + _CHUNKED,
        _POST.replace(b"1.1", b"1.0") + b"Connection: keep-alive\r\nTransfer-Encoding: chunked" + _CHUNKED,
    ],
    ids=["CL, TE", "TE, CL", "TE with a tab, CL", "CL twice", "CL list", "TE twice", "TE list", "TE in 1.0"],
)
@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "second"])
def test_a_body_with_two_ends_is_refused_and_nothing_after_it_is_answered(
    settings_for: MakeSettings, before: bytes, ambiguous: bytes
) -> None:
    """RFC 9112 sections 6.1 and 6.3: who stands in front of this door may see the other end, and another next ambiguous."""
    settings = settings_for()
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(before + ambiguous + _SMUGGLED)
        answers = b"".join(iter(lambda: client.recv(1000), b""))
    statuses = re.findall(rb"HTTP/1.1 (\d+)", answers)
    assert statuses == ([b"200"] if before else []) + [b"400"]
    assert spooled(settings) == []


def test_the_same_length_said_twice_is_one(settings_for: MakeSettings) -> None:
    settings = settings_for()
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(_POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}")
        assert client.recv(1000).startswith(b"HTTP/1.1 201")


def test_a_kept_alive_connection_must_come_up_with_its_next_request(settings_for: MakeSettings) -> None:
    settings = settings_for().model_copy(update={"idle_seconds": 2})
    with door(settings) as address, socket.create_connection(address, timeout=30) as client:
        for _ in range(2):
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
        client.sendall(b"GET /hea")
        assert client.recv(1000) == b""


def test_connections_are_counted(settings_for: MakeSettings) -> None:
    with door(settings_for(max_connections_per_client=1)) as address:
        with socket.create_connection(address, timeout=30), socket.create_connection(address, timeout=30) as second:
            assert second.recv(1000).startswith(b"HTTP/1.1 503")
        eventually(lambda: curl(address, path="/healthz")[0] == 200)


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\nA b: c\r\n\r\n", b"X" * 70_000])
def test_nonsense_is_refused(settings_for: MakeSettings, nonsense: bytes) -> None:
    with door(settings_for(idle_seconds=5)) as address, socket.create_connection(address, timeout=30) as client:
        client.sendall(nonsense)
        with contextlib.suppress(ConnectionError):
            assert client.recv(1000)[:12] in (b"HTTP/1.1 400", b"")


def test_the_readme_upload(settings_for: MakeSettings) -> None:
    """The command that `starttally serve` prints, on the file it names."""
    settings = settings_for()
    example = ROOT / "docs" / "first-report.json"
    with door(settings) as address:
        assert post(address, example.read_bytes(), "application/tlsrpt+json")[0] == 201
