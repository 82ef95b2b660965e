"""Stored verdicts: one row a domain and day, written by ``assess``. What a verdict is made of is the reading side's matter."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from ingest.database.models import domain_reporter, domain_verdict
from ingest.database.sql import chunks, insert_into

from . import due
from .due import Due
from .rows import Row

_row = domain_verdict.c
_KEY = ("policy_domain", "day")


def write(connection: sa.Connection, rows: Sequence[Row], claimed: Sequence[Due]) -> None:
    """Store verdicts (rows of ``domain_verdict``) about domains that are claimed; of those whose claim is over, none."""
    held = due.held(connection, claimed)
    mine = [row for row in rows if row["policy_domain"] in held]
    newest = [row for row in mine if row["newest"]]
    if newest:
        older = (_row.policy_domain == sa.bindparam("domain")) & _row.newest & (_row.day != newest[0]["day"])
        domains = [{"domain": row["policy_domain"]} for row in newest]
        connection.execute(sa.update(domain_verdict).where(older).values(newest=False, document=None), domains)
    if mine:
        insert = insert_into(connection, domain_verdict)
        changes: dict[str, Any] = {
            column.name: insert.excluded[column.name] for column in domain_verdict.columns if column.name not in _KEY
        }
        connection.execute(insert.on_conflict_do_update(index_elements=list(_KEY), set_=changes), mine)


def without_reports(connection: sa.Connection, domains: Sequence[str]) -> set[str]:
    """Those of the domains about which there is no report (any more): they have no verdict."""
    reporter = domain_reporter.c.policy_domain
    reported: set[str] = set()
    for batch in chunks(domains):
        reported.update(connection.scalars(sa.select(reporter).where(reporter.in_(batch)).distinct()))
    return set(domains) - reported


def without_verdict(connection: sa.Connection, domains: Sequence[str]) -> set[str]:
    """Those of the domains about which no verdict is stored yet."""
    decided: set[str] = set()
    for batch in chunks(domains):
        decided.update(
            connection.scalars(sa.select(_row.policy_domain).where(_row.policy_domain.in_(batch)).distinct())
        )
    return set(domains) - decided


def forget(connection: sa.Connection, domains: Sequence[str]) -> None:
    """Remove the verdicts of domains about which no report is left."""
    for batch in chunks(sorted(domains)):
        connection.execute(sa.delete(domain_verdict).where(_row.policy_domain.in_(batch)))
