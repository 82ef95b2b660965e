"""Who may enter, who that is, what they may see: the rules as tables, then every query, export and page for limited users."""

import csv
import datetime as dt
import importlib
import inspect
import io
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa
import streamlit as st
from streamlit.testing.v1 import AppTest

import dashboard.queries
from dashboard.assessing import Assessor
from dashboard.entrance import access
from dashboard.entrance.access import RefusedVisitor
from dashboard.exports import writing as export
from dashboard.exports.writing import Filters
from dashboard.queries import quarantine, report_pages, reports
from dashboard.queries.question import ALL_DAYS, EVERYTHING, TRUSTED, UNPROVEN, DayRange, Question, Scope
from dashboard.queries.report_pages import FailureCell, ReportFilter
from ingest.database import engines, models
from ingest.settings.settings import Settings
from ingest.store import overrides
from ingest.store.upkeep import upgrades
from ingest.testimony import override_rules, trust
from tests import stored
from tests.dashboard import world
from tests.dashboard.conftest import Filled, fill
from tests.databases import create_database
from tests.reports import detail, entry, report_json
from tests.support import ROOT

SettingsFor = Callable[..., Settings]
OIDC = {
    "oidc_issuer": "https://login.example",
    "oidc_client_id": "a",
    "oidc_client_secret": "b",
    "dashboard_url": "https://tlsrpt.example",
}

# The entrance


@pytest.mark.parametrize(
    ("settings", "peer"),
    [
        ({}, "127.0.0.1"),
        ({}, "127.8.9.10"),
        ({}, "::1"),
        ({}, "::ffff:127.0.0.1"),
        ({"dashboard_open": True}, "203.0.113.9"),
        (OIDC, "203.0.113.9"),  # the pages ask who this is
    ],
)
def test_who_may_ask_the_pages(settings_for: SettingsFor, settings: dict[str, Any], peer: str) -> None:
    assert access.admit(settings_for(**settings), peer, "/", [(b"remote-user", b"alice")]) == ""


@pytest.mark.parametrize("peer", ["203.0.113.9", "::ffff:203.0.113.9", "fe80::1%eth0", "unix", "", None])
def test_without_a_login_nobody_else_may(settings_for: SettingsFor, peer: str | None) -> None:
    with pytest.raises(RefusedVisitor, match="this machine only"):
        access.admit(settings_for(), peer, "/", [])


@pytest.mark.parametrize("peer", ["192.0.2.7", "::ffff:192.0.2.7", "2001:db8::9"])
@pytest.mark.parametrize("name", [b"remote-user", b"Remote-User"])
def test_the_proxy_names_the_user(settings_for: SettingsFor, peer: str, name: bytes) -> None:
    settings = settings_for(dashboard_proxies="192.0.2.7 2001:db8::/64")
    assert (
        access.admit(settings, peer, "/", [(b"host", b"x"), (name, " B\u00f6b@Example.com ".encode())])
        == "b\u00f6b@example.com"
    )


@pytest.mark.parametrize("peer", ["192.0.2.8", "127.0.0.1", "::1", "2001:db8:0:1::1", "", None])
def test_nobody_else_may_name_one(settings_for: SettingsFor, peer: str | None) -> None:
    with pytest.raises(RefusedVisitor, match="DASHBOARD_PROXIES"):
        access.admit(settings_for(dashboard_proxies="192.0.2.7 2001:db8::/64"), peer, "/", [(b"remote-user", b"alice")])


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-remote-user", b"alice")],
        [(b"remote-user", b"")],
        [(b"remote-user", b"  ")],
        [(b"remote-user", b"alice"), (b"remote-user", b"operator")],
        [(b"remote-user", b"alice"), (b"remote-user", b"alice")],
        [(b"remote-user", b"alice, operator")],  # a proxy that appends to what the browser sent
        [(b"remote_user", b"operator")],  # what some proxies and gateways take for the same
        [(b"remote-user", b"alice"), (b"Remote_User", b"operator")],
        [(b"remote-user", b"alice\xff")],
        [(b"remote-user", b"al\x00ice")],
        [(b"remote-user", "al\u202eice".encode())],
        [(b"remote-user", b"a" * 321)],
    ],
)
def test_a_name_that_the_proxy_alone_cannot_have_given_is_none(settings_for: SettingsFor, headers: Any) -> None:
    with pytest.raises(RefusedVisitor, match="Remote-User"):
        access.admit(settings_for(dashboard_proxies="192.0.2.7"), "192.0.2.7", "/", headers)


