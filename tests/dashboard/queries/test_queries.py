"""The queries say what was sent, on both engines, and nobody sees another's domain."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from dashboard.queries import domain, fleet, quarantine, report_pages, reports
from dashboard.queries.question import ALL_DAYS, EVERYTHING, TRUSTED, UNPROVEN, DayRange, Scope
from dashboard.queries.report_pages import FailureCell, PlaceInList, ReportFilter
from ingest.database.models import domain_reporter, raw_report
from ingest.settings.settings import Settings
from ingest.testimony.trust import EVIDENCE
from tests import stored
from tests.dashboard import world
from tests.dashboard.conftest import Filled
from tests.reports import detail, entry, report_json

MAIN = "receiver.example"
UNTRUSTED = ("unverified", "unauthenticated")


def last_days(filled: Filled, days: int = 14) -> DayRange:
    return DayRange(filled.today - dt.timedelta(days=days), filled.today)


@pytest.mark.parametrize("policy_type", ["sts", "tlsa", "no-policy-found"])
@pytest.mark.parametrize(("lane", "trusts"), [(TRUSTED, EVIDENCE), (UNPROVEN, UNTRUSTED)])
def test_the_totals_are_those_of_the_reports_as_sent(
    filled: Filled, policy_type: str, lane: str, trusts: tuple[str, ...]
) -> None:
    rows = fleet.totals(filled.engine, EVERYTHING, last_days(filled))
    chosen = rows[(rows["lane"] == lane) & (rows["policy_type"] == policy_type)]
    sums = (chosen["successful_sessions"].sum(), chosen["failed_sessions"].sum())
    assert sums == world.sums(filled.sent, trusts, policy_type, today=filled.today)


def every_name(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(domain_reporter.c.policy_domain).distinct()))


def listed(engine: sa.Engine, scope: Scope, window: DayRange) -> pd.DataFrame:
    """What a user with this scope is told of all domains."""
    return fleet.domains(engine, scope, window, every_name(engine))


def test_reporters_and_domains_heard(filled: Filled) -> None:
    rows = fleet.reporter_counts(filled.engine, EVERYTHING, last_days(filled)).set_index("lane")
    in_window = [sent for sent in filled.sent if filled.today - dt.timedelta(days=14) <= sent.day]
    for lane, trusts in ((TRUSTED, EVIDENCE), (UNPROVEN, UNTRUSTED)):
        chosen = [sent for sent in in_window if sent.trust in trusts]
        assert rows.loc[lane, "reporters"] == len({sent.report["organization-name"] for sent in chosen})


def test_each_domain_has_its_sessions(filled: Filled) -> None:
    rows = listed(filled.engine, EVERYTHING, last_days(filled)).set_index("policy_domain")
    for name in (MAIN, "second.example", "customer3.example", "hostile.example"):
        successful, failed = world.sums(filled.sent, EVIDENCE, "sts", name, today=filled.today)
        assert (rows.loc[name, "sessions"], rows.loc[name, "failed_sessions"]) == (successful + failed, failed)
    assert rows.loc[MAIN, "dane_sessions"] == sum(world.sums(filled.sent, EVIDENCE, "tlsa", MAIN, today=filled.today))
    assert rows.loc[MAIN, "unproven_failed"] == world.sums(filled.sent, UNTRUSTED, "sts", MAIN, today=filled.today)[1]


def test_a_forger_moves_no_trusted_figure(filled: Filled) -> None:
    rows = listed(filled.engine, EVERYTHING, ALL_DAYS).set_index("policy_domain")
    assert rows.loc[MAIN, "unproven_failed"] >= 5000
    assert (
        rows.loc[MAIN, "failed_sessions"]
        == world.sums(filled.sent, EVIDENCE, "sts", MAIN, days=999, today=filled.today)[1]
    )


def test_a_domain_without_recent_reports_is_listed_with_zeros(filled: Filled) -> None:
    rows = listed(filled.engine, EVERYTHING, last_days(filled)).set_index("policy_domain")
    assert rows.loc["quiet.example", "sessions"] == 0
    assert rows.loc["quiet.example", "last_day"].date() == filled.today - dt.timedelta(days=200)


@pytest.mark.parametrize(
    ("search", "count"),
    [("customer", 9), ("customer3", 1), ("%", 0), ("_", 0), ("", None), ("\\", 0), ("'; drop table report; --", 0)],
)
def test_a_search_is_taken_literally(filled: Filled, search: str, count: int | None) -> None:
    expected = len(every_name(filled.engine)) if count is None else count
    assert fleet.count_domains(filled.engine, EVERYTHING, search) == expected


def test_only_the_named_domains_are_listed(filled: Filled) -> None:
    rows = fleet.domains(filled.engine, EVERYTHING, ALL_DAYS, [MAIN, "nowhere.example"])
    assert list(rows["policy_domain"]) == [MAIN]


def test_sessions_per_day_are_those_of_the_reports_of_that_day(filled: Filled) -> None:
    rows = domain.days(filled.engine, EVERYTHING, MAIN, ALL_DAYS)
    chosen = rows[(rows["lane"] == TRUSTED) & (rows["policy_type"] == "sts")].set_index("day")
    for ago in (5, 12, 20):
        day = filled.today - dt.timedelta(days=ago)
        of_day = [sent for sent in filled.sent if sent.day == day]
        successful, failed = world.sums(of_day, EVIDENCE, "sts", MAIN, days=99, today=filled.today)
        assert (chosen.loc[str(day), "successful_sessions"], chosen.loc[str(day), "failed_sessions"]) == (
            successful,
            failed,
        )


def _details_as_sent(filled: Filled, result_type: str) -> dict[str, int]:
    by_host: dict[str, int] = {}
    for sent in filled.sent:
        if sent.trust not in EVIDENCE or sent.day < filled.today - dt.timedelta(days=14):
            continue
        for member in sent.report["policies"]:
            if member["policy"]["policy-type"] != "sts" or member["policy"]["policy-domain"] != MAIN:
                continue
            for failure in member.get("failure-details", []):
                if failure["result-type"] == result_type:
                    host = failure.get("receiving-mx-hostname", "")
                    by_host[host] = by_host.get(host, 0) + failure["failed-session-count"]
    return by_host


@pytest.mark.parametrize(
    "result_type",
    ["certificate-expired", "certificate-host-mismatch", "sts-policy-fetch-error", "starttls-not-supported"],
)
def test_failures_by_result_type_and_mx(filled: Filled, result_type: str) -> None:
    rows = domain.causes(filled.engine, EVERYTHING, MAIN, last_days(filled), TRUSTED, "sts")
    chosen = rows[rows["result_type"] == result_type]
    expected = _details_as_sent(filled, result_type)
    assert expected
    assert dict(zip(chosen["mx"], chosen["failed_sessions"], strict=True)) == expected


def test_failures_by_result_type_are_the_sums_over_the_hosts(filled: Filled) -> None:
    arguments = (filled.engine, EVERYTHING, MAIN, ALL_DAYS, TRUSTED, "sts")
    by_mx, by_type = domain.causes(*arguments), domain.result_types(*arguments)
    sums = by_mx.groupby("result_type")["failed_sessions"].sum()
    assert dict(zip(by_type["result_type"], by_type["failed_sessions"], strict=True)) == sums.to_dict()


def test_failures_without_details_are_unexplained_and_count_as_refused(filled: Filled) -> None:
    rows = domain.result_types(filled.engine, EVERYTHING, MAIN, last_days(filled), TRUSTED, "sts").set_index(
        "result_type"
    )
    assert tuple(rows.loc["unexplained", ["failed_sessions", "refused_sessions"]]) == (4, 4)


def test_a_fetch_error_is_not_refused(filled: Filled) -> None:
    rows = domain.result_types(filled.engine, EVERYTHING, MAIN, last_days(filled), TRUSTED, "sts").set_index(
        "result_type"
    )
    assert tuple(rows.loc["sts-policy-fetch-error", ["failed_sessions", "refused_sessions"]]) == (3, 0)


def test_dane_failures_are_under_dane_only(filled: Filled) -> None:
    sts = domain.result_types(filled.engine, EVERYTHING, MAIN, ALL_DAYS, TRUSTED, "sts")
    tlsa = domain.result_types(filled.engine, EVERYTHING, MAIN, ALL_DAYS, TRUSTED, "tlsa")
    assert "tlsa-invalid" not in set(sts["result_type"])
    assert set(tlsa["result_type"]) == {"tlsa-invalid"}
    assert tlsa["refused_sessions"].sum() == 0


def test_reporters_of_a_domain(filled: Filled) -> None:
    rows = domain.reporters(filled.engine, EVERYTHING, MAIN, last_days(filled), "sts").set_index("organization")
    assert list(rows["trust"].unique()) == ["verified", "imported", "unverified", "unauthenticated"]
    assert rows.loc["google.example", "reports"] == 13
    assert rows.loc["microsoft.example", "failed_sessions"] == 7
    assert rows.loc["google.example", "signer"] == "google.com"


def test_policies_seen_and_by_whom(filled: Filled) -> None:
    rows = domain.policies(filled.engine, EVERYTHING, MAIN, last_days(filled), TRUSTED)
    (testing,) = rows[(rows["policy_type"] == "sts")].to_dict("records")
    assert testing["text"] == "\n".join(world.TESTING)
    assert (testing["mode"], testing["max_age"]) == ("testing", 604800)
    quotes = domain.policy_reporters(filled.engine, EVERYTHING, MAIN, last_days(filled), TRUSTED)
    by = set(quotes.loc[quotes["policy_digest"] == testing["policy_digest"], "organization"])
    assert by == {"google.example", "microsoft.example", "mail.example", "twice.example", "weekly.example"}
    assert testing["reporters"] == len(by)


def test_the_days_a_policy_was_seen(filled: Filled) -> None:
    rows = domain.policies(filled.engine, EVERYTHING, "second.example", ALL_DAYS, TRUSTED)
    assert rows["first_day"].iloc[0].date() == filled.today - dt.timedelta(days=9)
    assert rows["last_day"].iloc[0].date() == filled.today - dt.timedelta(days=3)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (ReportFilter(), lambda sent: len(sent)),
        (ReportFilter(domain="second.example"), lambda sent: 7),
        (ReportFilter(domain=""), lambda sent: 1),
        (ReportFilter(domain="*.example"), lambda sent: len(sent) - 2),
        (ReportFilter(domain="*.receiver.example"), lambda sent: 0),
        (ReportFilter(reporter="GOOGLE"), lambda sent: sum(_by(each, "google.example") for each in sent)),
        (ReportFilter(reporter='"google"'), lambda sent: 0),
        (ReportFilter(reporter='"google.example"'), lambda sent: sum(_by(each, "google.example") for each in sent)),
        (ReportFilter(reporter="100%_"), lambda sent: 0),
        (ReportFilter(trusts=UNTRUSTED), lambda sent: sum(each.trust in UNTRUSTED for each in sent)),
        (ReportFilter(only_failures=True), lambda sent: sum(_failed(each) > 0 for each in sent)),
    ],
)
def test_filters_of_the_list(filled: Filled, wanted: ReportFilter, expected: Callable[[list[world.Sent]], int]) -> None:
    rows = report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=1000)
    assert len(rows) == expected(filled.sent)
    assert report_pages.count_reports(filled.engine, EVERYTHING, wanted, 1000) == len(rows)


def _by(sent: world.Sent, name: str) -> bool:
    return sent.report["organization-name"] == name


def _failed(sent: world.Sent) -> int:
    return sum(member["summary"]["total-failure-session-count"] for member in sent.report["policies"])


def test_days_of_the_list(filled: Filled) -> None:
    window = last_days(filled, 5)
    rows = report_pages.list_reports(filled.engine, EVERYTHING, ReportFilter(window=window), limit=1000)
    assert len(rows) == sum(sent.day >= window.since for sent in filled.sent)
    assert rows["day"].is_monotonic_decreasing


def test_counting_stops(filled: Filled) -> None:
    assert report_pages.count_reports(filled.engine, EVERYTHING, ReportFilter(), 5) == 5


@pytest.fixture(params=[50, 0], ids=["one by one", "along the newest"])
def _parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains and reporters are looked for one by one where they are few."""
    monkeypatch.setattr(report_pages, "_MOST_PARTS", request.param)


