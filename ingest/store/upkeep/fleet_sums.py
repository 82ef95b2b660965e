"""Adds up what the page of all domains reads, ``domain_trust`` and ``fleet_day``, from the other rollups, after an upgrade."""

import sqlalchemy as sa

from ingest.database.models import domain_day, domain_reporter, domain_trust, fleet_day, pending_upgrade
from ingest.store import rollups

TASK = "fleet"


def add_up(engine: sa.Engine) -> None:
    """In one transaction, so that whoever is killed meanwhile begins anew. Nobody else writes before an upgrade is done."""
    with engine.begin() as connection:
        replace(connection)
        connection.execute(sa.delete(pending_upgrade).where(pending_upgrade.c.task == TASK))


def replace(connection: sa.Connection) -> None:
    """Put the sums of what the rollups hold in place of those that are there."""
    reporter, day = domain_reporter.c, domain_day.c
    of_domain = (reporter.policy_domain, reporter.trust)
    figures = (sa.func.sum(reporter.reports), sa.func.max(reporter.last_day))
    kind = rollups.fleet_type(day.policy_type).label("kind")
    sums = [sa.func.sum(day[name]) for name in rollups.SESSIONS]
    by_day = sa.select(day.day, day.trust, kind, sa.literal(0), *sums).group_by(day.day, day.trust, sa.text("3"))
    by_domain = sa.select(*of_domain, *figures).group_by(*of_domain)
    # A report without sessions adds nothing.
    for table, query in ((domain_trust, by_domain), (fleet_day, by_day.having(sums[0] + sums[1] + sums[2] > 0))):
        connection.execute(sa.delete(table))
        connection.execute(sa.insert(table).from_select(list(table.columns.keys()), query))
