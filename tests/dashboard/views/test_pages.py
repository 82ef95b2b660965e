"""Every page, run as Streamlit runs it, on an empty and on a filled database; figures are those of the reports as sent."""

import ast
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import markdown_it
import pandas as pd
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboard import fleet_verdicts, verdicts
from dashboard.decision import verdict
from dashboard.queries import quarantine, report_pages
from dashboard.queries.evidence import domains_of
from dashboard.queries.question import EVERYTHING, Question, Scope
from dashboard.queries.report_pages import ReportFilter
from dashboard.views import acts
from dashboard.views import domains as domains_page
from dashboard.views import reports as reports_page
from dashboard.views.visit import Visit
from dashboard.words.faces import FACES
from ingest.database import engines
from ingest.database.models import raw_report
from ingest.settings.settings import Settings
from ingest.store.upkeep import retention, upgrades
from ingest.testimony.trust import EVIDENCE
from tests import stored
from tests.dashboard import world
from tests.dashboard.conftest import Filled
from tests.support import ROOT

MAIN = "receiver.example"
Open = Callable[..., AppTest]
PAGES = ("domains", "domain", "reports", "quarantine", "export")


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., AppTest]]:
    """Opens a page of a database as a browser does, with its address: ``open_page(url, "domain", domain="...")``."""
    st.cache_data.clear()

    def run(url: str, page: str = "domains", **parameters: str) -> AppTest:
        monkeypatch.setenv("STARTTALLY_DATABASE_URL", url)
        monkeypatch.setenv("STARTTALLY_HOSTNAME", "mx.receiver.example")
        monkeypatch.setenv("STARTTALLY_RECIPIENTS", "tlsrpt@receiver.example")
        app = AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
        app.run()
        if page == "domains" and not parameters:
            return app
        # AppTest.switch_page knows pages in files only; ours are functions with addresses.
        app._page_hash = next(
            key for key, known in app._registered_pages.items() if known["page_name"] == page.capitalize()
        )
        app.query_params.clear()
        for name, value in parameters.items():
            app.query_params[name] = value
        app.run()
        return app

    yield run
    st.cache_resource.clear()
    st.cache_data.clear()


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """A migrated database with nothing in it."""
    url = f"sqlite:///{tmp_path}/empty.db"
    upgrades.migrate(url)
    return url


def figures(app: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in app.metric}


def page_text(app: AppTest) -> str:
    """All text of a page outside its tables."""
    kinds = (app.title, app.subheader, app.markdown, app.caption, app.text, app.code, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in (*kind, *app.success))


def table(app: AppTest, column: str) -> pd.DataFrame:
    """The first table that has such a column."""
    return next(frame.value for frame in app.dataframe if column in frame.value.columns)


