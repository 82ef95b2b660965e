"""Overrides on a page: forms that change a real verdict, who may use them, and strangers' text in them."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard.decision.evidence import NO_MX
from dashboard.queries.question import Scope
from dashboard.views import acts
from dashboard.views.visit import Visit
from ingest.database import engines
from ingest.settings import settings as settings_module
from ingest.store import overrides
from ingest.store.upkeep import upgrades
from ingest.testimony.override_rules import (
    AcceptedCause,
    BelievedVoice,
    DismissedVoice,
    EnteredPolicy,
    MxHosts,
    Override,
    OwnThresholds,
    RepairedCause,
)
from tests.dashboard.decision.test_from_the_database import DAY, ENFORCE, TESTING, World
from tests.reports import detail, entry
from tests.support import ROOT

DOMAIN = "receiver.example"
TODAY = dt.datetime.now(dt.UTC).date()
Open = Callable[..., AppTest]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A domain with clean weeks of two senders, and one of them with an expired certificate."""
    url = f"sqlite:///{tmp_path}/starttally.db"
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", url)
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    made = World(engine, settings_module.load())
    made.clean(TODAY - 30 * DAY, TODAY - DAY)
    fail(made, "certificate-expired")
    yield made
    engine.dispose()


def fail(world: World, result_type: str, **changes: object) -> None:
    failure = detail(result_type, 1, **changes)
    world.report(TODAY - 5 * DAY, "google.com", entry(5, 1, failure, policy_string=TESTING))


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens the page for a user who may see ``scope``."""
    st.cache_data.clear()

    def run(scope: str = "*", user: str = "alice", domain: str = DOMAIN) -> AppTest:
        monkeypatch.setenv("TEST_SCOPE", scope)
        monkeypatch.setenv("TEST_USER", user)
        app = AppTest.from_file(str(ROOT / "tests" / "dashboard" / "override_page.py"), default_timeout=60)
        app.query_params["domain"] = domain
        return app.run()

    yield run
    st.cache_resource.clear()
    st.cache_data.clear()


def control(app: AppTest, kind: str, label: str, number: int = 0) -> object:
    return [element for element in getattr(app, kind) if element.label == label][number]


def press(app: AppTest, label: str) -> AppTest:
    control(app, "button", label).click()  # type: ignore[attr-defined]
    app.run()
    assert not app.exception
    return app


def write(app: AppTest, kind: str, label: str, value: object, number: int = 0) -> None:
    control(app, kind, label, number).set_value(value)  # type: ignore[attr-defined]


def page_text(app: AppTest) -> str:
    kinds = (app.caption, app.text, app.success, app.warning, app.error, app.markdown)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


def given(world: World) -> list[Override]:
    return overrides.given(world.engine)


# The forms in their order: each has a note of its own.
ACCEPT, REPAIRED, VOICE, THRESHOLDS, POLICY = range(5)


def test_a_cause_is_accepted_and_taken_back(world: World, open_page: Open) -> None:
    app = open_page()
    assert app.title[0].value == "not-ready"
    assert control(app, "selectbox", "Cause").options == [  # type: ignore[attr-defined]
        "Certificate expired, mx1.receiver.example: 1 session"
    ]
    write(app, "text_input", "Note", "they know about it")
    press(app, "Accept this cause")
    assert app.title[0].value == "ready"
    what = "Accepted: Certificate expired at mx1.receiver.example, reported by google.com"
    assert app.success[0].value == "Kept. The verdict now: **Ready for enforce**."
    assert page_text(app).count(what) == 2, "what was done, and what is in force"
    assert "they know about it" in page_text(app)
    covers = f"covers 1 session of 1 voice since {TODAY - 5 * DAY}"
    assert f"By alice, since {TODAY} (today), until {TODAY + 30 * DAY}; {covers}" in page_text(app)
    assert "No cause stands against the switch now." in page_text(app)
    (word,) = given(world)
    assert word.content == AcceptedCause("certificate-expired", "mx1.receiver.example", "google.com")
    assert (word.author, word.until) == ("alice", TODAY + 30 * DAY)
    write(app, "text_input", "Why (may stay empty)", "it was ours")
    press(app, "Take this override back")
    assert app.title[0].value == "not-ready"
    assert app.success[0].value == "Taken back. The verdict now: **Not ready for enforce**."
    assert "None is in force." in page_text(app)
    row = app.dataframe[0].value.iloc[0]
    assert (row["how"], row["by"], row["why"]) == ("Taken back", "alice", "it was ours")
    assert app.expander[0].label == "Past overrides (1)"


def test_a_cause_without_a_host_for_good(world: World, open_page: Open) -> None:
    fail(world, "starttls-not-supported", receiving_mx_hostname=...)
    app = open_page()
    options = control(app, "selectbox", "Cause").options  # type: ignore[attr-defined]
    assert "STARTTLS not offered, no MX host named: 1 session" in options
    write(app, "selectbox", "Cause", options.index("STARTTLS not offered, no MX host named: 1 session"))
    app.run()
    write(app, "selectbox", "Reported by", "")
    write(app, "text_input", "Note", "x")
    control(app, "segmented_control", "Holds for").set_value("")  # type: ignore[attr-defined]
    press(app, "Accept this cause")
    (word,) = given(world)
    assert (word.content, word.until) == (AcceptedCause("starttls-not-supported", NO_MX), None)
    assert "until taken back" in page_text(app)


def test_a_note_is_needed(world: World, open_page: Open) -> None:
    app = press(open_page(), "Accept this cause")
    assert "This was not kept." in page_text(app)
    assert "a note is needed" in page_text(app)
    assert given(world) == []


def test_a_cause_was_repaired(world: World, open_page: Open) -> None:
    app = open_page()
    control(app, "date_input", "Repaired on (UTC)").set_value(TODAY - 4 * DAY)  # type: ignore[attr-defined]
    write(app, "text_input", "Note", "renewed", REPAIRED)
    press(app, "It was repaired")
    assert app.title[0].value == "insufficient-evidence", "14 clean days are to come"
    assert f"Repaired on {TODAY - 4 * DAY}: Certificate expired at mx1.receiver.example" in page_text(app)
    (override,) = given(world)
    assert override.content == RepairedCause(TODAY - 4 * DAY, "certificate-expired", "mx1.receiver.example")
    assert override.until is None


def test_a_reporter_is_believed_and_dismissed(world: World, open_page: Open) -> None:
    failure = detail("starttls-not-supported", 1)
    world.report(TODAY - 5 * DAY, "new.example", entry(5, 1, failure, policy_string=TESTING))
    app = open_page()
    assert control(app, "selectbox", "Reporter").options == [  # type: ignore[attr-defined]
        "new.example: new",
        "google.com (Google Inc.): known",
        "microsoft.com (Microsoft Corporation): known",
    ]
    write(app, "text_input", "Note", "our customer", VOICE)
    press(app, "Believe it")
    assert "Believed: new.example" in page_text(app)
    assert control(app, "selectbox", "Reporter").options[-1] == "new.example: known"  # type: ignore[attr-defined]
    write(app, "selectbox", "Reporter", "new.example")
    write(app, "text_input", "Note", "after all not", VOICE)
    press(app, "Dismiss it")
    assert "new.example: dismissed" in control(app, "selectbox", "Reporter").options  # type: ignore[attr-defined]
    assert [override.content for override in given(world)] == [
        BelievedVoice("new.example"),
        DismissedVoice("new.example"),
    ]


def test_thresholds_are_set(world: World, open_page: Open) -> None:
    app = open_page()
    write(app, "text_input", "Refused at most", "2.5%")
    write(app, "number_input", "Independent reporters", 1)
    write(app, "text_input", "Note", "a small domain", THRESHOLDS)
    press(app, "Set these thresholds")
    (word,) = given(world)
    assert (word.content, word.until) == (OwnThresholds(bound=0.025, reporters=1), None)
    assert "Own thresholds: at most 2.5 % refused, 1 independent reporter" in page_text(app)
    # The form shows what holds now; what is not changed is not said again.
    assert control(app, "text_input", "Refused at most").value == "2.5 %"  # type: ignore[attr-defined]
    write(app, "text_input", "Note", "x", THRESHOLDS)
    press(app, "Set these thresholds")
    assert "no threshold is given" in page_text(app)
    write(app, "text_input", "Confidence", "much")
    press(app, "Set these thresholds")
    assert "'much' is no share: write it as 0.02 or 2%" in page_text(app)
    assert len(given(world)) == 1
    write(app, "text_input", "Confidence", "0.9")
    press(app, "Set these thresholds")
    assert [override.content for override in given(world)][1:] == [OwnThresholds(confidence=0.9)]


def test_a_policy_is_entered(world: World, open_page: Open) -> None:
    app = open_page()
    write(app, "text_area", "Policy file, as it is served", "version: STSv1\nmode: enforced\nmx: mx1.receiver.example")
    app.run()
    assert "Senders cannot use it so." in page_text(app)
    assert "Line 2: mode: enforced is a common mistake" in page_text(app)
    write(app, "text_area", "Policy file, as it is served", "\n".join(ENFORCE))
    write(app, "text_area", "MX hosts, one a line (may stay empty)", "mx1.receiver.example\n")
    app.run()
    assert "Senders can read it: mode enforce." in page_text(app)
    write(app, "text_input", "Note", "switched today", POLICY)
    press(app, "Enter it")
    assert app.title[0].value == "enforcing", "what failed before the switch is history"
    assert "The verdict now: **Enforcing**." in page_text(app)
    (word,) = given(world)
    assert word.content == EnteredPolicy("\n".join(ENFORCE), ("mx1.receiver.example",))


def test_mx_hosts_alone(world: World, open_page: Open) -> None:
    app = open_page()
    write(app, "text_area", "MX hosts, one a line (may stay empty)", "mx1.receiver.example\nmx2.receiver.example")
    write(app, "text_input", "Note", "x", POLICY)
    press(app, "Enter it")
    (word,) = given(world)
    assert word.content == MxHosts(("mx1.receiver.example", "mx2.receiver.example"))


def test_who_may_see_a_domain_may_speak_about_it(world: World, open_page: Open) -> None:
    app = open_page(scope=f"{DOMAIN} *.other.example", user="customer@example.com")
    write(app, "text_input", "Note", "known")
    press(app, "Accept this cause")
    (word,) = given(world)
    assert word.author == "customer@example.com"


def test_about_other_domains_nothing_is_shown_and_nothing_can_be_said(world: World, open_page: Open) -> None:
    overrides.give(
        world.engine,
        DOMAIN,
        AcceptedCause("x", voice="Secret"),
        overrides.Act("operator", dt.datetime.now(dt.UTC), "secret"),
    )
    app = open_page(scope="other.example", user="customer@example.com")
    assert "Secret" not in page_text(app)
    assert "None is in force." in page_text(app)
    assert not app.button
    assert not app.expander


def test_an_act_about_another_domain_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, sqlite_engine: object
) -> None:
    visit = Visit(world.settings, world.engine, TODAY, {}, Scope(("other.example",)), "customer@example.com")
    done = []
    for domain in (DOMAIN, None):
        assert acts.act(visit, lambda *by: done.append(by), domain) is None
    acts.act(visit, lambda *by: done.append(by), "other.example")
    assert len(done) == 1
    st.cache_resource.clear()


def test_hostile_text_stays_text(world: World, open_page: Open) -> None:
    evil = "\u202e![x](http://evil.example/x.png) **b** <img src=x onerror=alert(1)> :material/close:"
    failure = detail(evil, 3, receiving_mx_hostname=evil)
    world.report(TODAY - 6 * DAY, "evil.example", entry(5, 3, failure, policy_string=TESTING), trust="verified")
    now = dt.datetime.now(dt.UTC)
    overrides.give(world.engine, DOMAIN, BelievedVoice("evil.example"), overrides.Act(evil, now, evil))
    overrides.give(world.engine, DOMAIN, AcceptedCause("x", "y", evil), overrides.Act(evil, now, evil))
    gone = overrides.give(world.engine, DOMAIN, AcceptedCause(evil), overrides.Act(evil, now, evil))
    overrides.withdraw(world.engine, DOMAIN, gone, overrides.Act(evil, now, evil))
    app = open_page()
    assert not app.exception
    hostile = [
        str(element.value)
        for kind in (app.caption, app.success)
        for element in kind
        if "evil.example" in str(element.value)
    ]
    # Read as Markdown: in a code span, where nothing takes effect.
    assert hostile
    assert all("`[U+202E]![x](http://evil.example/x.png)" in text for text in hostile)
    for text in app.text:
        assert "\u202e" not in str(text.value)
    options = control(app, "selectbox", "Cause").options  # type: ignore[attr-defined]
    assert any("[U+202E]" in option for option in options)
    write(app, "selectbox", "Cause", next(n for n, option in enumerate(options) if "[U+202E]" in option))
    app.run()
    write(app, "text_input", "Note", "whatever it is")
    press(app, "Accept this cause")
    assert all("[U+202E]" not in option for option in control(app, "selectbox", "Cause").options), "it is accepted"  # type: ignore[attr-defined]
