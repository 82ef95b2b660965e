"""What is true about a world, from its own rates and not from what was reported. docs/verdict.md defines each of these."""

from typing import Any

import numpy as np

from .worlds import DAYS, World

# The evidence span of a verdict on day ``on``: 14 complete days without the newest two.
SPAN_FIRST, SPAN_LAST = 16, 3
BOUND = 0.01


class Truth:
    """Expected sessions, expected refusals and refusals that happened, by day (0 is the first), over all senders.

    ``turned_away`` are the sessions that senders really refused, by the policy in their caches. ``provable`` are the expected
    sessions of senders that say under which policy.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.sessions = np.zeros(DAYS)
        self.provable = np.zeros(DAYS)
        self.refusals = np.zeros(DAYS)
        self.refused = np.zeros(DAYS, np.int64)
        self.turned_away = np.zeros(DAYS, np.int64)

    def add_turned_away(self, sessions: Any) -> None:
        """One sender: sessions that it really refused, (days,)."""
        self.turned_away += sessions

    def add(self, expected: Any, share: Any, refused: Any, *, proves: bool) -> None:
        """One sender: expected sessions and chance of refusal, (days, hosts); refused sessions, the same or 0 without faults;
        whether it says under which policy.
        """
        self.sessions += expected.sum(axis=1)
        if proves:
            self.provable += expected.sum(axis=1)
        self.refusals += (expected * share).sum(axis=1)
        if not isinstance(refused, int):
            self.refused += refused.sum(axis=1)

    def mode(self, on: int) -> str:
        """The mode that is published on a day, "" without a policy."""
        policy = self._world.policy_on(on)
        return policy.mode if policy else ""

    def span_rate(self, on: int) -> float:
        """The true refusal rate of the evidence span: its days under the present set of mx patterns (else the days since)."""
        since = self._world.mx_since(on)
        first, last = max(on - SPAN_FIRST, since, 0), on - SPAN_LAST
        if last < first:
            first, last = since, on - 1
        return self._rate(first, last)

    def rate_lately(self, on: int) -> float:
        """The true refusal rate of the day before: what enforce would meet now."""
        return self._rate(on - 1, on - 1)

    def is_clean(self, on: int) -> bool:
        """Nothing was refused, nothing was wrong with the policy, from the span's first day to this one."""
        first = max(on - SPAN_FIRST, 0)
        down = self._world.policy_fault
        fetched = down is None or down.last <= first or down.first > on
        happened = self.refused[first : on + 1].any() or self.refusals[first : on + 1].any()
        return bool(fetched and not happened)

    def mail_is_refused(self, on: int) -> bool:
        """Whether sessions were really refused of late, so that reports can tell by now: on the day before yesterday."""
        return bool(on >= 2 and self.turned_away[on - 2])

    def nothing_is_refused(self, on: int) -> bool:
        """Whether no session was really refused from the span's first day to this one."""
        return not self.turned_away[max(on - SPAN_FIRST, 0) : on + 1].any()

    def policy_host_failing(self, on: int) -> bool:
        """Whether the policy could not be had on a day from the span's first to the day before."""
        down = self._world.policy_fault
        return down is not None and down.first < on and down.last > on - SPAN_FIRST

    def earliest(self, on: int) -> int:
        """The first day on which 14 complete days under the present mx patterns lie behind, the newest two left out."""
        return self._world.mx_since(on) + SPAN_FIRST

    def enough(self, on: int) -> bool:
        """Whether there is enough to see at all: two independent reporters and 299 sessions to be expected in the span."""
        voices = {sender.signer for sender in self._world.senders if sender.quotes_policy}
        sessions = self.provable[max(on - SPAN_FIRST, 0) : max(on - SPAN_LAST + 1, 0)].sum()
        return bool(len(voices) > 1 and sessions >= 299)

    def _rate(self, first: int, last: int) -> float:
        sessions = self.sessions[max(first, 0) : last + 1].sum()
        return float(self.refusals[max(first, 0) : last + 1].sum() / sessions) if sessions else 0.0
