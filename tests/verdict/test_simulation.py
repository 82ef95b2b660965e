"""The simulator's own arithmetic, its rules of others, and a short form of it: some worlds of each kind, the same every time."""

import datetime as dt

import msgspec
import numpy as np
import pytest

from benchmarks.verdict import figures, picture, reports, rules, run
from benchmarks.verdict.figures import Delays, Share
from benchmarks.verdict.reports import FIRST
from benchmarks.verdict.run import Outcome
from benchmarks.verdict.worlds import DAYS, MIX, STRANGER_SIGNERS, Fault, Policy, Strangers, World, world
from ingest import settings

SEED = 7
OURS, NO_STS, SUCCESS, WAITING = range(4)


def chosen() -> list[int]:
    """Numbers of the first worlds of each kind."""
    wanted = dict.fromkeys(MIX, 2) | {"constant": 8, "enforce": 8, "clean": 4, "edge": 4}
    found: dict[str, list[int]] = {kind: [] for kind in MIX}
    for number in range(1_000):
        kind = world(SEED, number).kind
        if len(found[kind]) < wanted[kind]:
            found[kind].append(number)
    assert {kind: len(numbers) for kind, numbers in found.items()} == wanted
    return [number for numbers in found.values() for number in numbers]


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return run.together(SEED, chosen(), step=8, phase=0)


def invented(**changes: object) -> World:
    """A quiet world with one host and two senders of 100 sessions a day."""
    plain = next(one for one in (world(SEED, n) for n in range(100)) if one.kind == "clean" and len(one.senders) >= 2)
    senders = tuple(
        msgspec.structs.replace(
            one, volume=100.0, weekend=1.0, cache_days=0, quotes_policy=True, dane=False, details="exact"
        )
        for one in plain.senders[:2]
    )
    host = msgspec.structs.replace(plain.hosts[0], weight=1.0)
    quiet = {"hosts": (host,), "senders": senders, "loss": 0.0, "late": 0.0, "forger": "", "dane_fault": None}
    quiet["strangers"] = None
    return msgspec.structs.replace(plain, **(quiet | {"policies": (Policy(0, "testing", (host.name,)),)} | changes))


def test_a_world_and_its_reports_are_the_same_every_time() -> None:
    assert world(SEED, 3) == world(SEED, 3) != world(SEED + 1, 3)
    assert reports.life(SEED, world(SEED, 3))[0] == reports.life(SEED, world(SEED, 3))[0]


def test_the_truth_of_a_fault() -> None:
    fault = Fault("certificate-expired", 0.5, first=50, last=60)
    written, truth = reports.life(SEED, invented(faults=(fault,)))
    assert truth.rate_lately(51) == pytest.approx(0.5)
    assert (truth.rate_lately(50), truth.rate_lately(61)) == (0.0, 0.0)
    # Span of day 56: days 40 to 53, four of them with the fault.
    assert truth.span_rate(56) == pytest.approx(0.5 * 4 / 14)
    assert [truth.is_clean(day) for day in (49, 50, 75, 76)] == [True, False, False, True]
    failed = [one for one in written if b"certificate-expired" in one.document]
    assert len(failed) == 20
    assert truth.refused.sum() == pytest.approx(0.5 * 10 * 200, rel=0.1)


def test_one_senders_fault_is_a_part_of_the_truth() -> None:
    _, truth = reports.life(SEED, invented(faults=(Fault("certificate-expired", 0.5, 50, 60, sender=1),)))
    assert truth.rate_lately(51) == pytest.approx(0.25)


def test_a_new_set_of_hosts_begins_a_new_span() -> None:
    before, after = Policy(0, "testing", ("mx1.receiver.example",)), Policy(40, "testing", ("mx9.receiver.example",))
    faulty = invented(policies=(before, after), faults=(Fault("certificate-expired", 1.0, 0, 40),))
    _, truth = reports.life(SEED, faulty)
    assert [truth.span_rate(day) for day in (40, 42, 43, 56)] == [0.0] * 4
    assert (truth.span_rate(39), truth.earliest(39), truth.earliest(40)) == (1.0, 16, 56)


