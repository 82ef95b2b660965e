"""The simulator's own arithmetic, its rivals, that its shortcut is the pipeline, and a short form of it with controls that fail."""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest

from benchmarks.verdict import __main__ as command
from benchmarks.verdict import cut, figures, picture, reports, rules, run, worlds
from benchmarks.verdict.documents import FIRST, Written
from benchmarks.verdict.figures import Delays, Rate, Share
from benchmarks.verdict.lives import CLAIMS, MIX, world
from benchmarks.verdict.rules import date
from benchmarks.verdict.run import Outcome
from benchmarks.verdict.truth import GONE, REFUSED
from benchmarks.verdict.worlds import DAYS, Fault, Policy, Sender, Strangers, World
from dashboard.decision.evidence import Evidence
from dashboard.decision.verdict import ENFORCING, READY, Verdict, decide
from dashboard.queries.evidence import evidence_of
from dashboard.queries.question import Question

SEED = 7
OURS, NO_FAILURE, SUCCESS, GATE = range(4)
LIMITS = Question.of(run.usual_settings(), date(DAYS)).thresholds
ONE_STRANGER = ("stranger1.example",)


def chosen() -> list[int]:
    """Numbers of the first worlds of each kind."""
    wanted = dict.fromkeys(MIX, 1) | {"constant": 6, "switch": 8, "clean": 2, "start-stop": 6, "edge": 2}
    numbers: dict[str, list[int]] = {kind: [] for kind in MIX}
    for number in range(1_000):
        kind = world(SEED, number).kind
        if len(numbers[kind]) < wanted[kind]:
            numbers[kind].append(number)
    assert {kind: len(of_kind) for kind, of_kind in numbers.items()} == wanted
    return [number for of_kind in numbers.values() for number in of_kind]


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run.together(SEED, chosen(), step=6)


SENDER = Sender("Google Inc.", "google.com", 100.0, 1.0, (10.0, 12.0), (0,), False, False, True, "exact", False, False)
OTHER = msgspec.structs.replace(SENDER, organization="Microsoft Corporation", signer="microsoft.com")
HOST = worlds.Host("mx1.receiver.example", 1.0)
TESTING, ENFORCE = Policy(0, "testing", (HOST.name,)), Policy(30, "enforce", (HOST.name,))


def invented(**changes: Any) -> World:
    """A quiet world with one host and two listed senders of 100 sessions a day."""
    quiet: dict[str, Any] = {
        "number": 0,
        "kind": "invented",
        "domain": "quiet.example",
        "hosts": (HOST,),
        "senders": (SENDER, OTHER),
    }
    return World(**(quiet | {"policies": (TESTING,), "fetch_errors": 0.0} | changes))


def judged(monkeypatch: pytest.MonkeyPatch, step: int = 4, **changes: Any) -> Outcome:
    """The outcome of an invented world."""
    monkeypatch.setattr(run, "world", lambda _seed, _number: invented(**changes))
    (outcome,) = run.together(SEED, [0], step)
    return outcome


def names(outcome: Outcome) -> dict[int, str]:
    return {day.day: day.verdict for day in outcome.days}


def test_a_world_and_its_reports_are_the_same_every_time() -> None:
    assert world(SEED, 3) == world(SEED, 3) != world(SEED + 1, 3)
    assert reports.life(SEED, world(SEED, 3))[0] == reports.life(SEED, world(SEED, 3))[0]


def test_the_truth_of_a_fault() -> None:
    fault = Fault("certificate-expired", 0.5, first=50, last=60)
    written, truth = reports.life(SEED, invented(faults=(fault,)))
    # The week after day 43 has it on one day, that after 49 on all, that after 56 on three; on day 49 nobody can know.
    assert [truth.coming(day) for day in (43, 49, 56, 59)] == pytest.approx([0.5 / 7, 0.5, 1.5 / 7, 0.0])
    assert [truth.coming(day, day - 3) for day in (49, 52, 53)] == pytest.approx([0.0, 0.0, 0.5 * 6 / 7])
    assert [truth.is_clean(day) for day in (49, 50, 75, 76)] == [True, False, False, True]
    assert [truth.is_calm(day) for day in (49, 50, 64, 65)] == [True, False, False, True]
    assert all(truth.is_quiet(day) for day in range(DAYS))  # in testing nobody is refused
    assert len([report for report in written if b"certificate-expired" in report.document]) == 20
    assert truth.refused.sum() == pytest.approx(0.5 * 10 * 200, rel=0.1)
    assert [(repair.last, repair.plenty) for repair in truth.repairs()] == [(59, True)]