def place_of(row: dict[str, Any]) -> PlaceInList:
    place = PlaceInList(row["day"].date(), row["received_at"].to_pydatetime(), row["policy_domain"], row["report_key"])
    assert PlaceInList.from_address(place.in_address) == place
    return place


@pytest.mark.usefixtures("_parts")
@pytest.mark.parametrize("scope", [EVERYTHING, Scope(("*.example",))])
@pytest.mark.parametrize(
    "wanted",
    [
        ReportFilter(),
        ReportFilter(domain=MAIN),
        ReportFilter(domain="*.example"),
        ReportFilter(reporter="o"),
        ReportFilter(trusts=UNTRUSTED),
        ReportFilter(only_failures=True),
    ],
)
def test_pages_of_reports_hold_each_report_once_there_and_back(
    filled: Filled, wanted: ReportFilter, scope: Scope
) -> None:
    whole = list(report_pages.list_reports(filled.engine, scope, wanted, limit=1_000)["report_key"])
    forth: list[str] = []
    place: PlaceInList | None = None
    page: list[dict[str, Any]] = []
    while rows := report_pages.list_reports(filled.engine, scope, wanted, limit=13, place=place).to_dict("records"):
        page = rows
        forth += [row["report_key"] for row in rows]
        place = place_of(rows[-1])
    assert forth == whole
    back = [row["report_key"] for row in page]
    while rows := report_pages.list_reports(
        filled.engine, scope, wanted, limit=13, place=place_of(page[0]), newer=True
    ).to_dict("records"):
        page = rows
        back = [*(row["report_key"] for row in rows), *back]
    assert back == whole


