"""``starttally load`` of report files beside the least that could be done with them: inflate, read the JSON, write the same rows.

``python -m benchmarks.loading``. Processor time of whole commands, starts included; SQLite files of their own.
"""

import datetime as dt
import gzip
import sqlite3
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from ingest.database.models import delivery, failure_detail, policy_entry, raw_report, report
from ingest.store.upkeep import upgrades
from tests.goldens import detail, entry, text
from tests.goldens import report as report_json

from .pairs import ROUNDS, head, show, usage

FILES, DOMAINS, DETAILS = 10_000, 200, 3
_MOMENT, _DAY = "2026-03-15 12:00:00.000000", "2026-03-14"
_FILLERS: dict[type, Any] = {int: 0, str: "", bool: False, float: 0.0, bytes: b"", dt.date: _DAY, object: _MOMENT}


def write_files(folder: Path) -> None:
    """One report a file, gzipped, of one policy with three failure details."""
    failures = detail(), detail("starttls-not-supported"), detail("validation-failure")
    for number in range(FILES):
        value = report_json(
            entry(number, DETAILS, *failures, policy_domain=f"d{number % DOMAINS}.example"), report_id=f"r{number}"
        )
        (folder / f"{number:05}.json.gz").write_bytes(gzip.compress(text(value)))


def bare(folder: Path, database: Path) -> None:
    """The pipeline without a thought: no tolerance, no keys but the file's number, no sums, nothing asked."""
    connection = sqlite3.connect(database)
    tables = (report, delivery, policy_entry, failure_detail, raw_report)
    rows: dict[str, list[tuple[Any, ...]]] = {table.name: [] for table in tables}
    for number, path in enumerate(sorted(folder.iterdir())):
        packed = path.read_bytes()
        value = msgspec.json.decode(zlib.decompress(packed, 31))
        (policy,) = value["policies"]
        key = {"policy_domain": policy["policy"]["policy-domain"], "report_key": f"{number:032}"}
        same = key | {"organization": value["organization-name"], "report_id": value["report-id"]}
        for table in tables[:3]:
            rows[table.name].append(_row(table, same))
        for place, _ in enumerate(policy["failure-details"]):
            rows[failure_detail.name].append(_row(failure_detail, same | {"position": place}))
        rows[raw_report.name].append(_row(raw_report, key | {"document": packed}))
        if number % 200 == 199:
            _write(connection, tables, rows)
    _write(connection, tables, rows)


def _row(table: sa.Table, values: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(values.get(name, filler) for name, filler in _fillers(table))


def _fillers(table: sa.Table) -> list[tuple[str, Any]]:
    known = _KNOWN.get(table.name)
    if known is None:
        known = [(column.name, None if column.nullable else _FILLERS[column.type.python_type]) for column in table.c]
        _KNOWN[table.name] = known
    return known


_KNOWN: dict[str, list[tuple[str, Any]]] = {}


def _write(
    connection: sqlite3.Connection, tables: tuple[sa.Table, ...], rows: dict[str, list[tuple[Any, ...]]]
) -> None:
    with connection:
        for table in tables:
            names, marks = ", ".join(table.c.keys()), ", ".join("?" * len(table.c))
            connection.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", rows[table.name])
            rows[table.name].clear()


def main() -> int:
    if len(sys.argv) > 1:
        bare(Path(sys.argv[1]), Path(sys.argv[2]))
        return 0
    head("load, .json.gz files a second of processor time", "ours", "bare")
    ours, peers, walls = [], [], []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "files"
        folder.mkdir()
        write_files(folder)
        for number in range(ROUNDS):
            databases = [Path(place) / f"{side}{number}.db" for side in ("ours", "bare")]
            for database in databases:
                upgrades.migrate(f"sqlite:///{database}")
            command: list[str | Path] = [sys.executable, "-m", "dashboard.commands.app", "load", folder]
            taken = usage(command, STARTTALLY_DATABASE_URL=f"sqlite:///{databases[0]}")
            ours.append(taken.cpu)
            walls.append(taken.wall / taken.cpu)
            peers.append(usage([sys.executable, "-m", "benchmarks.loading", folder, databases[1]]).cpu)
        reached = show(f"{FILES:,} files of {DETAILS} failure details", ours, peers, FILES, 0.5)
    sys.stdout.write(f"wall of ours for a second of its processor time: {sorted(walls)[len(walls) // 2]:.2f} s\n")
    return not reached


if __name__ == "__main__":
    sys.exit(main())