def test_alarms_that_are_due() -> None:
    fault = Fault("certificate-expired", 0.5, first=50, last=60)
    _, truth = reports.life(SEED, invented(policies=(TESTING, ENFORCE), faults=(fault,)))
    assert [(alarm.why, alarm.first, alarm.told) for alarm in truth.due()] == [(REFUSED, 50, 51)]
    assert [truth.is_quiet(day) for day in (49, 50, 64, 65)] == [True, False, False, True]
    slow = msgspec.structs.replace(SENDER, caches=(5,))
    _, truth = reports.life(SEED, invented(senders=(slow, OTHER), gone=(70, 80)))
    assert [(alarm.why, alarm.first, alarm.told) for alarm in truth.due()] == [(GONE, 70, 71)]
    assert [day for day in range(DAYS) if truth.without[day] > 150] == list(range(77, 80))  # a week from its cache
    assert not truth.is_quiet(89)


def test_one_senders_fault_is_a_part_of_the_truth() -> None:
    _, truth = reports.life(SEED, invented(faults=(Fault("certificate-expired", 0.5, 50, 60, sender=1),)))
    assert truth.coming(51) == pytest.approx(0.25)


def test_what_a_sender_cannot_report_is_true_all_the_same() -> None:
    lost = invented(loss=1.0, faults=(Fault("certificate-expired", 1.0, 0, DAYS),))
    written, truth = reports.life(SEED, lost)
    assert (written, truth.coming(30)) == ([], 1.0)


def test_enough_to_see_means_known_voices() -> None:
    assert [reports.life(SEED, invented())[1].enough(day) for day in (3, 4, 5)] == [False, True, True]
    unlisted = tuple(msgspec.structs.replace(sender, signer=f"{n}.example") for n, sender in enumerate((SENDER, OTHER)))
    assert [reports.life(SEED, invented(senders=unlisted))[1].enough(day) for day in (30, 31)] == [False, True]


def documents(written: Sequence[Written]) -> list[dict[str, object]]:
    return [msgspec.json.decode(report.document) for report in written]


def modes(document: dict[str, object]) -> list[str]:
    text = msgspec.json.encode(document).decode()
    return [mode for mode in ("testing", "enforce") if f"mode: {mode}" in text]


def test_a_fleet_quotes_two_policies_in_turn() -> None:
    fleet = msgspec.structs.replace(SENDER, caches=(0, 4))
    lives = (TESTING, ENFORCE)
    both = documents(reports.life(SEED, invented(senders=(fleet,), policies=lives))[0])
    assert [modes(document) for document in both[29:35]] == [["testing"], *[["testing", "enforce"]] * 4, ["enforce"]]
    turns = msgspec.structs.replace(fleet, takes_turns=True)
    alone = documents(reports.life(SEED, invented(senders=(turns,), policies=lives))[0])
    assert [modes(document)[0] for document in alone[30:35]] == ["enforce", "testing", "enforce", "testing", "enforce"]


def total(written: Sequence[Written]) -> int:
    sessions = 0
    for document in documents(written):
        for entry in document["policies"]:  # type: ignore[attr-defined]
            sessions += sum(entry["summary"].values())
    return sessions


@pytest.mark.parametrize(("rhythm", "least", "most"), [("week", 17, 17), ("hour", 1_500, 3_000)])
def test_reports_of_another_rhythm_have_the_same_sessions(rhythm: str, least: int, most: int) -> None:
    days = reports.life(SEED, invented(senders=(msgspec.structs.replace(SENDER, volume=30.0),)))[0]
    other = msgspec.structs.replace(SENDER, volume=30.0, rhythm=rhythm)
    written = reports.life(SEED, invented(senders=(other,)))[0]
    assert least <= len(written) <= most
    assert total(written) == total(days[:119] if rhythm == "week" else days)


