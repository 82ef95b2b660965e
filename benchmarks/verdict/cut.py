"""One domain's evidence for many days: the rows are read once, and cut to what had arrived by each day.

``dashboard.queries.evidence`` asks the database anew for every day, which costs most of a simulation. Here its own reading makes
the entries, and its own ``Speakers``, ``fold`` and ``with_overrides`` are asked for each day; only what had arrived is selected
in Python. ``tests/dashboard/decision/test_simulation.py`` holds the result against the pipeline's, evidence for evidence.
"""

import collections
import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from dashboard.decision.evidence import Entry, Evidence, QuotedPolicy, Sighting, Thresholds
from dashboard.decision.overrides.overrides import with_overrides
from dashboard.queries import evidence as queries
from dashboard.queries import voices
from dashboard.queries.months import Months, Selection
from dashboard.queries.question import Question
from ingest.database.models import delivery, policy_entry, report
from ingest.rfc.policy_types import STS
from ingest.spool import channels
from ingest.store import counting
from ingest.testimony.folding import Copy, fold
from ingest.testimony.trust import EVIDENCE

_LATER = dt.timedelta(days=400)


class _Row(msgspec.Struct, frozen=True):
    """A report: ``there`` is the first day (UTC) on which the pipeline sees it. ``first`` and ``newest`` are its arrival."""

    key: str
    voice: str
    organization: str
    signer: str
    contact_info: str
    day: dt.date
    failure_day: dt.date
    first: dt.datetime
    newest: dt.datetime
    there: dt.date
    loaded: bool
    same_id: str
    copy: Copy


def _in_order(row: _Row) -> tuple[object, ...]:
    """As ``speakers_of`` reads them."""
    return row.voice, row.organization, row.signer, row.contact_info, row.day


class _Quote(msgspec.Struct, frozen=True):
    """What an entry of a report quotes; ``policy`` is None when that cannot be read or there is nothing."""

    row: _Row
    digest: str | None
    policy: QuotedPolicy | None


class Stored:
    """All trusted reports about one domain. ``on`` makes the evidence of a day, as the pipeline would for a past day.

    ``entries`` are all of them, each with the day on which it is there and its trust.
    """

    def __init__(self, domain: str, rows: Sequence[_Row], entries: Sequence[Entry], quotes: Sequence[_Quote]) -> None:
        self.domain = domain
        self._rows = sorted(rows, key=_in_order)
        self._row_of = {row.key: row for row in rows}
        self._entries = [(self._row_of[entry.report], entry) for entry in entries]
        self._quotes = sorted(quotes, key=lambda quote: (quote.row.day, quote.row.voice, quote.digest or ""))
        self._served = sorted((quote for quote in quotes if quote.digest), key=lambda quote: quote.row.day)
        same = collections.Counter(row.same_id for row in rows)
        self.entries = [(row.there, row.copy.trust, entry) for row, entry in self._entries]
        self._copied = [row for row in rows if same[row.same_id] > 1]

    def on(self, day: dt.date, thresholds: Thresholds, without: Collection[str] = ()) -> Evidence:
        """The evidence of that day; ``without`` what these signers ever wrote."""
        begin = day - dt.timedelta(days=thresholds.lookback_days + thresholds.late_days)
        rows = [row for row in self._rows if row.there <= day and row.signer not in without]
        keys = {row.key for row in rows}
        speakers = self._speakers(rows, day)
        evidence = Evidence(
            domain=self.domain,
            on=day,
            entries=self._cut_entries(keys, speakers, begin, speakers.known(day, thresholds.signers)),
            voices=queries._voices(speakers, day, thresholds),
            first_day=begin,
            aliases=speakers.aliases,
            **self._history(keys, speakers, begin),
        )
        evidence = with_overrides(evidence, (), thresholds)
        quoted = [old for old in self._quoted(keys, speakers) if evidence.is_known(old.voice)]
        return queries._with_served(evidence, quoted)

    @staticmethod
    def _speakers(rows: Sequence[_Row], day: dt.date) -> voices.Speakers:
        loaded = {row.voice for row in rows if row.loaded}
        lately: Sequence[Any] = [row for row in rows if row.day >= day - voices._HISTORY]
        # A name is tied by the first of its rows, and rows that say the same of it tie it alike.
        names = {(row.voice, row.organization, row.signer, row.contact_info): row for row in reversed(lately)}
        distinct = sorted(names.values(), key=_in_order)
        return voices.Speakers(lately, loaded, voices._ties(distinct, voices.Speakers(lately, loaded), day))

    def _cut_entries(
        self, keys: Collection[str], speakers: voices.Speakers, begin: dt.date, known: Collection[str]
    ) -> tuple[Entry, ...]:
        standings = self._standings(keys, speakers, begin, known)
        entries = []
        for row, entry in self._entries:
            if row.key not in keys or row.failure_day < begin:
                continue
            voice = speakers.resolve(entry.voice)
            standing = standings.get((self.domain, row.key))
            if standing is not None:
                if not standing.counts and not standing.accuses:
                    continue
                voice = standing.voice
                if not standing.counts:
                    entry = msgspec.structs.replace(entry, successful=0)
                if not standing.accuses:
                    entry = msgspec.structs.replace(entry, failed=0, unexplained=0, failures=())
            entries.append(entry if voice == entry.voice else msgspec.structs.replace(entry, voice=voice))
        return tuple(entries)

    def _standings(
        self, keys: Collection[str], speakers: voices.Speakers, begin: dt.date, known: Collection[str]
    ) -> Mapping[Any, Any]:
        groups: dict[str, list[Copy]] = collections.defaultdict(list)
        for row in self._copied:
            if row.key in keys and row.failure_day >= begin:
                groups[row.same_id].append(msgspec.structs.replace(row.copy, voice=speakers.resolve(row.voice)))
        several = [group for group in groups.values() if len(group) > 1]
        return {
            key: standing for group in several for key, standing in fold(group, EVIDENCE, known.__contains__).items()
        }

    def _history(self, keys: Collection[str], speakers: voices.Speakers, begin: dt.date) -> dict[str, Any]:
        """Sightings and reported days, in the pipeline's order."""
        arrivals: dict[tuple[dt.date, str, str | None], tuple[dt.datetime, QuotedPolicy | None]] = {}
        reported: dict[str, set[dt.date]] = collections.defaultdict(set)
        for quote in self._quotes:
            if quote.row.key not in keys or quote.row.failure_day < begin:
                continue
            reported[speakers.resolve(quote.row.voice)].add(quote.row.day)
            key = (quote.row.day, quote.row.voice, quote.digest)
            known = arrivals.get(key)
            arrivals[key] = (min(known[0], quote.row.first) if known else quote.row.first, quote.policy)
        sightings = tuple(
            Sighting(day, speakers.resolve(voice), policy, arrived.date())
            for (day, voice, _), (arrived, policy) in arrivals.items()
            if policy and day >= begin
        )
        return {
            "sightings": sightings,
            "reported": {voice: tuple(sorted(days)) for voice, days in reported.items()},
        }

    def _quoted(self, keys: Collection[str], speakers: voices.Speakers) -> list[Any]:
        """Every policy ever quoted, by voice, oldest first."""
        first: dict[tuple[str, str], tuple[dt.date, QuotedPolicy | None]] = {}
        last: dict[tuple[str, str], dt.date] = {}
        for quote in self._served:
            if quote.row.key in keys and quote.digest:
                key = (quote.row.voice, quote.digest)
                first.setdefault(key, (quote.row.day, quote.policy))
                last[key] = quote.row.day
        ordered = sorted(first.items(), key=lambda pair: (pair[1][0], pair[0][1], pair[0][0]))
        return [
            queries._Quoted(speakers.resolve(voice), policy, day, last[voice, digest])
            for (voice, digest), (day, policy) in ordered
            if policy
        ]