def test_every_page_of_the_program_is_tried_here() -> None:
    tree = ast.parse((ROOT / "dashboard" / "app.py").read_text(encoding="utf-8"))
    (pages,) = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_PAGES"
    ]
    assert isinstance(pages, ast.Tuple)
    assert {ast.unparse(page).split("'")[1] for page in pages.elts} == set(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_an_empty_database_is_no_dead_end(open_page: Open, empty_url: str, page: str) -> None:
    app = open_page(empty_url, page)
    assert not app.exception
    assert app.title


@pytest.mark.parametrize("page", ["domains", "reports", "export"])
def test_an_empty_database_says_what_to_publish_and_to_run(open_page: Open, empty_url: str, page: str) -> None:
    text = page_text(open_page(empty_url, page))
    assert '_smtp._tls.example.com. IN TXT "v=TLSRPTv1; rua=mailto:tlsrpt@receiver.example"' in text
    assert '"v=TLSRPTv1; rua=https://mx.receiver.example/v1/tlsrpt"' in text
    assert "swaks --server 127.0.0.1 --port 8025 --to tlsrpt@receiver.example" in text
    assert "starttally load" in text


def test_without_reports_the_quarantine_is_pointed_at(open_page: Open, empty_url: str, settings_for: Callable) -> None:
    engine = engines.open_engine(empty_url)
    stored.store_file(engine, b"<xml/>", settings_for(), name="x.xml")
    engine.dispose()
    assert "1 message came that could not be read" in page_text(open_page(empty_url))


@pytest.mark.parametrize("page", PAGES)
def test_a_filled_database_fills_every_page(open_page: Open, filled_today: Filled, page: str) -> None:
    app = open_page(filled_today.url, page, **({"domain": MAIN} if page == "domain" else {}))
    assert not app.exception
    assert "could not be shown" not in page_text(app)


def test_the_figures_of_the_start_page(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url)
    successful, failed = world.sums(filled_today.sent, EVIDENCE, "sts", today=filled_today.today)
    metrics = figures(app)
    assert (metrics["MTA-STS sessions"], metrics["Failed"]) == (f"{successful + failed:,}", f"{failed:,}")
    dane = world.sums(filled_today.sent, EVIDENCE, "tlsa", today=filled_today.today)
    assert f"Counted apart: {sum(dane):,} sessions under DANE, {dane[1]:,} failed" in page_text(app)


def test_unproven_sessions_are_named_and_not_counted(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url)
    unproven = world.sums(filled_today.sent, ("unverified", "unauthenticated"), "sts", today=filled_today.today)
    assert (
        f"Not counted, because nothing vouches for them: reports of 2 reporters about 1 domain ({sum(unproven):,} "
        in page_text(app)
    )


def test_the_table_of_domains(open_page: Open, filled_today: Filled) -> None:
    """Each verdict is a word with the figures that made it; the most urgent comes first, and is said aloud."""
    app = open_page(filled_today.url)
    rows = table(app, "policy_domain").set_index("policy_domain")
    engine, settings = filled_today.engine, Settings(database_url=filled_today.url)
    names = [name for name in domains_of(engine, EVERYTHING) if name]
    today = filled_today.today
    expected = {judged.domain: judged for judged in verdicts.verdicts(engine, Question.of(settings, today), names)}
    for name in (MAIN, "second.example", "customer0.example"):
        judged, row = expected[name], rows.loc[name]
        assert FACES[judged.name].title in row["verdict"]
        assert (row["refused"], row["sessions"], row["mode"]) == (
            judged.refused + judged.refused_lately,
            judged.sessions,
            judged.mode,
        )
    order = [judged.domain for judged in sorted(expected.values(), key=verdict.urgency)]
    assert list(rows.index)[:2] == order[:2] == ["second.example", MAIN]
    assert "xn--bcher-kva.example (b\u00fccher.example)" in rows.index
    assert "**Mail is being refused now** for second.example." in page_text(app)


def test_domains_of_one_verdict(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, verdict="not-ready")
    assert set(table(app, "policy_domain")["policy_domain"]) == {MAIN}
    app.segmented_control[0].set_value("all").run()
    assert len(table(app, "policy_domain")) == 16


def test_the_most_urgent_domains_come_first_page_by_page(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(table(open_page(filled_today.url), "policy_domain")["policy_domain"])
    monkeypatch.setattr(domains_page, "_ON_A_PAGE", 6)
    st.cache_data.clear()
    app = open_page(filled_today.url)
    assert list(table(app, "policy_domain")["policy_domain"]) == whole[:6]


def test_domains_that_wait_for_an_assessor_are_said_to(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_verdicts, "MOST_COMPUTED", 5)
    app = open_page(filled_today.url)
    assert not app.exception
    assert "wait for their verdict" in page_text(app)


def test_the_browsers_way_back_brings_a_choice_back(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url)
    recent = figures(app)
    app.segmented_control[1].set_value("all").run()
    assert figures(app) != recent
    del app.query_params["days"]
    app.run()
    assert figures(app) == recent


def test_the_range_of_days_is_part_of_the_address(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, days="all")
    successful, failed = world.sums(filled_today.sent, EVIDENCE, "sts", days=9999, today=filled_today.today)
    assert figures(app)["MTA-STS sessions"] == f"{successful + failed:,}"
    app.segmented_control[1].set_value("30").run()
    assert app.query_params["days"] == "30"


@pytest.mark.parametrize("nonsense", ["x", "-1", "9" * 50, "<b>"])
def test_a_mistyped_address_shows_the_default(open_page: Open, filled_today: Filled, nonsense: str) -> None:
    app = open_page(filled_today.url, days=nonsense)
    assert not app.exception
    assert app.segmented_control[1].value == "14"


def test_a_search_narrows_the_table(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, search="customer3")
    assert list(table(app, "policy_domain")["policy_domain"]) == ["customer3.example"]
    app.text_input[0].set_value("nowhere").run()
    assert "No domain with a report has this in its name." in page_text(app)


def test_a_click_on_a_row_opens_the_domain(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url)
    app.session_state["domains"] = {"selection": {"rows": [], "columns": [], "cells": [(0, "sessions")]}}
    app.run()
    assert [title.value for title in app.title] == ["second.example"]
    assert app.query_params["domain"] == "second.example"


@pytest.mark.parametrize("old", [True, False])
def test_an_old_archive_shows_all_its_days(open_page: Open, empty_url: str, settings_for: Callable, old: bool) -> None:
    engine = engines.open_engine(empty_url)
    day = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=400 if old else 5)
    sent = world.sent(day, "google.example", "verified")
    stored.store_report(engine, sent.report, settings_for(), arrived_at=sent.received_at)
    engine.dispose()
    app = open_page(empty_url)
    assert figures(app)["MTA-STS sessions"] == "47"
    assert (f"the newest is about {day}" in page_text(app)) is old


def _turn(app: AppTest, label: str) -> list[str]:
    """The keys of the reports after a click on a button, by their ids."""
    (button,) = (each for each in app.button if each.label == label)
    button.click().run()
    assert not app.exception
    return list(table(app, "report_id")["report_id"])


def test_pages_of_reports_are_turned_and_stay_in_the_address(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list(table(open_page(filled_today.url, "reports"), "report_id")["report_id"])
    monkeypatch.setattr(reports_page, "_ON_A_PAGE", 20)
    st.cache_data.clear()
    app = open_page(filled_today.url, "reports")
    assert list(table(app, "report_id")["report_id"]) == whole[:20]
    assert _turn(app, "Older") == whole[20:40]
    third = _turn(app, "Older")
    address = str(app.query_params["older"])
    assert list(table(open_page(filled_today.url, "reports", older=address), "report_id")["report_id"]) == third
    assert _turn(app, "Newer") == whole[20:40]
    assert _turn(app, "Newer") == whole[:20]
    assert {button.label for button in app.button if button.disabled} == {"Newer"}
    assert _turn(app, "Older") == whole[20:40]
    assert _turn(app, "Newest") == whole[:20]
    assert not {"older", "newer"} & set(app.query_params)


def test_another_filter_begins_at_the_newest_report(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports_page, "_ON_A_PAGE", 20)
    app = open_page(filled_today.url, "reports")
    _turn(app, "Older")
    app.toggle[0].set_value(True).run()
    assert "older" not in app.query_params
    assert not app.exception


# One domain


def test_the_figures_of_a_domain(open_page: Open, filled_today: Filled) -> None:
    metrics = figures(open_page(filled_today.url, "domain", domain=MAIN))
    successful, failed = world.sums(filled_today.sent, EVIDENCE, "sts", MAIN, today=filled_today.today)
    assert (metrics["Sessions"], metrics["Failed"]) == (f"{successful + failed:,}", f"{failed:,}")
    # Of the failed ones all but the three policies that could not be fetched.
    assert metrics["Would be refused"] == f"{failed - 3:,}"


def test_dane_sessions_are_shown_apart(open_page: Open, filled_today: Filled) -> None:
    metrics = figures(open_page(filled_today.url, "domain", domain=MAIN, policy="tlsa"))
    successful, failed = world.sums(filled_today.sent, EVIDENCE, "tlsa", MAIN, today=filled_today.today)
    assert (metrics["Sessions"], metrics["Failed"]) == (f"{successful + failed:,}", f"{failed:,}")
    assert "Would be refused" not in metrics


def test_unproven_reports_of_a_domain_are_marked_as_such(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain=MAIN, reports="unproven")
    unproven = world.sums(filled_today.sent, ("unverified", "unauthenticated"), "sts", MAIN, today=filled_today.today)
    assert figures(app)["Failed"] == f"{unproven[1]:,}"
    assert "Anyone could have written these reports." in page_text(app)


def test_failures_stand_under_their_mx_host(open_page: Open, filled_today: Filled) -> None:
    heat = table(open_page(filled_today.url, "domain", domain=MAIN), "mx0").set_index("what")
    assert heat.loc["Certificate expired", "mx0"] == 28
    assert heat.loc["Certificate has another name", "mx1"] == 8


def test_the_answer_stands_in_its_order(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="second.example")
    order = [title.value for title in app.subheader]
    wanted = [
        "What enforce refused",
        "The evidence",
        "What to do next",
        "The policy, as senders see it",
        "The verdict, day by day",
        "Overrides",
    ]
    assert [title for title in order if title in wanted] == wanted
    text = page_text(app)
    assert "Mail is being turned away now" in text
    assert "Refused on 7 of 7 days with reports, newest days included." in text
    assert "mode: testing\n" in text  # the way back, to paste
    assert "_mta-sts.second.example. 3600 IN TXT" in text


def test_what_is_missing_is_measured(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="customer8.example")
    bars = [element.proto.text for element in app.get("progress")]
    assert bars == [
        "Clean complete days: 4 of 14",
        "Independent reporters: 1 of 2",
        "Clean sessions: 13 of 299",
    ]


def test_who_saw_which_cause(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain=MAIN)
    cells = table(app, "cause0").set_index("what")
    assert (cells.loc["google.example", "cause0"], cells.loc["microsoft.example", "cause1"]) == (28, 15)
    app.session_state["who saw what"] = {"selection": {"rows": [], "columns": [], "cells": [(0, "cause0")]}}
    app.run()
    assert app.query_params["result"] == "certificate-expired"
    assert app.query_params["reporter"] == '"google.example"'


def test_a_policy_can_be_pasted_once_its_hosts_are_named(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="xn--bcher-kva.example")
    assert "Name the hosts of the MX records" in page_text(app)
    named = next(field for field in app.text_input if field.label == "The MX hosts of this domain")
    named.set_value("mx1.example.net, mx2.example.net").run()
    assert "mx: mx1.example.net\nmx: mx2.example.net\n" in page_text(app)
    next(field for field in app.text_input if field.label == "The MX hosts of this domain").set_value("<b>").run()
    assert "This cannot be published:" in page_text(app)


def test_a_click_on_a_failure_opens_the_reports_behind_it(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain=MAIN)
    app.session_state["failures"] = {"selection": {"rows": [], "columns": [], "cells": [(0, "mx0")]}}
    app.run()
    assert [title.value for title in app.title] == ["Reports"]
    assert app.query_params["result"] == "certificate-expired"
    assert app.query_params["mx"] == "mx1.receiver.example"
    assert table(app, "matching_sessions")["matching_sessions"].sum() == 28


def test_what_enforce_would_refuse_is_said_in_words(open_page: Open, filled_today: Filled) -> None:
    text = page_text(open_page(filled_today.url, "domain", domain=MAIN))
    assert "**Certificate expired** \u2014 28 sessions would be refused by enforce" in text
    assert "renew it, and reload it on every node" in text
    assert "Seen by 1 of 5 reporters" in text
    assert "repair it before any switch" in text


def test_counts_are_said_to_be_sessions(open_page: Open, filled_today: Filled) -> None:
    for page in ("domains", "domain", "reports", "export"):
        assert "sessions, not messages" in page_text(open_page(filled_today.url, page, domain=MAIN))


def test_policies_that_senders_saw(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="second.example")
    assert app.expander[-1].label == "MTA-STS, mode enforce"
    assert "\n".join(world.ENFORCE) in [code.value for code in app.code]
    assert "by google.example" in page_text(app)


def test_a_domain_can_be_asked_for_in_its_own_script(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="b\u00fccher.example")
    assert [title.value for title in app.title] == ["xn--bcher-kva.example"]
    assert "In its own script: b\u00fccher.example" in page_text(app)


@pytest.mark.parametrize("name", ["nowhere.example", "<b>", "x" * 5000, "\u202e"])
def test_a_domain_without_reports(open_page: Open, filled_today: Filled, name: str) -> None:
    app = open_page(filled_today.url, "domain", domain=name)
    assert not app.exception
    assert "There is no report about this domain." in page_text(app)


# Reports


def _key(filled: Filled, name: str, domain: str = MAIN) -> str:
    wanted = ReportFilter(
        domain=domain, reporter=f'"{name}"', only_failures=name in ("twice.example", "upload.example")
    )
    return str(report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=1)["report_key"].iloc[0])


def test_the_list_of_reports_is_paged(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports")
    assert f"{len(filled_today.sent)} reports" in page_text(app)
    assert len(table(app, "report_id")) == 50
    assert len(_turn(app, "Older")) == len(filled_today.sent) - 50
    assert {button.label for button in app.button if button.disabled} == {"Older"}


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ({"domain": "second.example"}, 7),
        ({"domain": "second.example", "reporter": "google"}, 7),
        ({"domain": MAIN, "trust": "unproven"}, 6),
        ({"domain": MAIN, "trust": "imported"}, 6),
        ({"domain": MAIN, "reporter": '"twice.example"', "failed": "1"}, 1),
    ],
)
def test_the_address_filters_the_list(open_page: Open, filled_today: Filled, asked: dict[str, str], count: int) -> None:
    app = open_page(filled_today.url, "reports", **asked)
    assert len(table(app, "report_id")) == count
    for name, value in asked.items():
        assert app.query_params[name] == value


