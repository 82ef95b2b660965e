"""Each row of the decision table, and each way in which it can be got wrong."""

import msgspec
import pytest

from dashboard.decision.evidence import Acceptance, Entry, QuotedPolicy, Sighting, StatedPolicy, Thresholds
from dashboard.decision.verdict import (
    ENFORCING,
    ENFORCING_REFUSING,
    INSUFFICIENT,
    NO_POLICY,
    NOT_READY,
    POLICY_BROKEN,
    READY,
    URGENCY,
    WITHDRAWN,
    Verdict,
    decide,
    urgency,
)
from dashboard.words import reason_words
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
    evidence,
    failure,
    judge,
    quotes_of,
)

REFUSED_TYPES = [
    "starttls-not-supported",
    "certificate-host-mismatch",
    "certificate-expired",
    "certificate-not-trusted",
    "validation-failure",
    "quantum-handshake-flux",
]
POLICY_TYPES = ["sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"]
DANE_TYPES = ["tlsa-invalid", "dnssec-invalid", "dane-required"]


def figure(of: Verdict, code: str) -> float:
    return next(reason.figure for reason in of.reasons if reason.code == code)


def test_two_clean_weeks_of_two_senders_are_enough() -> None:
    verdict = judge(*daily())
    assert (verdict.name, verdict.window.start, verdict.window.end) == (READY, START, END)
    assert (verdict.reporters, verdict.sessions, verdict.refused) == (2, 14 * 2 * 20, 0)
    assert verdict.bound == pytest.approx(3 / 560, rel=0.01)
    assert codes(verdict) == ["enough-evidence"]
    assert codes(verdict, blocking=False) == []
    assert (verdict.mode, verdict.missing, verdict.silent) == ("testing", (), ())
    assert verdict.last_report_day == ON


@pytest.mark.parametrize("result_type", REFUSED_TYPES)
def test_each_failure_that_enforce_refuses_blocks(result_type: str) -> None:
    verdict = judge(*daily(), entry(END, GOOGLE, 500, failure(result_type, 1)))
    assert (verdict.name, codes(verdict), verdict.refused) == (NOT_READY, ["refused-sessions"], 1)
    (cause,) = verdict.causes
    assert (cause.result_type, cause.mx_host, cause.sessions) == (result_type, "mx1.receiver.example", 1)


@pytest.mark.parametrize("result_type", POLICY_TYPES)
def test_a_policy_that_senders_cannot_get_blocks_and_is_not_refused(result_type: str) -> None:
    # Microsoft's fetch errors name neither hosts nor the policy.
    lost = [entry(ON - DAY, signer, 0, failure(result_type, 3, mx=""), policy=None) for signer in (GOOGLE, MICROSOFT)]
    verdict = judge(*daily(), *lost)
    assert (verdict.name, codes(verdict), verdict.refused) == (POLICY_BROKEN, ["policy-failures"], 0)
    reason = verdict.reasons[0]
    assert (reason.figure, reason.of, reason.names, reason.voices) == (6, 46, (result_type,), (GOOGLE, MICROSOFT))
    assert (reason.since, reason.until) == (ON - DAY, ON - DAY)
    # A single error is a remark.
    verdict = judge(*daily(), lost[0])
    assert (verdict.name, codes(verdict, blocking=False)) == (READY, ["few-policy-failures"])
    assert (verdict.reasons[1].figure, verdict.reasons[1].of, verdict.reasons[1].until) == (3, 23, ON - DAY)


def test_a_policy_failure_that_names_an_mx_is_one_of_the_mx() -> None:
    assert judge(*daily(), entry(END, GOOGLE, 0, failure("sts-policy-invalid", 2))).name == NOT_READY


def test_policy_failures_of_senders_that_found_no_policy_count_too() -> None:
    lost = failure("sts-policy-fetch-error", 2, mx="", policy_type="no-policy-found")
    failing = [entry(ON - ago * DAY, MAILRU, 0, lost, policy=None, policy_type="no-policy-found") for ago in (1, 2, 3)]
    verdict = judge(*daily(), *failing)
    assert (verdict.name, figure(verdict, "policy-failures")) == (POLICY_BROKEN, 6)