@pytest.mark.parametrize(
    "word",
    [
        "",
        "x",
        "2026-03-14",
        "2026-03-14~x~k~d",
        "2026-03-14~2026-03-14T00:00:00~k~d",
        "~~~",
        "9999-12-31~0001-01-01T00:00+23:59~k~d",
    ],
)
def test_a_place_that_nobody_wrote_is_none(word: str) -> None:
    assert PlaceInList.from_address(word) is None


def test_a_figure_leads_to_the_reports_behind_it(filled: Filled) -> None:
    window = last_days(filled)
    for row in domain.causes(filled.engine, EVERYTHING, MAIN, window, TRUSTED, "sts").to_dict("records"):
        cause = FailureCell(row["result_type"], "sts", row["mx"])
        wanted = ReportFilter(domain=MAIN, window=window, trusts=EVIDENCE, cause=cause)
        behind = report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=1000)
        assert behind["matching_sessions"].sum() == row["failed_sessions"]


def test_a_cause_without_a_domain_is_refused(filled: Filled) -> None:
    with pytest.raises(ValueError, match="all domains"):
        report_pages.list_reports(
            filled.engine, EVERYTHING, ReportFilter(cause=FailureCell("certificate-expired", "sts")), limit=1
        )


def _key(filled: Filled, name: str, policy_domain: str = MAIN) -> str:
    wanted = ReportFilter(domain=policy_domain, reporter=f'"{name}"')
    return str(report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=1)["report_key"].iloc[0])


