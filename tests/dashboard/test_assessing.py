"""Stored verdicts: each row says what ``--on`` says of its day, whatever came when, whoever died, and whoever asks."""

import datetime as dt
import random
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import sqlalchemy as sa

from dashboard import verdicts
from dashboard.assessing import DAYS, Assessor
from dashboard.fleet_verdicts import ranking
from dashboard.queries import assessed
from dashboard.queries.question import Question, Scope
from ingest.database.models import domain_due, domain_verdict
from ingest.settings.settings import Settings
from ingest.store import due, overrides
from ingest.store.upkeep import retention
from ingest.testimony.override_rules import AcceptedCause, OwnThresholds
from ingest.testimony.trust import UNAUTHENTICATED, UNVERIFIED, VERIFIED
from tests.goldens import detail, entry
from tests.reports import report_json
from tests.stored import store_reports, submission

MakeSettings = Callable[..., Settings]
TODAY = dt.date(2026, 3, 20)
DOMAIN, OTHER = "receiver.example", "other.example"
TESTING = ["version: STSv1", "mode: testing", "mx: *.receiver.example", "max_age: 604800"]


def noon(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(12), dt.UTC)


def on_day(engine: sa.Engine, settings: Settings, day: dt.date = TODAY) -> Assessor:
    return Assessor(engine, settings, lambda: noon(day))


def store(
    engine: sa.Engine,
    settings: Settings,
    day: dt.date,
    *,
    domain: str = DOMAIN,
    failed: int = 0,
    arrived_at: dt.datetime | None = None,
    signer: str = "google.com",
    trust: str = VERIFIED,
) -> None:
    """A report about ``day``, which came on the morning after."""
    failures = [detail("certificate-expired", failed)] if failed else []
    report = report_json(
        entry(400, failed, *failures, policy_domain=domain, policy_string=TESTING),
        day=str(day),
        report_id=f"{day} {domain} {signer} {trust} {arrived_at}",
        organization_name=signer,
        contact_info=f"tls@{signer}",
    )
    arrived = arrived_at or dt.datetime.combine(day + dt.timedelta(days=1), dt.time(6), dt.UTC)
    store_reports(engine, [submission(report, settings, trust=trust, arrived_at=arrived, signer=signer)])


def rows(engine: sa.Engine, domain: str = DOMAIN) -> list[Mapping[str, Any]]:
    query = sa.select(domain_verdict).where(domain_verdict.c.policy_domain == domain).order_by(domain_verdict.c.day)
    with engine.connect() as connection:
        return list(connection.execute(query).mappings())


def names_by_day(engine: sa.Engine, domain: str = DOMAIN) -> dict[dt.date, str]:
    return {row["day"]: row["verdict"] for row in rows(engine, domain)}


def recomputed(
    engine: sa.Engine, settings: Settings, today: dt.date = TODAY, domain: str = DOMAIN
) -> dict[dt.date, str]:
    """What ``verdict --on`` says of each day."""
    question = Question.of(settings, today)
    days = [today - dt.timedelta(days=ago) for ago in range(DAYS)]
    return {day: verdicts.case_of(engine, question.about(day), domain)[1].name for day in days}


def marked(engine: sa.Engine) -> dict[str, dt.date]:
    with engine.connect() as connection:
        return dict(map(tuple, connection.execute(sa.select(domain_due.c.policy_domain, domain_due.c.from_day))))


