"""A failing host is held against the policy quoted beside it and the one in force, and against what operator or probe name."""

import msgspec
import pytest

from dashboard.decision.evidence import Acceptance, Entry, Failure, Probe, ProbedHost, QuotedPolicy
from dashboard.decision.facts.failures import is_mx_host
from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    WITHDRAWN,
    Verdict,
)
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    NONE,
    ON,
    OTHER,
    START,
    TESTING,
    codes,
    daily,
    entry,
    failure,
    judge,
    quotes_of,
    reason,
)

ELSEWHERE = "mx7.elsewhere.example"


@pytest.mark.parametrize(
    ("result_type", "code"),
    [
        ("validation-failure", "MX_HOSTS_MISMATCH"),
        ("validation-failure", ""),
        ("certificate-host-mismatch", ""),
        ("sts-policy-invalid", ""),
        ("sts-policy-fetch-error", ""),
        ("dnssec-invalid", ""),
        ("something-new", "42"),
    ],
)
def test_a_host_that_the_quoted_policy_lacks(result_type: str, code: str) -> None:
    verdict = judge(*daily(), entry(END, GOOGLE, 20, failure(result_type, 3, ELSEWHERE, reason=code)))
    assert (verdict.name, verdict.refused) == (NOT_READY, 3)
    (cause,) = verdict.causes
    assert (cause.result_type, cause.mx_host, cause.group) == ("mx-not-in-policy", ELSEWHERE, "mx")
    assert set(cause.reported_as) == {result_type, code} - {""}
    assert (cause.is_listed, cause.fault) == (False, "sender-or-path")
    remark = reason(verdict, "mx-not-in-policy")
    assert (remark.figure, remark.names, remark.voices) == (3, (ELSEWHERE,), (GOOGLE,))


def test_false_answers_on_one_path_stay_with_the_operator() -> None:
    bad = entry(END, GOOGLE, 20, failure("validation-failure", 3, ELSEWHERE))
    word = Acceptance(START, result_type="mx-not-in-policy", mx_host=ELSEWHERE, voice=GOOGLE)
    assert judge(*daily(), bad, acceptances=(word,)).name == READY
    as_reported = Acceptance(START, result_type="validation-failure")
    assert judge(*daily(), bad, acceptances=(as_reported,)).name == READY
    refused = judge(*daily(policy=ENFORCE), msgspec.structs.replace(bad, policy=ENFORCE))
    assert (refused.name, codes(refused)) == (ENFORCING_REFUSING, ["refused-sessions"])


@pytest.mark.parametrize(
    ("host", "is_host", "why"),
    [
        ("mx7.elsewhere.example", True, ""),
        ("MX7.elsewhere.example.", True, ""),
        ("mta-sts.receiver.example", False, "the policy host"),
        ("", False, "none"),
        ("localhost", False, "one label"),
        ("192.0.2.1", False, "an address"),
        ("not a host", False, "no name"),
    ],
)
def test_what_is_no_mx_host_is_not_matched(host: str, is_host: bool, why: str) -> None:
    assert is_mx_host(host) is is_host, why
    verdict = judge(*daily(), entry(END, GOOGLE, 20, failure("validation-failure", 3, host)))
    assert (verdict.causes[0].result_type == "mx-not-in-policy") is is_host


def test_case_and_a_trailing_dot_make_no_other_host() -> None:
    spelt = [failure("certificate-expired", 2, "MX1.Receiver.Example."), failure("certificate-expired", 1)]
    (cause,) = judge(*daily(), entry(END, GOOGLE, 20, *spelt)).causes
    assert (cause.mx_host, cause.sessions) == ("mx1.receiver.example", 3)


# The policy has got a third host some days ago; caches hold the one with two.
THREE = QuotedPolicy("testing", (*TESTING.mx, "mx3.receiver.example"), "three", 604_800)
CHANGE = ON - 20 * DAY


def changed(*more: Entry, old: QuotedPolicy = TESTING, new: QuotedPolicy = THREE) -> Verdict:
    entries = [*daily(CHANGE - 20 * DAY, CHANGE - DAY, policy=old), *daily(CHANGE, policy=new)]
    return judge(*entries, *more, sightings=quotes_of((*entries, *more)))


def test_a_host_that_only_the_policy_in_force_covers() -> None:
    bad = entry(END, GOOGLE, 5, failure("validation-failure", 4, "mx3.receiver.example"), policy=TESTING)
    verdict = changed(bad)
    assert (verdict.name, verdict.refused) == (READY, 0)
    remark = reason(verdict, "older-policy-cached")
    assert (remark.figure, remark.names, remark.until) == (4, ("mx3.receiver.example",), CHANGE + 7 * DAY)
    (cause,) = verdict.causes
    assert (cause.consequence, cause.until) == ("older-policy-cached", CHANGE + 7 * DAY)
    # Nor is it an alarm when the older policy enforces: there is nothing to repair.
    enforced = msgspec.structs.replace(TESTING, mode="enforce", max_age=None)
    late = entry(ON - DAY, GOOGLE, 5, failure("validation-failure", 4, "mx3.receiver.example"), policy=enforced)
    verdict = changed(late, old=enforced)
    assert (verdict.name, reason(verdict, "older-policy-cached").until) == (READY, ON - DAY)