def test_the_days_filter_the_list(open_page: Open, filled_today: Filled) -> None:
    since = filled_today.today - dt.timedelta(days=4)
    app = open_page(filled_today.url, "reports", since=str(since), domain=MAIN)
    assert len(table(app, "report_id")) == 5


@pytest.mark.parametrize("text", ["2026-W11-6", "20260314", "2026-3-14", "14.03.2026"])
@pytest.mark.parametrize("page", ["reports", "export"])
def test_what_is_no_day_in_the_address_does_not_filter(
    open_page: Open, filled_today: Filled, page: str, text: str
) -> None:
    app = open_page(filled_today.url, page, since=text)
    assert [chosen.value for chosen in app.date_input] == [None, None]


def test_days_in_the_wrong_order_are_pointed_out(open_page: Open, filled_today: Filled) -> None:
    assert "is before the first day" in page_text(
        open_page(filled_today.url, "reports", since="2026-03-02", until="2026-03-01")
    )


def test_a_filter_that_matches_nothing_offers_a_way_back(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain="nowhere.example")
    assert "No report matches." in page_text(app)
    assert app.page_link


def test_a_click_on_a_row_opens_the_report(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain="second.example")
    app.session_state["reports"] = {"selection": {"rows": [], "columns": [], "cells": [(2, "day")]}}
    app.run()
    assert [title.value for title in app.title] == ["Report"]


