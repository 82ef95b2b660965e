"""What the outcomes amount to: each goal, and what every rule achieves. Ratios are of days or worlds, with exact intervals."""

import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np

from dashboard.decision.binomial import upper_bound

from .run import RULES, Judged, Outcome
from .truth import BOUND, GONE, REFUSED, UNFETCHED, Due
from .worlds import DAYS

# Reports of a day have come by the end of the next one, or the one after.
PROMPT_DAYS = 3
# So many days after the switch it is new.
_NEW = 20
ABOVE = BOUND * (1 + 1e-9)
# docs/verdict.md: three reported days after the last failure up to the window's end, then 14 complete ones.
REPAIRED_TO_READY = 17


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
        return 1 - upper_bound(self.of - self.count, self.of, 0.975), upper_bound(self.count, self.of, 0.975)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.count:,}/{self.of:,} = {self.value:.2%} ({low:.2%}-{high:.2%})" if self.of else "0/0"


class Rate(msgspec.Struct, frozen=True):
    """``count`` in so many years of domains."""

    count: int
    years: float

    @property
    def value(self) -> float:
        """In one year."""
        return self.count / self.years if self.years else 0.0

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.count:,} in {self.years:,.0f} years)"


class Delays(msgspec.Struct, frozen=True):
    """Days until something happened, one for each world; None where it never did. 0 days is what was so already."""

    days: tuple[int | None, ...]

    @property
    def happened(self) -> list[int]:
        """Those that did, in order."""
        return sorted(day for day in self.days if day is not None)

    @property
    def median(self) -> int | None:
        """Of those that happened."""
        return int(np.quantile(self.happened, 0.5, method="inverted_cdf")) if self.happened else None

    @property
    def never(self) -> Share:
        """How often it did not."""
        return Share(len(self.days) - len(self.happened), len(self.days))

    def __str__(self) -> str:
        if not self.happened:
            return f"never (of {len(self.days)})"
        ninth = np.quantile(self.happened, 0.9, method="inverted_cdf")
        return f"median {self.median}, p90 {ninth:.0f}; never {self.never.count} of {self.never.of}"

    def later_than(self, days: int) -> Share:
        """How often it took longer, or never happened."""
        return Share(len(self.days) - sum(day <= days for day in self.happened), len(self.days))


Figure = Share | Rate | Delays


class Line(msgspec.Struct, frozen=True):
    """A line of the table: the figure of each rule in the order of ``RULES``, and the ``goal`` of ours, "" without one."""

    name: str
    figures: tuple[Figure, ...]
    goal: str = ""
    is_met: bool = True


def table(outcomes: Sequence[Outcome]) -> list[Line]:
    """Every line, those with a goal first."""
    return [*_goals(outcomes), *_beside(outcomes)]


