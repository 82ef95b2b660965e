"""A cause in sentences: when, who saw it, what follows, how sure that is, who repairs it, and the commands beside it."""

from typing import Any

import msgspec
import pytest

from dashboard.decision.evidence import Acceptance, Entry
from dashboard.decision.facts.causes import Cause
from dashboard.decision.reasons import Missing
from dashboard.decision.verdict import INSUFFICIENT, NOT_READY, READY, Verdict, decide
from dashboard.words import cause_words, verdict_words
from dashboard.words.next_words import next_words
from ingest.rfc.result_types import UNEXPLAINED
from tests.dashboard.decision.scenes import bad, quoting, scene
from tests.dashboard.decision.worlds import (
    DAY,
    END,
    ENFORCE,
    GOOGLE,
    MAILRU,
    MICROSOFT,
    ON,
    START,
    TESTING,
    daily,
    entry,
    evidence,
    failure,
    with_strangers,
)

CAUSE = scene("not-ready").causes[0]


def changed(**changes: Any) -> Cause:
    return msgspec.structs.replace(CAUSE, **changes)


def told(cause: Cause, verdict: Verdict | None = None) -> str:
    return "\n".join(cause_words.sentences(cause, verdict or scene("not-ready")))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "certificate-expired at mx1.receiver.example: 3 sessions failed on 2026-03-28."),
        ({"sessions": 1}, ": 1 session failed on 2026-03-28."),
        ({"first_day": START}, ": 3 sessions failed from 2026-03-15 to 2026-03-28."),
        ({"over": True}, ": 3 sessions failed on 2026-03-28; over since."),
        ({"mx_host": ""}, "certificate-expired: 3 sessions"),
        ({"result_type": UNEXPLAINED, "mx_host": ""}, "failures without an explanation: 3 sessions"),
        ({"accepted": 2}, "(2 more accepted)."),
        ({"sessions": 0, "accepted": 2}, ": 2 sessions failed on 2026-03-28 (accepted)."),
        ({"over": True, "repaired": 3}, "over since (3 called repaired)."),
        ({"first_day": ON - 92 * DAY}, ": 3 sessions failed since before 2025-12-29, last on 2026-03-28."),
        ({}, "Enforce would have refused them."),
        ({"sessions": 1}, "Enforce would have refused it."),
        ({"enforced": 3}, "Enforce refused them."),
        ({"enforced": 1}, "Enforce refused 1 of them and would have refused the others."),
        ({"phase": "ahead"}, "Enforce will refuse such sessions as soon as the caches of these senders hold it."),
        ({"consequence": "policy-unusable"}, "The policy could not be fetched or read."),
        ({"consequence": "dane-only"}, "DANE senders refuse such sessions in every mode"),
        ({"consequence": "older-policy-cached", "until": ON + DAY}, "Caches hold until 2026-04-01 an older policy"),
        ({"consequence": "older-policy-cached"}, "Caches hold an older policy that does not name the host: nothing to repair."),
        ({}, "Seen by 2 of 2 reporters: Google Inc. 2 and Microsoft Corporation 1 (google.com and microsoft.com)."),
        ({"over": True, "silent": ("Mail.ru",)}, "Mail.ru has been silent since."),
        ({"over": True, "silent": ("A", "B")}, "A and B have been silent since."),
        ({}, "Certain: several reporters see it, so it is on the receiving side."),
        ({"fault": "sender-or-path"}, "Suspected: one reporter sees it and others do not, so it is that sender's or on its way."),
        ({"fault": "sender-or-path", "possible_downgrade": True}, "; it may be an attack that strips encryption."),
        ({"fault": "unclear"}, "Suspected: only one reporter is there, so nobody can tell whose fault it is."),
        ({"reported_as": ("X509_V_ERR_CERT_HAS_EXPIRED",)}, "Reason given: X509_V_ERR_CERT_HAS_EXPIRED."),
        ({"result_type": "mx-not-in-policy"}, "Certain: no mx line covers the host."),
        ({}, "To repair: who runs the MX hosts."),
        ({"fault": "sender-or-path"}, "To repair: that sender, or who runs the MX hosts."),
        ({"repairer": "unclear"}, "To repair: nobody can tell without the reason: read the reports."),
        ({"repairer": "policy-host"}, "To repair: who runs the policy host."),
        ({"result_type": "mx-not-in-policy"}, "if it is yours; if not, somebody answers MX queries falsely."),
        ({"result_type": "mx-not-in-policy", "is_listed": True}, '"mx: mx1.receiver.example".'),
    ],
)  # fmt: skip
def test_what_is_told_of_a_cause(changes: dict[str, Any], words: str) -> None:
    assert words in told(changed(**changes))


