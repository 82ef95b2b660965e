"""Worlds through the real rows and queries: documents read, stored in SQLite, and judged as of each simulated day."""

import contextlib
import datetime as dt
import multiprocessing
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import sqlalchemy as sa

from dashboard import verdicts
from dashboard.verdict import ENFORCING_REFUSING, READY, Verdict
from ingest import database, intake, settings, store, trace
from ingest.authentication import UNSIGNED, VERIFIED, Authentication
from ingest.sql import chunks
from ingest.tlsrpt.report import read_reports

from . import reports, rules
from .truth import BOUND, Truth
from .worlds import DAYS, World, world

OURS = "StartTally"
RULES = (OURS, *rules.NAMES)
TOGETHER = 50  # worlds in one database
_BATCH = 500
_TODAY = reports.FIRST + dt.timedelta(days=DAYS + 30)


class Judged(msgspec.Struct, frozen=True, array_like=True):
    """One day of one world: what is true, what we say and why, which rules say ``ready`` and which raise an alarm.

    ``regular`` days are those of the step; the others were added to see to the day when something begins.
    """

    day: int
    regular: bool
    mode: str
    span_rate: float
    rate_lately: float
    clean: bool
    enough: bool
    due: bool
    policy_host_failing: bool
    mail_refused: bool
    none_refused: bool
    verdict: str
    reasons: tuple[str, ...]
    ready: tuple[bool, ...]
    alarm: tuple[bool, ...]


class Outcome(msgspec.Struct, frozen=True, array_like=True):
    """One world and its judged days. ``fault_first`` is the day an enforcing world's fault first refused a session, or None."""

    number: int
    kind: str
    forger: str
    strangers: str
    rate: float | None
    fault_first: int | None
    fault_rate: float
    enforce_until: int
    days: tuple[Judged, ...]
    reports: int


Work = tuple[int, tuple[int, ...], int, int, bool]