def test_one_report_in_full(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain=MAIN, report=_key(filled_today, "twice.example"))
    text = page_text(app)
    for fact in (
        "twice.example",
        "tls@sender.example",
        "9 successful, 3 failed, 3 would be refused",
        "signature holds",
        "v=DKIM1; p=abc",
    ):
        assert fact in text
    assert "gave other figures under the same id and for the same days: contradicted" in text
    details = table(app, "failure_reason_code")
    assert list(details["failure_reason_code"]) == ["MX_HOSTS_MISMATCH"]
    assert list(details["refused"]) == [True]


def test_defects_of_a_report_are_listed(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain=MAIN, report=_key(filled_today, "upload.example"))
    assert list(table(app, "where")["what"]) == ["is not a result type of RFC 8460; kept as it is"]
    assert "Not counted as evidence" in page_text(app)


def test_a_longer_report_is_marked(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain=MAIN, report=_key(filled_today, "weekly.example"))
    assert "covers more than 36 hours" in page_text(app)


def test_the_raw_report_is_shown_when_asked_for(open_page: Open, filled_today: Filled) -> None:
    app = open_page(
        filled_today.url,
        "reports",
        domain="second.example",
        report=_key(filled_today, "google.example", "second.example"),
    )
    assert not any(code.value.startswith("{") for code in app.code)
    assert app.download_button[0].label == "Download the raw report"
    app.toggle(key="raw").set_value(True).run()
    raw = next(code.value for code in app.code if code.value.startswith("{"))
    assert json.loads(raw) in [sent.report for sent in filled_today.sent]


