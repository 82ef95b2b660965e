"""The verdicts of many domains: those that are stored, and those computed now because nothing stored holds."""

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import Verdict
from dashboard.queries import assessed
from dashboard.queries.assessed import Summary
from dashboard.queries.question import Question

from .verdicts import verdicts

# Domains whose verdict is computed while somebody waits for a page.
MOST_COMPUTED = 200


class Ranking(msgspec.Struct, frozen=True):
    """A part of the domains, the most urgent first, and how many have each verdict. ``waiting``: more domains than can be decided
    while a page is drawn have no verdict that holds; what is shown of them is the last stored one, or nothing.
    """

    summaries: list[Summary]
    counts: Mapping[str, int]
    waiting: bool = False

    @property
    def total(self) -> int:
        """How many domains there are."""
        return sum(self.counts.values())


def ranking(
    engine: sa.Engine, question: Question, search: str = "", verdict: str = "", limit: int = 100, offset: int = 0
) -> Ranking:
    """The domains whose name has ``search`` in it and whose verdict is ``verdict`` ("": any)."""
    outdated = assessed.outdated(engine, question, search, MOST_COMPUTED + 1)
    counts = assessed.counts(engine, question.scope, search)
    if not outdated or len(outdated) > MOST_COMPUTED:
        stored = assessed.ranked(engine, question.scope, search, verdict, limit, offset)
        return Ranking(stored, counts, waiting=bool(outdated))
    fresh = {made.domain: _summary(made) for made in verdicts(engine, question, outdated)}
    before = {old.domain: old for old in assessed.ranked_of(engine, question.scope, outdated)}
    every = dict(counts)
    for domain, now in fresh.items():
        if domain in before:
            every[before[domain].verdict] -= 1
        every[now.verdict] = every.get(now.verdict, 0) + 1
    stored = assessed.ranked(engine, question.scope, search, verdict, offset + limit + len(outdated), 0)
    wanted = [now for now in fresh.values() if verdict in ("", now.verdict)]
    merged = sorted([*(old for old in stored if old.domain not in fresh), *wanted], key=lambda each: each.urgency)
    return Ranking(merged[offset : offset + limit], in_order(every))


def in_order(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Counts by verdict, the most urgent first; verdicts that no domain has are left out."""
    return {name: counts[name] for name in assessed.URGENCY if counts.get(name)}


def _summary(verdict: Verdict) -> Summary:
    return Summary(
        domain=verdict.domain,
        verdict=verdict.name,
        refused=verdict.refused + verdict.refused_lately,
        sessions=verdict.sessions,
        bound=verdict.bound if verdict.sessions else None,
        mode=verdict.mode,
        reporters=verdict.reporters,
        last_report_day=verdict.last_report_day,
    )
