"""Brings stored reports to the keys and sums of today: once after an upgrade that changed what tells a report, or sums them up.

The rows say all that a key is made of, so no raw report is needed. Each step is a transaction of its own: whoever is killed
between two of them goes on at the next upgrade.
"""

import collections
import itertools
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
import sqlalchemy as sa

from ingest.database.models import (
    delivery,
    domain_day,
    domain_reporter,
    failure_detail,
    pending_upgrade,
    policy_entry,
    raw_report,
    report,
)
from ingest.database.sql import chunks, insert_into
from ingest.rfc import policy_types
from ingest.rfc.tlsrpt import figures
from ingest.rfc.tlsrpt.domains import FILE_NAME, HEADER, NOWHERE, InferredDomain, within_report
from ingest.rfc.tlsrpt.fields import Defect
from ingest.rfc.tlsrpt.ranges import failure_day, report_day
from ingest.rfc.tlsrpt.report import FailureDetail, PolicyEntry, Report
from ingest.store import counting, rollups, saving, voice_months
from ingest.store.rows import Key, Row, domain_source_of, identity_of, key_of, sessions_of, voice_of

log = logging.getLogger(__name__)

# Tasks that the table ``pending_upgrade`` names.
TASK, VOICE_MONTHS = "rekey", "voice-months"
_TOGETHER = 500
_BELOW = (policy_entry, failure_detail, delivery, raw_report)
_MISSING_DOMAIN = re.compile(r"policies\[(\d+)\]\.policy\.policy-domain")
# How the first version worded where a domain came from.
_WORDED = (("TLS-Report-Domain header", HEADER), ("file name", FILE_NAME))


def rekey(engine: sa.Engine) -> None:
    """Give every report its key of today, say which copies count, and add up the rollups anew."""
    total = 0
    # Reports about several domains first, each as a whole: what one entry names may tell where another belongs.
    for reports in itertools.chain(_of_several_domains(engine), _of_a_domain(engine)):
        with engine.begin() as connection:
            _rewrite(connection, reports)
        total += len(reports)
        if total % 50_000 < _TOGETHER:
            log.info("upgrading the stored reports: %d done", total)
    for domains in chunks(_domains(engine), _TOGETHER):
        with engine.begin() as connection:
            for domain in domains:
                _recount(connection, domain)
    for domains in chunks(_domains(engine), _TOGETHER):
        with engine.begin() as connection:
            for domain in domains:
                _add_up(connection, domain)
    _finish(engine, TASK)
    log.info("upgraded %d stored reports", total)


def fill_voice_months(engine: sa.Engine) -> None:
    """Make the rollup of voices, for reports that were stored before there was one."""
    for domains in chunks(_domains(engine), _TOGETHER):
        for domain in domains:
            with engine.begin() as connection:
                voice_months.fill(connection, domain)
    _finish(engine, VOICE_MONTHS)


def _finish(engine: sa.Engine, task: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(pending_upgrade).where(pending_upgrade.c.task == task))


def _of_several_domains(engine: sa.Engine) -> Iterator[list[list[Key]]]:
    key = report.c.report_key
    query = sa.select(report.c.policy_domain, key).where(report.c.raw_domains > 1, report.c.figures == "").order_by(key)
    with engine.connect() as connection:
        keys = [(domain, key) for domain, key in connection.execute(query)]
    groups = [list(group) for _, group in itertools.groupby(keys, key=lambda key: key[1])]
    for batch in chunks(groups, _TOGETHER):
        yield list(batch)


def _of_a_domain(engine: sa.Engine) -> Iterator[list[list[Key]]]:
    place = sa.tuple_(report.c.policy_domain, report.c.report_key)
    last: Key = ("", "")
    while True:
        query = (
            sa.select(report.c.policy_domain, report.c.report_key)
            .where(place > sa.tuple_(*last), report.c.figures == "")
            .order_by(report.c.policy_domain, report.c.report_key)
            .limit(_TOGETHER)
        )
        with engine.connect() as connection:
            keys = [(domain, key) for domain, key in connection.execute(query)]
        if not keys:
            return
        yield [[key] for key in keys]
        last = keys[-1]