@pytest.mark.parametrize("result_type", DANE_TYPES)
def test_dane_failures_change_nothing_and_are_said(result_type: str) -> None:
    dane = failure(result_type, 4, policy_type="tlsa")
    verdict = judge(*daily(), entry(END, MICROSOFT, 0, dane, policy=None, policy_type="tlsa"))
    assert (verdict.name, figure(verdict, "dane-failures")) == (READY, 4)
    assert judge(*daily(), entry(END, MICROSOFT, 0, failure(result_type, 4))).name == READY


def test_successes_under_dane_or_without_a_policy_prove_nothing() -> None:
    proofless = [*daily(policy=None, policy_type="tlsa"), *daily(policy=None, policy_type="no-policy-found")]
    verdict = judge(*proofless, *daily(signers=[GOOGLE], successful=5))
    assert (verdict.name, verdict.sessions) == (INSUFFICIENT, 70)


def test_failures_of_senders_without_a_policy_say_nothing_about_the_switch() -> None:
    failing = failure("certificate-expired", 2, policy_type="no-policy-found")
    verdict = judge(*daily(), entry(END, MAILRU, 5, failing, policy=None, policy_type="no-policy-found"))
    assert (verdict.name, verdict.causes) == (READY, ())


def test_failures_that_no_detail_explains_are_taken_for_the_worst() -> None:
    verdict = judge(*daily(), entry(END, GOOGLE, 90, failed=2, unexplained=2))
    assert (verdict.name, verdict.refused, verdict.causes[0].result_type) == (NOT_READY, 2, "unexplained")
    dane = entry(END, GOOGLE, 90, failed=2, unexplained=2, policy=None, policy_type="tlsa")
    assert judge(*daily(), dane).name == READY


def test_overlapping_details_are_capped_by_the_total() -> None:
    # Mail.ru: two details for one failed session.
    twice = [failure("certificate-expired"), failure("validation-failure")]
    assert judge(*daily(), entry(END, MAILRU, 9, *twice, failed=1)).refused == 1
    assert judge(*daily(), entry(END, MAILRU, 9, *twice, failed=None)).refused == 2


def test_no_policy() -> None:
    verdict = judge(*daily(policy=None, policy_type="no-policy-found"))
    assert (verdict.name, verdict.current) == (NO_POLICY, None)
    assert figure(verdict, "no-policy-found") == 17 * 2 * 20


def test_senders_that_know_dane_only_do_not_make_a_policy_vanish() -> None:
    assert judge(*daily(), *daily(policy=None, policy_type="no-policy-found", signers=[MAILRU])).name == READY


def test_a_policy_that_the_operator_names_is_there_whatever_reports_say() -> None:
    stated = StatedPolicy(TESTING, ON - 2 * DAY)
    verdict = judge(*daily(policy=None, policy_type="no-policy-found"), stated=stated)
    assert (verdict.name, codes(verdict)) == (INSUFFICIENT, ["clean-days", "too-few-reporters", "too-few-sessions"])


def test_a_stated_policy_with_faults_is_broken() -> None:
    stated = StatedPolicy(TESTING, ON, ("no version", "no max_age"))
    verdict = judge(*daily(), stated=stated)
    assert (verdict.name, codes(verdict), verdict.reasons[0].names) == (POLICY_BROKEN, ["policy-faulty"], stated.faults)
    assert judge(*daily(), stated=StatedPolicy(TESTING, ON)).name == READY


def test_a_quoted_mode_that_is_none_is_broken() -> None:
    wrong = msgspec.structs.replace(TESTING, mode="enforced")
    verdict = judge(*daily(policy=wrong))
    assert (verdict.name, verdict.reasons[0].names) == (POLICY_BROKEN, ("mode: enforced",))


def test_a_quoted_policy_without_a_mode_proves_nothing() -> None:
    verdict = judge(*daily(policy=msgspec.structs.replace(TESTING, mode="")))
    assert (verdict.name, codes(verdict)) == (INSUFFICIENT, ["policy-unknown"])


def test_withdrawn() -> None:
    assert judge(*daily(policy=NONE)).name == WITHDRAWN