def test_one_report_has_what_was_sent(filled: Filled) -> None:
    key = _key(filled, "microsoft.example")
    report = reports.one_report(filled.engine, EVERYTHING, MAIN, key).iloc[0]
    original = next(sent for sent in filled.sent if sent.report["report-id"] == report["report_id"])
    entries = reports.entries(filled.engine, EVERYTHING, MAIN, key)
    assert list(entries["policy_type"]) == ["sts", "tlsa"]
    assert list(entries["failed_sessions"]) == [1, 1]
    assert report["failed_sessions"] == 1  # the pair lists the same sessions
    assert report["contact_info"] == original.report["contact-info"]
    assert list(reports.details(filled.engine, EVERYTHING, MAIN, key, limit=10)["result_type"]) == [
        "starttls-not-supported",
        "tlsa-invalid",
    ]


def test_one_report_has_its_evidence(filled: Filled) -> None:
    (way,) = reports.deliveries(filled.engine, EVERYTHING, MAIN, _key(filled, "google.example")).to_dict("records")
    assert (way["dkim"], way["signer"], way["selector"]) == ("verified", "google.com", "s1")
    assert way["key_record"] == "v=DKIM1; p=abc"


def test_the_raw_report_is_what_was_sent(filled: Filled) -> None:
    key = _key(filled, "google.example")
    raw = reports.raw_document(filled.engine, EVERYTHING, MAIN, key)
    assert raw is not None
    assert json.loads(raw) in [sent.report for sent in filled.sent]
    assert reports.raw_size(filled.engine, EVERYTHING, MAIN, key)["size"].iloc[0] == len(raw)
    assert reports.raw_document(filled.engine, EVERYTHING, MAIN, key, longest=10) == raw[:10]


