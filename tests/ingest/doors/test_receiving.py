"""The doors as processes: sharing ports, taking over sockets, telling systemd, making room."""

import contextlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingest.doors import sockets
from ingest.doors.sockets import PortBusy
from ingest.settings.settings import Address, Settings
from ingest.spool.maildir import Spool
from tests.doors import running_doors, spooled
from tests.ingest.doors.http.test_app import curl, post
from tests.ingest.doors.smtp.test_door import FROM, MAIL, TO, raw
from tests.support import eventually, free_port, need

MakeSettings = Callable[..., Settings]


def environment(folder: Path, **settings: object) -> dict[str, str]:
    own_environment = {name: value for name, value in os.environ.items() if not name.startswith("STARTTALLY_")}
    chosen = {"SPOOL": folder / "spool", "HOSTNAME": "receiver.example", "MIN_FREE_BYTES": 0} | settings
    return own_environment | {f"STARTTALLY_{name}": str(value) for name, value in chosen.items()}


@contextlib.contextmanager
def receiving(folder: Path, files: int = 0, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """``files`` is the most that the process may open; 0 is this process's own limit."""
    command = [sys.executable, "-m", "dashboard.commands.app", "receive"]
    if files:
        command = [need("prlimit", "util-linux"), f"--nofile={files}:{files}", *command]
    with (folder / "receive.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment(folder, **settings), stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)


def send(port: int) -> bool:
    with contextlib.suppress(OSError), smtplib.SMTP("127.0.0.1", port, timeout=10) as client:
        client.sendmail(FROM, [TO], MAIL)
        return True
    return False


def waiting(folder: Path) -> list[str]:
    return [path.name for path in (folder / "spool" / "new").glob("*")]


def test_several_doors_share_the_ports(tmp_path: Path) -> None:
    smtp, http = free_port(), free_port()
    shared = {"SMTP_LISTEN": f"127.0.0.1:{smtp}", "HTTP_LISTEN": f"127.0.0.1:{http}", "DOOR_PROCESSES": 2}
    with receiving(tmp_path, **shared) as first, receiving(tmp_path, **shared) as second:
        eventually(lambda: (tmp_path / "receive.log").read_bytes().count(b"ready:") == 2, 60)

        def both_took_mail() -> bool:
            assert send(smtp)
            names = waiting(tmp_path)
            return all(any(f"P{process.pid}Q" in name for name in names) for process in (first, second))

        eventually(both_took_mail, 60)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = len(waiting(tmp_path))
        assert send(smtp)
        assert len(waiting(tmp_path)) == before + 1


def test_one_door_alone_shares_with_nobody(tmp_path: Path) -> None:
    smtp, http = free_port(), free_port()
    alone = {"SMTP_LISTEN": f"127.0.0.1:{smtp}", "HTTP_LISTEN": f"127.0.0.1:{http}"}
    with receiving(tmp_path, **alone):
        eventually(lambda: send(smtp), 60)
        with receiving(tmp_path, **alone) as second:
            assert second.wait(60) == 2
    assert b"is in use by another program" in (tmp_path / "receive.log").read_bytes()


def test_a_foreign_program_on_a_shared_port_is_said(settings_for: MakeSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign, pytest.raises(PortBusy, match="in use by another program"):
        sockets.listen("SMTP_LISTEN", Address(*foreign.getsockname()), shared=True)


# A parent that does what systemd does: listens, and hands the sockets over as descriptors 3 and 4.
_ACTIVATOR = """
import os, socket, sys
found = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in found), flush=True)
high = [os.dup(one.fileno()) for one in found]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
    os.set_inheritable(3 + number, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": sys.argv[1]}
os.execv(sys.executable, [sys.executable, "-m", "dashboard.commands.app", "receive"])
"""


@contextlib.contextmanager
def activated(folder: Path, names: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notices.bind(str(folder / "notify"))
    # Ports that this process could not bind: the sockets must be those that were handed over.
    settings = environment(
        folder, SMTP_LISTEN="192.0.2.1:25", HTTP_LISTEN="192.0.2.1:80", RECIPIENTS="receiver.example"
    )
    settings["NOTIFY_SOCKET"] = str(folder / "notify")
    command = [sys.executable, "-c", _ACTIVATOR, names]
    process = subprocess.Popen(command, cwd=folder, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    try:
        ports = [int(word) for word in process.stdout.readline().split()]
        yield process, ports
        notices.settimeout(20)
        assert notices.recv(100) == b"READY=1"
        process.terminate()
        assert notices.recv(100) == b"STOPPING=1"
    finally:
        process.kill()
        process.communicate()
        notices.close()


def test_sockets_are_taken_over_from_systemd(tmp_path: Path) -> None:
    with activated(tmp_path, "smtp:http") as (_process, (smtp, http)):
        assert eventually(lambda: send(smtp), 60)
        assert curl(Address("127.0.0.1", http), path="/healthz")[0] == 200
    assert len(waiting(tmp_path)) == 1


@pytest.mark.parametrize("names", ["smtp", "smtp:smtp", "smtp:imap", ""])
def test_sockets_without_their_names_are_refused(names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    handed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": names}
    with pytest.raises(PortBusy, match="must be named smtp and http"):
        sockets.handed_over(handed)


def test_sockets_for_another_process_are_not_taken() -> None:
    assert sockets.handed_over({"LISTEN_PID": "1", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "smtp:http"}) == {}
    assert sockets.handed_over({}) == {}


def test_nobody_to_notify_is_no_fault(tmp_path: Path) -> None:
    sockets.notify("READY=1", {})
    sockets.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_descriptors_are_allowed_for_all_connections() -> None:
    """At either door each has a socket and a file."""
    program = (
        "import resource\nfrom ingest.doors.sockets import fitting\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (300, 3000))\n"
        "print(fitting(100), resource.getrlimit(resource.RLIMIT_NOFILE))\n"
        "print(fitting(10), resource.getrlimit(resource.RLIMIT_NOFILE)[0])\n"
        "print(fitting(1000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines() == ["100 (656, 3000)", "10 656", "686 3000"]


def test_too_few_descriptors_are_said_and_only_as_many_connections_taken(tmp_path: Path) -> None:
    smtp, http = free_port(), free_port()
    chosen = {"SMTP_LISTEN": f"127.0.0.1:{smtp}", "HTTP_LISTEN": f"127.0.0.1:{http}"}
    with receiving(tmp_path, files=300, **chosen), contextlib.ExitStack() as held:
        eventually(lambda: send(smtp), 60)
        status, words, _ = curl(Address("127.0.0.1", http), path="/readyz")
        few = "this process may not open enough files (ulimit -n, LimitNOFILE=) for STARTTALLY_MAX_CONNECTIONS=500: 11 fit"
        assert (status, json.loads(words)["descriptors"]) == (503, few)
        for number in range(100):
            idle = held.enter_context(socket.socket())
            idle.bind((f"127.0.1.{1 + number}", 0))
            idle.connect(("127.0.0.1", smtp))
        assert send(smtp)
        assert curl(Address("127.0.0.1", http), path="/healthz")[0] == 200
    log = (tmp_path / "receive.log").read_text()
    assert few in log
    assert "Too many open files" not in log


def test_hardly_any_descriptors_end_the_start(tmp_path: Path) -> None:
    with receiving(tmp_path, files=280, SMTP_LISTEN="127.0.0.1:0", HTTP_LISTEN="127.0.0.1:0") as process:
        assert process.wait(60) == 2
    assert "STARTTALLY_MAX_CONNECTIONS=500: 6 fit" in (tmp_path / "receive.log").read_text()


def test_a_full_spool_is_said_as_a_temporary_fault(settings_for: MakeSettings) -> None:
    settings = settings_for(max_backlog_messages=2)
    with running_doors(settings) as doors:
        for _ in range(2):
            with smtplib.SMTP(*doors["smtp"]) as client:
                client.sendmail(FROM, [TO], MAIL)

        def refused() -> bool:
            with raw(doors["smtp"]) as client:
                client.say("EHLO client.example")
                return client.say(f"MAIL FROM:<{FROM}>").startswith("452 4.3.1")

        eventually(refused)
        eventually(lambda: post(doors["http"], MAIL_LIKE)[0] == 503)
        for path in (settings.spool / "new").iterdir():
            path.unlink()
        eventually(lambda: not refused())
        eventually(lambda: post(doors["http"], MAIL_LIKE)[0] == 201)


MAIL_LIKE = b'{"organization-name": "x", "policies": []}'


def test_a_header_beyond_the_limit_is_refused_and_the_session_goes_on(settings_for: MakeSettings) -> None:
    settings = settings_for(max_header_bytes=20_000)
    with running_doors(settings) as doors, raw(doors["smtp"]) as client:
        client.to_data()
        client.send(b"X: " + b"a" * 30_000 + b"\r\n\r\nbody\r\n.\r\n")
        assert client.reply() == "552 5.3.4 Header larger than 20000 bytes"
        client.say("RSET")
        client.to_data()
        client.send(b"X: short\r\n\r\n" + b"a" * 30_000 + b"\r\n.\r\n")
        assert client.reply().startswith("250")
    assert len(spooled(settings)) == 1


def test_slow_connections_take_the_place_from_each_other(settings_for: MakeSettings) -> None:
    """docs/reliability.md row 11: whoever fills the door makes room for others."""
    settings = settings_for(max_connections=6, max_connections_per_client=3)
    with running_doors(settings) as doors, contextlib.ExitStack() as held:
        for number in range(6):
            slow = held.enter_context(socket.socket())
            slow.bind((f"127.0.0.{2 + number // 3}", 0))
            slow.connect(doors["smtp"])
            assert slow.recv(100).startswith(b"220")
        with smtplib.SMTP(*doors["smtp"], source_address=("127.0.0.9", 0)) as client:
            client.sendmail(FROM, [TO], MAIL)
        crowd = socket.create_connection(doors["smtp"], source_address=("127.0.0.2", 0))
        held.enter_context(crowd)
        assert crowd.recv(100)[:3] in (b"220", b"421")
    assert len(spooled(settings)) == 1
    assert Spool(settings.spool).backlog()[0] == 1


@pytest.mark.parametrize("name", ["smtp", "http"])
def test_many_addresses_with_one_idle_connection_each_keep_nobody_out(settings_for: MakeSettings, name: str) -> None:
    settings = settings_for(max_connections=10)
    with running_doors(settings) as doors, contextlib.ExitStack() as held:
        for number in range(30):
            idle = held.enter_context(socket.socket())
            idle.bind((f"127.0.1.{1 + number}", 0))
            idle.connect(doors[name])
            idle.settimeout(20)
            if name == "smtp":
                assert idle.recv(100).startswith(b"220")
        for _ in range(5):
            if name == "smtp":
                assert send(doors["smtp"].port)
            else:
                assert post(doors["http"], MAIL_LIKE, "application/json")[0] == 201
    assert len(spooled(settings)) == 5