@pytest.mark.parametrize(
    "changes",
    [
        {"resent": 1.0},
        {"rewritten": 1.0},
        {"senders": (msgspec.structs.replace(SENDER, both_doors=True), OTHER)},
        {"archive": DAYS + 1, "rewritten": 1.0},
        {"forger": "clean", "forger_door": "wrong"},
        {"forger": "alarming", "forger_door": "https"},
    ],
)
def test_copies_and_forgeries_change_no_verdict(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]) -> None:
    plain, other = judged(monkeypatch), judged(monkeypatch, **changes)
    assert names(plain) == names(other)
    assert other.reports > plain.reports or "archive" in changes


def test_the_cut_evidence_is_the_pipelines() -> None:
    numbers = [
        number
        for number in range(60)
        if (candidate := world(SEED, number)).strangers or candidate.archive or candidate.gone
    ][:6]
    numbers += [number for number in range(200) if world(SEED, number).kind in ("mx-change", "switch")][:4]
    lives = [world(SEED, number) for number in numbers]
    written = {life.domain: reports.life(SEED, life)[0] for life in lives}
    signers = {life.domain: life.strangers.signers if life.strangers else () for life in lives}
    without = {
        name: [report for report in all_ if report.signer not in signers[name]] for name, all_ in written.items()
    }
    domains, days = list(written), (0, 1, 7, 31, 64, 95, 119)
    with run.database_of(written.values()) as engine, run.database_of(without.values()) as alone:
        stored = cut.read(engine, domains, date(DAYS))
        for day in days:
            question = Question(date(day), thresholds=LIMITS, as_of_then=True)
            pipeline = evidence_of(engine, question, domains)
            assert [stored[name].on(date(day), LIMITS) for name in domains] == pipeline
            # Cut from what has the strangers' reports, held against a database that never had them.
            pipeline = evidence_of(alone, question, domains)
            assert [stored[name].on(date(day), LIMITS, signers[name]) for name in domains] == pipeline


def test_the_operator_switches_on_the_verdicts_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = judged(monkeypatch, step=1, switch="advised")
    assert outcome.switched == 18  # asked every other day: ready on day 17
    assert {name for day, name in names(outcome).items() if day > 18} == {ENFORCING}
    before, after = invented(switch="advised"), invented(switch="advised").switched(18)
    mails = [
        [report for report in reports.life(SEED, which)[0] if report.received_at.date() <= date(18)]
        for which in (before, after)
    ]
    assert mails[0] == mails[1]


@pytest.mark.parametrize("claim", CLAIMS)
@pytest.mark.parametrize(("domains", "at_once"), [(1, False), (1, True), (5, False)])
def test_strangers_move_nothing_in_two_weeks_and_a_half(
    monkeypatch: pytest.MonkeyPatch, claim: str, domains: int, at_once: bool
) -> None:
    signers = tuple(f"stranger{n}.example" for n in range(domains))
    they = Strangers(claim, signers, 40, 58, 14, at_once)
    outcome = judged(monkeypatch, step=2, strangers=they)
    days = [day for day in outcome.days if 40 <= day.day < 68]
    assert len(days) == 14
    assert not any(day.moved[OURS] or day.figures_moved for day in days)
    if claim == "refused":
        assert any(day.moved[NO_FAILURE] for day in days)


def rivals(rows: Sequence[tuple[int, int, int, int, int, bool]], **gate: object) -> rules.Others:
    """Rows are: day, day of arrival, successes, failures, sts failures among them, testing quoted."""
    known: dict[str, object] = {"checks": [True] * DAYS, "modes": ["testing"] * DAYS}
    stored = cut.Stored("quiet.example", (), (), ())
    others = rules.Others(stored, **(known | gate))  # type: ignore[arg-type]
    others.take(rows)
    return others


@pytest.mark.parametrize(
    ("failed", "sts", "testing", "ready", "alarm"),
    [
        (0, 0, True, (True, True, True), (False, False, False)),
        (1, 0, True, (False, False, True), (True, True, False)),
        (1, 1, True, (False, False, False), (True, True, True)),
        (0, 0, False, (False, False, True), (False, False, False)),
    ],
)
def test_the_rivals(failed: int, sts: int, testing: bool, ready: tuple[bool, ...], alarm: tuple[bool, ...]) -> None:
    rows = [(46, 47, 50, 0, 0, testing), (59, 60, 49, failed, sts, testing)]
    assert (rivals(rows).ready(60), rivals(rows).alarm(60)) == (ready, alarm)
    assert rivals(rows).ready(59)[:2] == (False, False)
    # What has not arrived is not known.
    late = rivals([rows[0], (59, 62, 49, 9, 9, testing)])
    assert late.alarm(60) == (False, False, False)


