"""The rollup of what voices say: evidence read through it is that read from the reports, whatever has happened to them."""

import datetime as dt
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from dashboard.queries import evidence as queries
from dashboard.queries.months import Months, Names, Quote
from dashboard.queries.question import DayRange, Question
from ingest.authentication.verdict import Authentication
from ingest.database.models import report, voice_month
from ingest.settings.settings import Settings
from ingest.spool import channels
from ingest.store import saving, voice_months
from ingest.store.upkeep import retention
from ingest.submissions import Submission
from ingest.testimony.trust import EVIDENCE, IMPORTED, UNAUTHENTICATED, UNDETERMINED, UNVERIFIED, VERIFIED
from tests.reports import detail, entry, report_json
from tests.stored import submission

MakeSettings = Callable[..., Settings]

TODAY = dt.date(2026, 3, 20)
DAY = dt.timedelta(days=1)
DOMAINS = ("receiver.example", "other.example")
SIGNERS = ("google.com", "sender.example", "relay.example", "stranger.example")
TRUSTS = (VERIFIED, VERIFIED, VERIFIED, IMPORTED, UNVERIFIED, UNAUTHENTICATED)
POLICIES = (
    ["version: STSv1", "mode: testing", "mx: *.receiver.example", "max_age: 604800"],
    ["version: STSv1", "mode: enforce", "mx: *.receiver.example", "max_age: 604800"],
    ["version: STSv1", "mode: enforce", "mx: mx.receiver.example", "max_age: 86400"],
    ["nothing that can be read"],
)
HISTORY, LONGEST_DELAY = 500, 60


class FromReports(Months):
    """The same, read from the reports and nothing else."""

    def quotes(self) -> list[Quote]:
        rows = [Quote(*row) for row in self.connection.execute(self._quotes_of_reports())]
        return sorted(rows, key=lambda quote: (quote.first_day, quote.policy_digest, quote.voice))

    def names(self, since: dt.date, before: dt.date) -> list[Names]:
        days = DayRange(since, before - DAY).holds(report.c.day)
        rows = [Names(*row) for row in self.connection.execute(self._names_of_reports(days))]
        newest: dict[tuple[str, str, str, str, str], dt.datetime] = {}
        for row in rows:
            newest[row[:5]] = max(row.newest, newest.get(row[:5], row.newest))
        return [Names(*name[:5], last) for name, last in newest.items()]

    def loaded(self) -> Mapping[str, set[str]]:
        voices: dict[str, set[str]] = {}
        for domain, voice in self.connection.execute(self._loaded_reports()):
            voices.setdefault(domain, set()).add(voice)
        return voices


class Life:
    """What happens to the reports of an installation, at random."""

    def __init__(self, engine: sa.Engine, make_settings: MakeSettings, seed: int) -> None:
        self.engine = engine
        self._make_settings = make_settings
        self._settings = make_settings()
        self._chance = random.Random(seed)
        self._told: list[tuple[dict[str, Any], dt.date, str]] = []

    def step(self) -> None:
        """Anything."""
        chance = self._chance.random()
        if chance < 0.75 or not self._told:
            self._save([self._new() for _ in range(self._chance.choice((1, 5, 20)))])
        elif chance < 0.9:
            self.tell_again(self._chance.choice((1, 3)))
        elif chance < 0.95:
            self.second_look()
        else:
            self.prune(self._chance.choice((0, 300, 400)))

    def prune(self, keep_days: int) -> None:
        """Forget the oldest reports; the rollup is renewed."""
        now = dt.datetime.combine(TODAY, dt.time(12), dt.UTC)
        settings = self._make_settings(keep_reports_days=keep_days)
        retention.prune(self.engine, settings, now, force=True, rows_at_once=self._chance.choice((200, 5_000)))

    def tell_again(self, number: int) -> None:
        """Reports come once more, by any way."""
        self._save([self._submission(*self._chance.choice(self._told)) for _ in range(number)])

    def _new(self) -> Submission:
        day = TODAY - DAY * self._chance.choice((self._chance.randint(-2, 40), self._chance.randint(1, HISTORY)))
        signer = self._chance.choice(SIGNERS)
        policies: list[list[str]] = self._chance.choice(([*POLICIES[:1]], [*POLICIES[:2]], [*POLICIES], []))
        chosen = self._chance.sample(policies, min(len(policies), self._chance.choice((1, 1, 2))))
        entries = [self._entry(policy) for policy in chosen] or [entry(5, 0, policy_type="no-policy-found")]
        value = report_json(*entries, day=str(day), report_id=f"{day} {self._chance.randint(1, 3)}")
        value["organization-name"] = self._chance.choice((signer, "Mail Service Inc.", "Some Sender"))
        value["contact-info"] = self._chance.choice((f"tls@{signer}", "tls@sender.example", ""))
        if self._chance.random() < 0.1:
            value["date-range"]["end-datetime"] = f"{day + 6 * DAY}T23:59:59Z"
        self._told.append((value, day, signer))
        return self._submission(*self._told[-1])

    def _entry(self, policy: list[str]) -> dict[str, Any]:
        failed = [detail("certificate-expired", 1)] if self._chance.random() < 0.2 else []
        domain = self._chance.choice(DOMAINS)
        return entry(self._chance.randint(1, 50), len(failed), *failed, policy_string=policy, policy_domain=domain)

    def _submission(self, value: dict[str, Any], day: dt.date, signer: str) -> Submission:
        delay = DAY * self._chance.choice((1, 1, 2, self._chance.randint(1, LONGEST_DELAY)))
        arrived_at = dt.datetime.combine(day + delay, dt.time(self._chance.randint(0, 23)), dt.UTC)
        trust = self._chance.choice(TRUSTS)
        submitted = submission(value, self._settings, trust=trust, arrived_at=arrived_at, signer=signer)
        if trust != VERIFIED or self._chance.random() < 0.7:
            return submitted
        decoded = submitted.decoded
        loaded = msgspec.structs.replace(decoded.arrival, door=channels.LOAD)
        return msgspec.structs.replace(submitted, decoded=msgspec.structs.replace(decoded, arrival=loaded))

    def _save(self, submissions: list[Submission]) -> None:
        with self.engine.begin() as connection:
            saving.save(connection, submissions, dt.datetime.now(dt.UTC))

    def second_look(self) -> None:
        """A mail waits for DNS, the operator loads it meanwhile, and then its signature can be verified."""
        settled = self._new()
        waiting = msgspec.structs.replace(settled, authentication=Authentication(UNDETERMINED), trust=UNVERIFIED)
        self._save([waiting])
        if self._chance.random() < 0.5:
            self._save([msgspec.structs.replace(waiting, trust=self._chance.choice((IMPORTED, UNVERIFIED)))])
        with self.engine.begin() as connection:
            saving.settle(connection, waiting, settled, dt.datetime.now(dt.UTC))


