"""What verdicts are made from, for some domains at a time: trusted reports as ``dashboard.decision.evidence`` has them."""

import collections
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from dashboard.decision.evidence import (
    Entry,
    Evidence,
    Failure,
    QuotedPolicy,
    ServedPolicy,
    Sighting,
    Thresholds,
    Voice,
)
from dashboard.decision.overrides.overrides import thresholds_of, with_overrides, with_stated_policy
from ingest.database.joins import OF_ENTRY, REPORTS_AND_ENTRIES, of_report
from ingest.database.models import failure_detail, policy_entry, policy_text, report
from ingest.database.sql import chunks
from ingest.rfc.mtasts import enforcement
from ingest.rfc.policy_types import STS
from ingest.store import counting
from ingest.testimony.folding import Copy, Standing, fold

from .frames import total
from .months import Months, Quote, Selection
from .overrides import in_force_from
from .question import Question, Scope
from .voices import Speakers, speakers_of

# Details that differ in their host, reason or type; honest reports have a handful of each.
_LONGEST_HOST, _LONGEST_REASON = 253, 100

Key = tuple[str, str]  # policy_domain, report_key


def evidence_of(engine: sa.Engine, question: Question, domains: Sequence[str]) -> list[Evidence]:
    """The evidence about each of ``domains`` that the user may see, in that order.

    Overrides are those in force on the day of the question, whose thresholds hold where they name none. Costs what these
    domains' rows cost.
    """
    with engine.connect() as connection:
        return evidence_from(connection, question, domains)


def evidence_from(connection: sa.Connection, question: Question, domains: Sequence[str]) -> list[Evidence]:
    """The same, within a connection's transaction."""
    on, thresholds = question.on, question.thresholds
    selection = Selection(question, domains)
    months = Months(connection, selection)
    overrides = in_force_from(connection, question.scope, domains, on)
    starts = {name: _start(on, thresholds_of(overrides.get(name, ()), thresholds)) for name in domains}
    first = min(starts.values(), default=on)
    quotes = months.quotes()
    policies = _policies(connection, quotes)
    speakers = speakers_of(months, first)
    standings = _standings(connection, selection, first, speakers)
    failures = _failures(connection, selection, first)
    entries = _entries(connection, selection, first, _Around(policies, failures, speakers, standings))
    history = _history(connection, selection, first, policies, speakers)
    served = _served(quotes, policies, speakers)
    evidence_of_each = []
    for domain in domains:
        voices = _voices(speakers[domain], on, thresholds)
        evidence = Evidence(
            domain=domain,
            on=on,
            entries=tuple(entry for entry in entries[domain] if entry.failed_on >= starts[domain]),
            sightings=tuple(seen for seen in history[domain].sightings if seen.day >= starts[domain]),
            reported={name: tuple(sorted(days)) for name, days in history[domain].reported.items()},
            voices=voices,
            first_day=starts[domain],
            aliases=speakers[domain].aliases,
        )
        evidence = with_overrides(evidence, overrides.get(domain, ()), thresholds)
        quoted = [old for old in served[domain] if evidence.is_known(old.voice)]
        evidence_of_each.append(with_stated_policy(_with_served(evidence, quoted), overrides.get(domain, ())))
    return evidence_of_each


def _with_served(evidence: Evidence, quoted: Sequence["_Quoted"]) -> Evidence:
    """The evidence with every policy that known voices ever quoted, oldest first; if all of that is long ago, as sightings, too,
    whatever newcomers quote now.
    """
    first: dict[QuotedPolicy, dt.date] = {}
    last: dict[QuotedPolicy, dt.date] = {}
    for old in quoted:
        first[old.policy] = min(first.get(old.policy, old.first_day), old.first_day)
        last[old.policy] = max(last.get(old.policy, old.last_day), old.last_day)
    served = tuple(
        ServedPolicy(policy, day, last[policy])
        for policy, day in sorted(first.items(), key=lambda policy_day: policy_day[1])
    )
    if any(evidence.is_known(seen.voice) for seen in evidence.sightings):
        return msgspec.structs.replace(evidence, served=served)
    long_ago = (Sighting(old.last_day, old.voice, old.policy) for old in quoted)
    return msgspec.structs.replace(evidence, served=served, sightings=(*long_ago, *evidence.sightings))


def _voices(speakers: Speakers, on: dt.date, thresholds: Thresholds) -> Mapping[str, Voice]:
    by_name = {}
    for name, speaker in speakers.by_voice.items():
        basis = speaker.basis(on, thresholds.signers)
        by_name[name] = Voice(name, speaker.organization, bool(basis), basis, speaker.signer)
    return by_name