def test_the_gate_has_a_live_check_and_a_longer_clock_without_reports() -> None:
    assert [rivals([]).ready(day)[2] for day in (27, 28)] == [False, True]
    assert rivals([], checks=[False] * DAYS).ready(60) == (False, False, False)
    assert rivals([], checks=[False] * DAYS).alarm(60) == (False, False, True)
    switched = ["testing"] * 50 + ["enforce"] * 5 + ["testing"] * 65
    again = rivals([(day, day + 1, 9, 0, 0, True) for day in range(DAYS - 1)], modes=switched)
    assert [again.ready(day)[2] for day in (49, 52, 68, 69)] == [True, False, False, True]


def test_shares_rates_and_delays() -> None:
    assert str(Share(1, 20)) == "1/20 = 5.00% (0.13%-24.87%)"
    assert (Share(0, 0).value, str(Share(0, 0)), Share(3, 3).interval[1]) == (0.0, "0/0", 1.0)
    assert str(Rate(3, 2.0)) == "1.50 (3 in 2 years)"
    assert Rate(0, 0.0).value == 0.0
    known = Delays((1, None, 0, 3, 9))
    assert (known.never, known.later_than(3)) == (Share(1, 5), Share(2, 5))
    assert str(known) == "median 1, p90 9; never 1 of 5"
    assert (str(Delays((None,))), Delays(()).median) == ("never (of 1)", None)


def test_ours_meets_its_goals_where_the_rivals_do_not(outcomes: list[Outcome]) -> None:
    false_ready = [figures.false_ready(outcomes, rule) for rule in range(4)]
    assert false_ready[OURS].of >= 80
    assert false_ready[OURS].value <= 0.01
    assert min(false_ready[SUCCESS].value, false_ready[GATE].value) > 0.05
    late = [figures.late_alarms(outcomes, rule, (REFUSED,)) for rule in range(4)]
    assert late[OURS].of >= 3
    assert late[OURS].count == 0
    assert late[GATE].count > 0
    assert figures.false_alarms(outcomes, OURS).value <= 1 < figures.false_alarms(outcomes, NO_FAILURE).value
    again = figures.to_ready_again(outcomes, OURS)
    assert (again.median, again.never.count) == (figures.REPAIRED_TO_READY, 0)