@pytest.mark.parametrize(
    ("peer", "path"), [("192.0.2.8", access.HEALTH), ("127.0.0.1", "/"), ("127.0.0.1", "/_stcore/stream")]
)
def test_only_the_machines_own_health_check_needs_no_user(settings_for: SettingsFor, peer: str, path: str) -> None:
    settings = settings_for(dashboard_proxies="192.0.2.7")
    assert access.admit(settings, "127.0.0.1", access.HEALTH, []) == ""
    with pytest.raises(RefusedVisitor):
        access.admit(settings, peer, path, [])


@pytest.mark.parametrize(
    "name", [b"x-starttally-user", b"X-Starttally-User", b"x_starttally_user", b"X-StartTally_USER"]
)
def test_what_a_browser_says_about_itself_never_reaches_the_pages(name: bytes) -> None:
    assert access.with_user([(name, b"operator"), (b"host", b"x")], "") == [(b"host", b"x")]
    assert access.with_user([(name, b"operator")], "b\u00f6b@x") == [(b"x-starttally-user", b"b%C3%B6b@x")]


@pytest.mark.parametrize("user", ["alice", "b\u00f6b@example.com", "100%41", "a b"])
def test_the_pages_read_the_name_that_the_entrance_wrote(user: str) -> None:
    assert access.user_of_header(access.with_user([], user)[0][1].decode()) == user


@pytest.mark.parametrize("value", [None, "", True, 7])
def test_no_name_is_nobody(value: object) -> None:
    assert access.user_of_header(value) is None


# Who logged in by OpenID Connect

NOW = 1_800_000_000.0
LOGGED_IN = {"is_logged_in": True, "iat": NOW - 60, "sub": "ABC|1"}


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"email": "Alice@Example.com", "email_verified": True}, "alice@example.com"),
        ({"email": "Alice@Example.com", "email_verified": "true"}, "alice@example.com"),
        ({"email": "alice@example.com"}, "alice@example.com"),
        ({"email": "alice@example.com", "email_verified": False}, "abc|1"),
        ({"email": "alice@example.com", "email_verified": "false"}, "abc|1"),
        ({"email": "alice@example.com", "email_verified": None}, "abc|1"),
        ({"email": "alice"}, "abc|1"),
        ({"email": ["alice@example.com"]}, "abc|1"),
        ({}, "abc|1"),
        ({"sub": "alice@example.com"}, "alice@example.com (not a verified address)"),  # a name that its owner chose
        ({"sub": ""}, None),
        ({"sub": None}, None),
        ({"is_logged_in": False}, None),
        ({"is_logged_in": "yes"}, None),
        ({"iat": None}, None),
        ({"iat": str(NOW)}, None),
        ({"iat": NOW - 12 * 3600}, "abc|1"),
        ({"iat": NOW - 12 * 3600 - 1}, None),
    ],
)
def test_who_a_token_says_it_is(claims: dict[str, Any], user: str | None) -> None:
    assert access.user_of_claims(LOGGED_IN | claims, NOW, 12) == user


def test_nobody_is_nobody() -> None:
    assert access.user_of_claims({}, NOW, 12) is None
    assert access.user_of_claims({"is_logged_in": False}, NOW, 12) is None


