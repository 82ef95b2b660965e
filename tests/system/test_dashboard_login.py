"""Logging in by OpenID Connect, in a real browser with a real provider: in, out, expired, unlisted, after a restart."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.entrance import login_failures, way_back
from ingest.settings import settings as settings_module
from tests import login_provider
from tests.dashboard.conftest import Filled, filled_today
from tests.dashboard.entrance.test_serving import Server
from tests.login_provider import Provider
from tests.support import eventually, free_port
from tests.system.test_dashboard_browser import browser

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")

__all__ = ["browser", "filled_today"]
pytestmark = pytest.mark.timeout(300)

USERS = {
    "alice": {"email": "Alice@Example.com", "email_verified": True},
    "operator": {"email": "operator@example.net"},
    "unlisted": {"email": "somebody@example.org", "email_verified": True},
    # Says it is Alice; the provider says that this was never checked.
    "pretender": {"email": "alice@example.com", "email_verified": False},
    "chooser": {"sub": "alice@example.com"},
}
ACCESS = "alice@example.com=second.example; operator@example.net=*"


class House:
    """A dashboard behind a login, its provider, and how to start it again."""

    def __init__(self, folder: Path, url: str, port: int, provider: Provider) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.provider = provider
        self._folder = folder
        self._named = {
            "dashboard_url": self.base,
            "oidc_issuer": provider.issuer,
            "oidc_client_id": login_provider.CLIENT,
            "oidc_client_secret": login_provider.SECRET,
            "access": ACCESS,
        }
        self._settings = settings_module.load(database_url=url, dashboard_listen=f"127.0.0.1:{port}", **self._named)
        self.server = self.start()

    def start(self) -> Server:
        self.server = Server(self._folder, self._settings, **self._named)
        return self.server


@pytest.fixture(scope="module")
def house(filled_today: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    port = free_port()
    with login_provider.running(USERS, f"http://127.0.0.1:{port}/oauth2callback") as provider:
        built = House(tmp_path_factory.mktemp("house"), filled_today.url, port, provider)
        yield built
        built.server.stop()


class Guest:
    """Somebody with a browser of their own."""

    def __init__(self, browser: "playwright.Browser", house: House, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.house = house

    def go(self, path: str) -> None:
        self.page.goto(self.house.base + path)
        self.page.wait_for_selector("[data-testid=stMain] h1", timeout=60_000)

    def log_in(self, name: str, title: str, path: str = "/") -> None:
        self.ask(path)
        self.page.wait_for_url(f"{self.house.provider.issuer}/authorize**", timeout=60_000)
        self.page.fill("input", name)
        self.page.click("button")
        self.page.wait_for_url(f"{self.house.base}/**", timeout=60_000)
        self.until(title)

    def ask(self, path: str = "/") -> None:
        self.go(path)
        self.page.get_by_role("button", name="Log in").click(timeout=60_000)

    def until(self, title: str) -> None:
        self.page.wait_for_function(
            "wanted => document.querySelector('[data-testid=stMain] h1')?.innerText === wanted",
            arg=title,
            timeout=60_000,
        )

    def text(self) -> str:
        return str(self.page.locator("body").inner_text())


@pytest.fixture
def guest(browser: "playwright.Browser", house: House) -> Iterator[Guest]:
    house.provider.age = house.provider.ahead = 0
    house.provider.secret, house.provider.denies, house.provider.down = login_provider.SECRET, False, False
    visitor_of_test = Guest(browser, house)
    yield visitor_of_test
    visitor_of_test.context.close()


@pytest.mark.parametrize("path", ["/", "/domain?domain=second.example", "/reports", "/quarantine", "/export"])
def test_every_address_asks_for_the_login_first(guest: Guest, path: str) -> None:
    guest.go(path)
    guest.page.get_by_role("button", name="Log in").wait_for(timeout=60_000)
    assert guest.page.locator("h1").all_inner_texts() == ["StartTally"]
    assert "second.example" not in guest.text()
    assert guest.page.locator("[data-testid=stSidebarNavLink]").count() == 0


def test_who_logs_in_sees_the_own_domains_until_the_log_out(guest: Guest) -> None:
    guest.log_in("alice", "Domains")
    assert "alice@example.com" in guest.text()
    names = guest.page.locator("[data-testid=stSidebarNavLink]").all_inner_texts()
    assert [name.splitlines()[-1] for name in names] == ["Domains", "Reports", "Export"]
    guest.go("/domain?domain=second.example")
    guest.until("second.example")
    guest.page.get_by_text("What enforce would refuse, and who repairs it").wait_for(timeout=60_000)
    guest.go("/domain?domain=receiver.example")
    guest.page.get_by_text("There is no report about this domain.").wait_for(timeout=60_000)
    guest.page.get_by_role("button", name="Log out").click()
    guest.page.get_by_role("button", name="Log in").wait_for(timeout=60_000)
    assert [cookie for cookie in guest.context.cookies() if cookie["name"].startswith("_streamlit_user")] == []
    guest.go("/domain?domain=second.example")
    guest.until("StartTally")


def test_a_login_leads_to_the_address_that_was_asked_for(guest: Guest) -> None:
    guest.log_in("alice", "second.example", "/domain?domain=second.example")
    assert guest.page.url == guest.house.base + "/domain?domain=second.example"
    wanted = [cookie for cookie in guest.context.cookies() if cookie["name"] == way_back.COOKIE]
    assert [cookie["httpOnly"] for cookie in wanted] == [True]


@pytest.mark.parametrize(
    "wanted", ["//evil.example/domain", "https://evil.example/", "/auth/logout", "/domain\r\nX: y", "\xff"]
)
def test_a_login_leads_to_no_other_place(guest: Guest, wanted: str) -> None:
    guest.go("/")
    value = base64.urlsafe_b64encode(wanted.encode("latin-1")).decode()
    guest.page.get_by_role("button", name="Log in").click(timeout=60_000)
    guest.page.wait_for_url(f"{guest.house.provider.issuer}/authorize**", timeout=60_000)
    guest.context.add_cookies([{"name": way_back.COOKIE, "value": value, "url": guest.house.base}])
    guest.page.fill("input", "alice")
    guest.page.click("button")
    guest.page.wait_for_url(f"{guest.house.base}/", timeout=60_000)
    guest.until("Domains")


def test_the_operator_sees_the_quarantine(guest: Guest) -> None:
    guest.log_in("operator", "Domains")
    guest.page.get_by_role("link", name="Quarantine").click()
    guest.until("Quarantine")
    guest.page.get_by_text("Click on a row to look into a message").wait_for(timeout=60_000)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("unlisted", "somebody@example.org"),
        ("pretender", "pretender"),
        ("chooser", "alice@example.com (not a verified address)"),
    ],
)
def test_who_is_not_listed_is_told_so_and_shown_nothing(guest: Guest, name: str, called: str) -> None:
    guest.log_in(name, "You may see no domain")
    assert f"You are logged in as {called}." in guest.text()
    assert guest.page.locator("[data-testid=stSidebarNavLink]").count() == 0
    guest.go("/domain?domain=second.example")
    guest.until("You may see no domain")


def test_an_old_login_has_to_be_renewed(guest: Guest) -> None:
    guest.house.provider.age = 13 * 3600
    guest.log_in("alice", "StartTally")
    guest.page.get_by_text("Your login has expired.").wait_for(timeout=60_000)
    guest.house.provider.age = 0
    guest.log_in("alice", "Domains")


def test_a_changed_cookie_is_no_login(guest: Guest) -> None:
    guest.log_in("alice", "Domains")
    cookies = [cookie for cookie in guest.context.cookies() if cookie["name"] == "_streamlit_user"]
    assert len(cookies) == 1
    assert cookies[0]["httpOnly"]
    value = cookies[0]["value"]
    changed = cookies[0] | {"value": value[:10] + ("A" if value[10] != "A" else "B") + value[11:]}
    guest.context.add_cookies([changed])
    guest.go("/")
    guest.until("StartTally")


def test_a_restart_keeps_users_logged_in(guest: Guest) -> None:
    """The cookies' key is made of the client's secret: the same in every process, and never written down."""
    guest.log_in("alice", "Domains")
    guest.house.server.stop()
    guest.house.start()
    guest.go("/domain?domain=second.example")
    guest.until("second.example")


def test_a_code_of_another_login_is_refused(guest: Guest) -> None:
    """A link that would log the victim in as the attacker (login CSRF): its state belongs to no login of this browser."""
    before = guest.house.provider.logins
    guest.go("/oauth2callback?code=stolen&state=made-up")
    guest.until("StartTally")
    assert guest.house.provider.logins == before
    guest.page.get_by_text(login_failures.FAILURES["state"].what).wait_for(timeout=60_000)


FAILURES = {
    "refused": ({"denies": True}, "access_denied: not you\\x1b[2J"),
    "secret": ({"secret": "another"}, "invalid_client"),
    "away": ({"down": True}, "503"),
    "clock": ({"ahead": -3600}, "expired_token"),
}


@pytest.mark.parametrize("word", FAILURES)
def test_a_login_that_fails_says_why_on_the_page_and_in_one_line(guest: Guest, word: str) -> None:
    knobs, detail = FAILURES[word]
    log = guest.house.server.log
    before = len(log.read_bytes())
    for name, value in knobs.items():
        setattr(guest.house.provider, name, value)
    path = "/domain?domain=second.example"
    guest.ask(path)
    if word not in ("refused", "away"):
        guest.page.wait_for_url(f"{guest.house.provider.issuer}/authorize**", timeout=60_000)
        guest.page.fill("input", "alice")
        guest.page.click("button")
    failure = login_failures.FAILURES[word]
    guest.page.get_by_text(failure.what).wait_for(timeout=60_000)
    assert failure.then in guest.text()
    assert guest.page.url == guest.house.base + path
    (line,) = log.read_bytes()[before:].decode().splitlines()
    assert failure.what.rstrip(".") in line
    assert detail in line
    guest.house.provider.secret, guest.house.provider.denies, guest.house.provider.down = (
        login_provider.SECRET,
        False,
        False,
    )
    guest.house.provider.ahead = 0
    guest.log_in("alice", "second.example", path)
    assert [cookie for cookie in guest.context.cookies() if cookie["name"] == login_failures.COOKIE] == []


def test_a_log_out_ends_every_tab_of_that_login_and_no_other(guest: Guest, browser: "playwright.Browser") -> None:
    """Another tab is cut at once, a file that was made ready is gone, and a copy of the cookie opens nothing."""
    guest.log_in("operator", "Domains")
    cookies = guest.context.cookies()
    elsewhere = Guest(browser, guest.house)
    elsewhere.log_in("operator", "Domains")
    tab = guest.context.new_page()
    tab.goto(guest.house.base + "/export")
    tab.get_by_role("button", name="Prepare the export").click(timeout=60_000)
    tab.get_by_test_id("stDownloadButton").wait_for(timeout=60_000)
    with tab.expect_download(timeout=60_000) as downloading:
        tab.get_by_test_id("stDownloadButton").locator("button").click()
    address = downloading.value.url
    before = len(guest.house.server.log.read_bytes())
    assert elsewhere.context.request.get(address).status == 200
    guest.page.get_by_role("button", name="Log out").click()
    tab.get_by_role("button", name="Log in").wait_for(timeout=60_000)
    guest.page.get_by_role("button", name="Log in").wait_for(timeout=60_000)
    assert guest.context.request.get(address).status == 403
    guest.context.add_cookies(cookies)
    assert guest.context.request.get(address).status == 403
    guest.go("/")
    guest.until("StartTally")
    elsewhere.go("/reports")
    elsewhere.until("Reports")
    elsewhere.context.close()
    assert guest.house.server.log.read_bytes()[before:] == b""


def test_at_start_the_secret_is_tried(guest: Guest) -> None:
    """A right one is not heard of; with a wrong one the log says at once what users would meet."""
    assert "nobody can log in" not in guest.house.server.log.read_text()
    assert guest.house.provider.refused.count("invalid_grant") >= 1
    guest.house.server.stop()
    guest.house.provider.secret = "changed-at-the-provider"
    server = guest.house.start()
    try:
        eventually(lambda: "nobody can log in" in server.log.read_text(), 60)
        (line,) = [line for line in server.log.read_text().splitlines() if "nobody can log in" in line]
        assert "STARTTALLY_OIDC_CLIENT_SECRET" in line
        assert "invalid_client" in line
        assert login_provider.SECRET not in server.log.read_text()
    finally:
        server.stop()
        guest.house.provider.secret = login_provider.SECRET
        guest.house.start()


def test_the_secret_is_not_in_the_log(guest: Guest) -> None:
    guest.log_in("alice", "Domains")
    text = guest.house.server.log.read_text()
    assert login_provider.SECRET not in text
    assert "alice" not in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_the_login_pages_fit_their_screen(browser: "playwright.Browser", house: House, scheme: str, width: int) -> None:
    guest = Guest(browser, house, viewport={"width": width, "height": 900}, color_scheme=scheme)
    wider = "document.querySelector('[data-testid=stMain]').scrollWidth - document.documentElement.clientWidth"
    guest.go("/")
    assert guest.page.evaluate(wider) <= 0
    guest.log_in("unlisted", "You may see no domain")
    assert guest.page.evaluate(wider) <= 0
    guest.context.close()
