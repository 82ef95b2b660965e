"""Verdicts from the database: evidence, overrides and the thresholds together, and what is written about them."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.intake import EVIDENCE, UNAUTHENTICATED
from ingest.settings import Settings
from ingest.sql import chunks

from .evidence import Evidence, Thresholds
from .queries.evidence import evidence_of
from .queries.selection import EVERYTHING, Scope
from .verdict import ENFORCING, READY, Verdict, decide

# Domains whose evidence is read together.
_TOGETHER = 200


def thresholds(settings: Settings) -> Thresholds:
    """The thresholds that the settings ask for."""
    return Thresholds(
        window_days=settings.verdict_window_days,
        late_days=settings.verdict_late_days,
        lookback_days=max(settings.verdict_lookback_days, settings.verdict_window_days),
        reporters=settings.verdict_reporters,
        bound=settings.verdict_bound,
        signers=settings.verdict_signers,
    )


def trusts(settings: Settings) -> tuple[str, ...]:
    """Whose reports count as evidence."""
    return (*EVIDENCE, UNAUTHENTICATED) if settings.trust_uploads else EVIDENCE


def verdicts(
    engine: sa.Engine,
    settings: Settings,
    domains: Sequence[str],
    on: dt.date,
    today: dt.date,
    scope: Scope = EVERYTHING,
) -> Iterator[Verdict]:
    """The verdict about each domain on the day ``on``, in the order of ``domains``; for a past day from what had arrived then."""
    for evidence in evidence_about(engine, settings, domains, on, today, scope):
        yield decide(evidence)


def evidence_about(
    engine: sa.Engine,
    settings: Settings,
    domains: Sequence[str],
    on: dt.date,
    today: dt.date,
    scope: Scope = EVERYTHING,
) -> Iterator[Evidence]:
    """The evidence that these verdicts are made from, in the same order."""
    limits, believed = thresholds(settings), trusts(settings)
    for together in chunks(domains, _TOGETHER):
        yield from evidence_of(engine, scope, together, on, limits, as_of_then=on < today, trusts=believed)


def case_of(
    engine: sa.Engine, scope: Scope, domain: str, on: dt.date, limits: Thresholds, believed: Sequence[str]
) -> tuple[Evidence, Verdict]:
    """The evidence about one domain as of today, ``on``, and the verdict made from it."""
    (evidence,) = evidence_of(engine, scope, [domain], on, limits, trusts=believed)
    return evidence, decide(evidence)


def by_day(
    engine: sa.Engine,
    scope: Scope,
    domain: str,
    today: dt.date,
    days: int,
    limits: Thresholds,
    believed: Sequence[str],
) -> list[tuple[dt.date, str]]:
    """The verdict's name on each of the last ``days`` days, oldest first, each from what had arrived by then."""
    found = []
    for ago in range(days - 1, -1, -1):
        on = today - dt.timedelta(days=ago)
        (evidence,) = evidence_of(engine, scope, [domain], on, limits, as_of_then=ago > 0, trusts=believed)
        found.append((on, decide(evidence).name))
    return found


def is_fine(verdict: Verdict) -> bool:
    """Whether the question "may it enforce?" is answered with yes."""
    return verdict.name in (READY, ENFORCING)


def as_json(verdict: Verdict) -> Mapping[str, Any]:
    """The whole verdict as plain data. The names of ``export domains`` mean the same here; ``refused_lately`` is the part of
    ``refused_sessions`` on the days after the window.
    """
    detail: dict[str, Any] = msgspec.to_builtins(verdict)
    current = detail.pop("current")
    head = {
        "policy_domain": detail.pop("domain"),
        "on": detail.pop("on"),
        "verdict": detail.pop("name"),
        "policy_mode": verdict.mode,
        "window_start": verdict.window.start.isoformat(),
        "window_end": verdict.window.end.isoformat(),
        "reporters": detail.pop("reporters"),
        "sessions": detail.pop("sessions"),
        "refused_sessions": detail.pop("refused") + verdict.refused_lately,
        "refused_lately": detail.pop("refused_lately"),
        "refusal_bound": detail.pop("bound"),
        "last_report_day": detail.pop("last_report_day"),
    }
    detail.pop("window")
    return head | {"policy": current} | detail