def _rewrite(connection: sa.Connection, reports: Sequence[Sequence[Key]]) -> None:
    """Take whole reports out and write them again under their new keys; rows that are there already stay."""
    keys = [key for members in reports for key in members]
    old = {table: _rows_below(connection, table, keys) for table in (report, *_BELOW)}
    for table in (*_BELOW, report):
        for chunk in chunks(keys):
            of_keys = sa.tuple_(table.c.policy_domain, table.c.report_key).in_(chunk)
            connection.execute(sa.delete(table).where(of_keys))
    new: dict[sa.Table, list[Row]] = {table: [] for table in old}
    for members in reports:
        for table, rows in _anew(members, old).items():
            new[table] += rows
    for table in (report, *_BELOW):
        if new[table]:
            connection.execute(insert_into(connection, table).on_conflict_do_nothing(), new[table])
    written = sorted({(row["policy_domain"], row["report_key"]) for row in new[report]})
    saving.raise_trust(connection, written, rollups.Deltas())


def _rows_below(connection: sa.Connection, table: sa.Table, keys: Sequence[Key]) -> Mapping[Key, list[Row]]:
    rows: dict[Key, list[Row]] = collections.defaultdict(list)
    for chunk in chunks(keys):
        of_keys = sa.tuple_(table.c.policy_domain, table.c.report_key).in_(chunk)
        for row in connection.execute(sa.select(table).where(of_keys)).mappings():
            rows[row["policy_domain"], row["report_key"]].append(dict(row))
    return rows


def _anew(members: Sequence[Key], old: Mapping[sa.Table, Mapping[Key, list[Row]]]) -> Mapping[sa.Table, list[Row]]:
    """The rows of one report under its new keys: once for each domain that signed it, and once for what came unsigned."""
    by_table: dict[sa.Table, list[Row]] = {table: [] for table in (report, *_BELOW)}
    signers = {row["signer"] for key in members for row in old[delivery][key]}
    for signer in sorted(signers):
        of_signer = [key for key in members if any(row["signer"] == signer for row in old[delivery][key])]
        for table, rows in _signed_by(signer, of_signer, old).items():
            by_table[table] += rows
    return by_table


def _signed_by(
    signer: str, members: Sequence[Key], old: Mapping[sa.Table, Mapping[Key, list[Row]]]
) -> Mapping[sa.Table, list[Row]]:
    heads = [row for key in members for row in old[report][key]]
    deliveries = [row for key in members for row in old[delivery][key] if row["signer"] == signer]
    # An entry without a domain stands under "" and, of a copy that came with a header, under the header's: these said "".
    nameless_last = sorted(members, key=lambda key: key[0] == "")
    entries = {row["position"]: row for key in nameless_last for row in old[policy_entry][key]}
    details = {
        position: [detail for detail in old[failure_detail][_key(row)] if detail["entry_position"] == position]
        for position, row in entries.items()
    }
    raw = [row for key in members for row in old[raw_report][key]]
    read = _read(heads, entries, details)
    domain_of = {position: entry.policy_domain for position, entry in read.items()}
    whole = _report(heads[0], tuple(read.values()))
    figures_read = figures.Figures(whole.entries)
    report_key = key_of(whole, figures_read, signer)
    domains = {domain: head for head in heads for domain in _domains_of(head, entries, domain_of)}
    home = domain_of[min(domain_of)] if domain_of else heads[0]["policy_domain"]
    by_table: dict[sa.Table, list[Row]] = {table: [] for table in (report, *_BELOW)}
    for domain, head in domains.items():
        named = {"policy_domain": domain, "report_key": report_key}
        entry_rows = [row | named for position, row in entries.items() if domain_of[position] == domain]
        by_table[policy_entry] += entry_rows
        by_table[failure_detail] += [detail | named for row in entry_rows for detail in details[row["position"]]]
        by_table[delivery] += [row | named for row in deliveries]
        shared = {"raw_domain": home, "raw_domains": len(domains), "signer": signer, **identity_of(whole, figures_read)}
        shared["figures"] = figures_read.of_domain(domain)
        of_domain = [entry for entry in read.values() if entry.policy_domain == domain]
        by_table[report].append(_head(head | named | shared, whole, entry_rows, of_domain, deliveries))
        by_table[raw_report] += [row | named for row in raw[:1] if domain == home]
    return by_table


def _key(row: Row) -> Key:
    return row["policy_domain"], row["report_key"]


