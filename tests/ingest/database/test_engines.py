"""Schema and connections on both engines."""

from pathlib import Path

import alembic.autogenerate
import alembic.command
import alembic.migration
import alembic.script
import pytest
import sqlalchemy as sa

from ingest.database import engines, models
from ingest.settings import settings
from ingest.store.upkeep import upgrades
from tests.goldens import detail, entry
from tests.reports import report_json
from tests.stored import store_reports, submission


def test_migrations_and_models_agree(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert alembic.autogenerate.compare_metadata(context, models.metadata) == []


def test_the_revisions_are_those_of_alembic() -> None:
    scripts = alembic.script.ScriptDirectory.from_config(engines.migrations_config())
    assert [script.revision for script in scripts.walk_revisions()] == engines.revisions()[::-1]
    assert scripts.get_heads() == engines.revisions()[-1:]


def test_upgrading_twice_changes_nothing(database_url: str) -> None:
    upgrades.migrate(database_url)
    upgrades.migrate(database_url)
    engine = engines.open_engine(database_url)
    engines.check(engine)
    engine.dispose()


def test_an_empty_database_is_told_apart(database_url: str) -> None:
    engine = engines.open_engine(database_url)
    with pytest.raises(engines.SchemaMismatch, match=r"is empty; run `starttally db upgrade`"):
        engines.check(engine)
    engine.dispose()


def test_a_newer_database_is_refused_and_left_alone(engine: sa.Engine, database_url: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(engines.SchemaMismatch, match=r"newer StartTally \(schema 9999\)"):
        upgrades.migrate(database_url)
    with pytest.raises(engines.SchemaMismatch, match="newer StartTally"):
        engines.check(engine)


def test_a_reader_cannot_write(engine: sa.Engine, database_url: str) -> None:
    reader = engines.open_engine(database_url, read_only=True)
    with pytest.raises(sa.exc.DBAPIError, match=r"(?i)read-?only"), reader.begin() as connection:
        connection.execute(sa.delete(models.report))
    reader.dispose()


def test_sqlite_carries_the_wal_fix() -> None:
    assert engines.sqlite_module().sqlite_version_info >= (3, 51, 3)


def test_an_unreachable_server_is_away_and_keeps_its_password() -> None:
    engine = engines.open_engine("postgresql://someone:secret@127.0.0.1:1/x")
    with pytest.raises(engines.DatabaseAway) as raised:
        engines.check(engine)
    assert "cannot be used now" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_on_sqlite_rows_with_long_keys_lie_in_their_keys(tmp_path: Path) -> None:
    """Twice: as migrations make the tables of an older database, rows and indexes with them, and back."""
    url = f"sqlite:///{tmp_path}/keys.db"
    upgrades.migrate(url)
    engine = engines.open_engine(url)
    expected = {
        table.name for table in models.metadata.tables.values() if not table.dialect_options["sqlite"]["with_rowid"]
    }
    assert {"policy_entry", "failure_detail", "delivery"} <= expected
    reports = [submission(report_json(entry(1, 2, detail(), detail())), settings.load(database_url=url))]
    store_reports(engine, reports)

    def state() -> tuple[set[str], dict[str, list[tuple[object, ...]]], list[str]]:
        with engine.connect() as connection:
            without = connection.scalars(
                sa.text("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql LIKE '%WITHOUT ROWID%'")
            )
            rows = {
                name: list(map(tuple, connection.execute(sa.select(models.metadata.tables[name])))) for name in expected
            }
            indexes = connection.scalars(
                sa.text("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name")
            )
            return set(without), rows, list(indexes)

    before = state()
    assert before[0] == expected
    assert all(before[1][name] for name in ("policy_entry", "failure_detail", "delivery"))
    with engine.begin() as connection:
        config = engines.migrations_config()
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, "0008")
    assert state()[0] == expected - {"policy_entry", "failure_detail", "delivery"}
    assert state()[1:] == before[1:]
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
    assert state() == before
    engine.dispose()