def test_an_expired_login_is_told_from_none() -> None:
    assert access.expired(LOGGED_IN | {"iat": NOW - 13 * 3600}, NOW, 12)
    assert not access.expired(LOGGED_IN, NOW, 12)
    assert not access.expired({"is_logged_in": False}, NOW, 12)


# Which domains

ACCESS = (
    "operator=*; alice@example.com=a.example; @example.com=shared.example *.shared.example; bob=b.example a.example"
)


@pytest.mark.parametrize(
    ("access_setting", "user", "patterns"),
    [
        ("", "anybody", None),
        ("", "", None),
        (ACCESS, "operator", None),
        (ACCESS, "alice@example.com", ("a.example", "shared.example", "*.shared.example")),
        (ACCESS, "eve@example.com", ("shared.example", "*.shared.example")),
        (ACCESS, "bob", ("b.example", "a.example")),
        (ACCESS, "eve", ()),
        (ACCESS, "", ()),
        (ACCESS, "eve@sub.example.com", ()),
        (ACCESS, "example.com", ()),
        (ACCESS, "@example.com", ()),
        (ACCESS, "*", ()),
        (ACCESS, "alice@example.com (not a verified address)", ()),
        ("*=a.example; alice=b.example", "alice", ("a.example", "b.example")),
        ("*=a.example; alice=b.example", "eve", ("a.example",)),
        ("*=a.example; alice=*", "alice", None),
    ],
)
def test_what_a_user_may_see(
    settings_for: SettingsFor, access_setting: str, user: str, patterns: tuple[str, ...] | None
) -> None:
    settings = settings_for(access=access_setting, dashboard_proxies="127.0.0.1")
    allowed_patterns = access.patterns_of(settings, user)
    assert allowed_patterns == patterns or (patterns and set(allowed_patterns or ()) == set(patterns))


@pytest.mark.parametrize(
    ("patterns", "seen"),
    [
        (("a.example",), {"a.example"}),
        (("A.Example",), {"a.example"}),
        (("*.a.example",), {"x.a.example", "y.x.a.example"}),
        (("a.example", "*.a.example"), {"a.example", "x.a.example", "y.x.a.example"}),
        (("a_.example",), {"a_.example"}),  # in LIKE an underscore is any character
        (("*.a_.example",), {"x.a_.example"}),
        (("*",), None),
        ((), set()),
    ],
)
def test_one_rule_for_pages_and_exports(patterns: tuple[str, ...], seen: set[str] | None) -> None:
    names = {
        "a.example",
        "x.a.example",
        "y.x.a.example",
        "ba.example",
        "a_.example",
        "ab.example",
        "x.a_.example",
        "x.ab.example",
    }
    names |= {"a.example.org", ""}
    engine = sa.create_engine("sqlite://")
    with engine.connect() as connection:
        by_scope = {name for name in names if connection.scalar(sa.select(Scope(patterns).allows(sa.literal(name))))}
    assert by_scope == (names if seen is None else seen)
    assert {name for name in names if Scope(patterns).holds(name)} == by_scope
    shared = Scope(patterns).allows(models.report.c.policy_domain)
    assert str(Filters(question=Question(dt.date(2026, 3, 1), Scope(patterns))).conditions()[-1]) == str(shared)
    engine.dispose()


# Every query, for a user who may see one domain and all names below another

OWN = ("second.example", "customer1.example", "*.bcher.example")
SHARED_ID = "one report about three domains"


@pytest.fixture(scope="module")
def filled_more(filled: Filled) -> Filled:
    """The world, and a report that speaks about several domains at once, two of them foreign."""
    add_more(filled)
    return filled


