"""``starttally assess``: verdicts decided ahead and stored, one row a domain and day.

What is due is marked in the transaction that changes it (``ingest.store.due``); settings and the turn of a day are looked at
here. Rows say of each day what ``verdict --on`` says of it: mail that arrived back then and is loaded today changes the rows of
all days since. Any number of assessors share the work, and each may die at any moment.
"""

import collections
import datetime as dt
import logging
import threading
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import URGENCY, Verdict
from dashboard.queries.question import Question
from dashboard.verdicts import verdicts
from ingest.database.engines import DatabaseAway
from ingest.settings.settings import Settings
from ingest.store import due, verdict_rows
from ingest.store.due import Due

log = logging.getLogger(__name__)

# Days whose verdicts are kept right, today among them: what the page of a domain shows.
DAYS = 60
# Domains decided together: a claim is held for some seconds at most.
_TOGETHER, _PAST_TOGETHER = 100, 20
_IDLE_SECONDS, _LONGEST_BACK_OFF = 1.0, 30.0
_BIGINT_MAX = 2**63 - 1


class Assessor:
    """Decides what is due. ``clock`` gives the time in UTC."""

    def __init__(
        self,
        engine: sa.Engine,
        settings: Settings,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._marked_on: dt.date | None = None

    def run_once(self) -> int:
        """Decide until nothing is due that nobody else has claimed. How many verdicts were stored."""
        stored = 0
        while (batch := self.step()) is not None:
            stored += batch
        return stored

    def run(self, stop: threading.Event) -> None:
        """Go on until told to stop. While the database is away, wait; one line says so, and one that it is back."""
        failures = 0
        while not stop.is_set():
            try:
                idle = self.step() is None
            except (sa.exc.DBAPIError, DatabaseAway) as error:
                if not failures:
                    log.warning("nothing is assessed while the database is away: %s", error)
                failures += 1
                self._engine.dispose()
                stop.wait(min(_LONGEST_BACK_OFF, 2.0**failures))
                continue
            if failures:
                log.info("the database is back")
            failures = 0
            if idle:
                stop.wait(_IDLE_SECONDS)

    def step(self) -> int | None:
        """Decide one batch; how many verdicts were stored, None when nothing was due."""
        now = self._clock()
        question = Question.of(self._settings, now.date())
        if self._marked_on != question.on:
            due.mark_outdated(self._engine, question.on, question.asked, DAYS)
            self._marked_on = question.on
        claimed = due.claim(self._engine, _TOGETHER, now)
        if not claimed:
            return None
        fresh = [each for each in claimed if not each.only_past]
        if fresh:
            return self._decide_today(fresh, claimed, question, now)
        return self._decide_past(claimed, question, now)

    def _decide_today(self, fresh: Sequence[Due], claimed: Sequence[Due], question: Question, now: dt.datetime) -> int:
        with self._engine.connect() as connection:
            gone = verdict_rows.without_reports(connection, [each.domain for each in fresh])
            new = verdict_rows.without_verdict(connection, [each.domain for each in fresh])
        names = [each.domain for each in fresh if each.domain not in gone]
        rows = [row_of(verdict, question, now, newest=True) for verdict in verdicts(self._engine, question, names)]
        past = [each for each in fresh if each.from_day < question.on and each.domain not in gone | new]
        first_time = [each for each in fresh if each.domain in new - gone]
        left = {each.domain for each in (*past, *first_time)}
        with self._engine.begin() as connection:
            verdict_rows.write(connection, rows, fresh)
            verdict_rows.forget(connection, sorted(gone))
            due.give_back(connection, claimed)
            due.finish(connection, [each for each in fresh if each.domain not in left])
            due.leave(connection, [*past, *(each for each in claimed if each.only_past)])
            due.leave(connection, first_time, from_day=self._first_day(question))
        return len(rows)

    def _decide_past(self, claimed: Sequence[Due], question: Question, now: dt.datetime) -> int:
        """The days before today, as they were seen at their ends."""
        stored, first = 0, self._first_day(question)
        for start in range(0, len(claimed), _PAST_TOGETHER):
            batch = claimed[start : start + _PAST_TOGETHER]
            by_day: dict[dt.date, list[str]] = collections.defaultdict(list)
            for each in batch:
                for day in _days(max(first, each.from_day), question.on):
                    by_day[day].append(each.domain)
            rows = [
                row_of(verdict, question, now, newest=False)
                for day, names in sorted(by_day.items())
                for verdict in verdicts(self._engine, question.about(day), names)
            ]
            with self._engine.begin() as connection:
                verdict_rows.write(connection, rows, batch)
                due.give_back(connection, batch)
                due.finish(connection, batch)
            stored += len(rows)
        return stored

    @staticmethod
    def _first_day(question: Question) -> dt.date:
        return question.on - dt.timedelta(days=DAYS - 1)


def _days(first: dt.date, end: dt.date) -> Iterable[dt.date]:
    return (first + dt.timedelta(days=number) for number in range((end - first).days))


def row_of(verdict: Verdict, question: Question, now: dt.datetime, *, newest: bool) -> dict[str, Any]:
    """A verdict as a row of ``domain_verdict``."""
    return {
        "policy_domain": verdict.domain,
        "day": verdict.on,
        "newest": newest,
        "verdict": verdict.name,
        "urgency": URGENCY.index(verdict.name),
        "policy_mode": verdict.mode,
        "window_start": verdict.window.start,
        "window_end": verdict.window.end,
        "reporters": verdict.reporters,
        "sessions": min(verdict.sessions, _BIGINT_MAX),
        "refused_sessions": min(verdict.refused + verdict.refused_lately, _BIGINT_MAX),
        "refusal_bound": verdict.bound,
        "last_report_day": verdict.last_report_day,
        "reasons": msgspec.json.encode(verdict.reasons).decode(),
        "thresholds": msgspec.json.encode(verdict.thresholds).decode(),
        "asked": question.asked,
        "decided_at": now,
        "document": zlib.compress(msgspec.json.encode(verdict)) if newest else None,
    }
