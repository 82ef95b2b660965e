"""Reports of the first version, brought to the keys of today: afterwards everything is as if it had been stored today."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import alembic.command
import msgspec
import pytest
import sqlalchemy as sa

from ingest import intake, submissions
from ingest.authentication.verdict import Authentication
from ingest.database import engines, models
from ingest.database.sql import insert_into
from ingest.rfc.tlsrpt.document import documents_in
from ingest.settings import settings
from ingest.spool import channels, trace
from ingest.spool.channels import CHANNELS
from ingest.store import saving, voice_months
from ingest.store.rows import Row, rows_of
from ingest.store.upkeep import rekeying, upgrades
from ingest.submissions import Submission
from ingest.testimony.trust import UNSIGNED, VERIFIED
from tests.goldens import detail, entry, report, text
from tests.reports import CAME, mail
from tests.stored import NOW

SIGNED = Authentication(VERIFIED, "", "sender.example", "s1", "v=DKIM1; p=abc")
STRANGER = Authentication(VERIFIED, "", "stranger.example", "s1", "v=DKIM1; p=xyz")
ID = "2026-03-14T00:00:00Z_idx1_nopolicy.example"
NAMELESS = report(entry(5, policy_type="no-policy-found", policy_domain=..., policy_string=...), report_id=ID)
USUAL = report(entry(41, 6, detail(sessions=4), detail("starttls-not-supported", 2)), entry(3, 1, policy_type="tlsa"))
REWRITTEN = report(*[member | {"x": ""} for member in USUAL["policies"]])
CORRECTED = report(entry(50, 6, detail(sessions=6)))
SEVERAL = report(entry(1), entry(2, 1, policy_domain="b.example"), entry(9, policy_domain=...), report_id="several")


def submission(
    value: dict[str, Any], door: str = channels.SMTP, verdict: Authentication | None = None, *, bare: bool = False
) -> Submission:
    message = (
        text(value) if bare else mail(value, domain="nopolicy.example" if value is NAMELESS else "receiver.example")
    )
    arrival = trace.Arrival(door, CAME, trace.digest(message + door.encode()))
    if bare:
        decoded = intake.decode_file(message, "r.json", arrival, settings.load())
    else:
        decoded = intake.decode_mail(message, arrival, settings.load())
    assert isinstance(decoded, submissions.Decoded)
    verdict = verdict or Authentication(UNSIGNED)
    return Submission(decoded, verdict, intake.trust_of(verdict, CHANNELS[door]))


@pytest.fixture
def today(tmp_path: Path) -> Iterator[sa.Engine]:
    """A database of today's version, with everybody's reports."""
    url = f"sqlite:///{tmp_path}/today.db"
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    with engine.begin() as connection:
        saving.save(connection, everybody(), NOW)
        for month, _ in voice_months.doubtful_months(connection, but=None):
            voice_months.renew(connection, month)
    yield engine
    engine.dispose()


def everybody() -> list[Submission]:
    """What was stored under the first version: each kind of thing that the keys of today tell otherwise."""
    return [
        submission(USUAL, channels.HTTPS),
        submission(USUAL, verdict=SIGNED),
        submission(USUAL, verdict=STRANGER),
        submission(REWRITTEN, channels.LOAD, bare=True),
        submission(CORRECTED, channels.LOAD, bare=True),
        submission(NAMELESS, verdict=SIGNED),
        submission(NAMELESS, channels.HTTPS),
        submission(NAMELESS, channels.LOAD, bare=True),
        submission(SEVERAL, verdict=SIGNED),
        submission(SEVERAL, channels.LOAD, bare=True),
        submission(report(report_id="empty"), verdict=SIGNED),
    ]


def in_first_version(engine: sa.Engine, submissions: list[Submission]) -> None:
    """Write reports as the first version did: one row for a document and domain, with the best of its deliveries."""
    metadata = sa.MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        ranks: dict[tuple[str, str], Any] = {}
        for submitted in submissions:
            for table, row in _old_rows(submitted):
                target = metadata.tables[table.name]
                # As read from the reflected table of SQLite, an instant has no zone.
                row = {name: value for name, value in row.items() if name in target.c}
                key = row["policy_domain"], row["report_key"]
                if table is models.report and key in ranks:
                    if saving.rank(row) < ranks[key]:
                        where = [
                            target.c[name] == value
                            for name, value in zip(("policy_domain", "report_key"), key, strict=True)
                        ]
                        better = {name: row[name] for name in ("trust", "signer", "door", "received_at")}
                        connection.execute(sa.update(target).where(*where).values(_bound(better, table)))
                        ranks[key] = saving.rank(row)
                    continue
                if table is models.report:
                    ranks[key] = saving.rank(row)
                statement = insert_into(connection, target).on_conflict_do_nothing()
                connection.execute(statement.values(_bound(row, table)))


def _bound(row: Row, table: sa.Table) -> Row:
    """Values of a reflected table, typed as those of the model."""
    return {name: sa.literal(value, table.c[name].type) for name, value in row.items()}


def _old_rows(submitted: Submission) -> Iterator[tuple[sa.Table, Row]]:
    for (read, document), members in zip(submitted.decoded.reports, rows_of(submitted, NOW), strict=True):
        (read_object,) = documents_in(document.text, len(document.text))
        assert isinstance(read_object, tuple)
        as_text = msgspec.json.encode(read_object[0], order="deterministic")
        old_key = hashlib.blake2b(as_text, digest_size=16).hexdigest()
        # The first version took no domain from an id or from other entries.
        nameless = {
            position
            for position, member in enumerate(read.entries)
            if member.domain_source in ("report-id", "other-entries", "nowhere")
        }
        defects = msgspec.json.encode(
            [
                {
                    "where": defect.where,
                    "what": defect.what.partition("; taken from the report")[0],
                    "value": defect.value,
                }
                for defect in read.defects
            ]
        ).decode()
        for rows in members:
            tables = (
                (models.report, [rows.report | {"defects": defects if read.defects else None}]),
                (models.policy_entry, rows.entries),
                (models.failure_detail, rows.details),
                (models.delivery, [rows.delivery]),
                (models.raw_report, [rows.raw] if rows.raw else []),
            )
            for table, several in tables:
                for row in several:
                    for domain in _old_domains(table, row, rows.entries, nameless):
                        yield (
                            table,
                            row | {"report_key": old_key, "policy_domain": domain} | _raw_of(table, row, nameless),
                        )


def _old_domains(table: sa.Table, row: Row, entries: list[Row], nameless: set[int]) -> list[str]:
    position = row.get("entry_position", row.get("position"))
    if position is not None:
        return [""] if position in nameless else [row["policy_domain"]]
    if table is models.raw_report:
        return [row["policy_domain"] if 0 not in nameless else ""]
    return list(dict.fromkeys("" if entry["position"] in nameless else row["policy_domain"] for entry in entries)) or [
        ""
    ]


def _raw_of(table: sa.Table, row: Row, nameless: set[int]) -> Row:
    if table is not models.report:
        return {}
    return {
        "raw_domain": "" if 0 in nameless else row["raw_domain"],
        "raw_domains": row["raw_domains"] + (len(nameless - {0}) > 0),
    }


@pytest.fixture
def old(database_url: str) -> Iterator[sa.Engine]:
    """A database of the first version, with everybody's reports."""
    engine = engines.open_engine(database_url)
    with engine.begin() as connection:
        config = engines.migrations_config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "0003")
    in_first_version(engine, everybody())
    yield engine
    engine.dispose()