def _domains_of(head: Row, entries: Mapping[int, Row], domain_of: Mapping[int, str]) -> list[str]:
    """The domains that the entries under a report row belong to now; its own when it has none."""
    head_entries = [row for row in entries.values() if row["policy_domain"] == head["policy_domain"]]
    return list(dict.fromkeys(domain_of[row["position"]] for row in head_entries)) or [head["policy_domain"]]


def _head(row: Row, whole: Report, entries: list[Row], read: Sequence[PolicyEntry], deliveries: Sequence[Row]) -> Row:
    submitter = next((way["submitter"] for way in deliveries if way["submitter"]), "")
    first = min(deliveries, key=saving.rank, default=row)
    provenance = {name: first[name] for name in ("trust", "door", "received_at", "arrival_estimated")}
    row = row | provenance | sessions_of(entries) | _days(whole) | {"domain_source": domain_source_of(read)}
    return row | {"voice": voice_of(row, submitter)}


def _days(whole: Report) -> Row:
    """The first version held only 24 hours to be a day."""
    day, long_range = report_day(whole.start, whole.end)
    return {"day": day, "failure_day": failure_day(whole.start, whole.end), "long_range": long_range}


def _read(
    heads: Sequence[Row], entries: Mapping[int, Row], details: Mapping[int, list[Row]]
) -> Mapping[int, PolicyEntry]:
    """The policy entries by position, as a report is read today."""
    sources = _sources(heads)
    inferred = _inferred(heads[0], entries.values())
    by_position: dict[int, PolicyEntry] = {}
    for position, row in sorted(entries.items()):
        domain, source = row["policy_domain"], sources.get(position, "")
        if not domain:
            domain, source = inferred.domain, inferred.source
        by_position[position] = PolicyEntry(
            policy_type=row["policy_type"],
            policy_domain=domain,
            successful_sessions=row["successful_sessions"],
            failed_sessions=row["failed_sessions"],
            details=tuple(map(_detail, details[position])),
            domain_source=source,
        )
    return by_position


def _inferred(head: Row, entries: Iterable[Row]) -> InferredDomain:
    named = (
        row["policy_domain"] for row in entries if row["policy_domain"] and row["policy_type"] != policy_types.TLSA
    )
    return within_report(head["report_id"], named)


def _sources(heads: Sequence[Row]) -> Mapping[int, str]:
    """Where the domains of entries came from that named none, as the noted defects tell."""
    by_position: dict[int, str] = {}
    for head in heads:
        for defect in msgspec.json.decode(head["defects"] or "[]", type=list[Defect]):
            match = _MISSING_DOMAIN.fullmatch(defect.where)
            if match:
                source = next((source for words, source in _WORDED if words in defect.what), NOWHERE)
                by_position[int(match[1])] = source
    return by_position


def _detail(row: Row) -> FailureDetail:
    names = (name for name in FailureDetail.__struct_fields__ if name != "extra")
    return FailureDetail(**{name: row[name] for name in names})


def _report(head: Row, entries: tuple[PolicyEntry, ...]) -> Report:
    return Report(
        organization=head["organization"],
        report_id=head["report_id"],
        start=head["range_start"],
        end=head["range_end"],
        contact_info=head["contact_info"],
        entries=entries,
    )


def _domains(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        domain = report.c.policy_domain
        return list(connection.scalars(sa.select(domain).distinct().order_by(domain)))


def _recount(connection: sa.Connection, domain: str) -> None:
    of_domain = report.c.policy_domain == domain
    several = sa.select(report.c.same_id).where(of_domain).group_by(report.c.same_id).having(sa.func.count() > 1)
    wanted = report.c.same_id.in_(several) | (report.c.domain_source != "")
    query = sa.select(report).where(of_domain, wanted)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    counting.recount(connection, rows, rollups.Deltas())


def _add_up(connection: sa.Connection, domain: str) -> None:
    for table in (domain_day, domain_reporter):
        connection.execute(sa.delete(table).where(table.c.policy_domain == domain))
    deltas = rollups.Deltas()
    query = sa.select(report).where(report.c.policy_domain == domain).order_by(report.c.report_key)
    streamed = connection.execute(query, execution_options={"yield_per": _TOGETHER})
    for rows in streamed.mappings().partitions():
        keys = [(row["policy_domain"], row["report_key"]) for row in rows]
        entries = rollups.entry_sums(connection, keys)
        for row, key in zip(rows, keys, strict=True):
            deltas.add(dict(row), entries[key])
    deltas.write(connection)
    voice_months.fill(connection, domain)