def test_a_pruned_raw_report_is_said_to_be_gone(open_page: Open, empty_url: str, settings_for: Callable) -> None:
    engine = engines.open_engine(empty_url)
    stored.store_report(engine, world.world(dt.date(2026, 3, 20))[0].report, settings_for())
    key = report_pages.list_reports(engine, EVERYTHING, ReportFilter(), limit=1)["report_key"].iloc[0]
    with engine.begin() as connection:
        connection.execute(sa.delete(raw_report))
    engine.dispose()
    app = open_page(empty_url, "reports", domain=MAIN, report=key)
    assert "No longer kept: raw reports are removed after 400 days (STARTTALLY_KEEP_RAW_DAYS)." in page_text(app)
    assert not app.download_button


def test_a_report_that_is_not_there(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "reports", domain=MAIN, report="0" * 32)
    assert [title.value for title in app.title] == ["No such report"]


# Quarantine


def test_the_quarantine_lists_messages_with_their_reason(open_page: Open, filled_today: Filled) -> None:
    rows = table(open_page(filled_today.url, "quarantine"), "explanation")
    assert len(rows) == 3
    assert rows["explanation"].str.contains("DMARC").any()


def test_a_quarantined_message_is_shown_as_it_came(open_page: Open, filled_today: Filled) -> None:
    rows = quarantine.list_messages(filled_today.engine, EVERYTHING, limit=10)
    digest = rows.loc[rows["file_name"].isna(), "message_digest"].iloc[0]
    app = open_page(filled_today.url, "quarantine", message=digest)
    assert app.title[0].value == "Quarantined: No report in it"
    assert any("Subject: :red[hello] <script>1</script>" in code.value for code in app.code)
    assert [button.label for button in app.download_button] == ["Download the original"]


