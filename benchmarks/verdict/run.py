"""Worlds through the real rows: documents read, stored in SQLite, and judged as of each simulated day."""

import contextlib
import multiprocessing
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import ENFORCING_REFUSING, POLICY_BROKEN, READY, Verdict, decide
from dashboard.queries.question import Question
from ingest import intake, submissions
from ingest.authentication.verdict import Authentication
from ingest.database import engines
from ingest.database.sql import chunks
from ingest.rfc.tlsrpt.report import read_reports
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.store import saving
from ingest.store.upkeep import upgrades
from ingest.testimony.trust import FAILED, UNSIGNED, VERIFIED

from . import cut, reports, rules
from .documents import Written
from .lives import world
from .rules import date
from .truth import BOUND, SPAN_LAST, Due, Repair, Truth
from .worlds import DAYS, World

OURS = "StartTally"
RULES = (OURS, *rules.NAMES)
TOGETHER = 20  # worlds in one database
_BATCH = 500
_LAST_ADVICE = 85
# What is asked for a verdict; a test puts a careless one here.
say = decide


class Judged(msgspec.Struct, frozen=True, array_like=True):
    """One day of one world: what is true, what we say and why, which rules say ``ready`` and which raise an alarm.

    ``coming`` is the true refusal rate of the next days, ``begun`` that of the faults that began before the newest days.
    ``quiet``: no mail is refused and the policy is there, ``calm``: no session fails either. ``warned``: ``ready`` has beside it
    that newcomers say otherwise. ``regular`` days are those of the step; the others were added to see to the day when something
    begins. ``without`` is the verdict without the strangers' reports ("" when there are none). ``moved``: whose answer differs by
    these reports, ours by its name; ``figures_moved``: any of our figures does.
    """

    day: int
    regular: bool
    mode: str
    coming: float
    begun: float
    clean: bool
    enough: bool
    due: bool
    quiet: bool
    calm: bool
    verdict: str
    reasons: tuple[str, ...]
    ready: tuple[bool, ...]
    alarm: tuple[bool, ...]
    warned: bool = False
    without: str = ""
    moved: tuple[bool, ...] = ()
    figures_moved: bool = False


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """One world and its judged days. ``strangers`` is what they claim, ``domains`` how many they have, ``known``: they report for
    so long that they are known voices. ``switched`` is the day of the switch to enforce, None without.
    """

    seed: int
    number: int
    kind: str
    forger: str
    strangers: str
    domains: int
    known: bool
    rate: float | None
    switch: str
    switched: int | None
    due: tuple[Due, ...]
    repairs: tuple[Repair, ...]
    days: tuple[Judged, ...]
    reports: int
    step: int


Work = tuple[int, tuple[int, ...], int]


def outcomes(work: Sequence[tuple[int, int]], step: int, jobs: int = 1) -> Iterator[list[Outcome]]:
    """The outcomes of the worlds (seed, number), a database of worlds at a time."""
    seeds = dict.fromkeys(seed for seed, _ in work)
    parts: list[Work] = [
        (seed, tuple(numbers), step)
        for seed in seeds
        for numbers in chunks([number for of, number in work if of == seed], TOGETHER)
    ]
    parts.sort(key=lambda part: part[1][0])  # all seeds side by side, so that a part of a run has something of each
    if jobs == 1:
        yield from map(_together, parts)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(_together, parts)


def _together(work: Work) -> list[Outcome]:
    return together(*work)


def together(seed: int, numbers: Sequence[int], step: int) -> list[Outcome]:
    """Some worlds in one database of their own, in a temporary folder."""
    worlds = [world(seed, number) for number in numbers]
    advice = _advice(seed, [life for life in worlds if life.switch == "advised"])
    worlds = [life.switched(advice[life.number]) if life.number in advice else life for life in worlds]
    lives = {life.domain: reports.life(seed, life) for life in worlds}
    with database_of(written for written, _ in lives.values()) as engine:
        stored = cut.read(engine, [life.domain for life in worlds], date(DAYS))
    return [_outcome(seed, truth, stored[name], len(written), step) for name, (written, truth) in lives.items()]


def _advice(seed: int, worlds: Sequence[World]) -> Mapping[int, int]:
    """For each world the day after the first ``ready``, on which its operator switches."""
    if not worlds:
        return {}
    early = [
        [report for report in reports.life(seed, each)[0] if report.received_at.date() <= date(_LAST_ADVICE)]
        for each in worlds
    ]
    with database_of(early) as engine:
        stored = cut.read(engine, [life.domain for life in worlds], date(DAYS))
    limits = Question.of(usual_settings(), date(DAYS)).thresholds
    days: dict[int, int] = {}
    for life in worlds:
        asked = range(15, _LAST_ADVICE, 2)
        on = next((day for day in asked if say(stored[life.domain].on(date(day), limits)).name == READY), None)
        if on is not None:
            days[life.number] = on + 1
    return days


def usual_settings() -> settings.Settings:
    """The thresholds that the truth is told for, whatever the environment says."""
    return settings.load(
        verdict_window_days=14,
        verdict_late_days=2,
        verdict_bound=BOUND,
        verdict_reporters=2,
        verdict_signers=(),
        trust_uploads=False,
        domains=(),
    )


