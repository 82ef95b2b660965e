"""Which rows count: copies of one report are looked at in the transaction that writes one of them.

``folding`` decides; here the copies are fetched, the flags ``counts``, ``accuses`` and ``contradicted`` of the table ``report``
written, and the rollups moved along.
"""

import collections
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.models import report
from ingest.database.sql import chunks
from ingest.testimony.folding import Copy, InferredCopy, Key, Standing, displaced, fold
from ingest.testimony.trust import EVIDENCE

from . import rollups
from .rows import Row

_FLAGS = ("counts", "accuses", "contradicted")
_TOLD_BY = ("policy_domain", "report_key", "same_id", "document", "domain_source", "figures")
COLUMNS = (
    *(
        *_TOLD_BY,
        *_FLAGS,
        "voice",
        "signer",
        "contact_info",
        "organization",
        "trust",
        "received_at",
        "arrival_estimated",
    ),
    *("successful_sessions", "failed_sessions", "refused_sessions", "day", "failure_day"),
)
# Locks on single reports in one transaction: PostgreSQL has room for some thousands in all.
_MOST_LOCKS = 1_000
_EVERYTHING = 0


def lock(connection: sa.Connection, rows: Iterable[Row]) -> None:
    """Keep other writers from the copies of these reports until the transaction ends, so that no two of them write a copy each
    without seeing the other's. SQLite has one writer at a time anyway.
    """
    if connection.dialect.name != "postgresql":
        return
    names = {f"{row['policy_domain']} {row['same_id']}" for row in rows}
    names |= {row["document"] for row in rows if row["domain_source"]}
    if len(names) > _MOST_LOCKS:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_EVERYTHING)))
        return
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_EVERYTHING)))
    numbers = sorted(
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), signed=True) for name in names
    )
    number = sa.func.unnest(sa.cast(numbers, sa.ARRAY(sa.BigInteger))).column_valued("number")
    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def recount(connection: sa.Connection, changed: Sequence[Row], deltas: rollups.Deltas) -> Mapping[Key, Standing]:
    """Say anew which copies count, of the reports that ``changed`` names (rows with at least what tells copies): reports that
    were written, have gone, or are trusted otherwise. Returns the standing of each copy that was looked at.
    """
    documents = sorted({row["document"] for row in changed if row["domain_source"]})
    inferred = [dict(row) for chunk in chunks(documents) for row in connection.execute(_inferred_of(chunk)).mappings()]
    members: dict[Key, Row] = {}
    for chunk in chunks([*changed, *inferred]):
        for row in connection.execute(_copies_of(chunk)).mappings():
            members[row["policy_domain"], row["report_key"]] = dict(row)
    standings: dict[Key, Standing] = {}
    for group in _grouped(members.values(), "policy_domain", "same_id"):
        standings.update(fold(map(copy_of, group)))
    for group in _grouped(inferred, "document"):
        _displace(group, standings)
    _write(connection, members, standings, deltas)
    return standings


def _copies_of(rows: Sequence[Row]) -> sa.Select[tuple[object, ...]]:
    """All trusted copies, and of the others those with the same figures: strangers may send any number of variants."""
    group = sa.tuple_(report.c.policy_domain, report.c.same_id)
    wanted = group.in_({(row["policy_domain"], row["same_id"]) for row in rows})
    alike = report.c.trust.in_(EVIDENCE) | report.c.figures.in_({row["figures"] for row in rows})
    return sa.select(*(report.c[name] for name in COLUMNS)).where(wanted, alike)


def _inferred_of(documents: Sequence[str]) -> sa.Select[tuple[object, ...]]:
    columns = (report.c[name] for name in COLUMNS)
    return sa.select(*columns).where(report.c.document.in_(documents), report.c.domain_source != "")


def _grouped(rows: Iterable[Row], *names: str) -> Iterable[list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = collections.defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in names)].append(row)
    return groups.values()


def copy_of(row: Mapping[Any, Any]) -> Copy:
    """A row with COLUMNS, as ``folding`` wants it."""
    return Copy(
        key=(row["policy_domain"], row["report_key"]),
        voice=row["voice"],
        signer=row["signer"],
        claim=(row["contact_info"], row["organization"]),
        figures=row["figures"],
        trust=row["trust"],
        sessions=(row["successful_sessions"] or 0) + (row["failed_sessions"] or 0),
        refused=row["refused_sessions"],
        received_at=row["received_at"],
        arrival_estimated=row["arrival_estimated"],
    )


def _displace(group: Sequence[Row], standings: dict[Key, Standing]) -> None:
    copies = [InferredCopy(copy_of(row), row["domain_source"]) for row in group]
    for key, original in displaced(copies).items():
        standings[key] = msgspec.structs.replace(standings[key], counts=False, accuses=False, original=original)


def _write(
    connection: sa.Connection, members: Mapping[Key, Row], standings: Mapping[Key, Standing], deltas: rollups.Deltas
) -> None:
    changed = [
        (members[key], members[key] | {name: getattr(standing, name) for name in _FLAGS})
        for key, standing in sorted(standings.items())
        if any(members[key][name] != getattr(standing, name) for name in _FLAGS)
    ]
    if not changed:
        return
    keys = [(after["policy_domain"], after["report_key"]) for _, after in changed]
    mine = (report.c.policy_domain == sa.bindparam("domain")) & (report.c.report_key == sa.bindparam("key"))
    rows = [
        {"domain": key[0], "key": key[1]} | {name: after[name] for name in _FLAGS}
        for key, (_, after) in zip(keys, changed, strict=True)
    ]
    connection.execute(sa.update(report).where(mine).values({name: sa.bindparam(name) for name in _FLAGS}), rows)
    entries = rollups.entry_sums(connection, keys)
    for key, (before, after) in zip(keys, changed, strict=True):
        deltas.add(before, entries[key], times=-1)
        deltas.add(after, entries[key])