def test_two_reports_with_one_id_contradict_each_other(filled: Filled) -> None:
    wanted = ReportFilter(domain=MAIN, reporter='"twice.example"')
    both = report_pages.list_reports(filled.engine, EVERYTHING, wanted, limit=10)
    assert list(both["contradicted"]) == [True, True]
    first, second = both["report_key"]
    same_id = reports.one_report(filled.engine, EVERYTHING, MAIN, first)["same_id"].iloc[0]
    others = reports.copies_of(filled.engine, EVERYTHING, MAIN, first, same_id)
    assert list(others["report_key"]) == [second]
    assert sorted(
        [*others["counts"], reports.one_report(filled.engine, EVERYTHING, MAIN, first)["counts"].iloc[0]]
    ) == [
        False,
        True,
    ]
    unrelated = report_pages.list_reports(filled.engine, EVERYTHING, ReportFilter(reporter="google"), limit=1000)
    assert not unrelated["contradicted"].any()


def test_a_long_range_is_marked(filled: Filled) -> None:
    rows = report_pages.list_reports(filled.engine, EVERYTHING, ReportFilter(reporter="weekly"), limit=10)
    assert list(rows["long_range"]) == [True]


def test_defects_are_marked(filled: Filled) -> None:
    rows = report_pages.list_reports(filled.engine, EVERYTHING, ReportFilter(reporter="upload"), limit=10)
    assert list(rows["defective"]) == [True]


def test_quarantined_messages_come_with_their_reasons(filled: Filled) -> None:
    rows = quarantine.list_messages(filled.engine, EVERYTHING, limit=10)
    assert len(rows) == quarantine.count_messages(filled.engine, EVERYTHING) == 3
    assert quarantine.reasons(filled.engine, EVERYTHING)["messages"].sum() == 3
    dmarc = rows[rows["file_name"] == "dmarc.xml"].iloc[0]
    assert "DMARC" in dmarc["explanation"]
    assert quarantine.content(filled.engine, EVERYTHING, dmarc["message_digest"]) == b"<?xml version='1.0'?><feedback/>"
    assert quarantine.content(filled.engine, EVERYTHING, dmarc["message_digest"], longest=5) == b"<?xml"


def test_nothing_is_discarded_yet(filled: Filled) -> None:
    assert quarantine.list_messages(filled.engine, EVERYTHING, quarantine.DISCARDED, limit=10).empty


# Who may see what


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [
        (("second.example",), {"second.example"}),
        (("SECOND.example", "quiet.example"), {"second.example", "quiet.example"}),
        ((), set()),
        (("*.second.example",), set()),  # names below it, not itself
        (("%.example",), set()),
        (("second_example",), set()),
    ],
)
def test_a_scope_hides_all_other_domains(filled: Filled, patterns: tuple[str, ...], seen: set[str]) -> None:
    scope = Scope(patterns)
    assert set(listed(filled.engine, scope, ALL_DAYS)["policy_domain"]) == seen
    assert set(report_pages.list_reports(filled.engine, scope, ReportFilter(), limit=1000)["policy_domain"]) == seen
    assert fleet.count_domains(filled.engine, scope) == len(seen)


