"""The web servers of docs/deployment.md in front of both doors that speak HTTP: the documented files, in the real servers."""

import base64
import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets.exceptions
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from ingest.settings import settings as settings_module
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests import web_servers
from tests.dashboard.entrance.test_serving import Server
from tests.doors import running_doors, spooled
from tests.support import free_port
from tests.system.test_dashboard_browser import browser
from tests.web_servers import NAME, PASSWORD, USER

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")

__all__ = ["browser"]
pytestmark = pytest.mark.timeout(300)
SERVERS = ["nginx", "apache", "caddy"]
LOGIN = {"Authorization": "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()}
MIB = 1024 * 1024


class House:
    """The doors and the dashboard as the files want them."""

    def __init__(self, settings: Settings, http: int, dashboard: Server) -> None:
        self.settings, self.http, self.dashboard = settings, http, dashboard


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("house")
    named = {"dashboard_proxies": "127.0.0.1", "dashboard_url": f"https://{NAME}", "http_proxies": "127.0.0.1"}
    settings = settings_module.load(
        database_url=f"sqlite:///{folder}/starttally.db",
        spool=folder / "spool",
        smtp_listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        dashboard_listen=f"127.0.0.1:{free_port()}",
        min_free_bytes=0,
        **named,
    )
    upgrades.migrate(settings.database_url)
    with running_doors(settings) as doors:
        dashboard = Server(folder, settings, **named)
        yield House(settings, doors["http"].port, dashboard)
        dashboard.stop()


@pytest.fixture(scope="module", params=SERVERS)
def port(request: pytest.FixtureRequest, house: House) -> Iterator[int]:
    with web_servers.running(request.param, house.http, house.dashboard.port) as listens:
        yield listens


def tls(port: int, source: str = "127.0.0.1") -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    plain = socket.create_connection(("127.0.0.1", port), timeout=30, source_address=(source, 0))
    return context.wrap_socket(plain, server_hostname=NAME)


def ask(
    port: int, path: str, headers: dict[str, str] | None = None, body: bytes | None = None, source: str = "127.0.0.1"
) -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection(NAME, port, timeout=60)) as connection:
        connection.sock = tls(port, source)
        connection.request("POST" if body is not None else "GET", path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()


def page(port: int, headers: dict[str, str]) -> bytes:
    """Everything that a page's session is sent."""
    origin = f"https://{NAME}:{port}"
    plain = socket.create_connection(("127.0.0.1", port), timeout=30)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with connect(
        f"wss://{NAME}:{port}/_stcore/stream",
        sock=plain,
        ssl=context,
        server_hostname=NAME,
        origin=origin,  # type: ignore[arg-type]
        additional_headers=headers,
        subprotocols=["streamlit"],  # type: ignore[list-item]
        max_size=None,
    ) as session:
        asked = BackMsg()
        asked.rerun_script.query_string = ""
        session.send(asked.SerializeToString())
        received = b""
        while True:
            data = session.recv(timeout=60)
            assert isinstance(data, bytes)
            received += data
            message = ForwardMsg.FromString(data)
            if message.WhichOneof("type") == "script_finished" and message.script_finished == 0:
                return received


def report(octets: int) -> bytes:
    """A report of about so many octets."""
    return json.dumps({"organization-name": "x" * octets}).encode()


def test_the_dashboard_asks_for_the_password_and_learns_the_user(port: int) -> None:
    assert ask(port, "/")[0] == 401
    assert ask(port, "/metrics")[0] == 401
    assert ask(port, "/", LOGIN)[0] == 200
    wrong = {"Authorization": "Basic " + base64.b64encode(b"operator:wrong").decode()}
    assert ask(port, "/", wrong)[0] == 401
    with pytest.raises(websockets.exceptions.InvalidStatus, match="401"):
        page(port, {})


def test_a_page_gets_its_websocket_and_nobody_else_can_be_named(port: int) -> None:
    for forged in ({}, {"Remote-User": "mallory"}, {"Remote_User": "mallory"}, {"X-Starttally-User": "mallory"}):
        sent = page(port, LOGIN | forged)
        assert USER.encode() in sent
        assert b"mallory" not in sent


def test_uploads_need_no_password_and_the_client_is_known(port: int, house: House) -> None:
    before = len(spooled(house.settings))
    headers = {"Content-Type": "application/tlsrpt+json", "X-Forwarded-For": "203.0.113.9"}
    for path in ("/v1/tlsrpt", "/v1/tlsrpt/"):
        assert ask(port, path, headers, report(10), source="127.0.0.5")[0] == 201
    messages = spooled(house.settings)[before:]
    assert len(messages) == 2
    assert all(b"([127.0.0.5])" in message.split(b"\r\n")[1] for message in messages)


def test_an_upload_may_be_as_large_as_the_door_says(port: int, house: House) -> None:
    headers = {"Content-Type": "application/tlsrpt+json"}
    limit = house.settings.max_message_bytes
    assert ask(port, "/v1/tlsrpt", headers, report(limit - MIB))[0] == 201
    stored = len(spooled(house.settings))
    # Who announces so much may be cut off before it is sent, and then reads no answer.
    with contextlib.suppress(OSError, http.client.HTTPException):
        assert ask(port, "/v1/tlsrpt", headers, report(limit + MIB))[0] == 413
    assert len(spooled(house.settings)) == stored


def without(*wanted: str) -> web_servers.Change:
    """The file without the lines that hold one of these."""

    def change(text: str) -> str:
        left = [line for line in text.splitlines(keepends=True) if not any(word in line for word in wanted)]
        assert len(left) < len(text.splitlines())
        return "".join(left)

    return change


@pytest.mark.parametrize(
    ("dropped", "says"),
    [
        ("proxy_set_header Upgrade", "must pass on the headers Upgrade and Connection"),
        ("proxy_set_header Host", "must pass on the header Host"),
    ],
)
def test_a_page_behind_a_careless_web_server_says_what_is_missing(
    browser: "playwright.Browser", house: House, dropped: str, says: str
) -> None:
    """Where Streamlit alone would show grey bars for ever."""
    with web_servers.running("nginx", house.http, house.dashboard.port, without(dropped)) as careless:
        context = browser.new_context(
            ignore_https_errors=True, http_credentials={"username": USER, "password": PASSWORD}
        )
        opened = context.new_page()
        opened.goto(f"https://127.0.0.1:{careless}/")
        opened.locator("#starttally-connection").wait_for(timeout=60_000)
        assert says in opened.locator("#starttally-connection").inner_text()
        context.close()
    assert says in Path(house.dashboard.log).read_text()
