"""What the page of all domains reads says the same as the rollups below it, whatever came, rose in trust or went."""

import datetime as dt
from collections.abc import Callable

import alembic.command
import sqlalchemy as sa

from ingest.database import engines
from ingest.database.models import domain_trust, domain_verdict, fleet_day, report
from ingest.settings.settings import Settings
from ingest.store import rollups
from ingest.store.upkeep import fleet_sums, retention, upgrades
from tests.databases import Spare
from tests.reports import detail, entry, report_json
from tests.stored import store_report

MakeSettings = Callable[..., Settings]
Sums = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]


def sums(connection: sa.Connection) -> Sums:
    """Both tables, the slots of a day added up; what has sunk to nothing is nothing."""
    day = fleet_day.c
    figures = [sa.func.sum(day[name]) for name in rollups.SESSIONS]
    key = (day.day, day.trust, day.policy_type)
    by_day = connection.execute(sa.select(*key, *figures).group_by(*key).order_by(*key)).all()
    by_domain = connection.execute(sa.select(domain_trust).order_by(*domain_trust.primary_key)).all()
    return [tuple(row) for row in by_domain], [tuple(row) for row in by_day if any(row[3:])]


def are_right(engine: sa.Engine) -> Sums:
    """They are what the rollups below add up to; these sums."""
    with engine.connect() as connection:
        kept_along = sums(connection)
        fleet_sums.replace(connection)
        assert kept_along == sums(connection)
        connection.rollback()
    return kept_along


def fill(engine: sa.Engine, settings: Settings) -> None:
    several = [entry(40, 2, detail(sessions=2)), entry(7, policy_type="tlsa"), entry(1, 1, policy_type="invented")]
    for number, domain in enumerate(("a.example", "b.example", "c.example")):
        for name in ("google.example", "microsoft.example"):
            members = [member | {"policy": member["policy"] | {"policy-domain": domain}} for member in several]
            value = report_json(*members, report_id=f"{number} {name}", organization_name=name)
            store_report(engine, value, settings, trust="unverified" if number == 2 else "verified")
    store_report(engine, report_json(report_id="empty"), settings)


def test_they_add_up(engine: sa.Engine, settings_for: MakeSettings) -> None:
    fill(engine, settings_for())
    by_domain, by_day = are_right(engine)
    assert {row[0] for row in by_domain} > {"a.example", "b.example", "c.example"}
    assert {row[2]: row[3:] for row in by_day if row[1] == "verified"} == {
        "sts": (201, 14, 14),
        "tlsa": (28, 0, 0),
        "other": (4, 4, 0),
    }


def test_they_follow_a_report_that_rises_in_trust(engine: sa.Engine, settings_for: MakeSettings) -> None:
    value = report_json(entry(5))
    for trust in ("unverified", "verified"):
        store_report(engine, value, settings_for(), trust=trust)
        by_domain, by_day = are_right(engine)
        assert [row[1] for row in by_domain] == [row[1] for row in by_day] == [trust]


def test_they_follow_what_is_pruned(engine: sa.Engine, settings_for: MakeSettings) -> None:
    fill(engine, settings_for())
    now = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    retention.prune(engine, settings_for(keep_reports_days=30), now, force=True)
    assert are_right(engine) == ([], [])


def test_they_are_added_up_after_an_upgrade(engine: sa.Engine, database_url: str, settings_for: MakeSettings) -> None:
    fill(engine, settings_for())
    before = are_right(engine)
    engine.dispose()
    with engine.begin() as connection:
        config = engines.migrations_config()
        config.attributes["connection"] = connection
        alembic.command.downgrade(config, "0006")
    upgrades.migrate(database_url)
    engines.check(engine)
    with engine.connect() as connection:
        assert sums(connection) == before


def test_two_workers_add_to_one_day_at_once(spare_databases: Spare, settings_for: MakeSettings) -> None:
    """The second commits while the first still holds its transaction open."""
    url = spare_databases.take()
    engine = engines.open_engine(url)
    fill(engine, settings_for())
    of_domain = sa.select(report).where(report.c.policy_domain == "a.example").limit(1)
    with engine.connect() as connection:
        row = dict(connection.execute(of_domain).mappings().one())
    with engine.connect() as first, engine.connect() as second:
        for slot, (connection, name) in enumerate(((first, "d.example"), (second, "e.example"))):
            connection.info["fleet slot"] = slot
            connection.execute(sa.text("SET LOCAL lock_timeout = '5s'"))
            deltas = rollups.Deltas()
            deltas.add(row | {"policy_domain": name}, [{"policy_type": "sts"} | dict.fromkeys(rollups.SESSIONS, 3)])
            deltas.write(connection)
        second.commit()
        first.commit()
    are_right(engine)
    engine.dispose()
    spare_databases.give_back(url)


def test_the_index_of_verdicts_serves_sqlite(sqlite_engine: sa.Engine) -> None:
    """Its condition must be spelt as statements spell it."""
    newest = domain_verdict.c
    query = sa.select(newest.urgency).where(newest.newest).order_by(newest.urgency)
    statement = str(query.compile(sqlite_engine, compile_kwargs={"literal_binds": True}))
    with sqlite_engine.connect() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")]
    assert plan == ["SCAN domain_verdict USING COVERING INDEX ix_domain_verdict_newest"]