def _goals(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    short = [outcome for outcome in outcomes if outcome.strangers and not outcome.known]
    repaired = _each(lambda rule: to_ready_again(outcomes, rule))
    yield _line("false ready, days", lambda rule: false_ready(outcomes, rule), 0.01)
    yield _line("false ready, worlds", lambda rule: false_ready_worlds(outcomes, rule), 0.03)
    yield _line("missed or late alarms (3 days)", lambda rule: late_alarms(outcomes, rule, (REFUSED, GONE)), 0.02)
    yield _line("false alarms per domain and year", lambda rule: false_alarms(outcomes, rule), 1.0)
    yield _line(
        "days on which a stranger with one domain moves the answer",
        lambda rule: moved([outcome for outcome in short if outcome.domains == 1], rule),
        0.0,
    )
    median = repaired[0].median
    is_met = not repaired[0].days or (median is not None and median <= REPAIRED_TO_READY)
    yield Line("days from the last failure to ready", repaired, f"median {REPAIRED_TO_READY}", is_met)


def _beside(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    short = [outcome for outcome in outcomes if outcome.strangers and not outcome.known]
    long = [outcome for outcome in outcomes if outcome.known]
    edge = [outcome for outcome in outcomes if outcome.kind == "edge"]
    lines: list[tuple[str, Callable[[int], Figure]]] = [
        ("false ready, days, what begins within the week included", lambda rule: unforeseen(outcomes, rule)),
        ("false ready, days, without a warning about newcomers beside it", lambda rule: unwarned(outcomes, rule)),
        ("false ready, days of edge worlds", lambda rule: false_ready(edge, rule)),
        ("false ready, edge worlds, any day", lambda rule: false_ready_worlds(edge, rule)),
        ("missed or late: refused sessions", lambda rule: late_alarms(outcomes, rule, (REFUSED,))),
        (
            "missed or late: refused, and a known voice told in time",
            lambda rule: late_alarms(outcomes, rule, (REFUSED,), True),
        ),
        ("missed or late: policy gone", lambda rule: late_alarms(outcomes, rule, (GONE,))),
        (
            "missed or late: policy gone, and a known voice told in time",
            lambda rule: late_alarms(outcomes, rule, (GONE,), True),
        ),
        ("missed or late: policy host failing", lambda rule: late_alarms(outcomes, rule, (UNFETCHED,))),
        ("quiet days with an alarm, in the 20 days after the switch", lambda rule: after_the_switch(outcomes, rule)),
        ("days to alarm, refused sessions", lambda rule: to_alarm(outcomes, rule)),
        ("quiet days with an alarm", lambda rule: alarms_for_nothing(outcomes, rule)),
        (
            "... moved by a stranger with 2 to 5 domains",
            lambda rule: moved([outcome for outcome in short if outcome.domains > 1], rule),
        ),
        ("... by one that reports for 30 days and more", lambda rule: moved(long, rule)),
        ("days to ready, clean, enough to see", lambda rule: to_ready(outcomes, rule)),
        ("days to ready, clean, 20 sessions a day", lambda rule: first_ready(outcomes, rule, "twenty-a-day")),
        ("days to ready, clean, 5 sessions a day", lambda rule: first_ready(outcomes, rule, "five-a-day")),
        ("ready withheld, clean days with enough to see", lambda rule: withheld(outcomes, rule, enough=True)),
        ("ready withheld, clean days with too little to see", lambda rule: withheld(outcomes, rule, enough=False)),
    ]
    for name, of in lines:
        yield Line(name, _each(of))


def _each(of: Callable[[int], Any]) -> tuple[Any, ...]:
    return tuple(of(rule) for rule in range(len(RULES)))


def _line(name: str, of: Callable[[int], Share | Rate], goal: float) -> Line:
    figures = _each(of)
    text = f"at most {goal:.0%}" if isinstance(figures[0], Share) and goal else f"at most {goal:g}" if goal else "none"
    return Line(name, figures, text, figures[0].value <= goal)


def _days(outcomes: Iterable[Outcome], wanted: Callable[[Judged], bool]) -> list[Judged]:
    return [day for outcome in outcomes for day in outcome.days if day.regular and wanted(day)]


def is_bad(day: Judged) -> bool:
    """A day in testing on which a switch would refuse too much in the coming week, by what began before the newest days."""
    return day.mode == "testing" and day.begun > ABOVE


def false_ready(outcomes: Sequence[Outcome], rule: int) -> Share:
    """Bad days, and how many of them the rule calls ready."""
    bad = _days(outcomes, is_bad)
    return Share(sum(day.ready[rule] for day in bad), len(bad))


def unwarned(outcomes: Sequence[Outcome], rule: int) -> Share:
    """The same, but for days on which ours says beside ``ready`` that newcomers met refusals."""
    bad = _days(outcomes, is_bad)
    return Share(sum(day.ready[rule] and not (rule == 0 and day.warned) for day in bad), len(bad))


def unforeseen(outcomes: Sequence[Outcome], rule: int) -> Share:
    """The same with what begins within the week, of which nothing can be known."""
    bad = _days(outcomes, lambda day: day.mode == "testing" and day.coming > ABOVE)
    return Share(sum(day.ready[rule] for day in bad), len(bad))


def false_ready_worlds(outcomes: Sequence[Outcome], rule: int) -> Share:
    """Worlds with any bad day, and in how many the rule says ready on any of them."""
    worlds = [days for outcome in outcomes if (days := _days([outcome], is_bad))]
    return Share(sum(any(day.ready[rule] for day in days) for days in worlds), len(worlds))


def false_ready_by_rate(outcomes: Sequence[Outcome]) -> dict[float, list[Share]]:
    """Worlds of one constant rate: how many of their due days each rule calls ready."""
    rates = sorted({outcome.rate for outcome in outcomes if outcome.rate is not None})
    shares: dict[float, list[Share]] = {}
    for rate in rates:
        due = _days([outcome for outcome in outcomes if outcome.rate == rate], lambda day: day.due)
        shares[rate] = [Share(sum(day.ready[rule] for day in due), len(due)) for rule in range(len(RULES))]
    return shares


def to_ready(outcomes: Sequence[Outcome], rule: int) -> Delays:
    """From the first day to the first ready, in clean worlds with enough to see on any day."""
    clean = [
        outcome
        for outcome in outcomes
        if outcome.kind == "clean" and any(day.enough and day.due for day in outcome.days)
    ]
    return _first_ready(clean, rule)


def first_ready(outcomes: Sequence[Outcome], rule: int, kind: str) -> Delays:
    """The same in the worlds of a kind."""
    return _first_ready([outcome for outcome in outcomes if outcome.kind == kind], rule)


def _first_ready(outcomes: Sequence[Outcome], rule: int) -> Delays:
    return Delays(tuple(next((day.day for day in outcome.days if day.ready[rule]), None) for outcome in outcomes))


def to_ready_again(outcomes: Sequence[Outcome], rule: int) -> Delays:
    """From the last failing day of a fault in testing to the first ready after it, where all that saw it report daily and enough.
    Where another fault comes first, there is nothing to measure.
    """
    delays: list[int | None] = []
    for outcome in outcomes:
        for repair in outcome.repairs:
            first = next((day.day for day in outcome.days if repair.last < day.day and day.ready[rule]), DAYS)
            if repair.plenty and repair.next > repair.last + 24 and repair.last + 24 < DAYS:
                delays.append(first - repair.last if first < repair.next else None)
    return Delays(tuple(delays))


def withheld(outcomes: Sequence[Outcome], rule: int, *, enough: bool) -> Share:
    """Clean testing days on which 14 complete days lie behind, and on how many the rule does not say ready."""
    due = _days(outcomes, lambda day: _is_due(day) and day.enough == enough)
    return Share(sum(not day.ready[rule] for day in due), len(due))


def _is_due(day: Judged) -> bool:
    return day.mode == "testing" and day.clean and day.due


def why_withheld(outcomes: Sequence[Outcome], *, enough: bool) -> dict[str, int]:
    """Our own reasons on those days."""
    days = _days(outcomes, lambda day: _is_due(day) and day.enough == enough and not day.ready[0])
    return dict(collections.Counter(f"{day.verdict}: {', '.join(day.reasons)}" for day in days).most_common(8))


def to_alarm(outcomes: Sequence[Outcome], rule: int) -> Delays:
    """From the first session that was really refused to the alarm; 0 is an alarm that was on already."""
    return Delays(tuple(delay(outcome, due, rule) for outcome, due in _due(outcomes, (REFUSED,))))


def late_alarms(outcomes: Sequence[Outcome], rule: int, why: Sequence[str], told: bool = False) -> Share:
    """Alarms that were due, and those that did not come within three days; ``told``: where the report of a known voice did."""
    delays = [
        delay(outcome, due, rule)
        for outcome, due in _due(outcomes, why)
        if not told or (due.told is not None and due.told <= due.first + PROMPT_DAYS)
    ]
    return Delays(tuple(delays)).later_than(PROMPT_DAYS)


def _due(outcomes: Iterable[Outcome], why: Sequence[str]) -> Iterator[tuple[Outcome, Due]]:
    for outcome in outcomes:
        yield from ((outcome, due) for due in outcome.due if due.why in why and due.first + PROMPT_DAYS < DAYS)


def delay(outcome: Outcome, due: Due, rule: int) -> int | None:
    """Days from the first day of an alarm that was due until it came."""
    days = (day.day - due.first for day in outcome.days if due.first <= day.day <= due.until and day.alarm[rule])
    return next(days, None)


def is_false_alarm(day: Judged, rule: int) -> bool:
    """An alarm although nothing is wrong, or has been for six days. The rivals know no mode: sessions that fail in testing are
    reason enough for theirs.
    """
    return day.alarm[rule] and (day.calm if rule else day.quiet)


def false_alarms(outcomes: Sequence[Outcome], rule: int) -> Rate:
    """Runs of days with a false alarm."""
    runs, days = 0, 0
    for outcome in outcomes:
        false = [is_false_alarm(day, rule) for day in outcome.days if day.regular]
        runs += sum(now and not before for before, now in zip([False, *false], false, strict=False))
        days += len(false) * outcome.step
    return Rate(runs, days / 365)


def alarms_for_nothing(outcomes: Sequence[Outcome], rule: int) -> Share:
    """Days on which nothing is wrong, and those with a false alarm."""
    quiet = _days(outcomes, lambda day: day.calm if rule else day.quiet)
    return Share(sum(is_false_alarm(day, rule) for day in quiet), len(quiet))


def after_the_switch(outcomes: Sequence[Outcome], rule: int) -> Share:
    """The same in the days after the switch to enforce, when faults that were repaired before it are still in the reports."""
    quiet = [
        day
        for outcome in outcomes
        if outcome.switch and outcome.switched is not None
        for day in outcome.days
        if day.regular
        and day.mode == "enforce"
        and day.day < outcome.switched + _NEW
        and (day.calm if rule else day.quiet)
    ]
    return Share(sum(day.alarm[rule] for day in quiet), len(quiet))


def moved(outcomes: Sequence[Outcome], rule: int) -> Share:
    """Days since the strangers began, and those on which the answer would be another one without them."""
    days = _days(outcomes, lambda day: bool(day.moved))
    return Share(sum(day.moved[rule] for day in days), len(days))


def failing(outcomes: Sequence[Outcome]) -> Iterator[tuple[str, Outcome, list[int]]]:
    """Worlds that break a goal of ours, and the days on which they do."""
    for outcome in outcomes:
        regular = [day for day in outcome.days if day.regular]
        days = {
            "false ready": [day.day for day in regular if is_bad(day) and day.ready[0]],
            "false alarm": [day.day for day in regular if is_false_alarm(day, 0)],
            "moved by a stranger": [day.day for day in regular if day.moved and day.moved[0] and not outcome.known],
        }
        for of, due in _due([outcome], (REFUSED, GONE)):
            took = delay(of, due, 0)
            days[f"late alarm ({due.why})"] = [due.first] if took is None or took > PROMPT_DAYS else []
        yield from ((why, outcome, when) for why, when in days.items() if when)
