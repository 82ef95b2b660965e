"""Text from reports is data (docs/reliability.md row 14) on every page: 350 payloads in a real browser, and not one effect.

``python -m benchmarks.reliability.payloads`` does the same with each payload in many places.
"""

import re
from collections.abc import Iterator
from itertools import chain

import pytest

from ingest.database import engines
from ingest.settings import settings as settings_module
from tests import payload_pages
from tests.dashboard.entrance.test_serving import Server
from tests.payload_mail import PEER, Delivered, deliver
from tests.payload_pages import effects, look, watch
from tests.payloads import PAYLOADS
from tests.support import eventually, free_port
from tests.system.test_dashboard_browser import Visitor, browser

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")

__all__ = ["browser"]
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def delivered(tmp_path_factory: pytest.TempPathFactory) -> Delivered:
    """Every payload in a database, by the doors and the worker."""
    return deliver(tmp_path_factory.mktemp("payloads"), PAYLOADS, PAYLOADS)


@pytest.fixture(scope="module")
def engine(delivered: Delivered) -> Iterator[object]:
    """The same database, for keys of reports."""
    opened = engines.open_engine(delivered.url, read_only=True)
    yield opened
    opened.dispose()


@pytest.fixture(scope="module")
def server(delivered: Delivered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A dashboard over it."""
    listen = f"127.0.0.1:{free_port()}"
    settings = settings_module.load(database_url=delivered.url, dashboard_listen=listen)
    running = Server(tmp_path_factory.mktemp("served"), settings)
    yield running
    running.stop()


@pytest.fixture
def visitor(browser: "playwright.Browser", server: Server) -> Iterator[Visitor]:
    visitor_of_test = watch(Visitor(browser, server))
    yield visitor_of_test
    visitor_of_test.context.close()


def test_every_payload_is_shown_and_does_nothing(visitor: Visitor, delivered: Delivered, engine: object) -> None:
    pages = chain.from_iterable(payload_pages.of_batch(engine, batch) for batch in delivered.batches)
    assert look(visitor, pages) == []


def test_a_payload_that_names_a_domain_or_reporter_does_nothing(visitor: Visitor, engine: object) -> None:
    pages = chain.from_iterable(payload_pages.of_payload(engine, payload) for payload in PAYLOADS[::120])
    assert look(visitor, pages) == []


def test_what_waits_in_quarantine_does_nothing(visitor: Visitor, engine: object) -> None:
    assert look(visitor, [("/", {}, []), *payload_pages.of_quarantine(engine, every=300)]) == []


def test_nothing_is_wider_than_a_small_screen(
    browser: "playwright.Browser", server: Server, delivered: Delivered, engine: object
) -> None:
    visitor = watch(Visitor(browser, server, viewport={"width": 390, "height": 900}))
    long = next(batch for batch in delivered.batches if any(p.name.startswith("long") for p in batch.payloads))
    effects = look(visitor, payload_pages.of_batch(engine, long))
    visitor.context.close()
    assert effects == []


def test_a_bar_of_a_chart_says_our_words_only(visitor: Visitor) -> None:
    visitor.go("/domain", domain="d0.example", reports="unproven", policy="sts")
    chart = visitor.page.locator("[data-testid=stVegaLiteChart]").last
    chart.locator("svg").wait_for(timeout=60_000)
    tooltip = visitor.page.locator("#vg-tooltip-element.visible")

    def is_visible() -> bool:
        """Move along the foot of the bars; the page may still shift what is below."""
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        for x in range(40, int(box["width"]) - 5, 12):
            visitor.page.mouse.move(box["x"] + x, box["y"] + box["height"] - 55)
            if tooltip.count():
                return True
        return False

    eventually(is_visible, 60)
    words = tooltip.inner_text().split()
    assert words[0] == "Day"
    assert set(words) <= {"Day", "Outcome", "Sessions", "Successful", "Failed", "Would", "be", "refused"} | {
        word for word in words if re.fullmatch(r"[\d,-]+", word)
    }
    assert effects(visitor, "tooltip") == []


def test_a_cell_that_is_opened_holds_text_only(visitor: Visitor, delivered: Delivered, engine: object) -> None:
    batch = next(batch for batch in delivered.batches if any(p.text == "www.attacker.example" for p in batch.payloads))
    visitor.go(
        "/reports",
        domain=batch.domain,
        report=payload_pages.key_of(engine, f"details of {batch.domain}", batch.domain),
    )
    table = visitor.page.locator("[data-testid=stDataFrame]").first
    table.scroll_into_view_if_needed()
    for row in range(1, 12):
        table.dblclick(position={"x": 420, "y": 35 * row + 17})
        opened = visitor.page.locator("#portal textarea, #portal [class*=gdg-]")
        opened.first.wait_for(timeout=10_000)
        for planted in ("a", "img", "script", "iframe"):
            assert visitor.page.locator(f"#portal {planted}").count() == 0
        visitor.page.keyboard.press("Escape")
    assert effects(visitor, "cells") == []


@pytest.mark.parametrize(
    ("domain", "refusal"),
    [
        ("<img/src=x/onerror=document.title='owned'>", "There is no report about this domain."),
        ("../../etc/passwd", "There is no report about this domain."),
        ('x";filename="owned.html', "There is no report about this domain."),
        ("\u202egnp.exe", ""),
        ("a\r\nset-cookie:owned=1", "is no policy domain"),
        ("[click](https://attacker.example) **bold** :red[x]", "is no policy domain"),
    ],
)
def test_an_export_about_a_payload_is_prepared_refused_and_named_harmlessly(
    visitor: Visitor, domain: str, refusal: str
) -> None:
    visitor.go("/export", domain=domain)
    visitor.page.get_by_role("button", name="Prepare the export").click()
    if refusal:
        visitor.page.get_by_text(refusal).wait_for(timeout=20_000)
    else:
        name, data = visitor.download("Download")
        assert re.fullmatch(r"starttally-summary-[A-Za-z0-9._-]+\.csv", name)
        assert data.startswith(b"day,policy_domain,")
    assert effects(visitor, f"/export {domain!r}") == []


def test_the_dashboards_log_holds_no_payload(server: Server) -> None:
    log_text = server.log.read_text()
    assert payload_pages.hidden_in(log_text) == []
    assert "attacker" not in log_text
    assert "owned" not in log_text
    assert PEER not in log_text