def content(engine: sa.Engine) -> dict[str, list[Row]]:
    """Everything but what two copies of a report may differ in, and the wording of defects."""
    free = {"defects", "extra", "document", "size", "domain_source"}
    by_table = {}
    with engine.connect() as connection:
        for table in models.metadata.sorted_tables:
            if table.name not in ("policy_text", "undetermined", "domain_due"):
                rows = connection.execute(sa.select(table).order_by(*table.primary_key.columns)).mappings()
                by_table[table.name] = [
                    {name: value for name, value in row.items() if name not in free} for row in rows
                ]
    return by_table


def test_after_the_upgrade_all_is_as_if_stored_today(database_url: str, old: sa.Engine, today: sa.Engine) -> None:
    with pytest.raises(engines.SchemaMismatch):
        engines.check(old)
    upgrades.migrate(database_url)
    engines.check(old)
    stored, upgraded = content(today), content(old)
    for name, rows in stored.items():
        for row, as_stored in zip(upgraded[name], rows, strict=True):
            assert row == as_stored, name
    # And once more through the door: all are known.
    with old.begin() as connection:
        assert saving.save(connection, everybody(), NOW).stored == 0
    assert content(old)["domain_day"] == stored["domain_day"]


def test_an_interrupted_upgrade_is_said_and_goes_on(
    database_url: str, old: sa.Engine, today: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rekeying, "_TOGETHER", 1)
    for steps in range(1, 30):
        _interrupt_after(monkeypatch, steps)
        try:
            upgrades.migrate(database_url)
            break
        except KeyboardInterrupt:
            with pytest.raises(engines.SchemaMismatch, match="interrupted; run `starttally db upgrade`"):
                engines.check(old)
    else:
        pytest.fail("the upgrade never came to its end")
    assert steps > 5
    assert content(old) == content(today)


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """A process that is killed in its transaction number ``steps``."""
    left = [steps]
    for name in ("_rewrite", "_recount", "_add_up"):
        whole = getattr(rekeying, name)
        whole = getattr(whole, "whole", whole)

        def step(*given: Any, whole: Any = whole) -> None:
            left[0] -= 1
            whole(*given)
            if not left[0]:
                raise KeyboardInterrupt

        step.whole = whole  # type: ignore[attr-defined]
        monkeypatch.setattr(rekeying, name, step)


def test_reports_of_an_older_version_are_summed_up(today: sa.Engine) -> None:
    """Migration 0007 owes the rollup of voices; keys and other sums stay as they are."""
    before = content(today)
    with today.begin() as connection:
        connection.execute(sa.delete(models.voice_month))
        connection.execute(sa.insert(models.pending_upgrade).values(task="voice-months"))
    with pytest.raises(engines.SchemaMismatch, match="was interrupted"):
        engines.check(today)
    upgrades.migrate(str(today.url))
    engines.check(today)
    assert before["voice_month"]
    assert content(today) == before