def test_clean_worlds_become_ready_on_the_first_possible_day(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = judged(monkeypatch, kind="clean")
    assert figures.to_ready([outcome], OURS).days == (16,)
    assert figures.to_ready([outcome], NO_FAILURE).days == (14,)
    assert not figures.why_withheld([outcome], enough=True)


def trusting(evidence: Evidence) -> Verdict:
    """The planted rule that trusts strangers: every voice is known."""
    known = {name: msgspec.structs.replace(voice, known=True) for name, voice in evidence.voices.items()}
    return decide(msgspec.structs.replace(evidence, voices=known))


def calling(name: str) -> Callable[[Evidence], Verdict]:
    """A rule that always says the same."""
    return lambda evidence: msgspec.structs.replace(decide(evidence), name=name)


@pytest.mark.parametrize("claim", [claim for claim in CLAIMS if claim not in ("clean", "testing")])
def test_a_rule_that_trusts_strangers_is_caught(monkeypatch: pytest.MonkeyPatch, claim: str) -> None:
    they = Strangers(claim, ONE_STRANGER, 26, 50, 14)
    lives = (TESTING, Policy(90, "enforce", (HOST.name,)))
    worlds_: dict[str, Any] = {"strangers": they, "policies": lives}
    assert figures.moved([judged(monkeypatch, **worlds_)], OURS).of > 0
    monkeypatch.setattr(run, "say", trusting)
    assert figures.moved([judged(monkeypatch, **worlds_)], OURS).count > 0


def test_false_proof_of_strangers_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(msgspec.structs.replace(sender, volume=2.0) for sender in (SENDER, OTHER))
    changes: dict[str, Any] = {"senders": few, "strangers": Strangers("clean", ONE_STRANGER, 30, 55, 0)}
    careful = judged(monkeypatch, **changes)
    assert not any(day.moved[OURS] for day in careful.days if day.moved and day.day < 60)
    monkeypatch.setattr(run, "say", trusting)
    assert any(day.moved[OURS] for day in judged(monkeypatch, **changes).days if day.moved)


def test_careless_sleepy_and_jumpy_rules_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    fault = Fault("certificate-expired", 0.2, 50, 60)
    lives = (TESTING, ENFORCE)
    monkeypatch.setattr(run, "say", calling(READY))
    careless = [judged(monkeypatch, faults=(fault,))]
    assert figures.false_ready(careless, OURS).value == 1.0
    assert {line.name for line in figures.table(careless) if not line.is_met} >= {"false ready, days"}
    monkeypatch.setattr(run, "say", calling(ENFORCING))
    sleepy = [judged(monkeypatch, faults=(fault,), policies=lives)]
    assert figures.late_alarms(sleepy, OURS, (REFUSED,)) == Share(1, 1)
    assert figures.to_ready_again([judged(monkeypatch, faults=(fault,))], OURS).days == (None,)
    monkeypatch.setattr(run, "say", calling("enforcing-refusing"))
    jumpy = [judged(monkeypatch, faults=(fault,), policies=lives)]
    assert figures.false_alarms(jumpy, OURS).count == 2  # before the fault and after it
    assert [why for why, _, _ in figures.failing(jumpy)] == ["false alarm"]


def forgetting(evidence: Evidence) -> Verdict:
    """The planted rule that reads successes alone."""
    entries = [msgspec.structs.replace(entry, failed=0, failures=(), unexplained=0) for entry in evidence.entries]
    return decide(msgspec.structs.replace(evidence, entries=tuple(entries)))


def test_a_rule_that_reads_successes_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = [number for number in chosen() if world(SEED, number).kind in ("edge", "constant")]
    monkeypatch.setattr(run, "say", forgetting)
    assert figures.false_ready(run.together(SEED, edge, step=10), OURS).value > 0.05


def test_every_kind_of_verdict_comes_about(outcomes: list[Outcome]) -> None:
    seen = {day.verdict for outcome in outcomes for day in outcome.days}
    assert seen >= {"ready", "not-ready", "insufficient-evidence", "no-policy", "policy-broken", "enforcing"}
    assert "enforcing-refusing" in seen


def test_the_picture_and_the_table_show_every_rule(outcomes: list[Outcome]) -> None:
    svg = picture.drawn(outcomes)
    assert all(rule in svg for rule in run.RULES)
    assert svg.count('class="ours"') == 4
    assert all(len(line.figures) == 4 for line in figures.table(outcomes))


def test_outcomes_can_be_kept(outcomes: list[Outcome]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(outcomes), type=list[Outcome]) == outcomes


def test_a_run_goes_on_where_it_stopped_and_writes_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("simulation")
    page, results, svg = folder / "page.md", folder / "kept.jsonl", folder / "picture.svg"
    page.write_text("before\n<!-- simulation: begin -->\nold\n<!-- simulation: end -->\nafter\n")
    monkeypatch.setattr(run, "world", lambda _seed, number: invented(number=number, domain=f"w{number}.example"))
    options = [
        "x",
        "--seeds",
        "4",
        "--step",
        "20",
        "--results",
        str(results),
        "--docs",
        str(page),
        "--picture",
        str(svg),
    ]
    monkeypatch.setattr("sys.argv", [*options, "--worlds", "1"])
    command.main()
    monkeypatch.setattr("sys.argv", [*options, "--worlds", "2", "--failing", "1"])
    command.main()
    assert "1 of 1 worlds" in capsys.readouterr().err.splitlines()[-1]
    assert len(results.read_bytes().splitlines()) == 2
    text = page.read_text()
    assert text.startswith("before\n<!-- simulation: begin -->\n2 worlds")
    assert text.endswith("<!-- simulation: end -->\nafter\n")
    assert svg.read_text().startswith("<svg")
    monkeypatch.setattr("sys.argv", ["x", "--show", "4:0"])
    assert command.main() == 0
    assert "ready: enough-evidence" in capsys.readouterr().out


def test_volumes_are_heavy_tailed() -> None:
    volumes = np.array([sender.volume for n in range(400) for sender in worlds.senders(np.random.default_rng(n))])
    assert 5 < np.median(volumes) < 40
    assert volumes.max() > 1_000


def test_the_first_day_is_a_monday() -> None:
    assert (FIRST.weekday(), date(1) - FIRST) == (0, dt.timedelta(days=1))
