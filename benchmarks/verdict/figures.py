"""What the outcomes amount to: both errors of each rule, with exact counts and intervals. All ratios are days or worlds."""

import collections
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import numpy as np
from scipy.special import betaincinv

from .run import RULES, Judged, Outcome
from .truth import BOUND

# Reports of a day have come by the end of the next one, or the one after.
PROMPT_DAYS = 3
# An alarm later than this after the first refused session is none.
MISSED_AFTER = 30
ABOVE = BOUND * (1 + 1e-9)


class Share(msgspec.Struct, frozen=True):
    """``count`` of ``of``, with the exact two-sided 95 % interval (Clopper-Pearson)."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; without anything to count, 0."""
        return self.count / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The bounds of the share."""
        low = float(betaincinv(self.count, self.of - self.count + 1, 0.025)) if self.count else 0.0
        high = float(betaincinv(self.count + 1, self.of - self.count, 0.975)) if self.count < self.of else 1.0
        return low, high

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count:,}/{self.of:,} = {self.value:.2%} ({low:.2%}-{high:.2%})" if self.of else "0/0"


class Delays(msgspec.Struct, frozen=True):
    """Days until something happened, one for each world; None where it never did. 0 days is what was so already."""

    days: tuple[int | None, ...]

    @property
    def happened(self) -> list[int]:
        """Those that did, in order."""
        return sorted(day for day in self.days if day is not None)

    @property
    def never(self) -> Share:
        """How often it did not."""
        return Share(len(self.days) - len(self.happened), len(self.days))

    def __str__(self) -> str:
        if not self.happened:
            return f"never ({len(self.days)} worlds)"
        median, ninth = np.quantile(self.happened, [0.5, 0.9], method="inverted_cdf")
        already = self.happened.count(0)
        said = f", on already {already}" if already else ""
        return f"median {median:.0f}, p90 {ninth:.0f}{said}, never {self.never}"

    def later_than(self, days: int) -> Share:
        """How often it took longer, or never happened."""
        return Share(len(self.days) - sum(day <= days for day in self.happened), len(self.days))


def table(found: Sequence[Outcome]) -> list[tuple[str, list[str]]]:
    """The table: a line's name and what each rule achieves, in the order of ``RULES``."""
    rows: list[tuple[str, Callable[[int], Any]]] = [
        ("false ready, days", lambda rule: false_ready(found, rule)),
        ("false ready, worlds", lambda rule: false_ready_worlds(found, rule)),
        ("false ready, days of edge worlds", lambda rule: false_ready(_edge(found), rule)),
        ("false ready, edge worlds, any day", lambda rule: false_ready_worlds(_edge(found), rule)),
        ("ready while the rate of the day before is above the bound, days", lambda rule: ready_today(found, rule)),
        ("ready while the policy host fails, days", lambda rule: ready_without_policy(found, rule)),
        ("days to ready, clean worlds with enough to see", lambda rule: to_ready(found, rule, enough=True)),
        ("days to ready, clean worlds with too little to see", lambda rule: to_ready(found, rule, enough=False)),
        ("ready withheld, clean days with enough to see", lambda rule: withheld(found, rule, enough=True)),
        ("ready withheld, clean days with too little to see", lambda rule: withheld(found, rule, enough=False)),
        ("days to alarm, faults above the bound", lambda rule: to_alarm(found, rule, above=True)),
        ("days to alarm, faults up to the bound", lambda rule: to_alarm(found, rule, above=False)),
        ("missed or later than 3 days, all faults", lambda rule: late_alarms(found, rule)),
        ("silent days, mail refused two days before", lambda rule: silent(found, rule)),
        ("false alarms, clean enforcing days", lambda rule: false_alarms(found, rule)),
        ("false alarms, all days without refused mail", lambda rule: alarms_for_nothing(found, rule)),
    ]
    return [(name, [str(of(rule)) for rule in range(len(RULES))]) for name, of in rows]


def _days(found: Iterable[Outcome], wanted: Callable[[Judged], bool]) -> list[Judged]:
    return [one for outcome in found for one in outcome.days if one.regular and wanted(one)]


def _edge(found: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in found if outcome.kind == "edge"]


def _is_bad(one: Judged) -> bool:
    return one.mode == "testing" and one.span_rate > ABOVE


def false_ready(found: Sequence[Outcome], rule: int) -> Share:
    """Regular testing days whose span is truly above the bound, and on how many of them the rule says ready."""
    bad = _days(found, _is_bad)
    return Share(sum(one.ready[rule] for one in bad), len(bad))