def _start(on: dt.date, thresholds: Thresholds) -> dt.date:
    """The first day of the look-back."""
    return on - dt.timedelta(days=thresholds.lookback_days + thresholds.late_days)


def _standings(
    connection: sa.Connection,
    selection: Selection,
    first: dt.date,
    speakers: Mapping[str, Speakers],
) -> Mapping[Key, Standing]:
    """The standing of each report that has copies, among those that had arrived and with the voices as they resolve now.

    The stored flags say the same of today; but not of a past day, nor with uploads that the operator trusts.
    """
    row, since = report.c, selection.since(first)
    groups = sa.select(row.policy_domain, row.same_id).where(*since).group_by(row.policy_domain, row.same_id)
    several = groups.having(sa.func.count() > 1).subquery()
    same = (several.c.policy_domain == row.policy_domain) & (several.c.same_id == row.same_id)
    query = sa.select(*(row[name] for name in counting.COLUMNS)).select_from(report.join(several, same)).where(*since)
    copies: dict[Key, list[Copy]] = collections.defaultdict(list)
    for each in connection.execute(query).mappings():
        copy = counting.copy_of(each)
        voice = speakers[each["policy_domain"]].resolve(each["voice"])
        copies[each["policy_domain"], each["same_id"]].append(msgspec.structs.replace(copy, voice=voice))
    standings: dict[Key, Standing] = {}
    for (domain, _), group in copies.items():
        known = speakers[domain].known(selection.question.on, selection.question.thresholds.signers)
        standings.update(fold(group, selection.question.trusts, known.__contains__))
    return standings


def _policies(connection: sa.Connection, quotes: Iterable[Quote]) -> Mapping[tuple[str, str], QuotedPolicy]:
    """The policies that trusted reports quote, by domain and digest."""
    policies: dict[tuple[str, str], QuotedPolicy] = {}
    text = policy_text.c
    for keys in chunks(sorted({(quote.policy_domain, quote.policy_digest) for quote in quotes})):
        query = sa.select(text.policy_domain, text.policy_digest, text.mode, text.mx, text.mx_digest, text.max_age)
        for row in connection.execute(query.where(sa.tuple_(text.policy_domain, text.policy_digest).in_(keys))):
            mx = tuple(msgspec.json.decode(row.mx, type=list[str]))
            # A text without mode and hosts is none that can be read: its sender quotes something else.
            if row.mode or mx:
                policies[row.policy_domain, row.policy_digest] = QuotedPolicy(row.mode, mx, row.mx_digest, row.max_age)
    return policies


def _failures(
    connection: sa.Connection, selection: Selection, first: dt.date
) -> Mapping[tuple[str, str, int], list[tuple[Any, ...]]]:
    """Failure details by report and entry: result type, MX host, reason, sessions, policy type."""
    detail = failure_detail.c
    host = sa.func.substr(detail.receiving_mx_hostname, 1, _LONGEST_HOST).label("host")
    reason = sa.func.substr(detail.failure_reason_code, 1, _LONGEST_REASON).label("reason")
    keys = (detail.policy_domain, detail.report_key, detail.entry_position)
    what = (detail.result_type, host, reason, policy_entry.c.policy_type)
    # Reports first: SQLite would rather begin with all failure details that the domain ever had.
    selected = sa.select(report.c.policy_domain, report.c.report_key).where(*selection.since(first)).cte("selected")
    selected = selected.prefix_with("MATERIALIZED", dialect="sqlite")
    query = (
        sa.select(*keys, *what, total(detail.failed_sessions).label("sessions"))
        .select_from(selected.join(policy_entry, of_report(policy_entry, selected)).join(failure_detail, OF_ENTRY))
        .group_by(*keys, *what)
        .order_by(*keys, *what)
    )
    failures: dict[tuple[str, str, int], list[tuple[Any, ...]]] = collections.defaultdict(list)
    for domain, key, position, *failure in map(tuple, connection.execute(query)):
        failures[domain, key, position].append(tuple(failure))
    return failures


class _Around(NamedTuple):
    """What is known around the entries: texts of policies, failure details by entry, who speaks, what copies are worth."""

    policies: Mapping[tuple[str, str], QuotedPolicy]
    failures: Mapping[tuple[str, str, int], list[tuple[Any, ...]]]
    speakers: Mapping[str, Speakers]
    standings: Mapping[Key, Standing]


