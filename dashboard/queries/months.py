"""What the reports about some domains ever said, from the rollup ``voice_month``: who quoted which policy, gave which name, and
was loaded by the operator.

A row of the rollup answers for its reports when all of them are among those that the question lets in. Where it cannot tell
(reports about later days, reports that arrived later, rows in doubt), the reports of that domain's month are asked: a month at
each end of what a question spans, however long the history is.
"""

import collections
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from ingest.database.joins import REPORTS_AND_ENTRIES, of_report
from ingest.database.models import delivery, policy_entry, report, voice_month
from ingest.rfc.policy_types import STS
from ingest.spool.channels import OF_OPERATOR
from ingest.store.voice_months import days_of, month_of, next_month
from ingest.store.voice_months import since as since_day
from ingest.testimony.trust import EVIDENCE

from .question import DayRange, Question

_row = voice_month.c
Condition = sa.ColumnElement[bool]


class Selection:
    """The reports that a question about some domains is answered from, as conditions on the table ``report``."""

    def __init__(self, question: Question, domains: Sequence[str]) -> None:
        self.question = question
        self.domains = tuple(domains)
        self._where = [
            *self.of_domains(report),
            report.c.trust.in_(question.trusts),
            report.c.failure_day <= question.on,
        ]
        if question.as_of_then:
            arrival = delivery.c
            arrived = sa.exists().where(
                of_report(delivery),
                arrival.trust.in_(question.trusts),
                arrival.received_at < self.midnight,
            )
            self._where.append(arrived)

    @property
    def midnight(self) -> dt.datetime:
        """The end of the day that is asked about."""
        return dt.datetime.combine(self.question.on + dt.timedelta(days=1), dt.time(), dt.UTC)

    def of_domains(self, table: sa.Table) -> list[Condition]:
        """The condition on a table's domains."""
        domain = table.c.policy_domain
        return [domain.in_(list(self.domains)), self.question.scope.allows(domain)]

    def since(self, day: dt.date | None = None) -> list[Condition]:
        """The conditions, for reports about ``day`` and later."""
        return self._where if day is None else [*self._where, report.c.failure_day >= day]


class Quote(NamedTuple):
    """A policy that a voice has quoted at any time, with the first day and the last."""

    policy_domain: str
    voice: str
    policy_digest: str
    first_day: dt.date
    last_day: dt.date


class Names(NamedTuple):
    """What reports of a voice say of themselves; ``newest`` is the last arrival. Other rows of a voice have a ``day``."""

    policy_domain: str
    voice: str
    organization: str
    signer: str
    contact_info: str
    newest: dt.datetime
    day: None = None


