"""Three fair rivals: each reads the verified ``sts`` entries that had arrived, the same that the verdict reads.

The third is the gate of DmarcAnalyzerApp (MtaStsReadinessEvaluator): no failure of the ``sts`` category in 14 days, a live check
of record, file and MX coverage, 14 days in testing (28 without any report); certificate failures are "transport" and never
block. It hosts the policy itself, so it knows mode and days. Its alarm is taken to be what the gate holds against the policy.
"""

import datetime as dt
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ingest.rfc.policy_types import STS
from ingest.testimony.trust import VERIFIED

from .cut import Stored
from .documents import FIRST
from .truth import Truth
from .worlds import DAYS

WINDOW, WITHOUT_REPORTS = 14, 28
NO_FAILURE, SUCCESS, GATE = "no failed session in 14 days", "success above 99 %", "DmarcAnalyzerApp's gate"
NAMES = (NO_FAILURE, SUCCESS, GATE)

Array = np.ndarray[Any, Any]


class Others:
    """One domain's verified entries as plain columns: day and day of arrival (from the first day), counts, testing quoted."""

    def __init__(
        self, stored: Stored, checks: Sequence[bool], modes: Sequence[str], without: Collection[str] = ()
    ) -> None:
        rows = [
            (
                (entry.day - FIRST).days,
                (there - FIRST).days,
                entry.successful,
                entry.failed or 0,
                sum(failure.sessions for failure in entry.failures if failure.result_type.startswith("sts-")),
                bool(entry.policy and entry.policy.mode == "testing"),
            )
            for there, trust, entry in stored.entries
            if trust == VERIFIED and entry.policy_type == STS and entry.signer not in without
        ]
        self.take(rows)
        self._checks, self._modes = checks, modes

    def take(self, rows: Sequence[tuple[int, int, int, int, int, bool]]) -> None:
        """These rows instead: day, day of arrival, successes, failures, ``sts`` failures among them, testing quoted."""
        columns = np.array(rows, np.int64).reshape(-1, 6).T
        self._day, self._came, self._ok, self._failed, self._sts, self._testing = columns

    def ready(self, day: int) -> tuple[bool, ...]:
        """What each rule says to "may it enforce?" at the end of a day."""
        arrived = self._came <= day
        tested = bool((self._day[arrived & (self._testing > 0)] <= day - WINDOW).any())
        ok, failed, sts = self._sums(day)
        since = next((first for first in range(day, -1, -1) if self._modes[first] != "testing"), -1) + 1
        long_enough = day - since >= (WINDOW if ok + failed else WITHOUT_REPORTS)
        gate = self._modes[day] == "testing" and self._checks[day] and not sts and long_enough
        share = ok / (ok + failed) if ok + failed else 0.0
        return tested and failed == 0 and ok > 0, tested and share > 0.99, gate

    def alarm(self, day: int) -> tuple[bool, ...]:
        """Whether a rule says that something is wrong."""
        ok, failed, sts = self._sums(day)
        share = ok / (ok + failed) if ok + failed else 1.0
        return failed > 0, share <= 0.99, bool(sts) or (bool(self._modes[day]) and not self._checks[day])

    def _sums(self, day: int) -> tuple[int, int, int]:
        lately = (self._came <= day) & (self._day >= day - WINDOW)
        return int(self._ok[lately].sum()), int(self._failed[lately].sum()), int(self._sts[lately].sum())


def others(stored: Stored, truth: Truth, without: Collection[str] = ()) -> Others:
    """The rivals about one world, ``without`` what these signers wrote.

    The live check meets a policy host that fails for a share of the senders with that chance.
    """
    world = truth.world
    down, chance = world.policy_fault, np.random.default_rng([world.number, 77]).random(DAYS)
    broken = [down is not None and down.first <= day < down.last and chance[day] < down.share for day in range(DAYS)]
    checks = [bool(world.policies) and not world.is_gone(day) and not broken[day] for day in range(DAYS)]
    return Others(stored, checks, [truth.mode(day) for day in range(DAYS)], without)


def date(day: int) -> dt.date:
    """The date of a simulated day."""
    return FIRST + dt.timedelta(days=day)