def read(engine: sa.Engine, domains: Sequence[str], last: dt.date) -> dict[str, Stored]:
    """What is stored about each domain, for days up to ``last``."""
    selection = Selection(Question(last + _LATER), domains)
    start = last - _LATER
    with engine.connect() as connection:
        policies = queries._policies(connection, Months(connection, selection).quotes())
        failures = queries._failures(connection, selection, start)
        speakers: Any = collections.defaultdict(voices.Speakers)
        entries = queries._entries(connection, selection, start, queries._Around(policies, failures, speakers, {}))
        rows = _rows(connection, selection)
        quotes = _quotes(connection, selection, policies, rows)
    stored = {}
    for domain in domains:
        of_domain = [row for (name, _), row in rows.items() if name == domain]
        stored[domain] = Stored(domain, of_domain, entries.get(domain, ()), quotes[domain])
    return stored


def _rows(connection: sa.Connection, selection: Any) -> dict[tuple[str, str], _Row]:
    way = delivery.c
    mine = (way.policy_domain == report.c.policy_domain) & (way.report_key == report.c.report_key)
    arrived = (
        sa.select(report.c.policy_domain, report.c.report_key, sa.func.min(way.received_at).label("came"))
        .add_columns(sa.func.max(sa.case((way.door == channels.LOAD, 1), else_=0)).label("loaded"))
        .select_from(report.join(delivery, mine))
        .where(*selection.since(), way.trust.in_(EVIDENCE))
        .group_by(report.c.policy_domain, report.c.report_key)
    )
    arrivals = {(row.policy_domain, row.report_key): row for row in connection.execute(arrived)}
    rows = {}
    names = dict.fromkeys((*counting.COLUMNS, "organization", "voice", "signer", "contact_info"))
    query = sa.select(*(report.c[name] for name in names)).where(*selection.since())
    for row in connection.execute(query).mappings():
        key = row["policy_domain"], row["report_key"]
        if key not in arrivals:  # trusted once, by what is no delivery any more
            continue
        copy = counting.copy_of(row)
        rows[key] = _Row(
            **{name: row[name] for name in ("voice", "organization", "signer", "contact_info", "day", "failure_day")},
            key=key[1],
            first=row["received_at"],
            newest=row["received_at"],
            there=max(arrivals[key].came.date(), row["failure_day"]),
            loaded=bool(arrivals[key].loaded),
            same_id=row["same_id"],
            copy=copy,
        )
    return rows


def _quotes(
    connection: sa.Connection,
    selection: Any,
    policies: Mapping[Any, QuotedPolicy],
    rows: Mapping[tuple[str, str], _Row],
) -> dict[str, list[_Quote]]:
    entry, reported = policy_entry.c, report.c
    same = (entry.policy_domain == reported.policy_domain) & (entry.report_key == reported.report_key)
    digest = sa.case((entry.policy_type == STS, entry.policy_digest)).label("digest")
    query = (
        sa.select(reported.policy_domain, reported.report_key, digest)
        .select_from(report.outerjoin(policy_entry, same))
        .where(*selection.since())
        .distinct()
    )
    quotes: dict[str, list[_Quote]] = collections.defaultdict(list)
    for domain, key, quoted in map(tuple, connection.execute(query)):
        if (domain, key) in rows:
            quotes[domain].append(_Quote(rows[domain, key], quoted, policies.get((domain, quoted or ""))))
    return quotes