def _entries(
    connection: sa.Connection,
    selection: Selection,
    first: dt.date,
    around: _Around,
) -> Mapping[str, list[Entry]]:
    """What the reports say since ``first``. A report that counts and does not accuse (another copy of it refuses more) brings
    its successes alone, one that accuses and does not count its failures alone.
    """
    reported, entry = report.c, policy_entry.c
    query = (
        sa.select(
            reported.policy_domain,
            reported.report_key,
            reported.day,
            reported.organization,
            reported.signer,
            reported.long_range,
        )
        .add_columns(reported.voice, reported.failure_day, entry.position, entry.policy_type, entry.policy_digest)
        .add_columns(entry.successful_sessions, entry.failed_sessions, entry.unexplained_sessions)
        .select_from(REPORTS_AND_ENTRIES)
        .where(*selection.since(first))
        .order_by(reported.policy_domain, reported.day, reported.organization, reported.report_key, entry.position)
    )
    entries: dict[str, list[Entry]] = collections.defaultdict(list)
    for row in connection.execute(query):
        key = (row.policy_domain, row.report_key)
        alone = Standing(True, True, False, around.speakers[row.policy_domain].resolve(row.voice), key)
        standing = around.standings.get(key, alone)
        if standing.counts or standing.accuses:
            policy = around.policies.get((row.policy_domain, row.policy_digest or ""))
            entry_of_report = _entry(row, standing, policy, around.failures.get((*key, row.position), ()))
            entries[row.policy_domain].append(entry_of_report)
    return entries


def _entry(row: Any, standing: Standing, policy: QuotedPolicy | None, failures: Iterable[tuple[Any, ...]]) -> Entry:  # noqa: ANN401
    accuses = standing.accuses
    return Entry(
        day=row.day,
        voice=standing.voice,
        organization=row.organization,
        signer=row.signer,
        policy_type=row.policy_type,
        policy=policy,
        successful=(row.successful_sessions or 0) if standing.counts else 0,
        failed=row.failed_sessions if accuses else 0,
        unexplained=row.unexplained_sessions if accuses else 0,
        failures=tuple(_failure(*failure) for failure in failures) if accuses else (),
        long_range=row.long_range,
        report=row.report_key,
        failure_day=row.failure_day,
    )


def _failure(result_type: str, host: str, reason: str, policy_type: str, sessions: float) -> Failure:
    follows = enforcement.consequence(policy_type, result_type, host, reason)
    return Failure(result_type, host, int(sessions), follows, reason)


class _History(msgspec.Struct):
    sightings: list[Sighting] = []
    reported: dict[str, set[dt.date]] = {}


def _history(
    connection: sa.Connection,
    selection: Selection,
    first: dt.date,
    policies: Mapping[tuple[str, str], QuotedPolicy],
    speakers: Mapping[str, Speakers],
) -> Mapping[str, _History]:
    """Who reported about which day, and which policy was quoted then."""
    reported = report.c
    digest = sa.case((policy_entry.c.policy_type == STS, policy_entry.c.policy_digest)).label("digest")
    query = (
        sa.select(reported.policy_domain, reported.day, reported.voice, digest)
        .add_columns(sa.func.min(reported.received_at).label("came"))
        .select_from(report.outerjoin(policy_entry, of_report(policy_entry)))
        .where(*selection.since(first))
        .group_by(reported.policy_domain, reported.day, reported.voice, sa.text("4"))
        .order_by(reported.policy_domain, reported.day, reported.voice, sa.text("4"))
    )
    histories: dict[str, _History] = collections.defaultdict(_History)
    for row in connection.execute(query):
        history, voice = histories[row.policy_domain], speakers[row.policy_domain].resolve(row.voice)
        history.reported.setdefault(voice, set()).add(row.day)
        policy = policies.get((row.policy_domain, row.digest or ""))
        if policy:
            history.sightings.append(Sighting(row.day, voice, policy, row.came.date()))
    return histories


class _Quoted(msgspec.Struct, frozen=True):
    """A policy that a voice has quoted at any time."""

    voice: str
    policy: QuotedPolicy
    first_day: dt.date
    last_day: dt.date


def _served(
    quotes: Iterable[Quote], policies: Mapping[tuple[str, str], QuotedPolicy], speakers: Mapping[str, Speakers]
) -> Mapping[str, list[_Quoted]]:
    """Every policy that was ever quoted and can be read, by domain, in the order of ``quotes``."""
    served: dict[str, list[_Quoted]] = collections.defaultdict(list)
    for quote in quotes:
        policy = policies.get((quote.policy_domain, quote.policy_digest))
        if policy:
            voice = speakers[quote.policy_domain].resolve(quote.voice)
            served[quote.policy_domain].append(_Quoted(voice, policy, quote.first_day, quote.last_day))
    return served


def domains_of(engine: sa.Engine, scope: Scope) -> list[str]:
    """Every policy domain that a report names, in alphabetical order."""
    domain = report.c.policy_domain
    with engine.connect() as connection:
        names: Iterable[str] = connection.scalars(
            sa.select(domain).where(scope.allows(domain), domain != "").distinct()
        )
        return sorted(names)