@pytest.fixture(scope="module")
def own_only(
    request: pytest.FixtureRequest, filled: Filled, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[sa.Engine]:
    """The same on the same kind of database, but every row about a foreign domain, or about none, has been removed."""
    folder = tmp_path_factory.mktemp("own")
    if filled.url.startswith("sqlite"):
        url = f"sqlite:///{folder}/own.db"
    else:
        url = create_database(request.getfixturevalue("postgresql_server"))
    for copy in fill(url, filled.today, folder):
        add_more(copy)
        writing = engines.open_engine(url)
        with writing.begin() as connection:
            for table in reversed(models.quarantine.metadata.sorted_tables):
                if "policy_domain" in table.c:
                    connection.execute(sa.delete(table).where(~Scope(OWN).allows(table.c.policy_domain)))
            connection.execute(sa.delete(models.quarantine))
        writing.dispose()
        yield copy.engine


def add_more(filled: Filled) -> None:
    """Store what the world has too little of."""
    day = filled.today - dt.timedelta(days=5)
    entries = [
        entry(
            70,
            7,
            detail("validation-failure", 7, additional_information="told-of-customer0"),
            policy_domain="customer0.example",
        ),
        entry(11, 1, detail("certificate-expired", 1), policy_domain="second.example", policy_string=world.ENFORCE),
        entry(
            80, 8, detail("starttls-not-supported", 8), policy_domain="receiver.example", policy_string=world.TESTING
        ),
    ]
    for value in entries:
        value["policy"]["hint"] = f"said-of-{value['policy']['policy-domain']}"
    several = report_json(*entries, day=str(day), organization_name="google.example", report_id=SHARED_ID)
    several["about"] = ["customer0.example", "receiver.example"]  # a member that RFC 8460 does not name
    several["policies"][0]["summary"]["total-failure-session-count"] = "7"  # a defect, noted with its place
    writing = engines.open_engine(filled.url)
    stored.store_report(writing, several, filled.settings)
    given = dt.datetime.combine(filled.today - dt.timedelta(days=9), dt.time(9), dt.UTC)
    for domain in ("customer0.example", "second.example"):
        accepted = override_rules.AcceptedCause("starttls-not-supported", "", f"told-of-{domain.partition('.')[0]}")
        overrides.give(writing, domain, accepted, overrides.Act("operator", given, f"said of {domain}"))
    with writing.begin() as connection:
        row = models.quarantine.c
        asked_for = sa.select(sa.func.min(row.message_digest)).scalar_subquery()
        connection.execute(
            sa.update(models.quarantine).where(row.message_digest == asked_for).values(state=quarantine.RETRYING)
        )
        counts = {"messages": 3, "bytes": 300, "first_at": given, "last_at": given}
        connection.execute(sa.insert(models.quarantine_lost).values(reason="no-report", bound="network", **counts))
    noon = dt.datetime.combine(filled.today, dt.time(12), dt.UTC)
    Assessor(writing, filled.settings, lambda: noon).run_once()
    writing.dispose()


def domains_of(filled: Filled) -> set[str]:
    with filled.engine.connect() as connection:
        return set(connection.scalars(sa.select(models.report.c.policy_domain).distinct()))


def secrets_of(filled: Filled, scope: Scope) -> set[str]:
    """Whatever a user with ``scope`` must never be shown: foreign domains, and reporters who speak about foreign ones only."""
    row = models.report.c
    with filled.engine.connect() as connection:
        foreign = set(connection.scalars(sa.select(row.policy_domain).where(~scope.allows(row.policy_domain))))
        allowed = set(connection.scalars(sa.select(row.organization).where(scope.allows(row.policy_domain))))
        reporters = set(connection.scalars(sa.select(row.organization).distinct())) - allowed
    assert foreign
    return {text for text in foreign | reporters | {"told-of-customer0", "dmarc.xml"} if text}


def told(messages: str, hidden: set[str]) -> list[str]:
    """What of ``hidden`` is in ``said``. In this world all customers have the MX hosts of the first domain."""
    without_mx_hosts = re.sub(r"mx\d?\.(receiver|second)\.example", "their MX host", messages)
    return [text for text in sorted(hidden) if text in without_mx_hosts]


def every_query() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Each public function of dashboard/queries that asks a database for somebody."""
    for module_info in pkgutil.iter_modules(dashboard.queries.__path__):
        module = importlib.import_module(f"dashboard.queries.{module_info.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_public = function.__module__ == module.__name__ and not name.startswith("_")
            asks = list(inspect.signature(function).parameters)[:2]
            if is_public and asks == ["engine", "scope"]:
                yield f"{module_info.name}.{name}", function
            if is_public and asks == ["engine", "question"]:
                yield f"{module_info.name}.{name}", asked_by_scope(function)


def asked_by_scope(query: Callable[..., Any]) -> Callable[..., Any]:
    """A query that takes a question, with the scope where the others have it; the question's day is a parameter of its own."""

    def ask(engine: sa.Engine, scope: Scope, *, on: dt.date, as_of_then: bool, **given: Any) -> Any:
        # What is stored was decided as the settings have it; everything else is asked about every report.
        trusts = trust.EVIDENCE if query.__module__.endswith(".assessed") else trust.TRUST_ORDER
        return query(engine, Question(on, scope, trusts=trusts, as_of_then=as_of_then), **given)

    signature = inspect.signature(ask)
    named_parameters = [name for name in signature.parameters.values() if name.kind is not name.VAR_KEYWORD]
    asked = [name.replace(kind=name.KEYWORD_ONLY) for name in list(inspect.signature(query).parameters.values())[2:]]
    ask.__signature__ = signature.replace(parameters=[*named_parameters, *asked])  # type: ignore[attr-defined]
    return ask


QUERIES = dict(every_query())


def keys_of(filled: Filled, domain: str) -> list[str]:
    rows = report_pages.list_reports(filled.engine, EVERYTHING, ReportFilter(domain=domain), limit=100)
    shared = rows.loc[rows["report_id"] == SHARED_ID, "report_key"]
    return [rows["report_key"].iloc[0], *shared]


def arguments(filled: Filled, domain: str, keys: list[str]) -> dict[str, list[Any]]:
    """Values for each parameter that a query may have; a new parameter needs a line here."""
    cause = FailureCell("certificate-expired", "sts")
    messages = quarantine.list_messages(filled.engine, EVERYTHING, limit=3)["message_digest"].to_list()
    return {
        "window": [ALL_DAYS, DayRange(filled.today - dt.timedelta(days=14), filled.today)],
        "search": ["", "example"],
        "domain": [domain],
        "domains": [[domain]],
        "names": [[domain, "receiver.example"]],
        "first": [filled.today - dt.timedelta(days=60)],
        "verdict": [""],
        "key": keys,
        "same_id": ["x"],
        "lane": [TRUSTED, UNPROVEN],
        "policy_type": ["sts", "tlsa"],
        "result_type": ["certificate-expired", "starttls-not-supported"],
        "wanted": [
            ReportFilter(),
            ReportFilter(domain=domain),
            ReportFilter(domain="*.example"),
            ReportFilter(domain=domain, cause=cause),
        ],
        "at_most": [1000],
        "limit": [1000],
        "state": [quarantine.WAITING],
        "reason": [""],
        "digest": messages,
        "on": [filled.today],
        "as_of_then": [False, True],
        "longest": [None],
        "offset": [0],
        "day": [filled.today],
        "days": [[filled.today]],
        "since": [filled.today - dt.timedelta(days=30)],
        "until": [filled.today],
    }


def calls(function: Callable[..., Any], values: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    """Every combination of arguments. A parameter with a default that is not known here keeps its default."""
    wanted = list(inspect.signature(function).parameters.values())[2:]
    missing = [p.name for p in wanted if p.name not in values and p.default is p.empty]
    assert not missing, f"{function.__qualname__}: tell `arguments` a value for {missing}"
    names = [p.name for p in wanted if p.name in values]
    for chosen in itertools.product(*(values[name] for name in names)):
        yield dict(zip(names, chosen, strict=True))


def text_of(answer: Any) -> str:
    """Everything in an answer, as one text."""
    if isinstance(answer, pd.DataFrame):
        return str(answer.to_csv())
    if inspect.isgenerator(answer):
        answer = list(answer)
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else repr(answer)


def test_the_queries_are_found() -> None:
    assert {
        "report_pages.list_reports",
        "reports.raw_document",
        "fleet.domains",
        "domain.causes",
        "quarantine.content",
    } <= set(QUERIES)
    assert {"evidence.evidence_of", "evidence.domains_of", "overrides.every_override"} <= set(QUERIES)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_no_query_tells_of_a_foreign_domain(filled_more: Filled, name: str) -> None:
    scope = Scope(OWN)
    hidden = secrets_of(filled_more, scope)
    for own_domain in ("second.example", "customer1.example"):
        for given in calls(QUERIES[name], arguments(filled_more, own_domain, keys_of(filled_more, own_domain))):
            answer_text = text_of(QUERIES[name](filled_more.engine, scope, **given))
            assert told(answer_text, hidden) == [], given


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_every_figure_is_made_of_the_own_domains(filled_more: Filled, own_only: sa.Engine, name: str) -> None:
    """A limited user is answered as if there were nothing else in the database: sums and counts tell of no foreign domain."""
    for own_domain in ("second.example", "customer1.example"):
        for given in calls(QUERIES[name], arguments(filled_more, own_domain, keys_of(filled_more, own_domain))):
            answer_text = text_of(QUERIES[name](filled_more.engine, Scope(OWN), **given))
            assert answer_text == text_of(QUERIES[name](own_only, Scope(OWN), **given)), given


@pytest.mark.parametrize("kind", sorted(export.EXPORTS))
def test_every_export_is_made_of_the_own_domains(filled_more: Filled, own_only: sa.Engine, kind: str) -> None:
    targets = io.BytesIO(), io.BytesIO()
    for engine, target in zip((filled_more.engine, own_only), targets, strict=True):
        export.write(engine, kind, "csv", Filters(question=Question(filled_more.today, Scope(OWN))), target)
    assert targets[0].getvalue() == targets[1].getvalue()


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_foreign_domain_looks_like_one_that_nobody_reported_about(filled_more: Filled, name: str) -> None:
    scope, key = Scope(OWN), "0" * 64
    for foreign in ("receiver.example", "customer0.example"):
        there = arguments(filled_more, foreign, keys_of(filled_more, foreign))
        nowhere = arguments(filled_more, "nowhere.example", [key] * len(there["key"])) | {
            "digest": [key] * len(there["digest"])
        }
        for given, other in zip(calls(QUERIES[name], there), calls(QUERIES[name], nowhere), strict=True):
            answer_text = text_of(QUERIES[name](filled_more.engine, scope, **given))
            assert answer_text.replace(foreign, "nowhere.example") == text_of(
                QUERIES[name](filled_more.engine, scope, **other)
            ), given


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_each_query_answers_somebody(filled_more: Filled, name: str) -> None:
    """Who may see everything is answered: else the tests above could not fail."""
    answers = set()
    for domain in ("receiver.example", "customer0.example", "second.example"):
        for given in calls(QUERIES[name], arguments(filled_more, domain, keys_of(filled_more, domain))):
            if name == "reports.copies_of":
                given["same_id"], given["domain"] = _contradicted(filled_more), "receiver.example"
            if name == "assessed.outdated":  # nothing is, before the day is over
                given["on"] += dt.timedelta(days=1)
            answers.add(text_of(QUERIES[name](filled_more.engine, EVERYTHING, **given)))
            answers.add(text_of(QUERIES[name](filled_more.engine, Scope(()), **given)))
    assert len(answers) > 1


def _contradicted(filled: Filled) -> str:
    with filled.engine.connect() as connection:
        return str(
            connection.scalar(sa.select(models.report.c.same_id).where(models.report.c.report_id == "twice").limit(1))
        )


def test_a_report_about_several_domains_shows_the_own_part_only(filled_more: Filled) -> None:
    engine, key = filled_more.engine, keys_of(filled_more, "second.example")[-1]
    for scope, whole in ((EVERYTHING, True), (Scope(OWN), False)):
        report_row = reports.one_report(engine, scope, "second.example", key).iloc[0]
        assert (report_row["successful_sessions"], report_row["failed_sessions"], report_row["policies"]) == (11, 1, 1)
        assert bool(report_row["shared"])
        assert (
            pd.notna(report_row["raw_domains"])
            == pd.notna(report_row["extra"])
            == pd.notna(report_row["defects"])
            == whole
        )
        assert (reports.raw_document(engine, scope, "second.example", key) is not None) == whole
        assert reports.raw_size(engine, scope, "second.example", key).empty != whole


def test_a_report_about_one_domain_is_shown_whole(filled_more: Filled) -> None:
    engine, key = filled_more.engine, keys_of(filled_more, "customer1.example")[0]
    report_row = reports.one_report(engine, Scope(OWN), "customer1.example", key).iloc[0]
    assert not report_row["shared"]
    assert b"customer1.example" in (reports.raw_document(engine, Scope(OWN), "customer1.example", key) or b"")
    assert len(reports.raw_size(engine, Scope(OWN), "customer1.example", key)) == 1


@pytest.mark.parametrize("kind", sorted(export.EXPORTS))
@pytest.mark.parametrize("asked", [(), ("second.example",), ("receiver.example",)])
def test_no_export_tells_of_a_foreign_domain(filled_more: Filled, kind: str, asked: tuple[str, ...]) -> None:
    target = io.BytesIO()
    export.write(
        filled_more.engine, kind, "csv", Filters(asked, question=Question(filled_more.today, Scope(OWN))), target
    )
    answer_text = target.getvalue().decode()
    assert told(answer_text, secrets_of(filled_more, Scope(OWN))) == []
    exported_domains = {row["policy_domain"] for row in csv.DictReader(io.StringIO(answer_text))}
    allowed = {"second.example"} if kind == "failures" else {"second.example", "customer1.example"}
    assert exported_domains == (allowed & set(asked) if asked else allowed)


# The pages, as Streamlit runs them, for several users of one process in turn

Open = Callable[..., AppTest]
USERS = {
    "alice": ("second.example",),
    "bob": ("customer1.example", "customer2.example"),
    "carol": ("receiver.example",),
    "operator": ("*",),
}
SETTING = "; ".join(f"{user}={' '.join(patterns)}" for user, patterns in USERS.items())


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens a page as a user whom the proxy names: ``open_page(url, "alice", "domain", domain="...")``; None is nobody."""
    st.cache_data.clear()
    monkeypatch.setenv("STARTTALLY_DASHBOARD_PROXIES", "127.0.0.1")
    monkeypatch.setenv("STARTTALLY_ACCESS", SETTING)
    # What an operator knows and no customer should: whom else reports are received for.
    monkeypatch.setenv("STARTTALLY_DOMAINS", "receiver.example customer0.example")

    def run(
        url: str, user: str | None, page: str = "domains", app: AppTest | None = None, **parameters: str
    ) -> AppTest:
        monkeypatch.setenv("STARTTALLY_DATABASE_URL", url)
        app = app or AppTest.from_file(str(ROOT / "dashboard" / "app.py"), default_timeout=60)
        app.user = {} if user is None else {access.USER_KEY: user}
        app.run()
        if page != "domains":  # whose address is the empty one
            wanted = (key for key, known in app._registered_pages.items() if known["url_pathname"] == page)
            app._page_hash = next(wanted)
            app.query_params.clear()
            for name, value in parameters.items():
                app.query_params[name] = value
            app.run()
        assert not app.exception
        return app

    yield run
    st.cache_resource.clear()
    st.cache_data.clear()


def text_on_page(app: AppTest) -> str:
    """All that a page shows: texts, figures, tables."""
    kinds = (app.title, app.header, app.subheader, app.markdown, app.caption, app.text, app.code, app.info, app.warning)
    texts = [str(element.value) for kind in (*kinds, app.error, app.success, app.metric) for element in kind]
    return "\n".join(
        [*texts, *(frame.value.to_csv() for frame in app.dataframe), *(label.label for label in app.expander)]
    )


def test_users_in_turn_see_their_own(open_page: Open, filled_today: Filled) -> None:
    """The caches are those of one process: whoever comes second must not get what was made for the first."""
    for user in ("operator", "alice", "bob", "carol", "alice", "operator", "bob"):
        own_scope = Scope(USERS[user])
        for page, asked in (
            ("domains", {}),
            ("reports", {}),
            ("export", {}),
            *(("domain", {"domain": d}) for d in USERS[user][:1]),
        ):
            page_shown = text_on_page(open_page(filled_today.url, user, page, **asked))
            if user == "operator":
                assert page != "domains" or "customer2.example" in page_shown
                continue
            assert told(page_shown, secrets_of(filled_today, own_scope)) == [], (user, page)
            assert page == "export" or USERS[user][0] in page_shown


@pytest.mark.parametrize("domain", ["receiver.example", "customer0.example"])
def test_an_address_of_a_foreign_domain_shows_what_one_of_no_domain_does(
    open_page: Open, filled_today: Filled, domain: str
) -> None:
    key = report_pages.list_reports(filled_today.engine, EVERYTHING, ReportFilter(domain=domain), limit=1)[
        "report_key"
    ].iloc[0]
    for page, asked in (("domain", {}), ("reports", {"report": key}), ("reports", {})):
        there = text_on_page(open_page(filled_today.url, "alice", page, domain=domain, **asked))
        nowhere = text_on_page(open_page(filled_today.url, "alice", page, domain="nowhere.example", **asked))
        assert there.replace(domain, "nowhere.example") == nowhere


def test_quarantine_is_for_who_sees_everything(open_page: Open, filled_today: Filled) -> None:
    assert "dmarc.xml" in text_on_page(open_page(filled_today.url, "operator", "quarantine"))
    app = open_page(filled_today.url, "alice", "quarantine")
    assert "only who may see all domains" in text_on_page(app)
    assert "dmarc.xml" not in text_on_page(app)


def test_who_is_in_no_entry_sees_that_and_nothing_else(open_page: Open, tmp_path: Path) -> None:
    """Nothing is asked of the database, which is not even there."""
    for page in ("domains", "domain", "reports", "quarantine", "export"):
        page_shown = text_on_page(open_page(f"sqlite:///{tmp_path}/nowhere.db", "eve", page, domain="second.example"))
        assert page_shown.splitlines()[:2] == ["You may see no domain", "You are logged in as eve."]


@pytest.mark.parametrize("page", ["domains", "domain", "reports", "quarantine", "export"])
def test_who_is_not_logged_in_sees_no_data(open_page: Open, tmp_path: Path, page: str) -> None:
    page_shown = text_on_page(open_page(f"sqlite:///{tmp_path}/nowhere.db", None, page, domain="second.example"))
    assert page_shown.splitlines()[0] == "StartTally"
    assert "does not say who you are" in page_shown
    assert "second.example" not in page_shown


def test_an_export_is_not_left_for_the_next_user(open_page: Open, filled_today: Filled) -> None:
    """Should a session ever change hands: what was prepared in it stays with who prepared it."""
    app = open_page(filled_today.url, "operator", "export")
    next(button for button in app.button if button.label == "Prepare the export").click().run()
    assert "rows, " in text_on_page(app)
    assert "rows, " not in text_on_page(open_page(filled_today.url, "alice", "export", app=app))


def test_a_limited_user_without_reports_is_not_told_whom_else_reports_come_for(open_page: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    upgrades.migrate(url)
    page_shown = text_on_page(open_page(url, "alice"))
    assert "second.example" in page_shown
    assert "receiver.example" not in page_shown
    assert "receiver.example" in text_on_page(open_page(url, "operator"))
