"""The verdicts of many domains, each computed again only when something about its domain has changed."""

import datetime as dt
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import URGENCY, Verdict
from dashboard.queries.question import Question
from ingest.database.sql import chunks

from .verdicts import verdicts

# Domains whose evidence is read together; between two of these, progress is told.
_TOGETHER = 100
# About 50 MB of summaries.
_MOST_KEPT = 100_000


class Summary(msgspec.Struct, frozen=True):
    """A verdict in a line. ``refused`` and ``sessions`` made it; ``bound`` is None without a session that counts."""

    domain: str
    verdict: str
    refused: int
    sessions: int
    bound: float | None
    mode: str
    reporters: int
    last_report_day: dt.date | None

    @property
    def urgency(self) -> tuple[int, int, int, str]:
        """A sorting key: the most urgent first, then most refused sessions, then most sessions, then by name."""
        return URGENCY.index(self.verdict), -self.refused, -self.sessions, self.domain


# What changes when anything about a domain does.
Stamp = tuple[object, ...]
Progress = Callable[[int, int], None]


class Kept:
    """Summaries with the stamps they were made under. One for all users of a process: what they may see is asked before."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], tuple[Stamp, Summary]] = {}

    def summaries(
        self,
        engine: sa.Engine,
        question: Question,
        stamps: Mapping[str, Stamp],
        progress: Progress = lambda _done, _of: None,
    ) -> list[Summary]:
        """The verdict about each domain of ``stamps``, most urgent first.

        ``progress`` is told how many of the domains that need it have been computed, of how many.
        """
        database = str(engine.url)
        made_for: Stamp = (question.on, question.thresholds, question.trusts)
        with self._lock:
            known = {name: self._known.get((database, name)) for name in stamps}
        stale = [name for name, stamp in stamps.items() if (old := known[name]) is None or old[0] != (*made_for, stamp)]
        summaries = {name: old[1] for name, old in known.items() if old is not None}
        done = 0
        for domains in chunks(stale, _TOGETHER):
            progress(done, len(stale))
            fresh = [_summary(verdict) for verdict in verdicts(engine, question, domains)]
            summaries |= {summary.domain: summary for summary in fresh}
            self._keep(database, {summary.domain: ((*made_for, stamps[summary.domain]), summary) for summary in fresh})
            done += len(domains)
        return sorted((summaries[name] for name in stamps), key=lambda summary: summary.urgency)

    def _keep(self, database: str, fresh: Mapping[str, tuple[Stamp, Summary]]) -> None:
        with self._lock:
            if len(self._known) + len(fresh) > _MOST_KEPT:
                self._known.clear()
            self._known |= {(database, name): entry for name, entry in fresh.items()}


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


def by_verdict(summaries: Sequence[Summary]) -> dict[str, int]:
    """How many domains have each verdict, most urgent first; verdicts that none has are left out."""
    counts = {name: sum(summary.verdict == name for summary in summaries) for name in URGENCY}
    return {name: count for name, count in counts.items() if count}