def test_enforcing() -> None:
    verdict = judge(*daily(policy=ENFORCE))
    assert (verdict.name, codes(verdict)) == (ENFORCING, ["nothing-refused"])
    reason = verdict.reasons[0]
    assert (reason.figure, reason.since, reason.of) == (verdict.sessions, verdict.window.start, verdict.window.days)
    # However little is known: a week of one sender is no reason to sound the alarm.
    young = judge(*daily(ON - 7 * DAY, policy=ENFORCE, signers=[GOOGLE]), since=ON - 7 * DAY)
    assert (young.name, codes(young), young.window.days) == (ENFORCING, ["nothing-refused-so-far"], 5)
    assert (young.sessions, young.reasons[0].since) == (100, ON - 7 * DAY)


def test_enforcing_refusing_is_said_before_anything_else() -> None:
    lost = failure("sts-policy-fetch-error", 3, mx="")
    broken = [entry(END, signer, 0, lost, policy=None) for signer in (GOOGLE, MICROSOFT)]
    refused = entry(END, GOOGLE, 5, failure("certificate-expired", 2), policy=ENFORCE)
    verdict = judge(*daily(policy=ENFORCE), *broken, refused)
    assert (verdict.name, codes(verdict)) == (ENFORCING_REFUSING, ["refused-sessions", "policy-failures"])


STRANGER = "stranger.example"


@pytest.mark.parametrize("claimed", [NONE, TESTING, OTHER])
def test_a_stranger_who_quotes_another_policy_hides_no_alarm(claimed: QuotedPolicy) -> None:
    refused = entry(ON - DAY, GOOGLE, 5, failure("certificate-expired", 2), policy=ENFORCE)
    known = evidence(*daily(policy=ENFORCE), refused)
    newcomer = Sighting(ON - 2 * DAY, STRANGER, claimed)
    verdict = decide(msgspec.structs.replace(known, sightings=(*known.sightings, newcomer)))
    assert (verdict.name, verdict.mode, codes(verdict)) == (ENFORCING_REFUSING, "enforce", ["refused-lately"])
    # One that is known is believed; the alarm stays.
    turncoat = [Sighting(ON - ago * DAY, STRANGER, ENFORCE if ago > 2 else claimed) for ago in range(30, 0, -1)]
    verdict = decide(msgspec.structs.replace(known, sightings=(*known.sightings, *turncoat)))
    assert (verdict.name, verdict.mode, codes(verdict)[0]) == (
        ENFORCING_REFUSING,
        claimed.mode,
        "refused-by-older-policy",
    )
    assert (figure(verdict, "refused-by-older-policy"), verdict.refused_lately, verdict.causes[0].sessions) == (2, 2, 2)


def rolled_back(*entries: Entry, policy: QuotedPolicy = TESTING, old: QuotedPolicy = ENFORCE) -> Verdict:
    """Six days ago Google saw the policy go from ``old`` to ``policy``; Microsoft's cache holds the old one."""
    change = ON - 6 * DAY
    entries = (
        *daily(last=change - DAY, policy=old),
        *daily(change, signers=[GOOGLE], policy=policy),
        *daily(change, signers=[MICROSOFT], policy=old),
        *entries,
    )
    return judge(*entries, sightings=quotes_of(entries))


@pytest.mark.parametrize("now", [TESTING, NONE, OTHER])
def test_what_caches_refuse_after_a_roll_back(now: QuotedPolicy) -> None:
    refused = entry(ON - 2 * DAY, MICROSOFT, 5, failure("certificate-expired", 3), policy=ENFORCE)
    verdict = rolled_back(refused, policy=now)
    assert (verdict.name, verdict.mode, verdict.refused_lately) == (ENFORCING_REFUSING, now.mode, 3)
    reason = verdict.reasons[0]
    assert (reason.code, reason.figure, reason.until) == ("refused-by-older-policy", 3, ON + DAY)
    assert reason.names == ("Microsoft Corporation",)
    assert "3 sessions" in reason_words.in_words(reason, verdict)
    assert reason_words.in_words(reason, verdict).endswith(f"their caches may hold it until {ON + DAY}.")


