"""Sums per domain and day, reporters per domain, and sums over all domains, kept in the transaction that writes the reports.

The fleet page reads these and nothing else, so it costs the same however many reports lie underneath.
"""

import collections
import datetime as dt
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, cast

import sqlalchemy as sa

from ingest.database.models import domain_day, domain_reporter, domain_trust, fleet_day, policy_entry
from ingest.database.sql import Insert, chunks, insert_rows
from ingest.rfc.policy_types import OTHER, POLICY_TYPES

from . import due
from .rows import Key, ReportRows, Row
from .voice_months import MOVES_VERDICTS, VoiceMonths

SESSIONS = ("successful_sessions", "failed_sessions", "refused_sessions")
_SUMS = ("reports", *SESSIONS)
# So many workers on PostgreSQL rarely meet in a slot of ``fleet_day``; a reader adds up so many rows for one.
_SLOTS = 16
DayKey = tuple[str, dt.date, str, str]  # policy_domain, day, trust, policy_type
ReporterKey = tuple[str, str, str]  # policy_domain, organization, trust


class Deltas:
    """What a transaction adds to the rollups, and whose verdicts it may change. Collect, then ``write`` once: rows are touched
    in sorted order, so that two workers cannot wait for each other.

    A verdict of a day rests on what had arrived by then, so it may change from a report's arrival on; with ``due_from`` from
    that day on, whatever the reports say.

    ``months`` is told of each report that comes, changes or goes; which copy of it counts is nothing to it.
    """

    def __init__(self, due_from: dt.date | None = None) -> None:
        self._due_from = due_from
        self._due: dict[str, dt.date] = {}
        self._days: dict[DayKey, list[float]] = collections.defaultdict(lambda: [0, 0, 0, 0])
        self._reporters: dict[ReporterKey, Row] = {}
        self.months = VoiceMonths()

    def add(self, report: Row, entries: Iterable[Row], times: int = 1) -> None:
        """Count a report with its policy entries (rows with policy_type and session counts); ``times=-1`` takes it back.

        A copy that another one stands for counts nowhere; see ``folding``.
        """
        self.came(report["policy_domain"], report["trust"], report["received_at"])
        by_type: dict[str, list[float]] = {}
        for entry in entries:
            sums = by_type.setdefault(entry["policy_type"], [1, 0, 0, 0])
            for index, name in enumerate(_SUMS[1:], start=1):
                sums[index] += entry[name] or 0
        counts, accuses = times * report["counts"], times * report["accuses"]
        for policy_type, (reports, successful, failed, refused) in (by_type or {"": [1, 0, 0, 0]}).items():
            self._add(report, report["day"], policy_type, (counts * reports, counts * successful, 0, 0))
            self._add(report, report["failure_day"], policy_type, (0, 0, counts * failed, accuses * refused))
        if counts:
            self._count_reporter(report, counts)

    def came(self, domain: str, trust: str, received_at: dt.datetime) -> None:
        """A report about a domain has arrived then, or was found to have: its verdicts since that day are due."""
        if trust in MOVES_VERDICTS:
            day = self._due_from or received_at.astimezone(dt.UTC).date()
            self._due[domain] = min(day, self._due.get(domain, day))

    def _add(self, report: Row, day: dt.date, policy_type: str, sums: tuple[float, ...]) -> None:
        if any(sums):
            total = self._days[report["policy_domain"], day, report["trust"], policy_type]
            for index, value in enumerate(sums):
                total[index] += value

    def _count_reporter(self, report: Row, times: int) -> None:
        key = report["policy_domain"], report["organization"], report["trust"]
        row = self._reporters.setdefault(
            key,
            {
                "reports": 0,
                "first_day": report["day"],
                "last_day": report["day"],
                "last_received_at": report["received_at"],
            },
        )
        row["reports"] += times
        row["first_day"] = min(row["first_day"], report["day"])
        row["last_day"] = max(row["last_day"], report["day"])
        row["last_received_at"] = max(row["last_received_at"], report["received_at"])

    def write(self, connection: sa.Connection) -> None:
        """Apply to the tables; what no report stands behind any more disappears."""
        days = [
            dict(zip(("policy_domain", "day", "trust", "policy_type", *_SUMS), (*key, *sums), strict=True))
            for key, sums in sorted(self._days.items())
            if any(sums)  # not what was added and taken back within this transaction
        ]
        _add_up(connection, domain_day, days)
        reporters = [
            {"policy_domain": key[0], "organization": key[1], "trust": key[2], **row}
            for key, row in sorted(self._reporters.items())
            if row["reports"]
        ]
        _add_up(connection, domain_reporter, reporters)
        _add_up(connection, domain_trust, _by_trust(reporters))
        self.months.write(connection)
        due.mark(connection, self._due)
        # Last, as every worker writes these rows: whoever meets another in a slot waits for no more than its commit.
        insert_rows(connection, fleet_day, _by_fleet_day(days, _slot(connection)), _added)


