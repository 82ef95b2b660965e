"""Stored verdicts (``assess``): those that still hold, in the order of their urgency, and a domain's days.

A stored verdict holds when it is of the day that is asked about, was made for the same thresholds, and nothing about its domain
is due. What does not hold is computed anew by who asks (``dashboard.verdicts``).
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dashboard.decision.verdict import URGENCY as URGENCY
from ingest.database.models import delivery, domain_due, domain_trust, domain_verdict, operator_word, voice_month
from ingest.database.sql import chunks

from .question import Question, Scope

_TOGETHER = 500
_row = domain_verdict.c
_SUMMARIES = sa.select(
    *(_row.policy_domain, _row.verdict, _row.refused_sessions, _row.sessions, _row.refusal_bound),
    *(_row.policy_mode, _row.reporters, _row.last_report_day, _row.decided_at),
)


class Summary(msgspec.Struct, frozen=True):
    """A verdict in a line. ``refused`` and ``sessions`` made it; ``bound`` is None without a session that counts.

    ``decided_at`` is None for one that was computed just now.
    """

    domain: str
    verdict: str
    refused: int
    sessions: int
    bound: float | None
    mode: str
    reporters: int
    last_report_day: dt.date | None
    decided_at: dt.datetime | None = None

    @property
    def urgency(self) -> tuple[int, int, int, str]:
        """A sorting key: the most urgent first, then most refused sessions, then most sessions, then by name."""
        return URGENCY.index(self.verdict), -self.refused, -self.sessions, self.domain


def documents_from(connection: sa.Connection, question: Question, domains: Sequence[str]) -> Mapping[str, bytes]:
    """The whole verdicts about those of ``domains`` whose stored verdict holds, as rows hold them."""
    held: dict[str, bytes] = {}
    for batch in chunks(domains, _TOGETHER):
        query = sa.select(_row.policy_domain, _row.document).where(
            question.scope.allows(_row.policy_domain), _row.policy_domain.in_(batch), _holds(question)
        )
        held.update(map(tuple, connection.execute(query)))
    return held


def outdated(engine: sa.Engine, question: Question, search: str, limit: int) -> list[str]:
    """At most ``limit`` domains with reports whose stored verdict does not hold, or that have none."""
    domain, scope = domain_trust.c.policy_domain, question.scope
    reported = (scope.allows(domain), domain != "", _has(domain, search))
    due = sa.select(domain_due.c.policy_domain).where(~domain_due.c.only_past)
    # Side by side in the order of names: to look for each domain's verdict would take many times as long.
    decided = sa.select(_row.policy_domain).where(*_newest(scope, search, ""), *_made_for(question))
    undecided = sa.except_(sa.select(domain).where(*reported), decided).order_by(domain.key)
    with engine.connect() as connection:
        marked = connection.scalars(sa.select(domain).where(*reported, domain.in_(due)).distinct().limit(limit))
        return sorted({*marked, *connection.scalars(undecided.limit(limit))})[:limit]


def ranked(
    engine: sa.Engine, scope: Scope, search: str = "", verdict: str = "", limit: int | None = None, offset: int = 0
) -> list[Summary]:
    """The newest stored verdicts, the most urgent first, then most refused sessions, then most sessions, then by name.

    ``search`` is a part of the name, ``verdict`` the only one wanted; "" does not filter.
    """
    order = (_row.urgency, _row.refused_sessions.desc(), _row.sessions.desc(), _row.policy_domain)
    query = _SUMMARIES.where(*_newest(scope, search, verdict)).order_by(*order).limit(limit).offset(offset)
    with engine.connect() as connection:
        return [_summary(row) for row in connection.execute(query)]


def ranked_of(engine: sa.Engine, scope: Scope, domains: Sequence[str]) -> list[Summary]:
    """The newest stored verdicts of these domains, as far as there are any."""
    summaries: list[Summary] = []
    with engine.connect() as connection:
        for batch in chunks(domains, _TOGETHER):
            query = _SUMMARIES.where(*_newest(scope, "", ""), _row.policy_domain.in_(batch)).order_by(
                _row.policy_domain
            )
            summaries += [_summary(row) for row in connection.execute(query)]
    return summaries


def counts(engine: sa.Engine, scope: Scope, search: str) -> Mapping[str, int]:
    """How many domains have each verdict, by the newest stored ones, the most urgent first."""
    query = (
        sa.select(_row.urgency, sa.func.count())
        .where(*_newest(scope, search, ""))
        .group_by(_row.urgency)
        .order_by(_row.urgency)
    )
    with engine.connect() as connection:
        return {URGENCY[urgency]: number for urgency, number in connection.execute(query)}


def by_day(engine: sa.Engine, question: Question, domain: str, first: dt.date) -> Mapping[dt.date, str]:
    """The verdicts about a domain on the days since ``first``, as far as they are stored and hold."""
    with engine.connect() as connection:
        pending = connection.execute(
            sa.select(domain_due.c.from_day).where(domain_due.c.policy_domain == domain)
        ).scalar_one_or_none()
        held = (
            *(question.scope.allows(_row.policy_domain), _row.policy_domain == domain),
            *(_row.asked == question.asked, _row.day >= first, _row.day < min(pending or question.on, question.on)),
        )
        query = sa.select(_row.day, _row.verdict).where(*held).order_by(_row.day)
        return dict(map(tuple, connection.execute(query)))


def had_reports(engine: sa.Engine, question: Question, domain: str, day: dt.date) -> bool:
    """Whether reports that count had arrived by the end of a day; False, too, where only ``first_word`` can tell."""
    month, midnight = voice_month.c, dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)
    arrived = sa.exists().where(
        question.scope.allows(month.policy_domain),
        month.policy_domain == domain,
        month.trust.in_(question.trusts),
        month.last_received_at < midnight,
        ~month.doubtful,
    )
    with engine.connect() as connection:
        return bool(connection.scalar(sa.select(arrived)))


def first_word(engine: sa.Engine, question: Question, domain: str) -> dt.date | None:
    """The day on which the first report that counts arrived, or the operator first said something; None: nothing yet."""
    arrivals = sa.select(sa.func.min(delivery.c.received_at)).where(
        question.scope.allows(delivery.c.policy_domain),
        delivery.c.policy_domain == domain,
        delivery.c.trust.in_(question.trusts),
    )
    words = sa.select(sa.func.min(operator_word.c.given_at)).where(
        question.scope.allows(operator_word.c.policy_domain), operator_word.c.policy_domain == domain
    )
    with engine.connect() as connection:
        moments = [connection.execute(query).scalar_one() for query in (arrivals, words)]
    return min((moment.astimezone(dt.UTC).date() for moment in moments if moment), default=None)


def _holds(question: Question) -> sa.ColumnElement[bool]:
    due = sa.exists().where(domain_due.c.policy_domain == _row.policy_domain, ~domain_due.c.only_past)
    return sa.and_(*_made_for(question), ~due)


def _made_for(question: Question) -> list[sa.ColumnElement[bool]]:
    return [_row.newest, _row.day == question.on, _row.asked == question.asked]


def _newest(scope: Scope, search: str, verdict: str) -> list[sa.ColumnElement[bool]]:
    # By its number, which the index has; one that there is not has none.
    wanted = _row.urgency == (URGENCY.index(verdict) if verdict in URGENCY else -1) if verdict else sa.true()
    return [_row.newest, scope.allows(_row.policy_domain), _has(_row.policy_domain, search), wanted]


def _has(domain: sa.ColumnElement[str], search: str) -> sa.ColumnElement[bool]:
    return domain.contains(search, autoescape=True) if search else sa.true()


def _summary(row: Any) -> Summary:  # noqa: ANN401
    bound = row.refusal_bound if row.sessions else None
    figures = (row.policy_domain, row.verdict, row.refused_sessions, row.sessions, bound)
    return Summary(*figures, row.policy_mode, row.reporters, row.last_report_day, row.decided_at)
