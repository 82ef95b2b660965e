"""Each verdict from signed mails through the SMTP door, in the browser, on the command line and in the export alike."""

import csv
import datetime as dt
import io
import json
import smtplib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from dashboard import verdict_words
from dashboard.verdict import ENFORCING, ENFORCING_REFUSING, READY, URGENCY
from ingest import models
from tests.nameserver import NameServer
from tests.support import eventually, need
from tests.test_end_to_end import TO, Installation
from tests.verdict import door_worlds
from tests.verdict.door_worlds import SECOND, WORLDS, World

if TYPE_CHECKING:
    import playwright.sync_api as playwright

    from tests.test_dashboard_browser import Visitor

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
    found = json.loads(served.run("verdict", world.domain, "--json", expect=0 if fine else 1))
    assert _figures(found["verdict"], found["sessions"], found["refused_sessions"]) in _wanted(world)
    assert found["policy_domain"] == world.domain


@pytest.mark.parametrize(
    ("domain", "refused", "with_them"),
    [("insufficient-evidence.example", 0, READY), ("enforcing.example", 40, ENFORCING_REFUSING)],
)
def test_strangers_stand_beside_the_verdict(served: Installation, domain: str, refused: int, with_them: str) -> None:
    """Two weeks of signed mail from one domain move nothing of what the other tests see; who, how much and what if is said."""
    (world,) = (world for world in WORLDS if world.domain == domain)
    found = json.loads(served.run("verdict", domain, "--json", expect=0 if world.verdict == ENFORCING else 1))
    (newcomer,) = (one for one in found["newcomers"] if one["voice"] == SECOND.domain)
    assert (newcomer["organization"], newcomer["signer"]) == (SECOND.organization, SECOND.domain)
    assert newcomer["refused"] == refused
    assert newcomer["sessions"] % SECOND.sessions == 0
    assert (found["verdict"], found["with_newcomers"]) == (world.verdict, with_them)
    assert SECOND.domain not in [one["voice"] for one in found["by_reporter"]]


def test_as_a_table(served: Installation) -> None:
    heading, *lines = (line.split() for line in served.run("verdict").splitlines())
    assert heading[:5] == ["domain", "verdict", "mode", "sessions", "refused"]
    rows = {}
    for domain, name, *rest in lines:
        rest = rest if name != "no-policy" else ["", *rest]  # its mode is empty
        # What was refused in the newest days stands beside what was refused in the window.
        lately = sum(int(cell) for cell in rest[3:4] if cell.startswith("+"))
        rows[domain] = _figures(name, rest[1], int(rest[2]) + lately)
    assert rows.keys() == {world.domain for world in WORLDS}
    assert [world.domain for world in WORLDS if rows[world.domain] not in _wanted(world)] == []
    assert [name for name, *_ in rows.values()] == list(URGENCY)


def test_as_an_export(served: Installation) -> None:
    rows = csv.DictReader(io.StringIO(served.run("export", "domains")))
    found = {row["policy_domain"]: _figures(row["verdict"], row["sessions"], row["refused_sessions"]) for row in rows}
    assert found.keys() == {world.domain for world in WORLDS}
    assert [world.domain for world in WORLDS if found[world.domain] not in _wanted(world)] == []


@pytest.fixture(scope="module")
def visitor(served: Installation) -> Iterator["Visitor"]:
    """A person with Debian's Chromium before the running dashboard."""
    driver = pytest.importorskip("playwright.sync_api", reason="needs playwright (pip install --group dev)")
    # Without playwright this import would skip the whole module.
    from tests.test_dashboard_browser import FLAGS, Visitor

    program = need("chromium", "chromium")
    with driver.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, headless=True, args=FLAGS)
        came = Visitor(browser, SimpleNamespace(port=served.dashboard[1]))
        yield came
        browser.close()
    assert came.complaints == []
    assert came.strayed == []


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.verdict)
def test_in_the_browser(visitor: "Visitor", world: World) -> None:
    visitor.go("/domain", domain=world.domain)
    main = visitor.page.locator("[data-testid=stMain]")
    title = main.locator("[data-testid=stAlert] strong").first.inner_text()
    (name,) = [name for name, words in verdict_words.TITLES.items() if f"{words}." == title]
    refused = int(_metric(main, "Of these refused")) + int(_metric(main, "In newest days"))
    assert _figures(name, _metric(main, "Sessions that count"), refused) in _wanted(world)


def _metric(main: "playwright.Locator", label: str) -> str:
    """The figure under a label, "0" when there is none."""
    metric = main.locator("[data-testid=stMetric]", has_text=label)
    return "0" if not metric.count() else str(metric.locator("[data-testid=stMetricValue]").inner_text())


def _figures(verdict: str, sessions: str | int, refused: str | int) -> tuple[str, int, int]:
    """What all four ways of asking must agree on."""
    return verdict, *(int(str(one).replace(",", "")) for one in (sessions, refused))


def _wanted(world: World) -> set[tuple[str, int, int]]:
    """Today's figures, and those of tomorrow, should midnight pass meanwhile."""
    return {(world.verdict, world.sessions + more, world.refused) for more in (0, world.grows)}
