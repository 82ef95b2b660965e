"""The dashboard in a real browser: clicks, addresses, downloads, and that no stranger's text takes effect."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dashboard.queries import quarantine, report_pages
from dashboard.queries.question import EVERYTHING
from dashboard.queries.report_pages import ReportFilter
from ingest.database import engines
from ingest.spool import trace
from tests import stored
from tests.dashboard import world
from tests.dashboard.conftest import Filled, filled_today
from tests.dashboard.entrance.test_serving import Server
from tests.support import free_port, need

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")

__all__ = ["filled_today"]
pytestmark = pytest.mark.timeout(300)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MAIN = "receiver.example"
# Streamlit looks below the page's own path for its server first.
EXPECTED_404 = ("/_stcore/health", "/_stcore/host-config")
ROW, HEADER = 35, 35


@pytest.fixture(scope="module")
def server(filled_today: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard over the filled database."""
    settings = filled_today.settings.model_copy(
        update={"dashboard_listen": type(filled_today.settings.dashboard_listen)("127.0.0.1", free_port())}
    )
    running = Server(tmp_path_factory.mktemp("served"), settings)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator["playwright.Browser"]:
    """Debian's Chromium; none is ever downloaded."""
    program = need("chromium", "chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        yield opened
        opened.close()


class Visitor:
    """A person with a browser. ``complaints`` are what the browser logged, ``strayed`` requests to other places."""

    def __init__(self, browser: "playwright.Browser", server: Server, **options: object) -> None:
        self.base = f"http://127.0.0.1:{server.port}"
        options = {"viewport": {"width": 1440, "height": 1000}} | options
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.strayed: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.on("request", self._asked)

    def _on_console(self, message: "playwright.ConsoleMessage") -> None:
        expected = any(message.location.get("url", "").endswith(path) for path in EXPECTED_404)
        if message.type == "error" and not expected:
            self.complaints.append(message.text)

    def _asked(self, request: "playwright.Request") -> None:
        if not request.url.startswith((self.base, "data:", "blob:")):
            self.strayed.append(request.url)

    def go(self, path: str, **asked: str) -> None:
        self.page.goto(self.base + path + (f"?{urlencode(asked)}" if asked else ""))
        self.settled()

    def settled(self) -> None:
        """Wait until the page is drawn and nothing runs any more."""
        self.page.wait_for_selector("[data-testid=stMain] h1", timeout=60_000)
        self.page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=60_000)
        if self.page.locator("[data-testid=stDataFrame]").count():
            self.page.locator("[data-testid=stDataFrame] canvas").first.wait_for(timeout=60_000)

    def title(self) -> str:
        return str(self.page.locator("[data-testid=stMain] h1").first.inner_text())

    def until_title(self, title: str) -> None:
        self.page.wait_for_function(
            "wanted => document.querySelector('[data-testid=stMain] h1')?.innerText.startsWith(wanted)",
            arg=title,
            timeout=60_000,
        )
        self.settled()

    def click_cell(self, table: int, row: int, x: int) -> None:
        """Click into a table, which is drawn on a canvas: ``x`` pixels from its left, in its ``row``."""
        box = self.page.locator("[data-testid=stDataFrame]").nth(table)
        box.scroll_into_view_if_needed()
        box.click(position={"x": x, "y": HEADER + ROW * row + ROW // 2})

    def download(self, button: str) -> tuple[str, bytes]:
        with self.page.expect_download(timeout=60_000) as waiting:
            self.page.get_by_role("button", name=button).click()
        return waiting.value.suggested_filename, Path(waiting.value.path()).read_bytes()


@pytest.fixture
def visitor(browser: "playwright.Browser", server: Server) -> Iterator[Visitor]:
    visitor_of_test = Visitor(browser, server)
    yield visitor_of_test
    visitor_of_test.context.close()
    assert visitor_of_test.strayed == []
    assert visitor_of_test.complaints == []


def _key(filled: Filled, name: str, domain: str = MAIN) -> str:
    wanted = ReportFilter(domain=domain, reporter=f'"{name}"')
    return str(report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=1)["report_key"].iloc[0])


def test_a_click_on_a_row_opens_the_domain_and_back_leads_back(visitor: Visitor) -> None:
    visitor.go("/")
    visitor.click_cell(0, 0, 120)
    visitor.until_title("second.example")
    assert visitor.page.url.endswith("/domain?domain=second.example")
    visitor.page.go_back()
    visitor.until_title("Domains")


def test_a_sorted_table_opens_the_row_that_was_clicked(visitor: Visitor) -> None:
    visitor.go("/")
    box = visitor.page.locator("[data-testid=stDataFrame]").first
    box.click(position={"x": 100, "y": HEADER // 2})  # by name, upwards
    visitor.page.wait_for_timeout(1_000)
    visitor.settled()
    assert visitor.title() == "Domains"  # sorting opens nothing
    visitor.click_cell(0, 3, 120)
    visitor.page.wait_for_url("**/domain?domain=*", timeout=60_000)
    visitor.settled()
    # (none named), :red[x]..., customer0, customer1
    assert visitor.title() == "customer1.example"


def test_a_click_on_a_failure_opens_the_reports_behind_it(visitor: Visitor) -> None:
    visitor.go("/domain", domain=MAIN)
    visitor.click_cell(0, 0, 400)
    visitor.until_title("Reports")
    assert "result=certificate-expired" in visitor.page.url
    assert visitor.page.get_by_text("4 reports; click on a row to open one.").count() == 1


def test_addresses_lead_straight_to_a_page(visitor: Visitor, filled_today: Filled) -> None:
    visitor.go("/reports", domain=MAIN, report=_key(filled_today, "twice.example"))
    assert visitor.title() == "Report"
    assert visitor.page.get_by_text("twice.example").count() >= 1


def test_a_choice_is_in_the_address_and_survives_a_reload(visitor: Visitor) -> None:
    visitor.go("/domain", domain=MAIN)
    visitor.page.get_by_role("radio", name="90 days").or_(visitor.page.get_by_role("button", name="90 days")).click()
    visitor.page.wait_for_url("**days=90*", timeout=60_000)
    visitor.page.reload()
    visitor.settled()
    assert "days=90" in visitor.page.url
    assert "domain=receiver.example" in visitor.page.url


def test_the_raw_report_can_be_downloaded(visitor: Visitor, filled_today: Filled) -> None:
    key = _key(filled_today, "google.example", "second.example")
    visitor.go("/reports", domain="second.example", report=key)
    name, data = visitor.download("Download the raw report")
    assert name == f"tls-report-{key}.json"
    assert json.loads(data) in [each.report for each in filled_today.sent]


def test_a_quarantined_message_can_be_downloaded(visitor: Visitor, filled_today: Filled) -> None:
    rows = quarantine.list_messages(filled_today.engine, EVERYTHING, limit=10)
    digest = rows.loc[rows["file_name"] == "dmarc.xml", "message_digest"].iloc[0]
    visitor.go("/quarantine", message=digest)
    assert visitor.download("Download the original") == (
        f"quarantined-{digest}.bin",
        b"<?xml version='1.0'?><feedback/>",
    )


def test_a_quarantined_message_is_discarded_for_good(visitor: Visitor, filled_today: Filled) -> None:
    mine = b"nothing that another test looks at"
    engine = engines.open_engine(filled_today.url)
    stored.store_file(engine, mine, filled_today.settings, name="mine.json")
    engine.dispose()
    page = visitor.page
    visitor.go("/quarantine", message=trace.digest(mine))
    page.get_by_role("button", name="Discard").click()
    assert page.get_by_text("cannot be brought back").count() == 1
    page.get_by_placeholder("Why; kept with the message").fill("meant for another address")
    page.get_by_placeholder("Why; kept with the message").press("Enter")
    page.get_by_role("button", name="Discard this message").click()
    page.get_by_text("Its content was deleted when it was discarded.").wait_for(timeout=60_000)
    assert page.get_by_text("meant for another address").count() == 1
    visitor.settled()


def test_an_export_can_be_downloaded(visitor: Visitor) -> None:
    visitor.go("/export", domain="second.example")
    visitor.page.get_by_role("button", name="Prepare the export").click()
    name, data = visitor.download("Download")
    assert name == "starttally-summary-second.example.csv"
    assert data.startswith(b"day,policy_domain,reporter,")
    assert data.count(b"\r\n") == 8


def test_no_strangers_text_takes_effect(visitor: Visitor, filled_today: Filled) -> None:
    keys = [_key(filled_today, text, "hostile.example") for text in world.HOSTILE]
    visits = [
        ("/", {}),
        ("/domain", {"domain": "hostile.example"}),
        ("/domain", {"domain": ":red[x].[a](//b.example)<b>"}),
    ]
    visits += [("/reports", {"domain": "hostile.example"}), ("/quarantine", {})]
    visits += [("/reports", {"domain": "hostile.example", "report": key}) for key in keys]
    visits += [("/reports", {"domain": "hostile.example", "result": text, "mx": text}) for text in world.HOSTILE]
    rows = quarantine.list_messages(filled_today.engine, EVERYTHING, limit=10)
    visits += [("/quarantine", {"message": digest}) for digest in rows["message_digest"]]
    for path, asked in visits:
        visitor.go(path, **asked)
        for toggle in visitor.page.get_by_text("Show the report as it came").all():
            toggle.click()
            visitor.page.wait_for_selector("[data-testid=stCode]")
        main = visitor.page.locator("[data-testid=stMain]")
        assert "owned" not in visitor.page.title()
        for planted in (
            "a[href*=attacker]",
            "a[href^=javascript]",
            "a[href*=mailto]",
            "img[src*=attacker]",
            "img[src=x]",
        ):
            assert main.locator(planted).count() == 0, (asked, planted)
        for drawn in (".katex", "script", "del", "blockquote", "h4", "[data-testid=stMarkdownContainer] em"):
            assert main.locator(drawn).count() == 0, (asked, drawn)
        page_text_now = main.inner_text()
        assert "\u202e" not in page_text_now
        assert "\u2066" not in page_text_now


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_every_page_fits_its_screen_in_both_themes(
    browser: "playwright.Browser", server: Server, filled_today: Filled, scheme: str, width: int
) -> None:
    visitor = Visitor(browser, server, viewport={"width": width, "height": 900}, color_scheme=scheme)
    key = _key(filled_today, "twice.example")
    for path, asked in (
        ("/", {}),
        ("/domain", {"domain": MAIN}),
        ("/domain", {"domain": "hostile.example"}),
        ("/reports", {}),
        ("/reports", {"domain": MAIN, "report": key}),
        ("/quarantine", {}),
        ("/export", {}),
    ):
        visitor.go(path, **asked)
        wider = "document.querySelector('[data-testid=stMain]').scrollWidth - document.documentElement.clientWidth"
        assert visitor.page.evaluate(wider) <= 0, path
        background = visitor.page.evaluate(
            "getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor"
        )
        light = sum(map(int, background.removeprefix("rgb(").rstrip(")").split(",")[:3])) > 384
        assert light == (scheme == "light"), path
    visitor.context.close()
    assert visitor.strayed == []
    assert visitor.complaints == []