def test_each_row_says_what_on_says_of_its_day_whatever_came_when(
    engine: sa.Engine, settings_for: MakeSettings
) -> None:
    """Reports come day by day while an assessor runs, then some that had arrived back then are loaded, or turn out verified."""
    settings, random_of = settings_for(), random.Random(7)
    days = [TODAY - dt.timedelta(days=ago) for ago in range(70, 0, -1)]
    for day in days:
        for signer in ("google.com", "microsoft.com"):
            if random_of.random() < 0.9:
                store(
                    engine,
                    settings,
                    day,
                    signer=signer,
                    failed=random_of.choice((0, 0, 0, 0, 0, 1)) * (day < TODAY - dt.timedelta(days=60)),
                )
        if day.day % 9 == 0:
            on_day(engine, settings, day + dt.timedelta(days=1)).run_once()
    on_day(engine, settings).run_once()
    expected = recomputed(engine, settings)
    assert {day: name for day, name in names_by_day(engine).items() if day in expected} == expected
    for ago in (50, 33, 21):
        store(engine, settings, TODAY - dt.timedelta(days=ago), signer="microsoft.com", failed=2000)
    assert marked(engine) == {DOMAIN: TODAY - dt.timedelta(days=49)}
    on_day(engine, settings).run_once()
    after = recomputed(engine, settings)
    assert {day: name for day, name in names_by_day(engine).items() if day in after} == after
    assert after != expected
    assert marked(engine) == {}


