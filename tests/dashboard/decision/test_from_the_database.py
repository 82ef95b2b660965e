"""Worlds through intake and store, on both engines, and the verdicts that come out of the database."""

import datetime as dt
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from dashboard import verdicts
from dashboard.commands.app import app
from dashboard.commands.verdict import UnknownDomain
from dashboard.decision.verdict import ENFORCING_REFUSING, INSUFFICIENT, NOT_READY, POLICY_BROKEN, READY, Verdict
from dashboard.queries.evidence import domains_of, evidence_of
from dashboard.queries.question import EVERYTHING, Question, Scope
from ingest.authentication.verdict import Authentication
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from ingest.testimony.trust import UNAUTHENTICATED, UNVERIFIED, VERIFIED
from tests import stored
from tests.reports import detail, entry, report_json

MakeSettings = Callable[..., Settings]
DAY = dt.timedelta(days=1)
ON = dt.date(2026, 3, 31)
TESTING = ["version: STSv1", "mode: testing", "mx: mx1.receiver.example", "max_age: 604800"]
ENFORCE = ["version: STSv1", "mode: enforce", "mx: mx1.receiver.example", "max_age: 604800"]
OTHER = ["version: STSv1", "mode: testing", "mx: mx9.receiver.example", "max_age: 604800"]
SIGNERS = {"google.com": "Google Inc.", "microsoft.com": "Microsoft Corporation"}


