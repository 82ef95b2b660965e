"""Each verdict from signed mails through the SMTP door, in the browser, on the command line and in the export alike."""

import csv
import datetime as dt
import io
import json
import re
import smtplib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from dashboard.decision.verdict import ENFORCING, ENFORCING_REFUSING, READY, URGENCY
from dashboard.words.faces import FACES
from ingest.database import models
from tests.dashboard.decision.door_worlds import SECOND, WORLDS, World
from tests.nameserver import NameServer
from tests.support import eventually, need
from tests.system.test_end_to_end import TO, Installation

from . import door_worlds

if TYPE_CHECKING:
    import playwright.sync_api as playwright

    from tests.system.test_dashboard_browser import Visitor

pytestmark = pytest.mark.timeout(400)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """All worlds sent to one running installation: doors, worker and dashboard."""
    folder = tmp_path_factory.mktemp("served")
    with NameServer(door_worlds.keys()) as nameserver:
        installation = Installation(folder, f"sqlite:///{folder}/var/starttally.db", str(nameserver.address))
        with installation.running("serve"):
            eventually(lambda: b"StartTally is running" in (folder / "serve.log").read_bytes(), 90)
            sent = _send_all(installation)
            eventually(lambda: installation.count(models.report) == sent, 120)
            assert installation.count(models.quarantine) == 0
            yield installation


def _send_all(installation: Installation) -> int:
    """Every world's mails, in one conversation by each world; how many there were."""
    today = dt.datetime.now(dt.UTC).date()
    sent = 0
    for world in WORLDS:
        with smtplib.SMTP(*installation.smtp, timeout=60) as client:
            for envelope, mail in door_worlds.mails(world, today):
                client.sendmail(envelope, [TO], mail)
                sent += 1
    return sent


def test_there_is_a_world_for_each_verdict() -> None:
    assert {world.verdict for world in WORLDS} == set(URGENCY)
    assert len({world.domain for world in WORLDS}) == len(WORLDS)


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.verdict)
def test_as_data(served: Installation, world: World) -> None:
    fine = world.verdict in (READY, ENFORCING)
    answer = json.loads(served.run("verdict", world.domain, "--json", expect=0 if fine else 1))
    assert _figures(answer["verdict"], answer["sessions"], answer["refused_sessions"]) in _wanted(world)
    assert answer["policy_domain"] == world.domain


@pytest.mark.parametrize(
    ("domain", "refused", "with_them"),
    [("insufficient-evidence.example", 0, READY), ("enforcing.example", 40, ENFORCING_REFUSING)],
)
def test_strangers_stand_beside_the_verdict(served: Installation, domain: str, refused: int, with_them: str) -> None:
    """Two weeks of signed mail from one domain move nothing of what the other tests see; who, how much and what if is said."""
    (world,) = (world for world in WORLDS if world.domain == domain)
    answer = json.loads(served.run("verdict", domain, "--json", expect=0 if world.verdict == ENFORCING else 1))
    (newcomer,) = (stranger for stranger in answer["newcomers"] if stranger["voice"] == SECOND.domain)
    assert (newcomer["organization"], newcomer["signer"]) == (SECOND.organization, SECOND.domain)
    assert newcomer["refused"] == refused
    assert newcomer["sessions"] % SECOND.sessions == 0
    assert (answer["verdict"], answer["with_newcomers"]) == (world.verdict, with_them)
    assert SECOND.domain not in [voice["voice"] for voice in answer["by_reporter"]]


def test_as_a_list(served: Installation) -> None:
    """In a pipe the table is as wide as a terminal; names as long as these make a paragraph for each domain of it."""
    told: dict[str, str] = {}
    head = ""
    for line in served.run("verdict").splitlines():
        assert len(line) <= 80
        if not line.startswith(" "):
            head = line
        told[head] = told.get(head, "") + line.removeprefix(head)
    rows = {}
    for head, text in told.items():
        domain, name = head.split()
        rows[domain] = _figures(name, *_told_figures(text))
    assert rows.keys() == {world.domain for world in WORLDS}
    assert [world.domain for world in WORLDS if rows[world.domain] not in _wanted(world)] == []
    assert [name for name, *_ in rows.values()] == list(URGENCY)


def _told_figures(text: str) -> tuple[int, int]:
    """Sessions and refused ones in a sentence, those of the newest days among these."""
    counts = re.search(r"(none|[\d,]+) of ([\d,]+) sessions refused", text)
    lately = re.search(r"([\d,]+) more in the newest days", text)
    refused, sessions = counts.groups() if counts else ("none", "0")
    numbers = [0 if count == "none" else int(count.replace(",", "")) for count in (sessions, refused)]
    return numbers[0], numbers[1] + (int(lately[1].replace(",", "")) if lately else 0)


def test_as_an_export(served: Installation) -> None:
    rows = csv.DictReader(io.StringIO(served.run("export", "domains")))
    figures = {row["policy_domain"]: _figures(row["verdict"], row["sessions"], row["refused_sessions"]) for row in rows}
    assert figures.keys() == {world.domain for world in WORLDS}
    assert [world.domain for world in WORLDS if figures[world.domain] not in _wanted(world)] == []


@pytest.fixture(scope="module")
def visitor(served: Installation) -> Iterator["Visitor"]:
    """A person with Debian's Chromium before the running dashboard."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")
    # Without playwright this import would skip the whole module.
    from tests.system.test_dashboard_browser import FLAGS, Visitor

    program = need("chromium", "chromium")
    with driver.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        guest = Visitor(browser, SimpleNamespace(port=served.dashboard[1]))
        yield guest
        browser.close()
    assert guest.complaints == []
    assert guest.strayed == []


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.verdict)
def test_in_the_browser(visitor: "Visitor", world: World) -> None:
    visitor.go("/domain", domain=world.domain)
    main = visitor.page.locator("[data-testid=stMain]")
    # Streamlit fetches the code that draws figures late, and draws a page more than once while it loads.
    main.locator("[data-testid=stMetric]", has_text="Sessions that count").locator(
        "[data-testid=stMetricValue]"
    ).wait_for()
    main.get_by_text("The verdict, day by day").wait_for()
    title = main.locator("[data-testid=stAlert] strong").first.inner_text()
    (name,) = [name for name, face in FACES.items() if f"{face.title}." == title]
    refused = int(_metric(main, "Of these refused")) + int(_metric(main, "In newest days"))
    assert _figures(name, _metric(main, "Sessions that count"), refused) in _wanted(world)


def _metric(main: "playwright.Locator", label: str) -> str:
    """The figure under a label, "0" when there is none."""
    metric = main.locator("[data-testid=stMetric]", has_text=label)
    if label != "In newest days":  # the others always stand there, and may be drawn anew just now
        metric.locator("[data-testid=stMetricValue]").wait_for()
    return "0" if not metric.count() else str(metric.locator("[data-testid=stMetricValue]").inner_text())


def _figures(verdict: str, sessions: str | int, refused: str | int) -> tuple[str, int, int]:
    """What all four ways of asking must agree on."""
    return verdict, *(int(str(count).replace(",", "")) for count in (sessions, refused))


def _wanted(world: World) -> set[tuple[str, int, int]]:
    """Today's figures, and those of tomorrow, should midnight pass meanwhile."""
    return {(world.verdict, world.sessions + more, world.refused) for more in (0, world.grows)}