class Months:
    """What the selected reports say, whatever their number. Reads within a connection's transaction."""

    def __init__(self, connection: sa.Connection, selection: Selection) -> None:
        self.connection = connection
        self.selection = selection
        question = selection.question
        self._mine = [
            *selection.of_domains(voice_month),
            _row.trust.in_(question.trusts),
            _row.month <= month_of(question.on),
        ]
        partly = _row.doubtful | (_row.last_failure_day > question.on)
        if question.as_of_then:
            partly |= _row.last_received_at >= selection.midnight
        self._whole = [*self._mine, ~partly]
        self._partly: dict[dt.date, list[str]] = collections.defaultdict(list)
        months = sa.select(_row.month, _row.policy_domain).where(*self._mine, partly).distinct()
        for month, domain in connection.execute(months.order_by(_row.month, _row.policy_domain)):
            self._partly[month].append(domain)

    def quotes(self) -> list[Quote]:
        """Every policy that was ever quoted, by domain and voice; oldest first."""
        of_voice = (_row.policy_domain, _row.voice, _row.policy_digest)
        days = (sa.func.min(_row.first_day), sa.func.max(_row.last_day))
        whole = sa.select(*of_voice, *days).where(*self._whole, _row.policy_digest != "").group_by(*of_voice)
        quotes: dict[tuple[str, str, str], Quote] = {}
        for query in (whole, *(self._quotes_of_reports(condition) for condition in self._months_in_part())):
            for row in self.connection.execute(query):
                quote = Quote(*row)
                other = quotes.get(quote[:3], quote)
                first, last = min(quote.first_day, other.first_day), max(quote.last_day, other.last_day)
                quotes[quote[:3]] = Quote(*quote[:3], first, last)
        return sorted(quotes.values(), key=lambda quote: (quote.first_day, quote.policy_digest, quote.voice))

    def _quotes_of_reports(self, *conditions: Condition) -> sa.Select[Any]:
        entry, day = policy_entry.c, report.c.day
        of_voice = (entry.policy_domain, report.c.voice, entry.policy_digest)
        return (
            sa.select(*of_voice, sa.func.min(day), sa.func.max(day))
            .select_from(REPORTS_AND_ENTRIES)
            .where(*self.selection.since(), *conditions, entry.policy_type == STS, entry.policy_digest.is_not(None))
            .group_by(*of_voice)
        )

    def names(self, since: dt.date, before: dt.date) -> list[Names]:
        """What voices said of themselves in the reports about the days from ``since`` to the day before ``before``."""
        first, end = next_month(since - dt.timedelta(days=1)), month_of(before)
        days = [DayRange(since, before - dt.timedelta(days=1))]
        queries: list[sa.Select[Any]] = []
        if first < end:
            last = dt.timedelta(days=1)
            days = [DayRange(since, first - last), DayRange(end, before - last)]
            columns = [_row[name] for name in Names._fields[:5]]
            within = (_row.month >= first, _row.month < end)
            newest = sa.func.max(_row.last_received_at)
            queries.append(sa.select(*columns, newest).where(*self._whole, *within).group_by(*columns))
            queries += [self._names_of_reports(condition) for condition in self._months_in_part(first, end)]
        queries += [
            self._names_of_reports(each.holds(report.c.day), since_day(each.since))
            for each in days
            if each.since is not None and each.until is not None and each.since <= each.until
        ]
        names: dict[tuple[str, ...], Names] = {}
        for query in queries:
            for row in self.connection.execute(query):
                name = Names(*row)
                newest_of_all = max(name.newest, names.get(name[:5], name).newest)
                names[name[:5]] = name._replace(newest=newest_of_all)
        return list(names.values())

    def _names_of_reports(self, *conditions: Condition) -> sa.Select[Any]:
        columns = [report.c[name] for name in Names._fields[:5]]
        newest = sa.func.max(report.c.received_at)
        query = sa.select(*columns, newest).where(*self.selection.since(), *conditions)
        # By day: SQLite would rather go through a whole history in the order of its voices than sort some days.
        return query.group_by(report.c.policy_domain, report.c.day, *columns[1:])

    def loaded(self) -> Mapping[str, set[str]]:
        """The voices of which the operator has loaded reports, by domain, whatever else brought those."""
        whole: sa.Select[Any] = sa.select(_row.policy_domain, _row.voice).where(*self._whole, _row.loaded).distinct()
        voices: dict[str, set[str]] = collections.defaultdict(set)
        for query in (whole, *(self._loaded_reports(condition) for condition in self._months_in_part())):
            for domain, voice in self.connection.execute(query):
                voices[domain].add(voice)
        return voices

    def _loaded_reports(self, *conditions: Condition) -> sa.Select[Any]:
        brought = delivery.alias("brought")  # the conditions look at deliveries, too
        by_operator = of_report(brought) & brought.c.door.in_(OF_OPERATOR) & brought.c.trust.in_(EVIDENCE)
        of_voice = (report.c.policy_domain, report.c.day, report.c.voice)
        query = sa.select(report.c.policy_domain, report.c.voice).select_from(report.join(brought, by_operator))
        return query.where(*self.selection.since(), *conditions).group_by(*of_voice)

    def _months_in_part(self, since: dt.date = dt.date.min, before: dt.date = dt.date.max) -> Iterator[Condition]:
        """Conditions on reports: those of the months of which the rollup cannot tell."""
        for month, domains in self._partly.items():
            if since <= month < before:
                yield days_of(month) & report.c.policy_domain.in_(domains)
