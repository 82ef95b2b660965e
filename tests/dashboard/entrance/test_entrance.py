"""The running dashboard under each kind of login, asked by clients without a browser: who gets in, and what they are sent."""

import datetime as dt
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets.exceptions

from dashboard.entrance import login_failures
from dashboard.queries.question import Scope
from ingest.settings import settings as settings_module
from tests.dashboard.conftest import Filled
from tests.dashboard.entrance.test_access import SETTING, USERS, secrets_of, told
from tests.dashboard.entrance.test_serving import Server
from tests.dashboard.raw_client import RawSession, ask
from tests.support import ROOT, eventually, free_port

pytestmark = pytest.mark.timeout(300)

PROXY, STRANGER = "127.0.0.2", "127.0.0.1"
OIDC = {
    "oidc_issuer": "http://127.0.0.1:9",  # where nobody answers
    "oidc_client_id": "starttally",
    "oidc_client_secret": "a-secret-of-the-client-55aa",
}
# Each address of Streamlit's server, and what a stranger is answered: without a login, by OpenID Connect, behind a proxy.
# An upgrade that adds one must be thought about here.
ROUTES = {
    "/_stcore/health": (200, 200, 200),
    "/_stcore/host-config": (200, 200, 403),
    "/_stcore/metrics": (404, 404, 403),
    "/media/{file_id:path}": (404, 403, 403),
    "/_stcore/upload_file/{session_id}/{file_id}": (404, 404, 403),
    "/component/{path:path}": (404, 404, 403),
    "/_stcore/bidi-components/{path:path}": (404, 404, 403),
    "/_stcore/agent/v1/docs": (404, 404, 403),
    "/auth/login": (404, 302, 403),
    "/auth/logout": (404, 302, 403),
    "/oauth2callback": (404, 302, 403),
    "/": (200, 200, 403),
    "/reports": (200, 200, 403),
}


def serve(folder: Path, filled: Filled, **named: str) -> Iterator[Server]:
    listen = f"127.0.0.1:{free_port()}"
    if "oidc_issuer" in named:
        named |= {"dashboard_url": f"http://{listen}"}
    running = Server(folder, settings_module.load(database_url=filled.url, dashboard_listen=listen, **named), **named)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def open_server(filled_today: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("open"), filled_today)


@pytest.fixture(scope="module")
def oidc_server(filled_today: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("oidc"), filled_today, **OIDC)