def false_ready_worlds(found: Sequence[Outcome], rule: int) -> Share:
    """Worlds with any such day, and in how many the rule says ready on any of them."""
    worlds = [days for outcome in found if (days := _days([outcome], _is_bad))]
    return Share(sum(any(one.ready[rule] for one in days) for days in worlds), len(worlds))


def false_ready_by_rate(found: Sequence[Outcome]) -> dict[float, list[Share]]:
    """Worlds of one constant rate: how many of their due days each rule calls ready."""
    rates = sorted({outcome.rate for outcome in found if outcome.rate is not None})
    shares: dict[float, list[Share]] = {}
    for rate in rates:
        due = _days([outcome for outcome in found if outcome.rate == rate], lambda one: one.due)
        shares[rate] = [Share(sum(one.ready[rule] for one in due), len(due)) for rule in range(len(RULES))]
    return shares


def ready_today(found: Sequence[Outcome], rule: int) -> Share:
    """The same against the truth of the day before, which no report can tell yet."""
    bad = _days(found, lambda one: one.mode == "testing" and one.rate_lately > ABOVE)
    return Share(sum(one.ready[rule] for one in bad), len(bad))


def ready_without_policy(found: Sequence[Outcome], rule: int) -> Share:
    """Testing days on which senders could not get the policy lately."""
    bad = _days(found, lambda one: one.mode == "testing" and one.policy_host_failing)
    return Share(sum(one.ready[rule] for one in bad), len(bad))


def to_ready(found: Sequence[Outcome], rule: int, *, enough: bool) -> Delays:
    """From the policy's first day to the first ready, in worlds where nothing ever fails under the policy."""
    clean = [outcome for outcome in found if outcome.kind == "clean" and _ever_enough(outcome) == enough]
    return Delays(tuple(next((one.day for one in outcome.days if one.ready[rule]), None) for outcome in clean))


def _ever_enough(outcome: Outcome) -> bool:
    return any(one.enough and one.due for one in outcome.days)


def withheld(found: Sequence[Outcome], rule: int, *, enough: bool) -> Share:
    """Clean testing days on which 14 complete days lie behind, and on how many the rule does not say ready."""
    due = _days(found, lambda one: _is_due(one) and one.enough == enough)
    return Share(sum(not one.ready[rule] for one in due), len(due))


def _is_due(one: Judged) -> bool:
    return one.mode == "testing" and one.clean and one.due


def why_withheld(found: Sequence[Outcome], *, enough: bool) -> dict[str, int]:
    """Our own reasons on those days."""
    days = _days(found, lambda one: _is_due(one) and one.enough == enough and not one.ready[0])
    why = collections.Counter(f"{one.verdict}: {', '.join(one.reasons)}" for one in days)
    return dict(why.most_common())


def to_alarm(found: Sequence[Outcome], rule: int, *, above: bool | None = None) -> Delays:
    """From the first refused session in an enforcing world to the alarm; faults above or up to the bound, or all (None)."""
    faults = [one for one in found if one.fault_first is not None]
    chosen = [one for one in faults if above is None or (one.fault_rate > ABOVE) == above]
    return Delays(tuple(_delay(one, rule) for one in chosen))


def late_alarms(found: Sequence[Outcome], rule: int) -> Share:
    """Faults without an alarm within three days. An alarm that was on already passes: it says nothing new, but it is on."""
    return to_alarm(found, rule).later_than(PROMPT_DAYS)


def _delay(outcome: Outcome, rule: int) -> int | None:
    first = outcome.fault_first or 0
    last = min(outcome.enforce_until - 1, first + MISSED_AFTER)
    return next((one.day - first for one in outcome.days if first <= one.day <= last and one.alarm[rule]), None)


def silent(found: Sequence[Outcome], rule: int) -> Share:
    """Days on which mail had really been refused of late, whatever the mode by now; those without an alarm."""
    refused = _days(found, lambda one: one.mail_refused)
    return Share(sum(not one.alarm[rule] for one in refused), len(refused))


def alarms_for_nothing(found: Sequence[Outcome], rule: int) -> Share:
    """Days of any mode on which, for the length of a window, no mail was really refused; alarms on them."""
    quiet = _days(found, lambda one: one.none_refused)
    return Share(sum(one.alarm[rule] for one in quiet), len(quiet))


def false_alarms(found: Sequence[Outcome], rule: int) -> Share:
    """Enforcing days after which, for the length of a window, no session was refused; alarms on them."""
    clean = _days(found, lambda one: one.mode == "enforce" and one.clean)
    return Share(sum(one.alarm[rule] for one in clean), len(clean))
