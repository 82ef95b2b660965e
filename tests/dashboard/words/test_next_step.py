"""What each verdict asks to publish, and the way back."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from dashboard.decision import verdict as rules
from dashboard.decision.evidence import Entry, QuotedPolicy
from dashboard.decision.verdict import decide
from dashboard.words.next_step import DAY, WEEK, Step, next_step
from ingest.rfc.mtasts import policy
from ingest.rfc.publication import Unpublishable
from tests.dashboard.decision.worlds import (
    END,
    ENFORCE,
    GOOGLE,
    MICROSOFT,
    NONE,
    ON,
    TESTING,
    daily,
    entry,
    evidence,
    failure,
    quotes_of,
)


def step(expected: str, *entries: Entry, mx: tuple[str, ...] = (), **changes: Any) -> Step:
    known = evidence(*entries, **changes)
    verdict = decide(known)
    assert verdict.name == expected
    return next_step(known, verdict, "20260401000000", "20260401000001", mx)


def published(planned: Step) -> tuple[str, tuple[str, ...], int | None]:
    assert planned.publication is not None
    parsed = policy.parse(planned.publication.policy_text)
    assert parsed.usable
    return parsed.mode, parsed.mx, parsed.max_age


def aged(max_age: int | None, of: QuotedPolicy = ENFORCE) -> QuotedPolicy:
    return msgspec.structs.replace(of, max_age=max_age)


def test_ready_goes_to_enforce_for_a_day_and_knows_the_way_back() -> None:
    planned = step(rules.READY, *daily())
    assert published(planned) == ("enforce", TESTING.mx, DAY)
    assert planned.publication is not None
    assert planned.publication.mta_sts_record.value == "v=STSv1; id=20260401000000;"
    assert planned.way_back is not None
    assert "mode: testing" in planned.way_back.policy_text
    assert planned.way_back.mta_sts_record.value == "v=STSv1; id=20260401000001;"


@pytest.mark.parametrize(
    ("served", "says"),
    [
        (604_800, "caches of the older one may refuse until 2026-04-04."),
        (None, "until their max_age ends, which nobody quoted."),
    ],
)
def test_until_when_caches_refuse_is_told_as_far_as_it_is_known(served: int | None, says: str) -> None:
    older = aged(served)
    change = ON - dt.timedelta(days=4)
    bad = entry(ON - dt.timedelta(days=1), MICROSOFT, 5, failure("certificate-expired", 2), policy=older)
    entries = (*daily(last=change, policy=older), *daily(change + dt.timedelta(days=1), signers=[GOOGLE]), bad)
    assert step(rules.ENFORCING_REFUSING, *entries, sightings=quotes_of(entries)).words.endswith(says)


MX1, MX2, MX7 = (f"mx{number}.receiver.example" for number in (1, 2, 7))


def test_an_untested_host_is_announced_and_not_vouched_for() -> None:
    """Enforce would refuse mail to it unseen."""
    planned = step(rules.READY, *daily(), mx=(MX1, MX2, MX7))
    assert published(planned) == ("enforce", (MX1, MX2, MX7), DAY)
    assert planned.unvouched == (MX7,)
    assert planned.remarks[0].startswith(
        f"Untested: {MX7}. No report was made under a policy that names it. Enforce refuses"
    )
    assert "mode and mx lines change in one step" in planned.remarks[1].lower()
    both = step(rules.READY, *daily(), mx=("*.new.example", MX7))
    assert both.unvouched == ("*.new.example", MX7)
    assert "that names them" in both.remarks[0]
    assert [remark.partition(":")[0] for remark in both.remarks[2:]] == [
        "The line mx",
        "The line mx",
    ]


@pytest.mark.parametrize("spelling", [MX1, "MX1.Receiver.example."])
def test_a_host_of_the_policy_in_force_is_tested(spelling: str) -> None:
    planned = step(rules.READY, *daily(), mx=(spelling, MX2))
    assert (planned.unvouched, planned.remarks) == ((), ())


def test_the_operators_word_vouches_for_a_host_and_it_is_announced_all_the_same() -> None:
    planned = step(rules.NOT_READY, *daily(), mx=(MX1, MX2, MX7), mx_hosts=(MX7,))
    assert published(planned) == ("testing", (MX1, MX2, MX7), WEEK)
    assert planned.unvouched == ()
    assert planned.remarks[0].startswith(f"Untested: {MX7}.")


@pytest.mark.parametrize("asked", [(), (MX1, MX2)])
def test_no_policy_leaves_out_a_host_that_the_operator_named(asked: tuple[str, ...]) -> None:
    planned = step(rules.NOT_READY, *daily(), mx=asked, mx_hosts=(MX1, MX7))
    assert published(planned)[:2] == ("testing", (MX1, MX2, MX7))
    assert planned.remarks[0] == f"{MX7} is added, because you named it as an MX host."
    assert planned.remarks[1].startswith(f"Untested: {MX7}.")
    assert planned.unvouched == ()


def test_a_wildcard_covers_what_the_operator_named() -> None:
    wild = msgspec.structs.replace(TESTING, mx=("*.receiver.example",))
    planned = step(rules.READY, *daily(policy=wild), mx_hosts=(MX7,))
    assert (published(planned)[1], planned.remarks) == (("*.receiver.example",), ())


def test_a_host_that_the_operator_named_needs_no_option() -> None:
    """The first policy of a domain: nothing is in force that could have tested it."""
    nothing = daily(policy=None, policy_type="no-policy-found")
    planned = step(rules.NO_POLICY, *nothing, mx_hosts=(MX7,))
    assert published(planned) == ("testing", (MX7,), WEEK)
    assert (planned.unvouched, planned.remarks) == ((), (f"{MX7} is added, because you named it as an MX host.",))


@pytest.mark.parametrize("named", [True, False])
def test_other_hosts_are_tested_while_the_verdict_waits(named: bool) -> None:
    """In testing nothing is refused, so nobody has to insist."""
    bad = entry(END, GOOGLE, 5, failure("certificate-expired", 2))
    changes: dict[str, Any] = {"mx_hosts": (MX7,)} if named else {"mx": (MX1, MX2, MX7)}
    for expected, entries in (
        (rules.NOT_READY, [*daily(), bad]),
        (rules.NOT_READY if named else rules.INSUFFICIENT, daily(signers=[GOOGLE])),
    ):
        planned = step(expected, *entries, **changes)
        assert published(planned) == ("testing", (MX1, MX2, MX7), WEEK)
        assert "publish the other mx lines in mode testing" in planned.words
        assert planned.unvouched == ()
        assert "In testing nothing is refused" in planned.remarks[-1]
    aged_none = msgspec.structs.replace(TESTING, max_age=None)
    waits = rules.NOT_READY if named else rules.INSUFFICIENT
    assert published(step(waits, *daily(signers=[GOOGLE], policy=aged_none), **changes))[2] == WEEK


def test_a_host_can_join_when_the_policy_is_old_enough() -> None:
    planned = step(rules.ENFORCING, *daily(policy=aged(2 * WEEK)), mx=(MX1, MX2, MX7))
    assert (published(planned), planned.unvouched) == (("enforce", (MX1, MX2, MX7), 2 * WEEK), (MX7,))
    assert planned.words.startswith("Publish the other mx lines")


def test_a_removed_line_is_warned_of() -> None:
    planned = step(rules.ENFORCING, *daily(policy=aged(WEEK)), mx=(MX1,))
    (remark,) = planned.remarks
    assert remark.startswith(f"The line mx: {MX2} is gone: senders refuse to deliver to such a host")
    assert ". To be safe: take the host out of the MX records first" in remark


@pytest.mark.parametrize(("served", "longer"), [(DAY, WEEK), (WEEK, 2 * WEEK), (None, DAY), (WEEK + 1, 2 * WEEK)])
def test_enforcing_grows_older_step_by_step(served: int | None, longer: int) -> None:
    planned = step(rules.ENFORCING, *daily(policy=aged(served)))
    assert published(planned) == ("enforce", ENFORCE.mx, longer)
    assert planned.way_back is not None


def test_two_weeks_are_enough() -> None:
    planned = step(rules.ENFORCING, *daily(policy=aged(2 * WEEK)))
    assert (planned.publication, planned.words[:8]) == (None, "Nothing:")


def test_refused_mail_leads_back_to_testing() -> None:
    bad = entry(END, GOOGLE, 5, failure("certificate-expired", 2), policy=ENFORCE)
    assert published(step(rules.ENFORCING_REFUSING, *daily(policy=ENFORCE), bad)) == ("testing", ENFORCE.mx, WEEK)


def test_what_caches_go_on_refusing_needs_no_new_policy() -> None:
    change = ON - dt.timedelta(days=4)
    old = daily(last=change, policy=ENFORCE)
    bad = entry(ON - dt.timedelta(days=1), MICROSOFT, 5, failure("certificate-expired", 2), policy=ENFORCE)
    for now, says in (
        (TESTING, "Nothing is to be published again"),
        (NONE, "withdrawn already: go on serving its file"),
    ):
        entries = (*old, *daily(change + dt.timedelta(days=1), signers=[GOOGLE], policy=now), bad)
        planned = step(rules.ENFORCING_REFUSING, *entries, sightings=quotes_of(entries))
        assert (planned.publication, says in planned.words) == (None, True)
        assert planned.words.startswith("Repair certificate-expired at mx1.receiver.example (2 sessions).")


def test_without_a_policy_the_hosts_must_be_named() -> None:
    nothing = daily(policy=None, policy_type="no-policy-found")
    with pytest.raises(Unpublishable, match="mx"):
        step(rules.NO_POLICY, *nothing)
    assert published(step(rules.NO_POLICY, *nothing, mx=("mx1.receiver.example",)))[0] == "testing"


def test_a_broken_policy_is_shown_in_its_right_form() -> None:
    lost = failure("sts-policy-invalid", 3, mx="")
    broken = [entry(ON - dt.timedelta(days=1), voice, 0, lost, policy=None) for voice in (GOOGLE, MICROSOFT)]
    assert published(step(rules.POLICY_BROKEN, *daily(), *broken)) == ("testing", TESTING.mx, WEEK)
    wrong = msgspec.structs.replace(TESTING, mode="enforced", max_age=None)
    assert published(step(rules.POLICY_BROKEN, *daily(policy=wrong))) == ("testing", TESTING.mx, WEEK)
    assert step(rules.POLICY_BROKEN, *broken).publication is None


def test_who_has_to_wait_publishes_nothing() -> None:
    assert step(rules.INSUFFICIENT, *daily(signers=[GOOGLE])).publication is None
    assert step(rules.NOT_READY, *daily(), entry(END, GOOGLE, 5, failure("certificate-expired", 2))).publication is None


def test_withdrawn_says_until_when_the_file_is_served_and_then_to_delete_it() -> None:
    from dashboard.decision.evidence import ServedPolicy

    day = dt.timedelta(days=1)
    before = ServedPolicy(ENFORCE, END - 60 * day, END)
    lately = {"served": (before,), "since": END}
    planned = step(rules.WITHDRAWN, *daily(END, policy=NONE), **lately)
    assert planned.words.startswith(f"Keep serving the policy file until {END + 7 * day}, the last day")
    assert (
        "afterwards delete it: the TXT record at _mta-sts.receiver.example, and after it the policy file"
        in planned.words
    )
    # Caches quote it longer than it could be fetched: that lasted until the change.
    planned = step(rules.WITHDRAWN, *daily(policy=NONE), served=(before,))
    assert planned.words.startswith("Delete it: ")
    assert planned.words.endswith("The last day on which the file had to be served was 2026-01-08.")
    ageless = step(rules.WITHDRAWN, *daily(policy=NONE), served=())
    assert ageless.words.startswith("Keep serving the policy file for as long as the largest max_age")
    assert ageless.publication is None


def test_before_two_weeks_of_enforce_max_age_stays() -> None:
    change = ON - dt.timedelta(days=6)
    entries = (*daily(last=change - dt.timedelta(days=1)), *daily(change, policy=ENFORCE))
    planned = step(rules.ENFORCING, *entries, sightings=quotes_of(entries))
    assert planned.publication is None
    assert planned.words == (
        "Wait until 2026-04-10, when 14 complete days since the switch are known, and keep max_age as it is."
    )
    other = step(rules.ENFORCING, *entries, sightings=quotes_of(entries), mx_hosts=(MX1,), mx=(MX1, MX2, MX7))
    assert published(other) == ("enforce", (MX1, MX2, MX7), WEEK)
    assert other.words.startswith("Publish the other mx lines")