def test_what_a_sender_cannot_report_is_true_all_the_same() -> None:
    lost = invented(loss=1.0, faults=(Fault("certificate-expired", 1.0, 0, DAYS),))
    written, truth = reports.life(SEED, lost)
    assert (written, truth.span_rate(30)) == ([], 1.0)


def test_enough_to_see() -> None:
    _, truth = reports.life(SEED, invented())
    assert [truth.enough(day) for day in (3, 4, 5)] == [False, True, True]
    # Two who say under which policy, with too few sessions; a third with many that quotes none.
    first, second = invented().senders
    few = [msgspec.structs.replace(one, volume=10.0) for one in (first, second)]
    mute = msgspec.structs.replace(first, quotes_policy=False, signer="mute.example")
    for senders, enough in (((first, mute), False), ((*few, mute), False), ((first, second), True)):
        assert reports.life(SEED, invented(senders=senders))[1].enough(30) == enough


def test_mail_is_refused_by_what_is_in_caches() -> None:
    quiet = invented()
    slow = msgspec.structs.replace(quiet.senders[1], cache_days=7)
    (host,) = (one.name for one in quiet.hosts)
    lives = [Policy(day, mode, (host,)) for day, mode in ((0, "testing"), (30, "enforce"), (60, "testing"))]
    fault = Fault("certificate-expired", 1.0, 50, 70)
    for senders, last in ((quiet.senders, 59), ((quiet.senders[0], slow), 66)):
        _, truth = reports.life(SEED, invented(senders=senders, policies=tuple(lives), faults=(fault,)))
        refused = [day for day in range(DAYS) if truth.mail_is_refused(day)]
        assert refused == list(range(52, last + 3))
        assert [truth.nothing_is_refused(day) for day in (49, 50, last + 16, last + 17)] == [True, False, False, True]


def verdicts_of(monkeypatch: pytest.MonkeyPatch, listed: bool = False, **changes: object) -> dict[int, str]:
    """What is said about an invented world, every fourth day."""
    monkeypatch.setattr(run, "world", lambda _seed, _number: invented(**changes))
    (outcome,) = run.together(SEED, [0], step=4, phase=0, listed=listed)
    return {one.day: one.verdict for one in outcome.days if one.regular}


@pytest.mark.parametrize("claim", ["none", "hosts", "enforce"])
@pytest.mark.parametrize(("patience", "at_once"), [(0, False), (30, True)])
def test_a_stranger_names_no_other_policy(
    monkeypatch: pytest.MonkeyPatch, claim: str, patience: int, at_once: bool
) -> None:
    they = Strangers(claim, ("stranger.example",), 40, DAYS, patience, at_once)
    assert {name for day, name in verdicts_of(monkeypatch, strangers=they).items() if day >= 20} == {"ready"}


def test_a_patient_stranger_names_another_policy_for_two_weeks(monkeypatch: pytest.MonkeyPatch) -> None:
    they = Strangers("none", ("stranger.example",), 40, DAYS, 20)
    found = verdicts_of(monkeypatch, strangers=they)
    assert [day for day, name in found.items() if day >= 20 and name != "ready"] == [64, 68, 72]


def test_no_stranger_hides_an_alarm(monkeypatch: pytest.MonkeyPatch) -> None:
    (host,) = (one.name for one in invented().hosts)
    lives = Policy(0, "testing", (host,)), Policy(30, "enforce", (host,))
    fault = Fault("certificate-expired", 0.2, 60, DAYS)
    for claim in ("testing", "none", "hosts"):
        they = Strangers(claim, STRANGER_SIGNERS, 38, DAYS, 20)
        found = verdicts_of(monkeypatch, kind="enforce", policies=lives, faults=(fault,), strangers=they)
        assert {name for day, name in found.items() if day >= 62} == {"enforcing-refusing"}


def test_strangers_prove_what_they_like_unless_signers_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(msgspec.structs.replace(one, volume=2.0) for one in invented().senders)
    they = Strangers("clean", STRANGER_SIGNERS, 30, DAYS, 0)
    fooled = verdicts_of(monkeypatch, senders=few, strangers=they)
    assert (fooled[28], fooled[40]) == ("insufficient-evidence", "ready")
    listed = verdicts_of(monkeypatch, listed=True, senders=few, strangers=they)
    assert {name for day, name in listed.items() if day >= 4} == {"insufficient-evidence"}