def test_a_quarantined_message_that_is_not_there(open_page: Open, filled_today: Filled) -> None:
    assert open_page(filled_today.url, "quarantine", message="0" * 32).title[0].value == "No such message"


def test_nothing_discarded(open_page: Open, filled_today: Filled) -> None:
    assert "Nothing was discarded." in page_text(open_page(filled_today.url, "quarantine", state="discarded"))


@pytest.fixture
def quarantined_url(empty_url: str, settings_for: Callable) -> Iterator[str]:
    """A database with three messages in quarantine, of two reasons."""
    engine = engines.open_engine(empty_url)
    for number in range(2):
        stored.store_file(engine, b"Subject: %d\r\n\r\nx" % number, settings_for(), name="a.eml")
    about_others = settings_for(domains="other.example")
    stored.store_file(engine, stored.reports.report_json(), about_others, name="r.json")
    engine.dispose()
    yield empty_url
    st.cache_resource.clear()


def states(url: str) -> list[tuple[str, str, str]]:
    engine = engines.open_engine(url, read_only=True)
    messages = quarantine.list_messages(engine, EVERYTHING, limit=10)
    messages = pd.concat([messages, quarantine.list_messages(engine, EVERYTHING, "discarded", limit=10)])
    engine.dispose()
    return sorted(zip(messages["state"], messages["note"], messages["acted_by"], strict=True))


def press(app: AppTest, label: str) -> None:
    next(button for button in app.button if button.label == label).click().run()
    assert not app.exception


def test_a_whole_reason_is_read_again(open_page: Open, quarantined_url: str) -> None:
    app = open_page(quarantined_url, "quarantine", reason="no-report")
    press(app, "Read all 2 again")
    assert states(quarantined_url) == [("retrying", "", "the dashboard")] * 2 + [("waiting", "", "")]
    assert "2 messages wait to be read again" in page_text(app)
    assert not [button for button in app.button if "again" in button.label]


def test_what_gave_way_is_said(open_page: Open, quarantined_url: str, settings_for: Callable) -> None:
    assert "gave way" not in page_text(open_page(quarantined_url, "quarantine"))
    engine = engines.open_engine(quarantined_url)
    retention.prune(engine, settings_for(max_quarantine_messages=1), stored.NOW)
    engine.dispose()
    st.cache_data.clear()
    told = page_text(open_page(quarantined_url, "quarantine"))
    assert "gave way, because quarantine held more than MAX_QUARANTINE_* allow" in told