class World:
    """Reports about receiver.example, each signed by its sender and taken ten hours after its day's end."""

    def __init__(self, engine: sa.Engine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings

    def report(
        self, day: dt.date, signer: str, *entries: Any, received_at: dt.datetime | None = None, trust: str = VERIFIED
    ) -> None:
        number = json.dumps([str(day), signer, entries], default=str)
        document = report_json(
            *entries, day=str(day), organization_name=SIGNERS.get(signer, signer), report_id=str(hash(number))
        )
        arrival = received_at or dt.datetime.combine(day + DAY, dt.time(10), dt.UTC)
        submission = stored.submission(document, self.settings, trust=trust, arrived_at=arrival)
        if trust == VERIFIED:
            submission = msgspec.structs.replace(
                submission, authentication=Authentication(VERIFIED, "", signer, "s1", "v=DKIM1; p=abc")
            )
        stored.store_reports(self.engine, [submission])

    def clean(self, first: dt.date, last: dt.date, signers: Iterable[str] = SIGNERS, **changes: Any) -> None:
        for number in range((last - first).days + 1):
            for signer in signers:
                self.report(first + number * DAY, signer, entry(20, 0, **({"policy_string": TESTING} | changes)))

    def verdict(self, on: dt.date = ON, domain: str = "receiver.example", scope: Scope = EVERYTHING) -> Verdict:
        (verdict,) = verdicts.verdicts(self.engine, Question.of(self.settings, ON, scope).about(on), [domain])
        return verdict


@pytest.fixture
def world(engine: sa.Engine, settings_for: MakeSettings) -> World:
    return World(engine, settings_for(database_url=engine.url.render_as_string(hide_password=False)))


def codes(verdict: Verdict) -> list[str]:
    return [reason.code for reason in verdict.reasons if reason.blocking]


def test_clean_weeks_are_ready(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    verdict = world.verdict()
    assert (verdict.name, verdict.sessions, verdict.reporters, verdict.last_report_day) == (READY, 560, 2, ON - DAY)
    assert verdict.current is not None
    assert (verdict.current.policy.mx, verdict.current.since) == (("mx1.receiver.example",), ON - 30 * DAY)
    assert verdict.silent == ()


def test_a_failure_is_attributed_and_blocks(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    failing = entry(5, 3, detail("certificate-expired", 2), detail("starttls-not-supported", 1), policy_string=TESTING)
    world.report(ON - 5 * DAY, "google.com", failing)
    verdict = world.verdict()
    assert (verdict.name, verdict.refused, codes(verdict)) == (NOT_READY, 3, ["refused-sessions"])
    assert [(cause.result_type, cause.mx_host, cause.sessions, cause.fault) for cause in verdict.causes] == [
        ("certificate-expired", "mx1.receiver.example", 2, "sender-or-path"),
        ("starttls-not-supported", "mx1.receiver.example", 1, "sender-or-path"),
    ]


def test_microsoft_lists_the_same_sessions_twice(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, ["google.com"])
    for ago in range(1, 31):
        dane = entry(7, 1, detail("tlsa-invalid", 1), policy_type="tlsa", policy_string=["3 1 1 AB0CDE"])
        world.report(ON - ago * DAY, "microsoft.com", dane, entry(7, 0, policy_string=TESTING))
    verdict = world.verdict()
    assert (verdict.name, verdict.sessions) == (READY, 14 * 27)
    assert [(cause.result_type, cause.consequence) for cause in verdict.causes] == [("tlsa-invalid", "dane-only")]


@pytest.mark.parametrize("trust", [UNVERIFIED, UNAUTHENTICATED])
def test_what_nothing_vouches_for_moves_the_verdict_in_neither_direction(world: World, trust: str) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, ["google.com"])
    before = world.verdict()
    for ago in range(1, 31):
        world.report(ON - ago * DAY, "microsoft.com", entry(500, 0, policy_string=TESTING), trust=trust)
        world.report(
            ON - ago * DAY,
            "evil.example",
            entry(0, 9, detail("certificate-expired", 9), policy_string=OTHER),
            trust=trust,
        )
    after = world.verdict()
    assert (before.name, codes(before)) == (INSUFFICIENT, ["too-few-reporters"])
    assert after == before
    world.settings = world.settings.model_copy(update={"trust_uploads": True})
    assert (world.verdict() == before) == (trust == UNVERIFIED)


def test_a_stranger_is_not_believed_for_reports_about_long_ago(world: World) -> None:
    world.clean(ON - 60 * DAY, ON - DAY)
    before = world.verdict()
    today = dt.datetime.combine(ON, dt.time(3), dt.UTC)
    for ago in range(90, 0, -1):
        lines = TESTING if ago > 5 else OTHER
        world.report(ON - ago * DAY, "stranger.example", entry(5, 0, policy_string=lines), received_at=today)
    verdict = world.verdict()
    assert (before.name, verdict.name, verdict.current) == (READY, READY, before.current)
    # Had they come in time, it would be somebody who is known here.
    for ago in range(90, 0, -1):
        lines = TESTING if ago > 5 else OTHER
        world.report(ON - ago * DAY, "known.example", entry(5, 0, policy_string=lines))
    assert world.verdict().name == INSUFFICIENT


def test_only_listed_signers_prove_and_name_the_policy(world: World) -> None:
    strangers = ["stranger.example", "stranger.test"]
    world.clean(ON - 30 * DAY, ON - DAY, ["google.com"])
    world.clean(ON - 200 * DAY, ON - 150 * DAY, strangers, policy_string=OTHER)
    world.clean(ON - 35 * DAY, ON - DAY, strangers, policy_string=OTHER)
    fooled = world.verdict()
    assert (fooled.name, fooled.current.policy.mx) == (READY, ("mx9.receiver.example",))  # type: ignore[union-attr]
    world.settings = world.settings.model_copy(update={"verdict_signers": ("google.com",)})
    verdict = world.verdict()
    # The window reaches back as far as the sessions need it: 299 of 20 a day.
    assert (verdict.name, verdict.sessions, codes(verdict)) == (INSUFFICIENT, 300, ["too-few-reporters"])
    assert verdict.current is not None
    assert (verdict.current.policy.mx, verdict.current.since) == (("mx1.receiver.example",), ON - 30 * DAY)
    assert [reporter.organization for reporter in verdict.propagation] == ["Google Inc."]
    # Whoever is not listed does not name a policy for want of others either, neither now nor long ago.
    world.settings = world.settings.model_copy(update={"verdict_signers": ("nobody.example",)})
    assert (world.verdict().current, codes(world.verdict())) == (None, ["no-known-voice"])
    assert world.verdict(ON + 200 * DAY).current is None
    world.settings = world.settings.model_copy(update={"verdict_signers": ("example",)})  # and all below it
    assert world.verdict(ON + 200 * DAY).current is not None


def test_enforce_and_what_it_refuses(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - 10 * DAY)
    world.clean(ON - 9 * DAY, ON - DAY, policy_string=ENFORCE)
    world.report(ON - 2 * DAY, "google.com", entry(5, 1, detail("certificate-expired"), policy_string=ENFORCE))
    verdict = world.verdict()
    assert (verdict.name, verdict.refused_lately) == (ENFORCING_REFUSING, 1)
    assert verdict.current is not None
    assert (verdict.current.since, verdict.current.mode_since) == (ON - 30 * DAY, ON - 9 * DAY)


def test_a_policy_host_that_is_down(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    fetch = entry(0, 4, detail("sts-policy-fetch-error", 4, receiving_mx_hostname=...), policy_string=...)
    world.report(ON - 6 * DAY, "microsoft.com", fetch)
    verdict = world.verdict()
    assert verdict.name == READY
    assert [reason.code for reason in verdict.reasons if not reason.blocking] == ["few-policy-failures"]
    for ago in (5, 4):
        world.report(ON - ago * DAY, "microsoft.com", fetch)
    assert (world.verdict().name, codes(world.verdict())) == (POLICY_BROKEN, ["policy-failures"])


def test_a_verdict_for_a_past_day_uses_what_had_arrived_by_then(world: World) -> None:
    world.clean(ON - 40 * DAY, ON - DAY)
    past = ON - 10 * DAY
    assert world.verdict(past).name == READY
    late = entry(5, 3, detail("certificate-expired", 3), policy_string=TESTING)
    world.report(
        past - 3 * DAY, "google.com", late, received_at=dt.datetime.combine(past + DAY, dt.time(0, 0, 1), dt.UTC)
    )
    assert world.verdict(past).name == READY
    assert world.verdict(past + DAY).name == NOT_READY


def test_another_policy_restarts_the_clock(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - 11 * DAY, policy_string=OTHER)
    world.clean(ON - 10 * DAY, ON - DAY)
    verdict = world.verdict()
    assert (verdict.name, codes(verdict)) == (INSUFFICIENT, ["clean-days"])
    assert [lack.by for lack in verdict.missing] == [ON + 6 * DAY]


def test_a_text_that_cannot_be_read_is_no_policy(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY, policy_string=["whatever"])
    assert codes(world.verdict()) == ["policy-unknown"]


def test_only_domains_that_may_be_seen(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    world.report(ON - DAY, "google.com", entry(1, 0, policy_domain="other.example", policy_string=TESTING))
    foreign = Scope(("other.example",))
    unknown = world.verdict(domain="never-heard-of.example")
    assert world.verdict(scope=foreign) == msgspec.structs.replace(unknown, domain="receiver.example")
    assert domains_of(world.engine, foreign) == ["other.example"]
    assert domains_of(world.engine, EVERYTHING) == ["other.example", "receiver.example"]


def test_counts_beyond_every_bound(world: World) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    most = 2**53 - 1
    for number in range(3):
        absurd = entry(
            most,
            most,
            *[detail("certificate-expired", most, receiving_mx_hostname=f"mx{n}.x.example") for n in range(4)],
            policy_string=TESTING,
        )
        world.report(ON - 5 * DAY - number * DAY, "google.com", absurd)
    verdict = world.verdict()
    assert (verdict.name, verdict.refused) == (NOT_READY, 3 * most)
    assert json.loads(json.dumps(verdicts.as_json(verdict)))["refused_sessions"] == 3 * most


def test_several_domains_at_once_are_each_their_own(world: World) -> None:
    for name in ("a.example", "b.example"):
        world.clean(ON - 30 * DAY, ON - DAY, policy_domain=name)
    world.report(ON - 4 * DAY, "google.com", entry(1, 1, detail(), policy_domain="b.example", policy_string=TESTING))
    question = Question.of(world.settings, ON)
    together = evidence_of(world.engine, question, ["b.example", "a.example"])
    alone = [evidence_of(world.engine, question, [name])[0] for name in ("b.example", "a.example")]
    assert together == alone
    assert [verdict.name for verdict in verdicts.verdicts(world.engine, question, ["a.example", "b.example"])] == [
        READY,
        NOT_READY,
    ]


def run(world: World, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Any:
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", world.settings.database_url)
    return CliRunner().invoke(app, ["verdict", *arguments])


def test_the_command(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world.clean(ON - 30 * DAY, ON - DAY)
    world.clean(ON - 30 * DAY, ON - DAY, policy_domain="second.example", policy_string=ENFORCE)
    bad = entry(5, 3, detail("certificate-expired", 3), policy_domain="second.example", policy_string=ENFORCE)
    world.report(ON - 5 * DAY, "google.com", bad)
    result = run(world, monkeypatch, "receiver.example", "--on", str(ON))
    assert result.exit_code == 0
    assert result.output.startswith("receiver.example: ready\nYes: this domain's policy may go to enforce.")
    result = run(world, monkeypatch, "SECOND.example.", "--on", str(ON))
    assert result.exit_code == 1
    assert "  certificate-expired at mx1.receiver.example: 3 sessions failed on 2026-03-26.\n" in result.output
    assert "Enforce refused them. Seen by 1 of 2 reporters: Google Inc. 3 (google.com). Suspected: " in result.output
    assert "Next: Repair certificate-expired at mx1.receiver.example (3 sessions)." in result.output
    assert "    To go back to testing: starttally policy next second.example\n" in result.output
    result = run(world, monkeypatch, "--on", str(ON))
    assert result.exit_code == 0
    first, second = (line.split() for line in result.output.splitlines()[1:])
    assert first[:5] == ["second.example", "enforcing-refusing", "enforce", "1,128", "3"]
    assert second[:7] == ["receiver.example", "ready", "testing", "560", "0", "0.54", "%"]
    data = json.loads(run(world, monkeypatch, "second.example", "--json", "--on", str(ON)).output)
    assert (data["verdict"], data["refused_sessions"], data["window_start"]) == ("enforcing-refusing", 3, "2026-03-01")
    assert data["policy"]["policy"]["mode"] == "enforce"
    assert [
        domain["policy_domain"] for domain in json.loads(run(world, monkeypatch, "--json", "--on", str(ON)).output)
    ] == [
        "second.example",
        "receiver.example",
    ]
    assert isinstance(run(world, monkeypatch, "unknown.example").exception, UnknownDomain)
    for wrong in (["--on", "tomorrow"], ["--on", "2026-3-1"], ["not a domain"]):
        assert run(world, monkeypatch, *wrong).exit_code == 2


def test_the_next_step(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY)
    world.clean(today - 5 * DAY, today - 4 * DAY, policy_domain="second.example")
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", world.settings.database_url)

    def policy_next(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["policy", "next", *arguments])

    ready = policy_next("receiver.example")
    assert ready.exit_code == 0
    assert "mode: enforce\nmx: mx1.receiver.example\nmax_age: 86400\n" in ready.output
    assert "_mta-sts.receiver.example. 3600 IN TXT" in ready.output
    assert (
        ready.output.index("mode: enforce") < ready.output.index("The way back") < ready.output.rindex("mode: testing")
    )
    waiting = policy_next("second.example")
    assert (waiting.exit_code, "Wait, and keep the policy" in waiting.output) == (1, True)
    assert isinstance(policy_next("unknown.example").exception, UnknownDomain)
    assert policy_next("receiver.example", "--mx", "not a host").exit_code == 2
    untested = policy_next("receiver.example", "--mx", "mx1.receiver.example", "--mx", "mx9.receiver.example")
    assert (untested.exit_code, "mode: enforce" in untested.output) == (1, False)
    assert "- Untested: mx9.receiver.example." in untested.output
    assert "Nothing is printed: mx9.receiver.example would be enforced untested." in untested.stderr
    forced = policy_next("receiver.example", "--mx", "mx1.receiver.example", "--mx", "mx9.receiver.example", "--force")
    assert forced.exit_code == 0
    assert "mode: enforce\nmx: mx1.receiver.example\nmx: mx9.receiver.example\nmax_age: 86400\n" in forced.stdout
    assert "- Untested: mx9.receiver.example." in forced.stdout


def test_the_next_step_shows_what_a_stranger_wrote_and_does_not_do_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = dt.datetime.now(dt.UTC).date()
    world.clean(today - 30 * DAY, today - DAY)
    evil = detail("evil\x1b[2J\u202e", 3)
    world.report(today - 5 * DAY, "google.com", entry(5, 3, evil, policy_string=TESTING))
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", world.settings.database_url)
    for arguments in (("policy", "next", "receiver.example"), ("verdict", "receiver.example")):
        answer = CliRunner().invoke(app, list(arguments))
        assert (answer.exit_code, "evil" in answer.output) == (1, True)
        assert not {"\x1b", "\u202e"} & set(answer.output)


def test_the_command_on_an_empty_database(settings_for: MakeSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    url = settings_for().database_url
    upgrades.migrate(url)
    monkeypatch.setenv("STARTTALLY_DATABASE_URL", url)
    result = CliRunner().invoke(app, ["verdict"])
    assert (result.exit_code, result.output) == (0, "no domain has a report yet\n")
