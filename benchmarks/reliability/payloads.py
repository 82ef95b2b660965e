"""Row 14: text from reports is data. Payloads go through the doors and the worker, then a browser looks at the pages.

``--long`` shows every payload in every place; else each is shown once. Needs Chromium and playwright.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa
from playwright.sync_api import Browser, sync_playwright

from ingest.database import engines
from ingest.settings import settings
from tests import payload_pages
from tests.dashboard.entrance.test_serving import Server
from tests.payload_mail import PEER, Delivered, deliver
from tests.payload_pages import hidden_in, look, watch
from tests.payloads import PAYLOADS, Payload, many
from tests.support import free_port, need
from tests.system.test_dashboard_browser import FLAGS, Visitor

from .figures import Figures, options

Page = tuple[str, dict[str, str], list[str]]


def pages(engine: sa.Engine, delivered: Delivered, every: int) -> Iterator[Page]:
    """All pages about the batches, and those about one payload in ``every`` alone."""
    yield "/", {}, []
    for batch in delivered.batches:
        yield from payload_pages.of_batch(engine, batch)
    for payload in delivered.payloads[::every]:
        yield from payload_pages.of_payload(engine, payload)
    yield from payload_pages.of_quarantine(engine, 2 * every)


def browse(figures: Figures, browser: Browser, delivered: Delivered, folder: Path, every: int) -> None:
    """Open the pages and count what had an effect."""
    chosen = settings.load(database_url=delivered.url, dashboard_listen=f"127.0.0.1:{free_port()}")
    server = Server(folder, chosen)
    engine = engines.open_engine(delivered.url, read_only=True)
    try:
        visitor = watch(Visitor(browser, server))
        count, effects = 0, []
        for page in pages(engine, delivered, every):
            effects += look(visitor, [page])
            count += 1
    finally:
        engine.dispose()
        server.stop()
    for effect in effects[:20]:
        print(ascii(effect))
    figures.show("pages opened", count)
    figures.must(
        "effects in the browser", len(effects), not effects, "no markup, link, script, hidden or lost character"
    )
    log = server.log.read_text()
    silent = hidden_in(log) == [] and "attacker" not in log
    figures.must("the dashboard's log quotes nothing", silent, silent, "and holds no control characters")


def run(figures: Figures, together: list[Payload], every: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "served").mkdir()
        began = time.monotonic()
        delivered = deliver(folder, PAYLOADS, together)
        figures.show("seconds to deliver", time.monotonic() - began)
        figures.show("payloads", len({payload.text for payload in [*PAYLOADS, *together]}))
        bad = hidden_in(delivered.log)
        figures.must("control characters in the doors' log", len(bad), not bad, "one line an event")
        full = delivered.log.count(PEER)
        figures.must("full addresses in the doors' log", full, not full, "a /24 is enough")
        with sync_playwright() as started:
            browser = started.chromium.launch(executable_path=need("chromium", "chromium"), headless=True, args=FLAGS)
            browse(figures, browser, delivered, folder / "served", every)
            browser.close()


def main() -> int:
    chosen = options(__doc__).parse_args()
    figures = Figures("payloads")
    run(figures, *((list(many()), 20) if chosen.long else (PAYLOADS, 50)))
    return figures.finish()


if __name__ == "__main__":
    sys.exit(main())
