"""``db distribute``: what is spread, what stays as it is, and what is refused (docs/scale.md)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
import pytest
import sqlalchemy as sa

from ingest.database import distribution, engines, models
from ingest.database.distribution import CannotDistribute
from ingest.settings.settings import Settings
from ingest.store.upkeep import upgrades
from tests import programs
from tests.databases import create_database
from tests.reports import detail, entry, report_json
from tests.stored import store_report

MakeSettings = Callable[..., Settings]
DOMAINS = [f"receiver{number}.example" for number in range(12)]


def fill(url: str, settings: Settings) -> None:
    engine = engines.open_engine(url)
    for name in DOMAINS:
        failed = entry(8, 2, detail("certificate-expired", 2), policy_domain=name)
        store_report(engine, report_json(failed, report_id=name), settings)
    engine.dispose()


def spread(url: str) -> dict[str, tuple[str, str]]:
    """The kind and the column of each table that Citus knows."""
    engine = engines.open_engine(url)
    with engine.connect() as connection:
        rows = connection.execute(
            sa.text("SELECT table_name::text, citus_table_type, distribution_column FROM citus_tables")
        )
        kinds = {name: (kind, column) for name, kind, column in rows}
    engine.dispose()
    return kinds


def every_row(url: str) -> dict[str, list[Any]]:
    engine = engines.open_engine(url)
    with engine.connect() as connection:
        rows = {
            table.name: sorted(map(repr, connection.execute(sa.select(table))))
            for table in models.metadata.sorted_tables
        }
    engine.dispose()
    return rows


def test_a_sqlite_database_is_refused_and_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(CannotDistribute, match="is a SQLite file; only PostgreSQL with the extension Citus"):
        distribution.distribute(f"sqlite:///{tmp_path}/starttally.db")
    assert list(tmp_path.iterdir()) == []


def test_without_the_extension_it_says_what_to_install(postgresql_server: str) -> None:
    url = create_database(postgresql_server)
    with pytest.raises(CannotDistribute, match=r"no extension Citus; .*run CREATE EXTENSION citus"):
        distribution.distribute(url)


def test_the_command_ends_with_2(tmp_path: Path) -> None:
    env = {"STARTTALLY_DATABASE_URL": f"sqlite:///{tmp_path}/starttally.db"}
    ended = programs.run("db", "distribute", cwd=tmp_path, env=env)
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"starttally: the database is a SQLite file")


def test_a_database_without_tables_is_refused(citus_url: str) -> None:
    with pytest.raises(engines.SchemaMismatch, match=r"is empty; run `starttally db upgrade`"):
        distribution.distribute(citus_url)


def test_every_table_is_spread_with_its_rows_and_again_changes_nothing(
    citus_url: str, settings_for: MakeSettings
) -> None:
    upgrades.migrate(citus_url)
    fill(citus_url, settings_for())
    before = every_row(citus_url)
    assert distribution.distribute(citus_url) == (11, 6, 17)
    kinds = spread(citus_url)
    assert kinds.keys() == {"alembic_version", *models.metadata.tables}
    for table in models.metadata.sorted_tables:
        by_domain = "policy_domain" in table.c
        assert kinds[table.name] == (("distributed", "policy_domain") if by_domain else ("reference", "<none>"))
    assert distribution.distribute(citus_url) == (11, 6, 0)
    assert every_row(citus_url) == before
    upgrades.migrate(citus_url)


def test_an_interrupted_run_is_gone_on_with(citus_url: str, settings_for: MakeSettings) -> None:
    upgrades.migrate(citus_url)
    fill(citus_url, settings_for())
    before = every_row(citus_url)

    def die(table: str) -> None:
        if table == "failure_detail":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distribution.distribute(citus_url, die)
    done = len(spread(citus_url))
    assert 0 < done < 17
    assert distribution.distribute(citus_url).new == 17 - done
    assert every_row(citus_url) == before


def test_a_table_that_lies_otherwise_is_refused(citus_url: str) -> None:
    upgrades.migrate(citus_url)
    engine = engines.open_engine(citus_url)
    with engine.begin() as connection:
        connection.execute(sa.text("SELECT create_reference_table('delivery')"))
    engine.dispose()
    with pytest.raises(CannotDistribute, match=r"the table delivery is distributed already, but in another way"):
        distribution.distribute(citus_url)


def test_a_migration_spreads_the_tables_that_it_adds(citus_url: str) -> None:
    upgrades.migrate(citus_url)
    distribution.distribute(citus_url)
    engine = engines.open_engine(citus_url)
    config = engines.migrations_config()
    with engine.begin() as connection:
        distribution.prepare_migration(connection)
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, "0003")
    engine.dispose()
    assert "domain_due" not in spread(citus_url)
    upgrades.migrate(citus_url)
    kinds = spread(citus_url)
    assert kinds.keys() == {"alembic_version", *models.metadata.tables}
    assert kinds["domain_due"] == ("distributed", "policy_domain")