def test_a_host_that_neither_covers() -> None:
    bad = entry(END, GOOGLE, 5, failure("validation-failure", 4, ELSEWHERE), policy=TESTING)
    verdict = changed(bad)
    assert (verdict.name, verdict.refused, verdict.causes[0].result_type) == (NOT_READY, 4, "mx-not-in-policy")
    # Before the change it says nothing.
    assert changed(msgspec.structs.replace(bad, day=CHANGE - DAY)).name == READY
    # An ordinary failure under the older policy says nothing either.
    assert changed(entry(END, GOOGLE, 5, failure("certificate-expired", 4), policy=TESTING)).name == READY


def test_who_quotes_no_policy_is_held_against_the_one_in_force() -> None:
    bad = entry(END, MAILRU, 5, failure("certificate-expired", 4, ELSEWHERE), policy=None)
    assert judge(*daily(), bad).causes[0].result_type == "mx-not-in-policy"
    # Who could not fetch it applied none.
    lost = entry(END, MAILRU, 5, failure("sts-policy-fetch-error", 4, ELSEWHERE), policy=None)
    assert judge(*daily(), lost).name == READY
    # Without a policy in force, and under mode none, there is nothing to match.
    unknown = judge(entry(END, MAILRU, 5, failure("certificate-expired", 4, ELSEWHERE), policy=None))
    assert (unknown.name, unknown.causes[0].result_type) == (NOT_READY, "certificate-expired")
    off = judge(*daily(policy=NONE), bad)
    assert (off.name, off.refused) == (WITHDRAWN, 0)


def test_a_host_that_the_operator_names_and_the_policy_lacks() -> None:
    hosts = ("mx1.receiver.example", "MX3.receiver.example")
    verdict = judge(*daily(), mx_hosts=hosts)
    assert (verdict.name, codes(verdict), verdict.mx_missing) == (NOT_READY, ["mx-missing"], ("mx3.receiver.example",))
    assert judge(*daily(policy=ENFORCE), mx_hosts=hosts).name == POLICY_BROKEN
    assert judge(*daily(policy=NONE), mx_hosts=hosts).mx_missing == ()
    assert judge(*daily(), mx_hosts=TESTING.mx).name == READY
    # A cause at such a host is certain.
    bad = entry(END, GOOGLE, 20, failure("validation-failure", 3, "mx3.receiver.example"))
    assert judge(*daily(), bad, mx_hosts=hosts).causes[0].is_listed


def test_a_host_that_a_probe_names_and_the_policy_lacks() -> None:
    probe = Probe(ON, hosts=(ProbedHost("mx1.receiver.example"), ProbedHost("mx3.receiver.example")))
    assert judge(*daily(), probe=probe).mx_missing == ("mx3.receiver.example",)
    assert judge(*daily(), probe=msgspec.structs.replace(probe, day=ON - 2 * DAY)).mx_missing == ()


REACHED = tuple(ProbedHost(host) for host in TESTING.mx)


@pytest.mark.parametrize(
    ("probe", "name", "remark"),
    [
        (Probe(ON, hosts=REACHED), READY, "probe-in-order"),
        (Probe(ON - DAY, hosts=REACHED), READY, "probe-in-order"),
        (Probe(ON - 2 * DAY, hosts=REACHED), INSUFFICIENT, None),
        (Probe(ON, hosts=()), INSUFFICIENT, None),
        (Probe(ON, hosts=REACHED, port25_blocked=True), INSUFFICIENT, "probe-could-not-look"),
        (Probe(ON, hosts=(*REACHED[:1], ProbedHost(TESTING.mx[1], reached=False))), INSUFFICIENT, "probe-host-faults"),
        (
            Probe(ON, hosts=(*REACHED[:1], ProbedHost(TESTING.mx[1], fault="expired"))),
            INSUFFICIENT,
            "probe-host-faults",
        ),
        (Probe(ON, hosts=REACHED, faults=("no record",)), POLICY_BROKEN, None),
    ],
)
def test_a_probe_stands_for_the_second_voice(probe: Probe, name: str, remark: str | None) -> None:
    verdict = judge(*daily(signers=[GOOGLE], successful=40), probe=probe)
    assert verdict.name == name
    assert [code for code in codes(verdict, blocking=False) if code.startswith("probe")] == ([remark] if remark else [])
    if name == INSUFFICIENT:
        assert (verdict.missing[0].options, verdict.missing[0].probe) == (("--reporters 1",), True)


def test_a_probed_host_is_not_without_evidence() -> None:
    seen = entry(START, MICROSOFT, 5, failure("certificate-expired", mx="mx1.receiver.example"))
    assert judge(*daily(), seen).mx_without_evidence == ("mx2.receiver.example",)
    assert judge(*daily(), seen, probe=Probe(ON, hosts=REACHED)).mx_without_evidence == ()


def test_figures_without_details() -> None:
    # A total of none beside details: no session failed. A detail without sessions says nothing.
    assert judge(*daily(), entry(END, GOOGLE, 5, failure("certificate-expired", 2), failed=0)).name == READY
    assert judge(*daily(), entry(END, GOOGLE, 5, failure("certificate-expired", 0))).name == READY
    odd = Failure("certificate-expired", "mx1.receiver.example", 2, None)
    assert judge(*daily(), entry(END, GOOGLE, 5, odd, policy_type="bimi", policy=None)).name == READY
    assert judge(*daily(policy=OTHER, signers=[GOOGLE]), *daily(policy=OTHER, signers=[MAILRU])).name == READY
    assert judge(*daily(policy=ENFORCE)).name == ENFORCING