@pytest.mark.parametrize("changes", [{"over": True}, {"consequence": "older-policy-cached"}])
def test_what_needs_no_repair_asks_for_none(changes: dict[str, Any]) -> None:
    cause = changed(**changes)
    assert "To repair" not in told(cause)
    assert "Certain" not in told(cause)
    assert list(cause_words.commands(cause, scene("not-ready"))) == []


def test_accepted_and_dane_causes_have_no_commands() -> None:
    for cause in (changed(sessions=0, accepted=2), changed(consequence="dane-only")):
        assert list(cause_words.commands(cause, scene("not-ready"))) == []


def test_an_older_policy_in_a_cache_is_a_remark_with_its_end() -> None:
    three = msgspec.structs.replace(TESTING, mx=(*TESTING.mx, "mx3.receiver.example"), mx_digest="three")
    change = ON - 20 * DAY
    old = [*daily(change - 20 * DAY, change - DAY), *daily(change, signers=[GOOGLE], policy=three)]
    cached = failure("validation-failure", 1, "mx3.receiver.example")
    verdict = decide(quoting(*old, *daily(change, ON), entry(END, MICROSOFT, 5, cached)))
    text = "\n".join(verdict_words.lines(verdict))
    assert "1 session failed because caches hold" in text
    assert "nothing to repair" in text


def test_after_a_roll_back_whose_caches_may_refuse_is_told_and_nothing_is_published_again() -> None:
    change = ON - 3 * DAY
    entries: list[Entry] = [*daily(change - 40 * DAY, change - DAY, policy=ENFORCE), *daily(change, signers=[GOOGLE])]
    verdict = decide(quoting(*entries, bad(change - 2 * DAY, MAILRU, 1, ENFORCE)))
    assert verdict.name in (INSUFFICIENT, NOT_READY)
    assert next_words(verdict).words.endswith("Nothing is to be published again: the policy says testing already.")
    assert list(verdict_words.caches(verdict)) == [
        (
            "The caches of Mail.ru and Microsoft Corporation may hold an older policy in mode enforce and refuse by it until "
            f"{change + 7 * DAY}."
        )
    ]


def test_a_ready_domain_publishes_although_old_caches_are_left() -> None:
    verdict = msgspec.structs.replace(scene("ready"), held=scene("rolled-back").held)
    assert verdict.name == READY
    assert next_words(verdict).words.startswith("Publish the policy in mode enforce")
    assert "published again" not in next_words(verdict).words


def test_many_causes_and_strangers_are_cut_and_counted() -> None:
    entries = [
        entry(END, GOOGLE, 5, failure("certificate-expired", 1, f"mx{number}.receiver.example")) for number in range(14)
    ]
    wild = msgspec.structs.replace(TESTING, mx=("*.receiver.example",), mx_digest="wild")
    entries = [msgspec.structs.replace(day_entry, policy=wild) for day_entry in entries]
    strangers = [f"s{number}.example" for number in range(6)]
    new = [entry(END, name, 3, policy=wild) for name in strangers]
    verdict = decide(with_strangers(evidence(*daily(policy=wild), *entries, *new), *strangers))
    text = "\n".join(verdict_words.lines(verdict))
    assert "  2 more causes with fewer sessions: see --json." in text
    assert "  1 more stranger: see --json." in text
    assert "6 strangers report, too: s0.example Ltd., s1.example Ltd." in text
    assert "(14 sessions)" not in next_words(verdict).words
    assert ", then 13 other causes." in next_words(verdict).words


def test_refused_sessions_without_a_cause_lead_to_their_reports() -> None:
    verdict = msgspec.structs.replace(scene("not-ready"), causes=())
    assert next_words(verdict).words == "Look at the reports of these sessions for what failed."


def test_an_accepted_policy_failure_leaves_no_command() -> None:
    lost = failure("sts-policy-fetch-error", 3, mx="")
    broken = [entry(ON - DAY, voice, 0, lost, policy=None) for voice in (GOOGLE, MICROSOFT)]
    verdict = decide(evidence(*daily(), *broken, acceptances=(Acceptance(ON, voice=MICROSOFT),)))
    assert verdict.name == READY


@pytest.mark.parametrize(
    ("lack", "words"),
    [
        (Missing("clean-days", 3, 14, ON), "If it stays so, they are complete on 2026-03-31."),
        (Missing("too-few-sessions", 3, 299, ON), "At the present rate that is enough on 2026-03-31."),
        (Missing("too-few-sessions", 3, 299), ""),
    ],
)
def test_when_something_missing_will_suffice(lack: Missing, words: str) -> None:
    assert verdict_words.lack_words(lack) == words
