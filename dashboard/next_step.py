"""The next step of a domain's policy, as its verdict asks for it: what to publish, and the way back. Pure."""

from collections.abc import Sequence

import msgspec

from ingest.policy_publication import Publication, plan

from . import verdict as rules
from .evidence import Evidence
from .policy_history import expiry, largest_max_age
from .verdict import Verdict
from .verdict_words import NEXT_STEPS

DAY, WEEK = 86_400, 604_800
# From the first day in enforce to two weeks and more (RFC 8461 section 3.2; decision.md section 3), one step at a time.
_LADDER = (DAY, WEEK, 2 * WEEK, 4 * WEEK)
_ENOUGH = 2 * WEEK


class Step(msgspec.Struct, frozen=True):
    """What to do next: in words, what to publish (None: nothing now), and what publishes the way back (None: there is none)."""

    words: str
    publication: Publication | None = None
    way_back: Publication | None = None


def next_step(evidence: Evidence, found: Verdict, policy_id: str, way_back_id: str, mx: Sequence[str] = ()) -> Step:
    """The step that follows from a verdict. ``mx`` are hosts or patterns to name instead of those in force.

    Raises ingest.policy_publication.Unpublishable for hosts that cannot be published, or when none is known.
    """
    current = found.current
    hosts = tuple(mx) or (current.policy.mx if current else ())
    served = largest_max_age(evidence.served)

    def publish(mode: str, max_age: int, number: str) -> Publication:
        return plan(found.domain, mode, hosts, max_age, number, served_max_age=served)

    words = NEXT_STEPS[found.name]
    if found.name == rules.READY:
        return Step(words, publish("enforce", DAY, policy_id), publish("testing", WEEK, way_back_id))
    if found.name == rules.ENFORCING_REFUSING and not hosts:  # refused by an older policy, which lives on in caches
        return Step("Repair the causes at once. The policy is withdrawn already: go on serving it until caches let go.")
    if found.name == rules.ENFORCING_REFUSING:
        return Step(f"{words} This is the way back.", publish("testing", WEEK, policy_id))
    if found.name == rules.NO_POLICY:
        return Step(words, publish("testing", WEEK, policy_id))
    if found.name == rules.POLICY_BROKEN and current and hosts:
        mode = current.policy.mode if current.policy.mode in ("enforce", "testing") else "testing"
        return Step(f"{words} In its right form it is this.", publish(mode, current.policy.max_age or WEEK, policy_id))
    if found.name == rules.ENFORCING and current:
        age = current.policy.max_age or 0
        if age >= _ENOUGH:
            return Step("Nothing: the policy enforces, and senders keep it for two weeks or more.")
        longer = next(step for step in _LADDER if step > age)
        return Step(words, publish("enforce", longer, policy_id), publish("testing", WEEK, way_back_id))
    if found.name == rules.WITHDRAWN and current:
        last = expiry(evidence.served, current.policy)
        return Step(f"{words} By what reports quoted, that is until {last}." if last else words)
    return Step(words)