def test_it_is_over_when_the_newest_days_are_clean() -> None:
    before = entry(ON - 4 * DAY, MICROSOFT, 5, failure("certificate-expired", 3), policy=ENFORCE)
    assert (rolled_back(before).name, rolled_back(before).refused) == (NOT_READY, 3)
    assert (rolled_back(before, policy=NONE).name, rolled_back(before, policy=NONE).refused) == (WITHDRAWN, 0)
    assert rolled_back().name == READY
    # Who quotes testing, or something that nobody enforced before, refuses nothing.
    harmless = entry(ON - 2 * DAY, MICROSOFT, 5, failure("certificate-expired", 3), policy=TESTING)
    assert rolled_back(harmless).name == NOT_READY
    stranger = entry(ON - 2 * DAY, STRANGER, 5, failure("certificate-expired", 3), policy=ENFORCE)
    assert rolled_back(stranger).name == NOT_READY


def test_an_older_policy_of_unknown_age() -> None:
    ageless = msgspec.structs.replace(ENFORCE, max_age=None)
    refused = entry(ON - 2 * DAY, MICROSOFT, 5, failure("certificate-expired", 3), policy=ageless)
    verdict = rolled_back(refused, old=ageless)
    (reason, *_) = verdict.reasons
    assert (reason.code, reason.until) == ("refused-by-older-policy", None)
    assert reason_words.in_words(reason, verdict).endswith(
        "(Microsoft Corporation): their caches hold it for as long as its max_age, which nobody quoted."
    )


def test_the_newest_days_accuse_and_do_not_prove() -> None:
    yesterday = entry(ON - DAY, GOOGLE, 5, failure("certificate-expired", 2))
    verdict = judge(*daily(), yesterday)
    assert (verdict.name, codes(verdict), verdict.refused, verdict.refused_lately) == (
        NOT_READY,
        ["refused-lately"],
        0,
        2,
    )
    assert judge(*daily(START, START + DAY), *daily(ON - DAY, successful=10_000)).sessions == 80


def test_before_the_window_nothing_counts() -> None:
    verdict = judge(*daily(), entry(START - DAY, GOOGLE, 5, failure("certificate-expired", 2)))
    assert (verdict.name, verdict.causes) == (READY, ())


def test_an_unknown_policy_may_block_and_never_proves() -> None:
    verdict = judge(*daily(signers=[GOOGLE], successful=30), *daily(signers=[MICROSOFT], policy=None))
    assert (verdict.name, codes(verdict), verdict.sessions) == (INSUFFICIENT, ["too-few-reporters"], 420)
    assert figure(verdict, "policy-not-quoted") == 280
    verdict = judge(*daily(), entry(END, MAILRU, 5, failure("certificate-expired", 2), policy=None))
    assert (verdict.name, verdict.refused) == (NOT_READY, 2)


def test_without_any_quoted_policy_failures_still_block() -> None:
    clean = judge(*daily(policy=None))
    assert (clean.name, codes(clean)) == (INSUFFICIENT, ["policy-unknown"])
    assert (
        judge(*daily(policy=None), entry(END, GOOGLE, 5, failure("certificate-expired", 2), policy=None)).name
        == NOT_READY
    )


def test_another_set_of_mx_patterns_restarts_the_clock() -> None:
    changed = START + 5 * DAY
    repaired = entry(changed - DAY, MAILRU, 1, failure("certificate-expired"), policy=OTHER)
    entries = [*daily(last=changed - DAY, policy=OTHER), repaired, *daily(changed)]
    sightings = evidence(*entries).sightings
    sightings = tuple(seen for seen in sightings if seen.day >= START)
    verdict = judge(*entries, sightings=sightings)
    assert (verdict.name, codes(verdict), verdict.current.since) == (INSUFFICIENT, ["clean-days"], changed)
    (lack,) = verdict.missing
    assert (lack.have, lack.need, lack.by) == (9, 14, changed + 16 * DAY)
    # On the day that it promises, it is ready.
    later = [*entries, *daily(ON + DAY, lack.by)]
    sightings = tuple(seen for seen in evidence(*later, on=lack.by).sightings if seen.day >= START)
    assert judge(*later, on=lack.by, sightings=sightings).name == READY
    before = lack.by - DAY
    assert judge(*later, on=before, sightings=tuple(s for s in sightings if s.day <= before)).name == INSUFFICIENT


