"""Overrides of the domains that a user may see, and what their reports contain."""

import collections
import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from ingest.database.models import failure_detail
from ingest.database.models import operator_word as stored
from ingest.store import overrides
from ingest.testimony.override_rules import Override

from .question import Scope


def in_force_from(
    connection: sa.Connection, scope: Scope, domains: Sequence[str], on: dt.date
) -> Mapping[str, list[Override]]:
    """The overrides that hold on the day ``on``, by domain, oldest first."""
    domain = stored.c.policy_domain
    by_domain: dict[str, list[Override]] = collections.defaultdict(list)
    conditions = (domain.in_(domains), scope.allows(domain), *overrides.in_force(on))
    for override in overrides.read(connection, *conditions):
        by_domain[override.domain].append(override)
    return by_domain


def in_force(engine: sa.Engine, scope: Scope, domain: str, on: dt.date) -> list[Override]:
    """The overrides of one domain that hold on the day ``on``, oldest first."""
    with engine.connect() as connection:
        return in_force_from(connection, scope, [domain], on).get(domain, [])


def every_override(engine: sa.Engine, scope: Scope, domain: str, at_most: int) -> list[Override]:
    """The newest ``at_most`` overrides ever given for one domain, newest first."""
    of_domain = stored.c.policy_domain
    with engine.connect() as connection:
        conditions = (of_domain == domain, scope.allows(of_domain))
        return list(overrides.read(connection, *conditions, limit=at_most, newest_first=True))


def has_result_type(engine: sa.Engine, scope: Scope, domain: str, result_type: str) -> bool:
    """Whether a report about one domain contains this very result type."""
    detail = failure_detail.c
    where = (detail.policy_domain == domain, scope.allows(detail.policy_domain), detail.result_type == result_type)
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.literal(1)).where(*where).limit(1)) is not None