@contextlib.contextmanager
def database_of(lives: Iterable[Sequence[Written]]) -> Iterator[sa.Engine]:
    """A database of its own, in a temporary folder, with these reports."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/worlds.db"
        upgrades.migrate(url)
        engine = engines.open_engine(url)
        try:
            for written in lives:
                save(engine, written)
            yield engine
        finally:
            engine.dispose()


def save(engine: sa.Engine, written: Sequence[Written]) -> None:
    """Read each document and write it as the worker does, with its sender's signature; the mail around it is left out."""
    chosen = usual_settings()
    for batch in chunks(list(written), _BATCH):
        with engine.begin() as connection:
            saving.save(connection, [_submission(report, chosen) for report in batch], batch[-1].received_at)


def _submission(report: Written, chosen: settings.Settings) -> submissions.Submission:
    arrival = trace.Arrival(report.door, report.received_at, trace.digest(report.document))
    if report.door == channels.LOAD:
        decoded = intake.decode_file(report.document, "report.json", arrival, chosen)
        if isinstance(decoded, submissions.Quarantined):
            raise ValueError(decoded.explanation)
        return intake.authenticated(decoded, None)
    decoded = submissions.Decoded(
        arrival, report.document, tuple(read_reports(report.document, chosen.max_report_bytes))
    )
    verdict = (
        Authentication(VERIFIED, "", report.signer, "s1", "v=DKIM1; p=abc")
        if report.signer
        else Authentication(UNSIGNED)
    )
    if report.wrong:
        verdict = Authentication(FAILED, "its signature is over something else", wrong=True)
    return intake.authenticated(decoded, lambda _message, _now: verdict)


def days_to_judge(truth: Truth, step: int) -> dict[int, bool]:
    """The days on which a world is judged, and whether each is one of the regular ones."""
    days = dict.fromkeys(range(truth.world.number % step, DAYS, step), True)
    more = [day for due in truth.due() for day in range(due.first, due.first + 7)]
    more += [day for repair in truth.repairs() if repair.plenty for day in range(repair.last + 14, repair.last + 21)]
    if truth.world.kind == "clean":
        more += range(13, 20)
    return {day: False for day in more if day < DAYS} | days


def _outcome(seed: int, truth: Truth, stored: cut.Stored, written: int, step: int) -> Outcome:
    lived = truth.world
    judge = _Judge(truth, stored)
    judged = [judge.on(day, is_regular) for day, is_regular in sorted(days_to_judge(truth, step).items())]
    enforcing = [policy.first for policy in lived.policies if policy.mode == "enforce"]
    return Outcome(
        seed=seed,
        number=lived.number,
        kind=lived.kind,
        forger=lived.forger,
        strangers=lived.strangers.claim if lived.strangers else "",
        domains=len(lived.strangers.signers) if lived.strangers else 0,
        known=lived.strangers is not None and lived.strangers.is_long,
        rate=lived.rate,
        switch=lived.switch,
        switched=min(enforcing, default=None),
        due=tuple(truth.due()),
        repairs=tuple(truth.repairs()),
        days=tuple(judged),
        reports=written,
        step=step,
    )


class _Judge:
    """All that is said about one world."""

    def __init__(self, truth: Truth, stored: cut.Stored) -> None:
        self._truth, self._stored = truth, stored
        self._limits = Question.of(usual_settings(), date(DAYS)).thresholds
        self._strangers = truth.world.strangers
        self._others = rules.others(stored, truth)
        self._alone = rules.others(stored, truth, self._strangers.signers) if self._strangers else self._others

    def on(self, day: int, is_regular: bool) -> Judged:
        """One day."""
        truth, ours = self._truth, self._verdict(day, ())
        theirs = self._others.ready(day), self._others.alarm(day)
        judged = Judged(
            day=day,
            regular=is_regular,
            mode=truth.mode(day),
            coming=truth.coming(day),
            begun=truth.coming(day, day - SPAN_LAST),
            clean=truth.is_clean(day),
            enough=truth.enough(day),
            due=day >= truth.earliest(day),
            quiet=truth.is_quiet(day),
            calm=truth.is_calm(day),
            verdict=ours.name,
            reasons=tuple(reason.code for reason in ours.reasons if reason.blocking),
            ready=(ours.name == READY, *theirs[0]),
            warned=ours.name == READY and ours.with_newcomers not in ("", READY),
            alarm=(ours.name in (ENFORCING_REFUSING, POLICY_BROKEN), *theirs[1]),
        )
        if self._strangers is None or day < self._strangers.first:
            return judged
        alone = self._verdict(day, self._strangers.signers)
        before = zip(*theirs, self._alone.ready(day), self._alone.alarm(day), strict=True)
        return msgspec.structs.replace(
            judged,
            without=alone.name,
            moved=(alone.name != ours.name, *(pair[:2] != pair[2:] for pair in before)),
            figures_moved=_figures(alone) != _figures(ours),
        )

    def _verdict(self, day: int, without: Sequence[str]) -> Verdict:
        return say(self._stored.on(date(day), self._limits, without))


def _figures(verdict: Verdict) -> tuple[object, ...]:
    return verdict.name, verdict.mode, verdict.reporters, verdict.sessions, verdict.refused, verdict.refused_lately