def test_a_message_is_discarded_with_a_note_and_without_its_content(open_page: Open, quarantined_url: str) -> None:
    engine = engines.open_engine(quarantined_url, read_only=True)
    digest = quarantine.list_messages(engine, EVERYTHING, limit=1)["message_digest"].iloc[0]
    engine.dispose()
    app = open_page(quarantined_url, "quarantine", message=digest)
    app.text_input(key="note").set_value("not ours").run()
    press(app, "Discard this message")
    assert ("discarded", "not ours", "the dashboard") in states(quarantined_url)
    assert "Its content was deleted when it was discarded." in page_text(app)
    assert not [button for button in app.button if button.label in ("Read again", "Discard this message")]
    assert not app.download_button


def test_who_may_not_see_everything_may_not_act(quarantined_url: str, settings_for: Callable) -> None:
    engine = engines.open_engine(quarantined_url)
    visit = Visit(settings_for(database_url=quarantined_url), engine, dt.date(2026, 3, 20), {}, Scope(("a.example",)))
    assert acts.act(visit, lambda *_: pytest.fail("it acted")) is None
    engine.dispose()


# Export


def test_nothing_is_exported_before_it_is_asked_for(open_page: Open, filled_today: Filled) -> None:
    assert not open_page(filled_today.url, "export").download_button


@pytest.mark.parametrize("kind", ["summary", "failures", "domains", "reports"])
@pytest.mark.parametrize("format_name", ["csv", "json", "parquet"])
def test_an_export_is_prepared_and_offered(open_page: Open, filled_today: Filled, kind: str, format_name: str) -> None:
    app = open_page(filled_today.url, "export", kind=kind, format=format_name, domain="second.example")
    app.button[0].click().run()
    assert not app.exception
    assert [button.label for button in app.download_button] == ["Download"]
    ready = app.session_state["export"]
    assert ready["name"] == f"starttally-{kind}-second.example.{format_name}"
    if format_name == "csv" and kind == "summary":
        assert ready["data"].count(b"\r\n") == 8
        assert sum(int(line.split(b",")[8]) for line in ready["data"].splitlines()[1:]) == 28
    assert f"starttally export {kind} --format {format_name} --domain second.example" in page_text(app)


def test_a_changed_choice_withdraws_what_was_prepared(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "export")
    app.button[0].click().run()
    app.selectbox[0].set_value("reports").run()
    assert not app.download_button


def test_nothing_is_exported_about_a_domain_without_reports(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "export", domain="nowhere.example")
    app.button[0].click().run()
    assert "There is no report about this domain." in page_text(app)
    assert not app.download_button


def test_days_that_cannot_be_meant_are_refused(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "export", since="2026-03-02", until="2026-03-01")
    app.button[0].click().run()
    assert "is before the first day" in page_text(app)
    assert not app.download_button


