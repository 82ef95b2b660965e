"""The dashboard's process: what it listens to, what it refuses, and that it leaves nothing behind."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dashboard.entrance.serving import allowed_hosts, streamlit_arguments
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests.support import ROOT, eventually, free_port

SettingsFor = Callable[..., Settings]


@pytest.mark.parametrize(
    "flag",
    [
        "--server.address=127.0.0.1",
        "--server.headless=true",
        "--server.fileWatcherType=none",
        "--server.enableStaticServing=false",
        "--server.enableXsrfProtection=true",
        "--server.enableAgentApi=false",
        "--server.maxUploadSize=1",
        "--client.showErrorDetails=none",
        "--client.disableDataExport=true",
        "--browser.gatherUsageStats=false",
    ],
)
def test_the_command_line_is_tightened(settings_for: SettingsFor, flag: str) -> None:
    assert flag in streamlit_arguments(settings_for())


def test_it_listens_where_the_settings_say(settings_for: SettingsFor) -> None:
    arguments = streamlit_arguments(settings_for(dashboard_listen="[::1]:9000"))
    assert {"--server.address=::1", "--server.port=9000"} <= set(arguments)


def test_on_loopback_only_this_machines_names_are_answered(settings_for: SettingsFor) -> None:
    hosts = allowed_hosts(settings_for(dashboard_listen="127.0.0.2:8501", hostname="mx.receiver.example"))
    assert hosts == ["localhost", "127.0.0.1", "::1", "127.0.0.2", "mx.receiver.example"]


def test_beyond_loopback_the_proxy_decides(settings_for: SettingsFor) -> None:
    assert allowed_hosts(settings_for(dashboard_listen="0.0.0.0:8501", dashboard_proxies="192.0.2.7")) == []


@pytest.mark.parametrize("listen", ["0.0.0.0:8501", "127.0.0.1:8501", "[::]:8501"])
def test_the_public_address_is_answered_and_no_other(settings_for: SettingsFor, listen: str) -> None:
    settings = settings_for(
        dashboard_listen=listen,
        dashboard_proxies="192.0.2.7",
        dashboard_url="https://tlsrpt.example:8443",
        hostname="mx.example",
    )
    assert allowed_hosts(settings) == ["localhost", "127.0.0.1", "::1", "mx.example", "tlsrpt.example"]


def test_a_session_belongs_to_the_user_whom_the_proxy_names(settings_for: SettingsFor) -> None:
    flag = '--server.trustedUserHeaders={"X-Starttally-User": "starttally_user"}'
    assert flag in streamlit_arguments(settings_for(dashboard_proxies="192.0.2.7"))
    assert flag not in streamlit_arguments(settings_for())


def test_it_does_not_start_on_a_server_that_believes_headers(tmp_path: Path, settings_for: SettingsFor) -> None:
    """Started by hand, uvicorn would take X-Forwarded-For for the address of whoever is on this machine."""
    done = subprocess.run(
        [sys.executable, "-m", "streamlit", *streamlit_arguments(settings_for())[3:]],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "start the dashboard with `starttally dashboard`" in done.stderr


def test_wrong_settings_end_it_before_it_listens(tmp_path: Path, settings_for: SettingsFor) -> None:
    done = subprocess.run(
        streamlit_arguments(settings_for()),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "STARTTALLY_ACCESS": "alice=*"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "starttally: STARTTALLY_ACCESS is set, but nobody logs in" in done.stderr


class Server:
    """A running dashboard: its port, the home folder it had, the folder it ran in, and where its output went.

    ``named`` are settings that the process reads itself, as text. Where it listens ``settings`` says.
    """

    def __init__(self, folder: Path, settings: Settings, **named: str) -> None:
        self.port = settings.dashboard_listen.port
        self.home, self.work, self.log = folder / "home", folder / "work", folder / "log"
        self.home.mkdir(exist_ok=True)
        self.work.mkdir(exist_ok=True)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "STARTTALLY_DATABASE_URL": settings.database_url,
            # A project folder's .streamlit must not be found either.
            "PYTHONDONTWRITEBYTECODE": "1",
        } | {f"STARTTALLY_{name.upper()}": value for name, value in named.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                streamlit_arguments(settings), cwd=self.work, env=environment, stdout=log, stderr=log
            )
        eventually(self._answers, 60)

    def _answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("/_stcore/health").status == 200
        except OSError:
            return False

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        answer.body = answer.read()  # type: ignore[attr-defined]
        connection.close()
        return answer

    def websocket(self, host: str, origin: str | None) -> int:
        """The status of a WebSocket handshake: 101 is a session."""
        lines = [
            "GET /_stcore/stream HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        lines += [f"Origin: {origin}"] if origin else []
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            return int(connection.recv(4096).split()[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    settings = Settings(
        database_url=f"sqlite:///{folder}/starttally.db",
        dashboard_listen=f"127.0.0.1:{free_port()}",
        hostname="mx.example",
    )
    upgrades.migrate(settings.database_url)
    running = Server(folder, settings)
    yield running
    running.stop()


@pytest.mark.parametrize("origin", [None, "http://127.0.0.1:{port}"])
def test_our_own_page_gets_a_session(server: Server, origin: str | None) -> None:
    origin_header = origin.format(port=server.port) if origin else None
    assert server.websocket(f"127.0.0.1:{server.port}", origin_header) == 101


@pytest.mark.parametrize(
    ("host", "origin"),
    [
        ("127.0.0.1:{port}", "http://attacker.example"),
        ("127.0.0.1:{port}", "http://localhost:1"),  # another program's page on this machine
        ("127.0.0.1:{port}", "http://127.0.0.1:1"),
        ("127.0.0.1:{port}", "null"),  # a sandboxed frame, a file
        ("attacker.example", "http://attacker.example"),  # a name that was pointed at this machine (DNS rebinding)
        ("attacker.example", None),
    ],
)
def test_another_sites_page_gets_none(server: Server, host: str, origin: str | None) -> None:
    origin_header = origin.format(port=server.port) if origin else None
    assert server.websocket(host.format(port=server.port), origin_header) == 403


def test_who_is_refused_for_its_name_is_told_so_and_the_log_once(server: Server) -> None:
    for _ in range(3):
        answer = server.ask("/", Host="tlsrpt.example:8443")
        assert answer.status == 403
        assert b"does not answer to the name tlsrpt.example:8443" in answer.body  # type: ignore[attr-defined]
        assert b"STARTTALLY_DASHBOARD_URL" in answer.body  # type: ignore[attr-defined]
    assert server.log.read_text().count("the name tlsrpt.example:8443") == 1
    assert server.ask("/_stcore/health", Host="10.0.0.7:8501").status == 200  # a health check goes by address


@pytest.mark.parametrize(
    ("host", "origin", "says"),
    [
        ("127.0.0.1:{port}", "https://tlsrpt.example", "A page of https://tlsrpt.example asks for 127.0.0.1:{port}."),
        ("attacker.example", "http://attacker.example", "does not answer to the name attacker.example"),
        ("127.0.0.1:{port}", "http://127.0.0.1:{port}", "must pass on the headers Upgrade and Connection"),
    ],
)
def test_a_page_without_its_websocket_learns_why(server: Server, host: str, origin: str, says: str) -> None:
    named = {"Host": host.format(port=server.port), "Origin": origin.format(port=server.port)}
    for _ in range(2):
        answer = server.ask("/starttally/connection", "POST", **named)
        assert answer.status == 200
        assert answer.getheader("Content-Type") == "text/plain; charset=utf-8"
        assert says.format(port=server.port) in answer.body.decode()  # type: ignore[attr-defined]
    assert server.log.read_text().count(says.format(port=server.port)[1:]) == 1


def test_a_websocket_that_came_without_its_upgrade_is_told_apart(server: Server) -> None:
    answer = server.ask("/_stcore/stream", Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA==")
    assert answer.status == 426
    assert b"must pass on the headers Upgrade and Connection" in answer.body  # type: ignore[attr-defined]


def test_strangers_cannot_fill_the_log(server: Server) -> None:
    for number in range(50):
        server.ask("/", Host=f"{number}.example\x1b")
    text = server.log.read_text()
    assert text.count(".example") < 30
    assert "\x1b" not in text


@pytest.mark.parametrize("path", ["/", "/domain?domain=x", "/reports"])
def test_every_page_has_the_script_that_says_so(server: Server, path: str) -> None:
    answer = server.ask(path, Accept_Encoding="gzip", If_None_Match="*")
    page = answer.body.decode()  # type: ignore[attr-defined]
    assert page.index('<script src="/starttally/connection.js"></script>') < page.index("<script>")
    assert answer.getheader("Content-Length") == str(len(page.encode()))
    assert answer.getheader("ETag") is None
    script = server.ask("/starttally/connection.js")
    assert script.getheader("Content-Type") == "text/javascript; charset=utf-8"
    assert "WebSocket" in script.body.decode()  # type: ignore[attr-defined]
    head = server.ask(path, "HEAD")
    assert (head.getheader("Content-Length"), head.body) == (str(len(page.encode())), b"")  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", ["/", "/_stcore/health", "/media/x"])
def test_another_sites_page_reads_nothing(server: Server, path: str) -> None:
    assert server.ask(path, Origin="http://attacker.example").status == 403


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/_stcore/metrics", "GET"),
        ("/_stcore/upload_file/x/y", "PUT"),
        ("/_stcore/upload_file/x/y", "DELETE"),
        ("/_stcore/agent/openapi.json", "GET"),
        ("/_stcore/agent/interact", "POST"),
        ("/_stcore/script-health-check", "GET"),
        ("/_stcore/bidi-components/x/y", "GET"),
        ("/component/x/index.html", "GET"),
        ("/auth/login", "GET"),
        ("/auth/logout", "GET"),
        ("/oauth2callback", "GET"),
    ],
)
def test_side_entrances_are_shut(server: Server, path: str, method: str) -> None:
    assert server.ask(path, method).status == 404


@pytest.mark.parametrize("path", ["/", "/domain", "/reports"])
def test_the_browser_is_told_to_be_strict(server: Server, path: str) -> None:
    headers = server.ask(path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1].split(";")[0]


def test_nothing_is_written_outside_the_database(server: Server) -> None:
    server.websocket(f"127.0.0.1:{server.port}", None)
    assert list(server.home.rglob("*")) == []
    assert list(server.work.rglob("*")) == []


def test_the_settings_of_the_server_are_not_shown(server: Server) -> None:
    config = json.dumps(json.loads(server.ask("/_stcore/host-config").body))  # type: ignore[attr-defined]
    assert str(ROOT) not in config


def test_it_stops_on_sigterm(tmp_path: Path, settings_for: SettingsFor) -> None:
    settings = settings_for(dashboard_listen=f"127.0.0.1:{free_port()}")
    upgrades.migrate(settings.database_url)
    assert Server(tmp_path, settings).stop() in (0, -signal.SIGTERM)