def test_a_voice_is_one_whatever_names_it_uses() -> None:
    several = [
        entry(clean.day, GOOGLE, 20, organization=name) for clean in daily(signers=[GOOGLE]) for name in ("A", "B")
    ]
    verdict = judge(*several)
    assert (verdict.name, verdict.reporters, verdict.by_reporter[0].organization) == (INSUFFICIENT, 1, "B")
    # Loaded and signed reports of one sender are one voice; other domains are others.
    loaded = [entry(clean.day, "", 20, voice=GOOGLE, organization="Google Inc.") for clean in daily(signers=[GOOGLE])]
    assert judge(*loaded, *daily(signers=[GOOGLE])).reporters == 1
    assert judge(*loaded, *daily(signers=[MICROSOFT])).name == READY


def test_reports_without_sessions_are_no_voice() -> None:
    verdict = judge(*daily(signers=[GOOGLE], successful=40), *daily(signers=[MICROSOFT], successful=0))
    assert (verdict.name, codes(verdict)) == (INSUFFICIENT, ["too-few-reporters"])


def test_the_threshold_is_a_choice() -> None:
    few = daily(successful=5)
    assert judge(*few).name == INSUFFICIENT
    verdict = judge(*few, thresholds=Thresholds(bound=0.03), own_thresholds=("bound",))
    assert (verdict.name, codes(verdict, blocking=False)) == (READY, ["own-thresholds"])
    assert judge(*daily(signers=[GOOGLE]), thresholds=Thresholds(reporters=1, bound=0.02)).name == READY


def test_an_accepted_cause_no_longer_blocks() -> None:
    failing = [
        *daily(),
        entry(END, MAILRU, 90, failure("certificate-not-trusted", 3)),
        entry(END, MAILRU, 0, failed=1, unexplained=1),
    ]
    assert judge(*failing).refused == 4
    words = [
        Acceptance(START, voice=MAILRU, result_type="certificate-not-trusted"),
        Acceptance(START, until=ON, voice=MAILRU, result_type="unexplained"),
    ]
    verdict = judge(*failing, acceptances=tuple(words))
    assert (verdict.name, verdict.refused, figure(verdict, "accepted-sessions")) == (READY, 0, 4)
    assert verdict.sessions == 560 + 90
    assert [(cause.sessions, cause.accepted) for cause in verdict.causes] == [(0, 3), (0, 1)]


@pytest.mark.parametrize(
    ("word", "why"),
    [
        (Acceptance(ON + DAY), "not given yet"),
        (Acceptance(START, until=ON - DAY), "expired"),
        (Acceptance(START, result_type="certificate-expired"), "about another cause"),
        (Acceptance(START, mx_host="mx2.receiver.example"), "about another host"),
        (Acceptance(START, voice=GOOGLE), "about another sender"),
    ],
)
def test_a_word_covers_no_more_than_it_says(word: Acceptance, why: str) -> None:
    verdict = judge(*daily(), entry(END, MAILRU, 90, failure("certificate-not-trusted", 3)), acceptances=(word,))
    assert verdict.name == NOT_READY, why


def test_an_accepted_policy_failure_no_longer_breaks() -> None:
    failing = entry(END, MAILRU, 5, failure("sts-policy-fetch-error", 3, mx=""))
    assert judge(*daily(), failing, acceptances=(Acceptance(START, voice=MAILRU),)).name == READY


@pytest.mark.parametrize(
    ("senders", "fault", "downgrade"),
    [
        ([GOOGLE, MICROSOFT], "receiver", False),
        ([GOOGLE], "sender-or-path", True),
    ],
)
def test_whose_fault(senders: list[str], fault: str, downgrade: bool) -> None:
    failing = [entry(END, sender, 5, failure("starttls-not-supported", 2)) for sender in senders]
    (cause,) = judge(*daily(), *failing).causes
    assert (cause.fault, cause.possible_downgrade, cause.reporters, cause.of_reporters) == (
        fault,
        downgrade,
        len(senders),
        2,
    )
    assert (cause.first_day, cause.last_day) == (END, END)


