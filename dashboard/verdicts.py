"""Verdicts from the database: evidence, overrides and the thresholds together, and what is written about them."""

import datetime as dt
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dashboard.decision.evidence import Evidence
from dashboard.decision.verdict import ENFORCING, READY, Verdict, decide
from dashboard.queries import assessed
from dashboard.queries.evidence import evidence_from, evidence_of
from dashboard.queries.question import Question
from ingest.database.sql import chunks

# Domains whose evidence is read together.
_TOGETHER = 200


def verdicts(engine: sa.Engine, question: Question, domains: Sequence[str]) -> Iterator[Verdict]:
    """The verdict about each domain, in the order of ``domains``."""
    for evidence in evidence_about(engine, question, domains):
        yield decide(evidence)


def current(engine: sa.Engine, question: Question, domains: Sequence[str]) -> Iterator[Verdict]:
    """The same; verdicts that ``assess`` has stored, and that still hold, are not made again."""
    with engine.connect() as connection:
        yield from current_from(connection, question, domains)


def current_from(connection: sa.Connection, question: Question, domains: Sequence[str]) -> Iterator[Verdict]:
    """The same, within a connection's transaction."""
    for together in chunks(domains, _TOGETHER):
        stored = {} if question.as_of_then else assessed.documents_from(connection, question, together)
        others = [domain for domain in together if domain not in stored]
        anew = evidence_from(connection, question, others) if others else []
        made = {evidence.domain: decide(evidence) for evidence in anew}
        for domain in together:
            yield made[domain] if domain in made else _stored(stored[domain])


def _stored(document: bytes) -> Verdict:
    return msgspec.json.decode(zlib.decompress(document), type=Verdict)


def evidence_about(engine: sa.Engine, question: Question, domains: Sequence[str]) -> Iterator[Evidence]:
    """The evidence that these verdicts are made from, in the same order."""
    for together in chunks(domains, _TOGETHER):
        yield from evidence_of(engine, question, together)


def case_of(engine: sa.Engine, question: Question, domain: str) -> tuple[Evidence, Verdict]:
    """The evidence about one domain, and the verdict made from it."""
    (evidence,) = evidence_of(engine, question, [domain])
    return evidence, decide(evidence)


def by_day(engine: sa.Engine, question: Question, domain: str, today: str, days: int) -> list[tuple[dt.date, str]]:
    """The verdict's name on each of the last ``days`` days, oldest first, each from what had arrived by then.

    ``today`` is its name on the question's day; verdicts that are stored are not made again.
    """
    dates = [question.on - dt.timedelta(days=ago) for ago in range(days - 1, -1, -1)]
    names = {**assessed.by_day(engine, question, domain, dates[0]), question.on: today}
    unknown = [day for day in dates if day not in names]
    # Before anything had come, and anybody had spoken, every day is like the next.
    if unknown and not assessed.had_reports(engine, question, domain, unknown[0]):
        begun = assessed.first_word(engine, question, domain)
        silent = [day for day in unknown if begun is None or day < begun]
        if silent:
            names |= dict.fromkeys(silent, case_of(engine, question.about(silent[0]), domain)[1].name)
    return [
        (day, names[day] if day in names else case_of(engine, question.about(day), domain)[1].name) for day in dates
    ]


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