def test_shares_and_delays() -> None:
    assert str(Share(1, 20)) == "1/20 = 5.00% (0.13%-24.87%)"
    assert (Share(0, 0).value, str(Share(0, 0)), Share(3, 3).interval[1]) == (0.0, "0/0", 1.0)
    known = Delays((1, None, 0, 3, 9))
    assert (known.never, known.later_than(3)) == (Share(1, 5), Share(2, 5))
    assert str(known).startswith("median 1, p90 9, on already 1, never 1/5")
    assert str(Delays((None,))) == "never (1 worlds)"


@pytest.mark.parametrize(
    ("failed", "sts", "testing", "ready", "alarm"),
    [
        (0, 0, True, (True, True, True), (False, False)),
        (1, 0, True, (True, False, True), (False, True)),
        (0, 1, True, (False, True, True), (True, False)),
        (0, 0, False, (True, True, False), (False, False)),
    ],
)
def test_the_rules_of_others(
    failed: int, sts: int, testing: bool, ready: tuple[bool, ...], alarm: tuple[bool, ...]
) -> None:
    on = FIRST + dt.timedelta(days=60)
    long_ago, yesterday = on.toordinal() - 14, on.toordinal() - 1
    rows = [(long_ago, long_ago + 1, 50, 0, 0, testing), (yesterday, yesterday + 1, 49, failed, sts, testing)]
    others = rules.Others(rows)
    assert tuple(others.ready(on).values()) == ready
    assert tuple(others.alarm(on).values()) == (*alarm, False)
    assert not any(others.ready(on - dt.timedelta(days=1)).values())
    # What has not arrived is not known; without any report nothing is.
    late = rules.Others([rows[0], (yesterday, yesterday + 2, 49, 9, 9, testing)])
    assert not any(late.alarm(on).values())
    assert not any(rules.Others([]).ready(on).values())


def test_ours_keeps_its_promise_where_the_others_do_not(outcomes: list[Outcome]) -> None:
    false_ready = [figures.false_ready(outcomes, rule) for rule in range(4)]
    assert false_ready[OURS].of >= 100
    assert false_ready[OURS].value <= 0.05
    assert all(share.value > false_ready[OURS].value for share in false_ready[1:])
    late = [figures.late_alarms(outcomes, rule) for rule in range(4)]
    assert late[OURS].of >= 3
    assert late[OURS].count == 0
    assert all(share.count > 0 for share in late[1:])
    assert figures.false_alarms(outcomes, OURS).count == 0


def test_clean_worlds_become_ready_on_the_first_possible_day(outcomes: list[Outcome]) -> None:
    assert set(figures.to_ready(outcomes, OURS, enough=True).days) == {16}
    assert set(figures.to_ready(outcomes, WAITING, enough=True).days) == {14}


def test_the_worlds_tell_a_careless_rule_from_a_careful_one(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = [number for number in chosen() if world(SEED, number).kind in ("edge", "constant")]
    monkeypatch.setattr(run, "usual_settings", lambda: settings.load(verdict_bound=0.5, verdict_window_days=2))
    assert figures.false_ready(run.together(SEED, edge, step=16, phase=0), OURS).value > 0.05


def test_every_kind_of_verdict_comes_about(outcomes: list[Outcome]) -> None:
    seen = {day.verdict for outcome in outcomes for day in outcome.days}
    assert seen >= {"ready", "not-ready", "insufficient-evidence", "no-policy", "policy-broken", "enforcing"}
    assert "enforcing-refusing" in seen


def test_the_picture_and_the_table_show_every_rule(outcomes: list[Outcome]) -> None:
    svg = picture.drawn(outcomes)
    assert all(rule in svg for rule in run.RULES)
    assert svg.count('class="ours"') == 4
    assert all(len(cells) == 4 for _, cells in figures.table(outcomes))


def test_outcomes_can_be_kept(outcomes: list[Outcome]) -> None:
    assert msgspec.json.decode(msgspec.json.encode(outcomes), type=list[Outcome]) == outcomes


def test_volumes_are_heavy_tailed() -> None:
    volumes = np.array([sender.volume for number in range(400) for sender in world(SEED, number).senders])
    assert 5 < np.median(volumes) < 40
    assert volumes.max() > 1_000
