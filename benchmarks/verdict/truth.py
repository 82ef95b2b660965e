"""What is true about a world, from its own rates and not from what was reported. docs/verdict.md defines each of these."""

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from .worlds import DAYS, World

# The shortest window of a verdict on day ``on``: 14 complete days without the newest two.
SPAN_FIRST, SPAN_LAST = 16, 3
BOUND = 0.01
# The sessions that a switch today would meet: those of the next week.
COMING = 7
# What ended so many days ago is no reason for an alarm any more; a fault is another one after so many quiet days.
OVER_AFTER, ANOTHER_AFTER = 6, 14
_LONG = 3
REFUSED, GONE, UNFETCHED = "refused", "gone", "unfetched"
# From here on a sender that is on no list is a known voice, when it reports on a third of the days.
_HEARD_FROM = 31


class Due(msgspec.Struct, frozen=True, array_like=True):
    """An alarm that is due: why, the first day of it, the last day on which it may still come, and the day on which the first
    report of a known voice told of it (None: none ever came).
    """

    why: str
    first: int
    until: int
    told: int | None


class Repair(msgspec.Struct, frozen=True, array_like=True):
    """The last day on which a fault failed a session, the next such day of another one, and whether there is ``plenty``: all that
    saw it report daily and so much that its end can be seen within days, and there are two known voices and sessions enough.
    """

    last: int
    next: int
    plenty: bool


class Truth:
    """Sessions, refusals and other trouble by day (0 is the first), over all senders, whether their reports arrive or not."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions = np.zeros(DAYS)
        self.provable = np.zeros(DAYS)
        self.refusals = np.zeros((max(len(world.faults), 1), DAYS))
        self.refused = np.zeros(DAYS, np.int64)
        self.turned_away = np.zeros(DAYS, np.int64)
        self.unfetched = np.zeros(DAYS, np.int64)
        self.without = np.zeros(DAYS, np.int64)
        self.told: list[tuple[str, int, int]] = []  # why, day of it, day of arrival
        self._expected: list[Any] = []
        self._failed: list[Any] = []

    def add(self, expected: Any, shares: Sequence[Any], failed: Any, *, proves: bool) -> None:
        """One sender: expected sessions (days, hosts), each fault's chance of a refusal (days, hosts), sessions that failed
        (days); whether it says under which policy.
        """
        daily = expected.sum(axis=1)
        self.sessions += daily
        if proves:
            self.provable += daily
        for number, share in enumerate(shares):
            self.refusals[number] += (expected * share).sum(axis=1)
        self.refused += failed
        self._expected.append(daily)
        self._failed.append(failed)

    def mode(self, on: int) -> str:
        """The mode that is published on a day, "" without a policy."""
        policy = self.world.policy_on(on)
        return policy.mode if policy else ""

    def coming(self, on: int, begun: int = DAYS) -> float:
        """The true refusal rate of the next days' sessions under enforce; of the faults that began on day ``begun`` or before."""
        faults = [number for number, fault in enumerate(self.world.faults) if fault.first <= begun]
        days = slice(on + 1, on + 1 + COMING)
        sessions = self.sessions[days].sum()
        return float(self.refusals[faults, days].sum() / sessions) if sessions else 0.0

    def is_clean(self, on: int) -> bool:
        """Nothing failed, nothing was wrong with the policy, from the window's first day to this one."""
        days = slice(max(on - SPAN_FIRST, 0), on + 1)
        return not (self.refused[days].any() or self.unfetched[days].any() or self.without[days].any())

    @property
    def trouble(self) -> Any:
        """The days on which an alarm is right: sessions are refused or would be as soon as caches change, or the policy cannot be
        had.
        """
        enforced = np.array([self.mode(day) == "enforce" for day in range(DAYS)])
        down, faulty = np.zeros(DAYS, bool), np.zeros(DAYS, bool)
        for first, last in filter(None, (self.world.gone, _days_of(self.world.policy_fault))):
            down[first:last] = True
        for fault in self.world.faults:  # one that shows on some days only is not over in between
            faulty[fault.first : fault.last] = True
        return (self.turned_away > 0) | (enforced & faulty) | (self.without > 0) | down

    def is_quiet(self, on: int) -> bool:
        """Whether there is no trouble, and has been none for days."""
        return not self.trouble[max(on - OVER_AFTER + 1, 0) : on + 1].any()

    def is_calm(self, on: int) -> bool:
        """Quiet, and no session has failed in these days, in testing neither."""
        days = range(max(on - OVER_AFTER + 1, 0), on + 1)
        return self.is_quiet(on) and not any(
            fault.first <= day < fault.last for fault in self.world.faults for day in days
        )

    def earliest(self, on: int) -> int:
        """The first day on which 14 complete days under the present mx patterns lie behind, the newest two left out."""
        return self.world.mx_since(on) + SPAN_FIRST

    def known_voices(self, on: int) -> int:
        """Known voices that quote their policy."""
        senders = [sender for sender in self.world.senders if sender.quotes_policy]
        acquainted = on >= _HEARD_FROM or self.world.archive
        return len({sender.signer for sender in senders if sender.is_listed or acquainted})

    def enough(self, on: int) -> bool:
        """Whether there is enough to see at all: two known voices and 299 sessions to be expected in the window."""
        sessions = self.provable[max(on - SPAN_FIRST, 0) : max(on - SPAN_LAST + 1, 0)].sum()
        return bool(self.known_voices(on) > 1 and sessions >= 299)

    def due(self) -> list[Due]:
        """The alarms that are due."""
        alarms = []
        for why, days in ((REFUSED, self.turned_away), (GONE, self.without), (UNFETCHED, self.unfetched)):
            last = -ANOTHER_AFTER
            for day in map(int, np.flatnonzero(days)):
                if day - last >= ANOTHER_AFTER and (why != GONE or self._is_gone_for_long()):
                    told = min(
                        (arrived for which, of_day, arrived in self.told if which == why and of_day >= day),
                        default=None,
                    )
                    alarms.append(Due(why, day, min(day + 30, DAYS - 1), told))
                last = day
        return alarms

    def _is_gone_for_long(self) -> bool:
        """A policy that is away for a day or two is no alarm, unless senders happen to look."""
        return self.world.gone is not None and self.world.gone[1] - self.world.gone[0] >= _LONG

    def repairs(self) -> list[Repair]:
        """The ends of faults in worlds that are in testing all the time."""
        if any(policy.mode != "testing" for policy in self.world.policies) or len(self.world.policies) != 1:
            return []
        bad = np.flatnonzero(self.refused)
        repairs = []
        for number, day in enumerate(map(int, bad)):
            after = int(bad[number + 1]) if number + 1 < len(bad) else DAYS
            if after - day > SPAN_FIRST:
                repairs.append(Repair(day, after, self._is_plenty(day)))
        return repairs

    def _is_plenty(self, last: int) -> bool:
        before, after = slice(max(last - 30, 0), last + 1), slice(last + 1, last + 15)
        for sender, expected, failed in zip(self.world.senders, self._expected, self._failed, strict=True):
            if not failed[before].any():
                continue
            bad = failed[before] > 0
            share = failed[before][bad].sum() / max(expected[before][bad].sum(), 1.0)
            if sender.rhythm == "week" or expected[after].min(initial=99) < 5 or expected[after].sum() * share < 6:
                return False
        return bool(self.known_voices(last) > 1 and self.provable[after].sum() > 360)


def _days_of(fault: Any) -> tuple[int, int] | None:
    return (fault.first, fault.last) if fault else None