def test_a_scope_of_everything_below_a_name(filled: Filled) -> None:
    below = set(listed(filled.engine, Scope(("*.example",)), ALL_DAYS)["policy_domain"])
    assert MAIN in below
    assert "" not in below


OTHERS = Scope(("second.example",))
ASKING: list[Callable[[sa.Engine, Filled], pd.DataFrame]] = [
    lambda engine, f: domain.days(engine, OTHERS, MAIN, ALL_DAYS),
    lambda engine, f: domain.causes(engine, OTHERS, MAIN, ALL_DAYS, TRUSTED, "sts"),
    lambda engine, f: domain.result_types(engine, OTHERS, MAIN, ALL_DAYS, TRUSTED, "sts"),
    lambda engine, f: domain.reporters(engine, OTHERS, MAIN, ALL_DAYS, "sts"),
    lambda engine, f: domain.policies(engine, OTHERS, MAIN, ALL_DAYS, TRUSTED),
    lambda engine, f: domain.policy_reporters(engine, OTHERS, MAIN, ALL_DAYS, TRUSTED),
    lambda engine, f: report_pages.list_reports(engine, OTHERS, ReportFilter(domain=MAIN), limit=10),
    lambda engine, f: reports.one_report(engine, OTHERS, MAIN, _key(f, "microsoft.example")),
    lambda engine, f: reports.entries(engine, OTHERS, MAIN, _key(f, "microsoft.example")),
    lambda engine, f: reports.details(engine, OTHERS, MAIN, _key(f, "microsoft.example"), limit=10),
    lambda engine, f: reports.deliveries(engine, OTHERS, MAIN, _key(f, "microsoft.example")),
    lambda engine, f: reports.raw_size(engine, OTHERS, MAIN, _key(f, "microsoft.example")),
    lambda engine, f: quarantine.list_messages(engine, OTHERS, limit=10),
    lambda engine, f: quarantine.reasons(engine, OTHERS),
]


@pytest.mark.parametrize("ask", ASKING)
def test_no_question_about_another_domain_is_answered(
    filled: Filled, ask: Callable[[sa.Engine, Filled], pd.DataFrame]
) -> None:
    assert ask(filled.engine, filled).empty


def test_no_raw_text_of_another_domain_is_given(filled: Filled) -> None:
    assert reports.raw_document(filled.engine, OTHERS, MAIN, _key(filled, "microsoft.example")) is None
    digest = quarantine.list_messages(filled.engine, EVERYTHING, limit=1)["message_digest"].iloc[0]
    assert quarantine.content(filled.engine, OTHERS, digest) is None
    assert quarantine.one_message(filled.engine, OTHERS, digest).empty


# What a question costs