def test_what_is_too_large_for_a_browser_is_sent_to_the_command_line(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_page(filled_today.url, "export")
    monkeypatch.setattr("dashboard.views.export.LARGEST", 1000)
    app.button[0].click().run()
    assert "Choose fewer days or one domain, or use the command line." in page_text(app)
    assert not app.download_button


# Trouble


@pytest.mark.parametrize("page", PAGES)
def test_a_database_that_is_away_is_said_plainly(open_page: Open, tmp_path: Path, page: str) -> None:
    app = open_page(f"sqlite:///{tmp_path}/nowhere/starttally.db", page)
    assert not app.exception
    assert app.title[0].value == "The database cannot be reached"


def test_a_server_that_is_away_is_said_plainly(open_page: Open) -> None:
    app = open_page("postgresql://nobody:secret@127.0.0.1:1/none")
    assert app.title[0].value == "The database cannot be reached"
    assert "secret" not in page_text(app)


def test_a_database_without_tables_says_what_to_run(open_page: Open, empty_url: str) -> None:
    engine = engines.open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
    engine.dispose()
    app = open_page(empty_url)
    assert app.title[0].value == "The database is not ready"
    assert "starttally db upgrade" in page_text(app)


def test_a_database_of_a_newer_version_is_refused(open_page: Open, empty_url: str) -> None:
    engine = engines.open_engine(empty_url)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    engine.dispose()
    assert "newer StartTally" in page_text(open_page(empty_url))


def test_a_fault_shows_no_details(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("the secret detail")

    monkeypatch.setattr("dashboard.queries.fleet.totals", fail)
    app = open_page(filled_today.url)
    assert app.title[-1].value == "This page could not be shown"
    assert "secret" not in page_text(app)
    assert not app.exception
    number = app.text[-1].value.split()[-1].rstrip(".")
    assert number in caplog.text
    assert "the secret detail" in caplog.text


def test_wrong_settings_are_said_plainly(
    open_page: Open, filled_today: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARTTALLY_KEEP_RAW_DAYS", "soon")
    app = open_page(filled_today.url)
    assert app.title[0].value == "The settings need a correction"


# Text of strangers


def _markdown_of(app: AppTest) -> list[str]:
    """Every text of a page that Streamlit reads as Markdown."""
    alerts = (*app.info, *app.warning, *app.error, *app.success)
    read = [
        element.value
        for kind in (app.title, app.subheader, app.header, app.markdown, app.caption, alerts)
        for element in kind
    ]
    read += [text for metric in app.metric for text in (metric.label, metric.value, metric.proto.help)]
    read += [
        element.label
        for kind in (app.expander, app.button, app.page_link, app.toggle, app.selectbox)
        for element in kind
    ]
    for control in app.segmented_control:
        read += [control.label, *(option.content for option in control.proto.options)]
    return [text for text in read if text]


def _holds_data_only_in_code_spans(app: AppTest, texts: list[str]) -> None:
    assert not app.exception
    for read in _markdown_of(app):
        for token in markdown_it.MarkdownIt("gfm-like", {"linkify": False}).parseInline(read)[0].children or []:
            assert token.type in ("text", "code_inline", "strong_open", "strong_close"), read
            # In a code span it is data; in text Streamlit would look for links, icons and emoji in it.
            assert token.type == "code_inline" or not any(text.strip()[:8] in token.content for text in texts), read


@pytest.mark.parametrize("page", ["domain", "reports"])
def test_hostile_text_in_tables_and_lists(open_page: Open, filled_today: Filled, page: str) -> None:
    app = open_page(filled_today.url, page, domain="hostile.example")
    _holds_data_only_in_code_spans(app, world.HOSTILE)


@pytest.mark.parametrize("text", world.HOSTILE)
def test_hostile_text_in_a_report(open_page: Open, filled_today: Filled, text: str) -> None:
    key = _key(filled_today, text, "hostile.example")
    app = open_page(filled_today.url, "reports", domain="hostile.example", report=key)
    assert app.title[0].value == "Report"
    _holds_data_only_in_code_spans(app, [text])


@pytest.mark.parametrize("text", world.HOSTILE)
def test_hostile_text_in_the_address(open_page: Open, filled_today: Filled, text: str) -> None:
    asked = {"domain": "hostile.example", "result": text, "mx": text, "policy": text, "reporter": text, "trust": text}
    _holds_data_only_in_code_spans(open_page(filled_today.url, "reports", **asked), [text])


def test_hidden_characters_are_visible_in_tables(open_page: Open, filled_today: Filled) -> None:
    app = open_page(filled_today.url, "domain", domain="hostile.example")
    names = list(table(app, "organization")["organization"])
    assert any("[U+202E]gnp.exe[U+202C]" in name for name in names)
    assert not any("\u202e" in name for name in names)


def test_no_table_makes_links(open_page: Open, filled_today: Filled) -> None:
    for page, asked in (
        ("domains", {}),
        ("domain", {"domain": "hostile.example"}),
        ("reports", {}),
        ("quarantine", {}),
    ):
        for frame in open_page(filled_today.url, page, **asked).dataframe:
            kinds = {column.get("type_config", {}).get("type") for column in json.loads(frame.proto.columns).values()}
            assert kinds <= {"text", "number", "date", "datetime", "checkbox", None}