def outcomes(seed: int, numbers: Sequence[int], step: int, jobs: int = 1, *, listed: bool = False) -> Iterator[Outcome]:
    """Every world's outcome, a database of worlds at a time. ``listed``: the operator has listed the honest signers."""
    # The phase goes with the number, so that a run in parts is the same as a run at once.
    work = [(seed, tuple(some), step, some[0] // TOGETHER % step, listed) for some in chunks(list(numbers), TOGETHER)]
    if jobs == 1:
        for one in work:
            yield from together(*one)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        for found in pool.imap(_together, work):
            yield from found


def _together(work: Work) -> list[Outcome]:
    return together(*work)


def together(seed: int, numbers: Sequence[int], step: int, phase: int, listed: bool = False) -> list[Outcome]:
    """Some worlds in one database of their own, in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder, _database(Path(folder)) as engine:
        worlds = [world(seed, number) for number in numbers]
        truths, counts = {}, {}
        for one in worlds:
            written, truths[one.domain] = reports.life(seed, one)
            counts[one.domain] = len(written)
            save(engine, written)
        honest = {sender.signer for one in worlds for sender in one.senders} if listed else ()
        chosen = usual_settings().model_copy(update={"verdict_signers": tuple(honest)})
        judged = _judge(engine, chosen, worlds, truths, step, phase)
        return [_outcome(one, truths[one.domain], judged[one.domain], counts[one.domain]) for one in worlds]


def usual_settings() -> settings.Settings:
    """The thresholds that the truth is told for, whatever the environment says."""
    return settings.load(
        verdict_window_days=14, verdict_late_days=2, verdict_bound=BOUND, verdict_reporters=2, trust_uploads=False
    )


@contextlib.contextmanager
def _database(folder: Path) -> Iterator[sa.Engine]:
    url = f"sqlite:///{folder}/worlds.db"
    database.upgrade(url)
    engine = database.open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def save(engine: sa.Engine, written: Sequence[reports.Written]) -> None:
    """Read each document and write it as the worker does, with its sender's signature; the mail around it is left out."""
    limit = usual_settings().max_report_bytes
    for batch in chunks(list(written), _BATCH):
        with engine.begin() as connection:
            store.save(connection, [_submission(one, limit) for one in batch], batch[-1].came)


def _submission(one: reports.Written, limit: int) -> intake.Submission:
    arrival = trace.Arrival(one.door, one.came, trace.digest(one.document))
    decoded = intake.Decoded(arrival, one.document, tuple(read_reports(one.document, limit)))
    signed = (
        Authentication(VERIFIED, "", one.signer, "s1", "v=DKIM1; p=abc") if one.signer else Authentication(UNSIGNED)
    )
    return intake.authenticated(decoded, lambda _message, _now: signed)


def days_to_judge(one: World, truth: Truth, step: int, phase: int) -> dict[int, bool]:
    """The days on which a world is judged, and whether each is one of the regular ones."""
    days = dict.fromkeys(range(phase, DAYS, step), True)
    first = _first_refusal(one, truth)
    more = range(0) if first is None else range(one.faults[0].first, first + 8)
    if one.kind == "clean":
        more = range(13, 22)
    return {day: False for day in more if day < DAYS} | days


def _judge(
    engine: sa.Engine,
    chosen: settings.Settings,
    worlds: Sequence[World],
    truths: dict[str, Truth],
    step: int,
    phase: int,
) -> dict[str, list[Judged]]:
    others = rules.read(engine, [one.domain for one in worlds])
    plans = {one.domain: days_to_judge(one, truths[one.domain], step, phase) for one in worlds}
    found: dict[str, list[Judged]] = {one.domain: [] for one in worlds}
    for day in range(DAYS):
        domains = [domain for domain, plan in plans.items() if day in plan]
        on = reports.FIRST + dt.timedelta(days=day)
        for ours in verdicts.verdicts(engine, chosen, domains, on, _TODAY):
            name = ours.domain
            found[name].append(_judged(day, plans[name][day], truths[name], ours, others[name]))
    return found


def _judged(day: int, regular: bool, truth: Truth, ours: Verdict, others: rules.Others) -> Judged:
    on = reports.FIRST + dt.timedelta(days=day)
    ready, alarm = others.ready(on), others.alarm(on)
    return Judged(
        day=day,
        regular=regular,
        mode=truth.mode(day),
        span_rate=truth.span_rate(day),
        rate_lately=truth.rate_lately(day),
        clean=truth.is_clean(day),
        enough=truth.enough(day),
        due=day >= truth.earliest(day),
        policy_host_failing=truth.policy_host_failing(day),
        mail_refused=truth.mail_is_refused(day),
        none_refused=truth.nothing_is_refused(day),
        verdict=ours.name,
        reasons=tuple(reason.code for reason in ours.reasons if reason.blocking),
        ready=(ours.name == READY, *ready.values()),
        alarm=(ours.name == ENFORCING_REFUSING, *alarm.values()),
    )


def _first_refusal(one: World, truth: Truth) -> int | None:
    """The day on which an enforcing world's fault first met a session."""
    if one.kind != "enforce" or not one.faults:
        return None
    met = [day for day in range(one.faults[0].first, DAYS) if truth.refused[day]]
    return met[0] if met and truth.mode(met[0]) == "enforce" else None


def _outcome(one: World, truth: Truth, judged: list[Judged], written: int) -> Outcome:
    first = _first_refusal(one, truth)
    until = next((day for day in range(first or 0, DAYS) if first is not None and truth.mode(day) != "enforce"), DAYS)
    last = one.faults[0].last if first is not None else 0
    expected = truth.sessions[first:last].sum() if first is not None else 0
    return Outcome(
        number=one.number,
        kind=one.kind,
        forger=one.forger,
        strangers=one.strangers.claim if one.strangers else "",
        rate=one.rate,
        fault_first=first,
        fault_rate=float(truth.refusals[first:last].sum() / expected) if expected else 0.0,
        enforce_until=until,
        days=tuple(judged),
        reports=written,
    )
