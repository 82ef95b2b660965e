"""The next step of a domain's policy, as its verdict asks for it: what to publish, and the way back. Pure."""

from collections.abc import Iterator, Sequence

import msgspec

from dashboard.decision import verdict as rules
from dashboard.decision.evidence import Evidence, QuotedPolicy
from dashboard.decision.facts.policy_history import largest_max_age
from dashboard.decision.verdict import Verdict
from ingest.rfc.faults import WARNING
from ingest.rfc.mtasts import policy as mtasts
from ingest.rfc.mtasts.lint import step_faults
from ingest.rfc.mtasts.patterns import match, normalised
from ingest.rfc.publication import PolicyDraft, Publication, plan

from . import next_words

DAY, WEEK = 86_400, 604_800
# From the first day in enforce to two weeks and more (RFC 8461 section 3.2), one step at a time.
_LADDER = (DAY, WEEK, 2 * WEEK, 4 * WEEK)


class Step(msgspec.Struct, frozen=True):
    """What to do next: in words, what to publish (None: nothing now), and what publishes the way back (None: there is none).

    ``remarks`` are sentences about the MX hosts in it. ``unvouched`` are hosts that were asked for, and that enforce would
    demand although no report and no word of the operator names them: publish only when that is wanted all the same.
    """

    words: str
    publication: Publication | None = None
    way_back: Publication | None = None
    remarks: tuple[str, ...] = ()
    unvouched: tuple[str, ...] = ()


def next_step(evidence: Evidence, verdict: Verdict, policy_id: str, way_back_id: str, mx: Sequence[str] = ()) -> Step:
    """The step that follows from a verdict. ``mx`` are hosts or patterns to name instead of those in force.

    Every MX host that the operator named is in what it publishes. Raises ingest.rfc.publication.Unpublishable for hosts
    that cannot be published, or when none is known.
    """
    hosts = _Hosts(evidence, verdict, mx)
    step = _Steps(evidence, verdict, hosts, policy_id, way_back_id).step()
    if step.publication is None:
        return step
    published = mtasts.parse(step.publication.policy_text)
    return msgspec.structs.replace(
        step, remarks=tuple(hosts.remarks(published)), unvouched=hosts.unvouched if published.mode == "enforce" else ()
    )


class _Hosts:
    """The MX hosts and patterns to publish, and what is known of them."""

    def __init__(self, evidence: Evidence, verdict: Verdict, asked: Sequence[str]) -> None:
        current = verdict.current.policy if verdict.current else None
        self._in_force = current
        self._named = evidence.mx_hosts
        chosen = tuple(asked) or (current.mx if current else ())
        # The operator knows the MX records: a policy without one of their hosts would have mail refused.
        self._added = tuple(host for host in self._named if not match(chosen, host))
        self.names = chosen + self._added
        self.untested = tuple(name for name in self.names if not match(current.mx if current else (), name))
        self.unvouched = tuple(name for name in self.untested if not match(self._named, name))

    @property
    def changed(self) -> bool:
        """Whether they are others than those of the policy in force."""
        current = self._in_force.mx if self._in_force else ()
        return {*map(normalised, current)} != {*map(normalised, self.names)}

    def remarks(self, published: mtasts.Policy) -> Iterator[str]:
        for host in self._added:
            yield f"{host} is added, because you named it as an MX host."
        if self.untested and self._in_force:
            they = "it" if len(self.untested) == 1 else "them"
            yield f"Untested: {', '.join(self.untested)}. No report was made under a policy that names {they}. " + (
                f"Enforce refuses mail to {they} if STARTTLS or the certificate is not in order."
                if published.mode == "enforce"
                else "In testing nothing is refused, and reports will show whether enforce would."
            )
        if self._in_force:
            for fault in step_faults(_as_served(self._in_force), published, self._named):
                if fault.severity == WARNING:
                    yield f"{fault.text[0].upper()}{fault.text[1:]}. To be safe: {fault.repair}."


class _Steps:
    """What each verdict asks for."""

    def __init__(self, evidence: Evidence, verdict: Verdict, hosts: _Hosts, policy_id: str, way_back_id: str) -> None:
        self._evidence, self._verdict, self._hosts = evidence, verdict, hosts
        self._policy_id, self._way_back_id = policy_id, way_back_id
        self._words = next_words.next_words(verdict).words
        self._served = largest_max_age(evidence.served)

    def step(self) -> Step:
        verdict, words = self._verdict, self._words
        current = verdict.current.policy if verdict.current else None
        if verdict.name == rules.READY:
            return Step(words, self._publish("enforce", DAY), self._way_back())
        if verdict.name == rules.NO_POLICY:
            return Step(words, self._publish("testing", WEEK))
        if verdict.name == rules.ENFORCING_REFUSING:
            return self._back(current)
        if verdict.name == rules.POLICY_BROKEN and current and self._hosts.names:
            mode = current.mode if current.mode in ("enforce", "testing") else "testing"
            return Step(f"{words} In its right form it is this.", self._publish(mode, current.max_age or WEEK))
        if verdict.name == rules.ENFORCING and current:
            return self._longer(current)
        if verdict.name in (rules.INSUFFICIENT, rules.NOT_READY) and current and current.mode == "testing":
            return self._still_testing(current)
        return Step(words)

    def _back(self, current: QuotedPolicy | None) -> Step:
        """Refused sessions: back to testing, unless only copies of an older policy still refuse."""
        is_testing = current is not None and current.mode == "testing" and not self._hosts.changed
        if is_testing or not self._hosts.names or (current and current.mode == "none"):
            return Step(self._words)
        return Step(f"{self._words} This is the way back.", self._publish("testing", WEEK))

    def _longer(self, current: QuotedPolicy) -> Step:
        age = current.max_age or 0
        if age < next_words.TWO_WEEKS and not next_words.is_early(self._verdict):
            longer = next(step for step in _LADDER if step > age)
            return Step(self._words, self._publish("enforce", longer), self._way_back())
        if self._hosts.changed:
            stays = self._publish("enforce", age or None)
            return Step("Publish the other mx lines; mode and max_age stay.", stays, self._way_back())
        return Step(self._words)

    def _still_testing(self, current: QuotedPolicy) -> Step:
        if not self._hosts.changed:
            return Step(self._words)
        words = f"{self._words} Meanwhile publish the other mx lines in mode testing, so that reports can show them in order."
        return Step(words, self._publish("testing", current.max_age or WEEK))

    def _publish(self, mode: str, max_age: int | None) -> Publication:
        return self._plan(mode, max_age, self._policy_id)

    def _way_back(self) -> Publication:
        return self._plan("testing", WEEK, self._way_back_id)

    def _plan(self, mode: str, max_age: int | None, number: str) -> Publication:
        draft = PolicyDraft(mode, self._hosts.names, max_age)
        return plan(self._verdict.domain, draft, number, served_max_age=self._served)


def _as_served(policy: QuotedPolicy) -> mtasts.Policy:
    return mtasts.Policy(mode=policy.mode, mx=policy.mx, max_age=policy.max_age)