def test_with_one_reporter_nobody_can_tell_whose_fault() -> None:
    (cause,) = judge(*daily(signers=[GOOGLE]), entry(END, GOOGLE, 5, failure("starttls-not-supported", 2))).causes
    assert (cause.fault, cause.possible_downgrade) == ("unclear", False)


def test_hosts_that_no_failure_names_have_no_evidence() -> None:
    seen = entry(START, MAILRU, 5, failure("certificate-expired", mx="MX1.receiver.example."))
    wild = msgspec.structs.replace(TESTING, mx=(*TESTING.mx, "*.receiver.example"))
    verdict = judge(*daily(policy=wild), seen, mx_hosts=("mx3.receiver.example",))
    assert verdict.mx_without_evidence == ("mx2.receiver.example", "mx3.receiver.example")


def test_who_fell_silent() -> None:
    weekly = [entry(ON - days * DAY, MAILRU, 1) for days in (10, 17, 24, 31)]
    long_gone = [entry(START + number * DAY, "gone.example", 1) for number in range(3)]
    twice = [entry(START + number * DAY, "twice.example", 1) for number in range(2)]
    verdict = judge(*daily(), *weekly, *long_gone, *twice)
    assert [(silent.organization, silent.last_day, silent.every_days) for silent in verdict.silent] == [
        ("gone.example", START + 2 * DAY, 1)
    ]
    assert figure(verdict, "silent-reporters") == 1


def test_one_large_reporter_is_said() -> None:
    verdict = judge(*daily(signers=[GOOGLE], successful=500), *daily(signers=[MICROSOFT], successful=2))
    remark = next(reason for reason in verdict.reasons if reason.code == "one-reporter-dominates")
    assert (verdict.name, remark.names, round(remark.figure, 3)) == (READY, ("Google Inc.",), 0.996)


def test_who_still_sees_the_old_policy() -> None:
    entries = [*daily(signers=[GOOGLE], policy=ENFORCE), *daily(signers=[MICROSOFT])]
    verdict = judge(
        *entries,
        since=START - DAY,
        sightings=evidence(*daily(), since=START - 30 * DAY).sightings[:2]
        + evidence(*daily(START + 9 * DAY, signers=[GOOGLE], policy=ENFORCE), since=START + 9 * DAY).sightings,
    )
    assert verdict.mode == "enforce"
    assert [(seen.organization, seen.current) for seen in verdict.propagation] == [
        ("Microsoft Corporation", False),
        ("Google Inc.", True),
    ]
    assert figure(verdict, "old-policy-seen") == 1


def test_long_ranges_are_said() -> None:
    assert figure(judge(*daily(), entry(END, MAILRU, 1, long_range=True)), "long-ranges") == 1


def test_an_old_policy_without_recent_reports() -> None:
    old = evidence(*daily(ON - 40 * DAY, ON - 30 * DAY, policy=ENFORCE), since=ON - 60 * DAY)
    verdict = decide(old)
    assert (verdict.name, codes(verdict, blocking=False)) == (ENFORCING, ["no-recent-evidence", "silent-reporters"])


def test_nothing_at_all() -> None:
    verdict = judge()
    assert (verdict.name, verdict.bound, verdict.last_report_day, verdict.mode) == (INSUFFICIENT, 1.0, None, "")


def test_the_most_urgent_first() -> None:
    enforcing = judge(*daily(policy=ENFORCE))
    refusing = judge(*daily(policy=ENFORCE), entry(END, GOOGLE, 5, failure("certificate-expired", 2), policy=ENFORCE))
    worse = msgspec.structs.replace(refusing, refused=9, domain="a.example")
    assert sorted([enforcing, refusing, worse], key=urgency) == [worse, refusing, enforcing]
    assert set(URGENCY) == {
        NO_POLICY,
        POLICY_BROKEN,
        INSUFFICIENT,
        NOT_READY,
        READY,
        ENFORCING,
        ENFORCING_REFUSING,
        WITHDRAWN,
    }