def questions_about(chance: random.Random) -> Iterator[Question]:
    """Today, the days around it and the past; uploads trusted or not."""
    for trusts in (EVIDENCE, (*EVIDENCE, UNAUTHENTICATED)):
        today = Question(TODAY, trusts=trusts)
        yield today
        yield today.about(TODAY + DAY * chance.randint(1, 3))
        yield msgspec.structs.replace(today, as_of_then=True)
        for _ in range(6):
            past = today.about(TODAY - DAY * chance.randint(1, HISTORY))
            yield past
            yield msgspec.structs.replace(past, as_of_then=False)


@pytest.mark.parametrize("seed", range(2))
def test_evidence_is_that_of_the_reports(
    engine: sa.Engine, settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    life, chance = Life(engine, settings_for, seed), random.Random(seed)
    for number in range(1, 41):
        life.step()
        if number % 20 == 0:
            for question in questions_about(chance):
                evidence = queries.evidence_of(engine, question, DOMAINS)
                with monkeypatch.context() as patched:
                    patched.setattr(queries, "Months", FromReports)
                    assert evidence == queries.evidence_of(engine, question, DOMAINS), question
    assert any(each.served and each.voices for each in evidence)


@pytest.mark.parametrize("seed", range(2))
def test_rows_are_those_of_the_reports(engine: sa.Engine, settings_for: MakeSettings, seed: int) -> None:
    """What is in doubt may say too much until it is renewed; the others are always right."""
    life = Life(engine, settings_for, seed)
    for _ in range(40):
        life.step()
    life.tell_again(20)
    kept_up = {key_of(row): row for row in rows(engine) if not row["doubtful"]}
    doubtful = {key_of(row) for row in rows(engine) if row["doubtful"]}
    life.prune(0)
    renewed = rows(engine)
    with engine.begin() as connection:
        for domain in DOMAINS:
            voice_months.fill(connection, domain)
    assert rows(engine) == renewed
    assert kept_up == {key_of(row): row for row in renewed if key_of(row) not in doubtful}
    assert kept_up
    assert doubtful


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[column.name] for column in voice_month.primary_key)


def rows(engine: sa.Engine) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        query = sa.select(voice_month).order_by(*voice_month.primary_key)
        return [dict(row) for row in connection.execute(query).mappings()]


def test_a_month_that_goes_day_by_day_is_renewed_when_it_has_gone(
    engine: sa.Engine, settings_for: MakeSettings
) -> None:
    """Until then each prune would read it again."""
    settings = settings_for(keep_reports_days=30)
    with engine.begin() as connection:
        for day in (dt.date(2026, 1, 1), dt.date(2026, 1, 30), dt.date(2026, 2, 1)):
            value = report_json(day=str(day), report_id=str(day))
            saving.save(connection, [submission(value, settings)], dt.datetime.now(dt.UTC))
    for pruned_on, doubtful in (((2026, 2, 20), [True, False]), ((2026, 3, 3), [False])):
        retention.prune(engine, settings, dt.datetime(*pruned_on, tzinfo=dt.UTC), force=True)
        assert [row["doubtful"] for row in rows(engine)] == doubtful


def test_a_verdict_asks_for_some_days_of_a_history(sqlite_engine: sa.Engine, settings_for: MakeSettings) -> None:
    """SQLite's plan of each question: days bound it, or single reports do."""
    life, chance = Life(sqlite_engine, settings_for, 1), random.Random(1)
    for _ in range(30):
        life.step()
    asked: list[tuple[str, Any]] = []
    listener: Callable[..., None] = lambda _connection, _cursor, statement, values, *_more: asked.append(  # noqa: E731
        (statement, values)
    )
    sa.event.listen(sqlite_engine, "before_cursor_execute", listener)
    for question in questions_about(chance):
        queries.evidence_of(sqlite_engine, question, DOMAINS[:1])
    sa.event.remove(sqlite_engine, "before_cursor_execute", listener)
    with sqlite_engine.connect() as connection:
        for statement, values in asked:
            for *_, step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values):
                bound = any(word in step for word in ("day>", "report_key=?", "same_id=?", "voice=?"))
                of_history = re.search(
                    r"\b(report|policy_entry|failure_detail|delivery)\b", step.partition(" USING ")[0]
                )
                assert bound or not of_history, (statement, step)
