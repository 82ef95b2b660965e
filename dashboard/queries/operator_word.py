"""The operator's words about the domains that a user may see."""

import collections
import datetime as dt
from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from ingest import operator_word
from ingest.models import operator_word as words
from ingest.operator_word import Word

from .selection import Scope


def in_force_from(
    connection: sa.Connection, scope: Scope, domains: Sequence[str], on: dt.date
) -> Mapping[str, list[Word]]:
    """The words that hold on the day ``on``, by domain, oldest first."""
    domain = words.c.policy_domain
    found: dict[str, list[Word]] = collections.defaultdict(list)
    conditions = (domain.in_(domains), scope.allows(domain), *operator_word.in_force(on))
    for word in operator_word.read(connection, *conditions):
        found[word.domain].append(word)
    return found


def in_force(engine: sa.Engine, scope: Scope, domain: str, on: dt.date) -> list[Word]:
    """The words about one domain that hold on the day ``on``, oldest first."""
    with engine.connect() as connection:
        return in_force_from(connection, scope, [domain], on).get(domain, [])


def every_word(engine: sa.Engine, scope: Scope, domain: str, at_most: int) -> list[Word]:
    """The newest ``at_most`` words ever given about one domain, newest first."""
    about = words.c.policy_domain
    with engine.connect() as connection:
        conditions = (about == domain, scope.allows(about))
        return list(operator_word.read(connection, *conditions, limit=at_most, newest_first=True))