def fleet_type(policy_type: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
    """A policy type as the sums of all domains tell it: senders invent words, and each would be a row of every day."""
    return sa.case((policy_type.in_(sorted(POLICY_TYPES)), policy_type), else_=OTHER)


def _slot(connection: sa.Connection) -> int:
    """The slot that a connection adds to: always the same, so that of two which write twice neither waits for the other."""
    slot: int = connection.info.setdefault("fleet slot", secrets.randbelow(_SLOTS))
    return slot if connection.dialect.name == "postgresql" else 0


def _by_fleet_day(days: Iterable[Row], slot: int) -> list[Row]:
    sums: dict[tuple[dt.date, str, str], list[float]] = collections.defaultdict(lambda: [0] * len(SESSIONS))
    for row in days:
        kind = row["policy_type"] if row["policy_type"] in POLICY_TYPES else OTHER
        total = sums[row["day"], row["trust"], kind]
        for index, name in enumerate(SESSIONS):
            total[index] += row[name]
    names = ("day", "trust", "policy_type", "slot", *SESSIONS)
    return [dict(zip(names, (*key, slot, *total), strict=True)) for key, total in sorted(sums.items()) if any(total)]


def _by_trust(reporters: Iterable[Row]) -> list[Row]:
    rows: dict[tuple[str, str], Row] = {}
    for row in reporters:
        key = row["policy_domain"], row["trust"]
        total = rows.setdefault(
            key, {"policy_domain": key[0], "trust": key[1], "reports": 0, "last_day": row["last_day"]}
        )
        total["reports"] += row["reports"]
        total["last_day"] = max(total["last_day"], row["last_day"])
    return [rows[key] for key in sorted(rows)]


def entry_sums(connection: sa.Connection, keys: Sequence[Key]) -> Mapping[Key, list[Row]]:
    """The entries of stored reports, as ``Deltas.add`` and its ``months`` want them."""
    entry = policy_entry.c
    of_report = (entry.policy_domain, entry.report_key)
    entries: dict[Key, list[Row]] = collections.defaultdict(list)
    for chunk in chunks(keys):
        query = sa.select(*of_report, entry.policy_type, entry.policy_digest, *(entry[name] for name in _SUMS[1:]))
        for row in connection.execute(query.where(sa.tuple_(*of_report).in_(chunk))).mappings():
            entries[row["policy_domain"], row["report_key"]].append(dict(row))
    return entries


def of_new(reports: Iterable[ReportRows], loaded: Collection[Key]) -> Deltas:
    """What newly stored reports add; ``loaded`` are those that the operator loaded."""
    deltas = Deltas()
    for rows in reports:
        deltas.add(rows.report, rows.entries)
        deltas.months.add(rows.report, rows.entries, loaded=rows.key in loaded)
    return deltas


def _add_up(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    insert_rows(connection, table, rows, _added)
    key = list(table.primary_key.columns)
    sums = [table.c[name] for name in _SUMS if name in table.c]
    lowered = [
        tuple(row[column.name] for column in key) for row in rows if any(row[column.name] < 0 for column in sums)
    ]
    for chunk in chunks(lowered):
        nothing = (column <= 0 for column in sums)
        connection.execute(sa.delete(table).where(sa.tuple_(*key).in_(chunk), *nothing))


def _added(insert: Insert) -> Insert:
    """Sums grow by what a row brings; first days and last moments reach as far as either says."""
    new, changes = insert.excluded, dict[str, Any]()
    for column in insert.table.columns:
        if column.name in _SUMS:
            changes[column.name] = column + new[column.name]
        elif column.name == "first_day":
            changes[column.name] = sa.case((new.first_day < column, new.first_day), else_=column)
        elif column.name.startswith("last_"):
            changes[column.name] = sa.case((new[column.name] > column, new[column.name]), else_=column)
    return insert.on_conflict_do_update(
        index_elements=list(cast("sa.Table", insert.table).primary_key.columns), set_=changes
    )