@pytest.fixture(scope="module")
def proxied(filled_today: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serve(tmp_path_factory.mktemp("proxied"), filled_today, dashboard_proxies=PROXY, access=SETTING)


def as_user(server: Server, user: str, **more: str) -> RawSession:
    """A session of a user as the proxy opens it."""
    return RawSession(server.port, {"Remote-User": user} | more, source=PROXY)


def test_every_address_of_the_server_is_known() -> None:
    code = "from dashboard.entrance.asgi import app; print(*(r.path for r in app._build_starlette_app().routes))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": os.environ["PATH"], "FORWARDED_ALLOW_IPS": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    paths = {path for path in done.stdout.split() if not path.startswith("/_stcore/agent")}
    assert paths - {"", "/_stcore/stream"} == {
        path for path in ROUTES if path not in ("/", "/reports", "/_stcore/agent/v1/docs")
    }


@pytest.mark.parametrize("path", ROUTES)
@pytest.mark.parametrize("login", ["open_server", "oidc_server", "proxied"])
def test_what_a_stranger_is_answered(
    request: pytest.FixtureRequest, path: str, login: str, filled_today: Filled
) -> None:
    server: Server = request.getfixturevalue(login)
    asked = path.replace("{file_id:path}", "x.csv").replace("{path:path}", "x/y").replace("{", "").replace("}", "")
    status, body = ask(server.port, asked)
    assert status == ROUTES[path][["open_server", "oidc_server", "proxied"].index(login)]
    assert told(body.decode("utf-8", "replace"), secrets_of(filled_today, Scope(()))) == []
    if status == 404 and not path.startswith("/media"):
        assert body == b"not found\n"  # our own answer: Streamlit was not asked


@pytest.mark.parametrize("page", ["", "domain", "reports", "quarantine", "export"])
def test_who_has_not_logged_in_gets_no_data(oidc_server: Server, filled_today: Filled, page: str) -> None:
    """Over the WebSocket itself, with addresses of pages that exist."""
    with RawSession(oidc_server.port, {"Remote-User": "operator", "X-Starttally-User": "operator"}) as session:
        sent = session.open(page, "domain=nowhere.example&days=all").decode("utf-8", "replace")
    assert "Log in" in sent
    assert told(sent, secrets_of(filled_today, Scope(()))) == []


@pytest.mark.parametrize(
    "cookie", ["", "eyJzdWIiOiJ4In0.aaaa.bbbb", '{"is_logged_in": true, "iat": 9999999999, "sub": "x"}']
)
def test_a_made_up_cookie_is_no_login(oidc_server: Server, cookie: str) -> None:
    token = "2|1|2|3"
    headers = {
        "Origin": f"http://127.0.0.1:{oidc_server.port}",
        "Cookie": f"_streamlit_xsrf={token}; _streamlit_user={cookie}",
    }
    with RawSession(oidc_server.port, headers) as session:
        assert "Log in" in session.open().decode("utf-8", "replace")


def test_the_clients_secret_is_nowhere_to_be_read(oidc_server: Server) -> None:
    """Not on a command line, which every account of the machine may read, in no file, and in no log."""
    ask(oidc_server.port, "/auth/login?provider=x")
    ask(oidc_server.port, "/oauth2callback?code=x&state=y")
    secret = OIDC["oidc_client_secret"].encode()
    assert secret not in Path(f"/proc/{oidc_server.process.pid}/cmdline").read_bytes()
    files = [path for path in oidc_server.log.parent.rglob("*") if path.is_file()]
    assert oidc_server.log in files
    assert not [path for path in files if secret in path.read_bytes()]


def test_an_issuer_that_nobody_reaches_is_named_at_start(oidc_server: Server) -> None:
    line = eventually(
        lambda: [line for line in oidc_server.log.read_text().splitlines() if "nobody can log in" in line], 60
    )
    assert len(line) == 1
    assert login_failures.FAILURES["away"].what in line[0]
    assert "Traceback" not in oidc_server.log.read_text()


def test_what_a_stranger_says_at_the_login_stays_one_line_of_the_log(oidc_server: Server) -> None:
    """The answer of an issuer comes through the browser, so anybody can write it."""
    before = len(oidc_server.log.read_bytes())
    ask(oidc_server.port, "/oauth2callback?error=%1B%5B2Jx%0Afake&error_description=%E2%80%AEy%1B%5D0;z%07&state=1")
    text = oidc_server.log.read_bytes()[before:]
    assert text.count(b"\n") == text.count(b"a login failed") == 1
    assert b"\x1b" not in text
    assert "\u202e".encode() not in text
    assert b"\nfake" not in text


@pytest.mark.parametrize(
    ("source", "headers"),
    [
        (STRANGER, [("Remote-User", "operator")]),
        (STRANGER, [("Remote-User", "operator"), ("X-Forwarded-For", PROXY)]),
        (STRANGER, [("Remote-User", "operator"), ("Forwarded", f"for={PROXY}"), ("X-Real-IP", PROXY)]),
        (STRANGER, [("X-Starttally-User", "operator")]),
        (PROXY, []),
        (PROXY, [("X-Starttally-User", "operator")]),
        (PROXY, [("Remote_User", "operator")]),
        (PROXY, [("Remote-User", "alice"), ("Remote_User", "operator")]),
        (PROXY, [("Remote-User", "alice"), ("Remote-User", "operator")]),
        (PROXY, [("Remote-User", "operator, alice")]),
        (PROXY, [("remote-user", "alice"), ("REMOTE-USER", "operator")]),
    ],
)
def test_who_does_not_come_through_the_proxy_is_refused(
    proxied: Server, source: str, headers: list[tuple[str, str]]
) -> None:
    for path in ("/", "/_stcore/host-config", "/media/x", "/static/x"):
        assert ask(proxied.port, path, headers, source=source)[0] == 403
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    upgrade += [("Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==")]
    assert ask(proxied.port, "/_stcore/stream", headers + upgrade, source=source)[0] == 403
    assert ask(proxied.port, "/_stcore/stream", [("Remote-User", "alice"), *upgrade], source="127.0.0.3")[0] == 403


def test_a_proxy_may_say_for_whom_it_asks(proxied: Server) -> None:
    """Its address counts, not the one of the browser behind it."""
    headers = [("Remote-User", "alice"), ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")]
    assert ask(proxied.port, "/", headers, source=PROXY)[0] == 200


def test_the_health_check_may_ask_for_a_session_no_more(proxied: Server) -> None:
    assert ask(proxied.port, "/_stcore/health") == (200, b"ok")
    with pytest.raises(websockets.exceptions.InvalidStatus, match="403"):
        RawSession(proxied.port)


def test_a_browser_cannot_say_who_it_is(proxied: Server, filled_today: Filled) -> None:
    with as_user(proxied, "alice", **{"X-Starttally-User": "operator", "X_Starttally_User": "operator"}) as session:
        sent = session.open().decode("utf-8", "replace")
    assert "second.example" in sent
    assert told(sent, secrets_of(filled_today, Scope(USERS["alice"]))) == []


def test_a_session_is_taken_up_again_by_its_own_user_only(proxied: Server) -> None:
    with as_user(proxied, "alice") as first:
        first.open()
        number = first.session
    for user, same in (("operator", False), ("alice", True)):
        with RawSession(proxied.port, {"Remote-User": user}, source=PROXY, session=number) as again:
            again.open()
            assert (again.session == number) == same


def test_users_at_the_same_time_are_sent_their_own(proxied: Server, filled_today: Filled) -> None:
    """Every page, for all users at once and again, each with the addresses of the others' domains."""
    collected: list[object] = []
    hidden = {user: secrets_of(filled_today, Scope(patterns)) for user, patterns in USERS.items() if user != "operator"}
    hidden |= {"operator": set(), "eve": secrets_of(filled_today, Scope(()))}

    def visit(user: str) -> None:
        own_domain = USERS.get(user, ("nowhere.example",))[0]
        for page, query in (
            ("", ""),
            ("domain", f"domain={own_domain}&days=all"),
            ("reports", f"domain={own_domain}"),
            ("quarantine", ""),
        ) * 2:
            with as_user(proxied, user) as session:
                sent = session.open(page, query).decode("utf-8", "replace")
            collected.extend((user, page, text) for text in told(sent, hidden[user]))
            if page and own_domain not in sent and page != "quarantine" and user not in ("eve", "operator"):
                collected.append((user, page, "sees nothing"))

    threads = [threading.Thread(target=visit, args=(user,)) for user in (*USERS, "eve")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(240)
    assert not any(thread.is_alive() for thread in threads)
    assert collected == []


def test_an_export_holds_the_own_domains_and_only_its_user_has_its_address(
    proxied: Server, filled_today: Filled
) -> None:
    addresses = set()
    for _ in range(2):
        with as_user(proxied, "alice") as session:
            session.open("export", "format=json")
            session.press("Prepare the export")
            address = session.downloads["Download"]
            status, body = ask(proxied.port, address, [("Remote-User", "alice")], source=PROXY)
            assert status == 200
            assert {row["policy_domain"] for row in json.loads(body)} == {"second.example"}
            assert ask(proxied.port, address)[0] == 403
            addresses.add(address)
    # The same bytes, prepared twice: who knows them does not know where they are.
    assert len(addresses) == 2
    assert told(body.decode(), secrets_of(filled_today, Scope(USERS["alice"]))) == []


def test_the_day_of_the_world_is_today(filled_today: Filled) -> None:
    """Else the pages above would be empty."""
    assert filled_today.today >= dt.datetime.now(dt.UTC).date() - dt.timedelta(days=1)