@pytest.fixture
def statements(filled: Filled) -> list[str]:
    """Every statement that the engine runs from now on."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    sa.event.listen(filled.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(filled.engine, "before_cursor_execute", note)


def test_the_fleet_is_read_from_the_rollups_only(filled: Filled, statements: list[str]) -> None:
    window = last_days(filled)
    fleet.totals(filled.engine, EVERYTHING, window)
    fleet.reporter_counts(filled.engine, EVERYTHING, window)
    fleet.newest_day(filled.engine, EVERYTHING)
    listed(filled.engine, EVERYTHING, window)
    text = " ".join(statements)
    assert not {"policy_entry", "failure_detail", "delivery"} & set(text.split())
    assert " report " not in text.replace("\n", " ")


@pytest.mark.parametrize("ask", ASKING[:6])
def test_each_table_costs_one_statement(
    filled: Filled, statements: list[str], ask: Callable[[sa.Engine, Filled], pd.DataFrame]
) -> None:
    ask(filled.engine, filled)
    assert len([s for s in statements if s.lstrip().upper().startswith(("SELECT", "WITH"))]) == 1


@pytest.mark.parametrize("ask", ASKING[:12])
def test_a_domains_question_searches_by_domain(
    filled_today: Filled, ask: Callable[[sa.Engine, Filled], pd.DataFrame]
) -> None:
    """SQLite says how it searches, whatever the size of a table: no table may be read from end to end."""
    plans: list[str] = []

    def explain(
        connection: sa.Connection, _cursor: object, statement: str, parameters: tuple[object], *_: object
    ) -> None:
        if statement.startswith(("SELECT", "WITH")):
            rows = connection.connection.cursor().execute("EXPLAIN QUERY PLAN " + statement, parameters).fetchall()
            plans.extend(row[3] for row in rows)

    sa.event.listen(filled_today.engine, "before_cursor_execute", explain)
    try:
        ask(filled_today.engine, filled_today)
    finally:
        sa.event.remove(filled_today.engine, "before_cursor_execute", explain)
    tables = ("report", "policy_entry", "failure_detail", "delivery", "policy_text", "domain_day", "raw_report")
    assert plans
    assert [line for line in plans if line.split()[0] == "SCAN" and line.split()[1] in tables] == []


# Figures that nobody honest would send


def test_absurd_counts_do_not_overflow(engine: sa.Engine, settings_for: Callable[..., Settings]) -> None:
    most = 2**53 - 1
    for number in range(3):
        absurd = report_json(entry(most, most, detail(sessions=most)), report_id=str(number))
        stored.store_report(engine, absurd, settings_for())
    rows = listed(engine, EVERYTHING, ALL_DAYS)
    assert rows["failed_sessions"].iloc[0] == pytest.approx(3 * most)
    assert domain.causes(engine, EVERYTHING, MAIN, ALL_DAYS, TRUSTED, "sts")["failed_sessions"].iloc[
        0
    ] == pytest.approx(3 * most)
    assert domain.reporters(engine, EVERYTHING, MAIN, ALL_DAYS, "sts")["failed_sessions"].iloc[0] == pytest.approx(
        3 * most
    )


def test_missing_counts_stay_missing(engine: sa.Engine, settings_for: Callable[..., Settings]) -> None:
    silent = entry()
    del silent["summary"]
    stored.store_report(engine, report_json(silent), settings_for())
    row = report_pages.list_reports(engine, EVERYTHING, ReportFilter(), limit=1).iloc[0]
    assert pd.isna(row["successful_sessions"])
    assert pd.isna(row["failed_sessions"])


def test_a_pruned_raw_report_is_gone_and_the_rest_stays(
    engine: sa.Engine, settings_for: Callable[..., Settings]
) -> None:
    stored.store_report(engine, report_json(), settings_for())
    key = report_pages.list_reports(engine, EVERYTHING, ReportFilter(), limit=1)["report_key"].iloc[0]
    with engine.begin() as connection:
        connection.execute(sa.delete(raw_report))
    assert reports.raw_size(engine, EVERYTHING, MAIN, key).empty
    assert reports.raw_document(engine, EVERYTHING, MAIN, key) is None
    assert len(reports.one_report(engine, EVERYTHING, MAIN, key)) == 1


def test_a_raw_report_about_several_domains_is_for_who_sees_all(
    engine: sa.Engine, settings_for: Callable[..., Settings]
) -> None:
    both = report_json(entry(1, policy_domain="a.example"), entry(1, policy_domain="b.example"))
    stored.store_report(engine, both, settings_for())
    key = report_pages.list_reports(engine, EVERYTHING, ReportFilter(domain="b.example"), limit=1)["report_key"].iloc[0]
    assert reports.raw_document(engine, EVERYTHING, "b.example", key) is not None
    assert reports.raw_document(engine, Scope(("b.example",)), "b.example", key) is None


def test_an_empty_database_gives_empty_tables_with_the_same_types(engine: sa.Engine, filled: Filled) -> None:
    for ask in (
        lambda e: fleet.totals(e, EVERYTHING, ALL_DAYS),
        lambda e: listed(e, EVERYTHING, ALL_DAYS),
        lambda e: domain.causes(e, EVERYTHING, MAIN, ALL_DAYS, TRUSTED, "sts"),
        lambda e: report_pages.list_reports(e, EVERYTHING, ReportFilter(), limit=5),
        lambda e: quarantine.list_messages(e, EVERYTHING, limit=5),
    ):
        assert ask(engine).empty
        assert dict(ask(engine).dtypes) == dict(ask(filled.engine).dtypes)
