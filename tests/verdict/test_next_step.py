"""What each verdict asks to publish, and the way back."""

import datetime as dt
from typing import Any

import msgspec
import pytest

from dashboard import verdict as rules
from dashboard.evidence import Entry, Policy, Sighting
from dashboard.next_step import DAY, WEEK, Step, next_step
from dashboard.verdict import decide
from ingest.mtasts import policy
from ingest.policy_publication import Unpublishable
from tests.verdict.worlds import END, ENFORCE, GOOGLE, MICROSOFT, NONE, ON, TESTING, daily, entry, evidence, failure


def step(expected: str, *entries: Entry, mx: tuple[str, ...] = (), **changes: Any) -> Step:
    known = evidence(*entries, **changes)
    found = decide(known)
    assert found.name == expected
    return next_step(known, found, "20260401000000", "20260401000001", mx)


def published(one: Step) -> tuple[str, tuple[str, ...], int | None]:
    assert one.publication is not None
    said = policy.parse(one.publication.policy_text)
    assert said.usable
    return said.mode, said.mx, said.max_age


def aged(max_age: int | None, of: Policy = ENFORCE) -> Policy:
    return msgspec.structs.replace(of, max_age=max_age)


def test_ready_goes_to_enforce_for_a_day_and_knows_the_way_back() -> None:
    found = step(rules.READY, *daily())
    assert published(found) == ("enforce", TESTING.mx, DAY)
    assert found.publication is not None
    assert found.publication.mta_sts_record.value == "v=STSv1; id=20260401000000;"
    assert found.way_back is not None
    assert "mode: testing" in found.way_back.policy_text
    assert found.way_back.mta_sts_record.value == "v=STSv1; id=20260401000001;"


def test_other_hosts_can_be_named() -> None:
    assert published(step(rules.READY, *daily(), mx=("mx7.receiver.example",)))[1] == ("mx7.receiver.example",)


@pytest.mark.parametrize(("served", "longer"), [(DAY, WEEK), (WEEK, 2 * WEEK), (None, DAY), (WEEK + 1, 2 * WEEK)])
def test_enforcing_grows_older_step_by_step(served: int | None, longer: int) -> None:
    found = step(rules.ENFORCING, *daily(policy=aged(served)))
    assert published(found) == ("enforce", ENFORCE.mx, longer)
    assert found.way_back is not None


def test_two_weeks_are_enough() -> None:
    found = step(rules.ENFORCING, *daily(policy=aged(2 * WEEK)))
    assert (found.publication, found.words[:8]) == (None, "Nothing:")


def test_refused_mail_leads_back_to_testing() -> None:
    bad = entry(END, GOOGLE, 5, failure("certificate-expired", 2), policy=ENFORCE)
    assert published(step(rules.ENFORCING_REFUSING, *daily(policy=ENFORCE), bad)) == ("testing", ENFORCE.mx, WEEK)


def test_what_caches_go_on_refusing_leads_there_too() -> None:
    change = ON - dt.timedelta(days=4)
    old = daily(last=change, policy=ENFORCE)
    bad = entry(ON - dt.timedelta(days=1), MICROSOFT, 5, failure("certificate-expired", 2), policy=ENFORCE)
    for now, published_mode in ((TESTING, "testing"), (NONE, None)):
        entries = (*old, *daily(change + dt.timedelta(days=1), signers=[GOOGLE], policy=now), bad)
        quotes = tuple(Sighting(one.day, one.voice, one.policy) for one in entries if one.policy)
        found = step(rules.ENFORCING_REFUSING, *entries, sightings=quotes)
        assert (found.publication and published(found)[0]) == published_mode
        assert found.words.startswith("Repair the causes")


def test_without_a_policy_the_hosts_must_be_named() -> None:
    nothing = daily(policy=None, policy_type="no-policy-found")
    with pytest.raises(Unpublishable, match="mx"):
        step(rules.NO_POLICY, *nothing)
    assert published(step(rules.NO_POLICY, *nothing, mx=("mx1.receiver.example",)))[0] == "testing"


def test_a_broken_policy_is_shown_in_its_right_form() -> None:
    lost = failure("sts-policy-invalid", 3, mx="")
    broken = [entry(ON - dt.timedelta(days=1), one, 0, lost, policy=None) for one in (GOOGLE, MICROSOFT)]
    assert published(step(rules.POLICY_BROKEN, *daily(), *broken)) == ("testing", TESTING.mx, WEEK)
    wrong = msgspec.structs.replace(TESTING, mode="enforced", max_age=None)
    assert published(step(rules.POLICY_BROKEN, *daily(policy=wrong))) == ("testing", TESTING.mx, WEEK)
    assert step(rules.POLICY_BROKEN, *broken).publication is None


def test_who_has_to_wait_publishes_nothing() -> None:
    assert step(rules.INSUFFICIENT, *daily(signers=[GOOGLE])).publication is None
    assert step(rules.NOT_READY, *daily(), entry(END, GOOGLE, 5, failure("certificate-expired", 2))).publication is None


def test_withdrawn_says_until_when_the_file_is_served() -> None:
    from dashboard.evidence import ServedPolicy

    before = ServedPolicy(ENFORCE, END - dt.timedelta(days=60), END)
    found = step(rules.WITHDRAWN, *daily(policy=NONE), served=(before,))
    assert found.words.endswith(f"until {END + dt.timedelta(days=7)}.")
    assert step(rules.WITHDRAWN, *daily(policy=NONE), served=()).words.endswith("older policy.")