def test_the_newest_row_has_the_whole_verdict_and_no_other_has(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for()
    for ago in range(20, 0, -1):
        store(engine, settings, TODAY - dt.timedelta(days=ago), failed=1)
    on_day(engine, settings).run_once()
    assert [row["day"] for row in rows(engine) if row["newest"]] == [TODAY]
    assert [row["day"] for row in rows(engine) if row["document"]] == [TODAY]
    question = Question.of(settings, TODAY)
    (fresh,) = verdicts.verdicts(engine, question, [DOMAIN])
    (stored,) = verdicts.current(engine, question, [DOMAIN])
    assert stored == fresh
    newest = rows(engine)[-1]
    assert (newest["verdict"], newest["refused_sessions"], newest["sessions"]) == (
        fresh.name,
        fresh.refused + fresh.refused_lately,
        fresh.sessions,
    )
    assert newest["refusal_bound"] == fresh.bound
    on_day(engine, settings, TODAY + dt.timedelta(days=1)).run_once()
    assert [row["day"] for row in rows(engine) if row["document"]] == [TODAY + dt.timedelta(days=1)]


def test_a_new_day_decides_the_one_that_is_over_once_more(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings, yesterday = settings_for(), TODAY - dt.timedelta(days=1)
    for ago in range(20, 1, -1):
        store(engine, settings, TODAY - dt.timedelta(days=ago))
    on_day(engine, settings, yesterday).run_once()
    before = names_by_day(engine)[yesterday]
    store(
        engine,
        settings,
        yesterday - dt.timedelta(days=3),
        failed=50,
        arrived_at=noon(yesterday) + dt.timedelta(hours=9),
    )
    with engine.begin() as connection:  # an assessor that was not there when the report came
        connection.execute(sa.delete(domain_due))
    on_day(engine, settings).run_once()
    assert names_by_day(engine)[yesterday] != before
    assert names_by_day(engine)[yesterday] == recomputed(engine, settings)[yesterday]


def test_other_thresholds_make_every_row_anew(engine: sa.Engine, settings_for: MakeSettings) -> None:
    for ago in range(40, 0, -1):
        store(engine, settings_for(), TODAY - dt.timedelta(days=ago))
    on_day(engine, settings_for()).run_once()
    lenient = settings_for(verdict_reporters=1)
    assert names_by_day(engine) != recomputed(engine, lenient)
    on_day(engine, lenient).run_once()
    assert names_by_day(engine) == recomputed(engine, lenient)


def test_an_override_is_due_from_its_day(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for()
    for ago in range(30, 0, -1):
        store(engine, settings, TODAY - dt.timedelta(days=ago), failed=1)
    on_day(engine, settings).run_once()
    before = names_by_day(engine)
    accepted = AcceptedCause("certificate-expired")
    key = overrides.give(engine, DOMAIN, accepted, overrides.Act("alice", noon(TODAY), "known"))
    assert marked(engine) == {DOMAIN: TODAY}
    overrides.give(engine, DOMAIN, OwnThresholds(reporters=1), overrides.Act("alice", noon(TODAY), "one is enough"))
    on_day(engine, settings).run_once()
    after = names_by_day(engine)
    assert after[TODAY] != before[TODAY]
    assert {day: name for day, name in after.items() if day < TODAY} == {
        day: name for day, name in before.items() if day < TODAY
    }
    overrides.withdraw(engine, DOMAIN, key, overrides.Act("alice", noon(TODAY), ""))
    on_day(engine, settings).run_once()
    assert names_by_day(engine)[TODAY] == before[TODAY]


@pytest.mark.parametrize(
    ("trust", "due_domains"), [(UNVERIFIED, set()), (UNAUTHENTICATED, {DOMAIN}), (VERIFIED, {DOMAIN})]
)
def test_what_can_move_no_verdict_makes_no_work(
    engine: sa.Engine, settings_for: MakeSettings, trust: str, due_domains: set[str]
) -> None:
    store(engine, settings_for(), TODAY, trust=trust)
    assert set(marked(engine)) == due_domains


def test_a_mark_that_comes_meanwhile_is_not_lost(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for()
    store(engine, settings, TODAY - dt.timedelta(days=1))
    claimed = due.claim(engine, 10, noon(TODAY))
    store(engine, settings, TODAY - dt.timedelta(days=3))
    with engine.begin() as connection:
        due.give_back(connection, claimed)
        due.finish(connection, claimed)
    assert marked(engine) == {DOMAIN: TODAY - dt.timedelta(days=2)}
    assert [each.domain for each in due.claim(engine, 10, noon(TODAY))] == [DOMAIN]


def test_what_a_dead_assessor_held_comes_back(engine: sa.Engine, settings_for: MakeSettings) -> None:
    store(engine, settings_for(), TODAY)
    (held,) = due.claim(engine, 10, noon(TODAY))
    assert due.claim(engine, 10, noon(TODAY)) == []
    later = noon(TODAY) + dt.timedelta(minutes=11)
    (again,) = due.claim(engine, 10, later)
    assert again.domain == held.domain
    # The first one was only slow: what it decided long ago is not written over what the second decides.
    with engine.begin() as connection:
        assert due.held(connection, [held]) == set()
        assert due.held(connection, [again]) == {DOMAIN}


def test_several_assessors_share_the_work(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for()
    for number in range(30):
        store(engine, settings, TODAY, domain=f"d{number:02}.example")
    first = {each.domain for each in due.claim(engine, 20, noon(TODAY))}
    second = {each.domain for each in due.claim(engine, 20, noon(TODAY))}
    assert len(first) == 20
    assert first | second == {f"d{number:02}.example" for number in range(30)}
    assert not first & second


def test_a_domain_without_reports_loses_its_rows(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for(keep_reports_days=5)
    store(engine, settings, TODAY - dt.timedelta(days=8))
    on_day(engine, settings, TODAY - dt.timedelta(days=7)).run_once()
    store(engine, settings, TODAY, domain=OTHER)
    assert rows(engine)
    retention.prune(engine, settings, noon(TODAY))
    on_day(engine, settings).run_once()
    assert rows(engine) == []
    assert [row["policy_domain"] for row in rows(engine, OTHER) if row["newest"]] == [OTHER]


def test_old_rows_go_by_their_setting(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for(keep_verdicts_days=10)
    for ago in (30, 1):
        store(engine, settings, TODAY - dt.timedelta(days=ago))
    on_day(engine, settings).run_once()
    assert retention.prune(engine, settings, noon(TODAY)).verdicts == DAYS - 11
    assert min(names_by_day(engine)) == TODAY - dt.timedelta(days=10)


def test_who_asks_never_sees_an_old_answer(engine: sa.Engine, settings_for: MakeSettings) -> None:
    """Between two rounds of an assessor, or without any: what does not hold is computed by who asks."""
    settings = settings_for()
    question = Question.of(settings, TODAY)
    for domain in (DOMAIN, OTHER):
        for ago in range(25, 0, -1):
            for signer in ("google.com", "microsoft.com"):
                store(engine, settings, TODAY - dt.timedelta(days=ago), domain=domain, signer=signer)

    def seen() -> dict[str, str]:
        return {each.domain: each.name for each in verdicts.current(engine, question, [DOMAIN, OTHER])}

    assert seen() == {DOMAIN: "ready", OTHER: "ready"}
    assert ranking(engine, question).counts == {"ready": 2}
    on_day(engine, settings).run_once()
    store(engine, settings, TODAY - dt.timedelta(days=2), failed=900, signer="microsoft.com")
    assert seen() == {DOMAIN: "not-ready", OTHER: "ready"}
    ranked = ranking(engine, question)
    assert [(each.domain, each.verdict) for each in ranked.summaries] == [(DOMAIN, "not-ready"), (OTHER, "ready")]
    assert ranked.counts == {"not-ready": 1, "ready": 1}
    assert [each.decided_at is None for each in ranked.summaries] == [True, False]
    assert [each.domain for each in ranking(engine, question, verdict="ready").summaries] == [OTHER]
    assert [each.domain for each in ranking(engine, question, "other").summaries] == [OTHER]
    assert ranking(engine, question, limit=1, offset=1).summaries[0].domain == OTHER
    days = dict(verdicts.by_day(engine, question, DOMAIN, seen()[DOMAIN], DAYS))
    assert days == recomputed(engine, settings)
    on_day(engine, settings).run_once()
    assert seen() == {DOMAIN: "not-ready", OTHER: "ready"}
    assert dict(verdicts.by_day(engine, question, DOMAIN, seen()[DOMAIN], DAYS)) == days
    tomorrow = question.about(TODAY + dt.timedelta(days=1))
    assert assessed.outdated(engine, tomorrow, "", 10) == [OTHER, DOMAIN]


def test_days_before_the_first_report_are_like_each_other(engine: sa.Engine, settings_for: MakeSettings) -> None:
    """The strip of a new domain, or of one about which nothing counts, needs no verdict for each day."""
    settings = settings_for()
    question = Question.of(settings, TODAY)
    for ago in range(5, 0, -1):
        store(engine, settings, TODAY - dt.timedelta(days=ago), failed=ago == 2)
    store(engine, settings, TODAY - dt.timedelta(days=9), domain=OTHER, trust=UNVERIFIED)
    for domain, first in ((DOMAIN, TODAY - dt.timedelta(days=4)), (OTHER, None)):
        assert assessed.first_word(engine, question, domain) == first
        expected = recomputed(engine, settings, domain=domain)
        assert dict(verdicts.by_day(engine, question, domain, expected[TODAY], DAYS)) == expected
    day = TODAY - dt.timedelta(days=20)
    overrides.give(engine, OTHER, OwnThresholds(reporters=1), overrides.Act("alice", noon(day), "one is enough"))
    assert assessed.first_word(engine, question, OTHER) == day


def test_nobody_sees_another_domain(engine: sa.Engine, settings_for: MakeSettings) -> None:
    settings = settings_for()
    for domain in (DOMAIN, OTHER):
        store(engine, settings, TODAY, domain=domain)
    on_day(engine, settings).run_once()
    question = Question.of(settings, TODAY, Scope((OTHER,)))
    assert [each.domain for each in ranking(engine, question).summaries] == [OTHER]
    assert sum(ranking(engine, question).counts.values()) == 1
    assert assessed.ranked_of(engine, question.scope, [DOMAIN]) == []
    assert assessed.by_day(engine, question, DOMAIN, TODAY - dt.timedelta(days=60)) == {}
    with engine.connect() as connection:
        assert set(assessed.documents_from(connection, question, [DOMAIN, OTHER])) == {OTHER}


def test_more_than_can_be_decided_at_once_are_said_to_wait(
    engine: sa.Engine, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.fleet_verdicts.MOST_COMPUTED", 2)
    settings = settings_for()
    question = Question.of(settings, TODAY)
    for number in range(3):
        store(engine, settings, TODAY, domain=f"d{number}.example")
    assert ranking(engine, question).waiting
    assert ranking(engine, question).summaries == []
    on_day(engine, settings).run_once()
    assert not ranking(engine, question).waiting
    assert ranking(engine, question).total == 3
