"""What a stored report is worth among its copies, and the sessions that it lists once. Conditions and columns of ``report``."""

from typing import Any

import sqlalchemy as sa

from ingest.database.models import LISTED as LISTED
from ingest.database.models import STANDS as STANDS
from ingest.database.models import TLSA_EQUAL, TLSA_OTHER, report
from ingest.testimony.trust import EVIDENCE


def once(name: str, domain: str | None = None) -> sa.ColumnElement[Any]:
    """The sessions of a report under that name (``successful_sessions``, ``failed_sessions``), those that it lists twice once.

    ``domain`` is the policy domain of all reports asked for, if it is one: so Citus knows that its server alone is asked.
    """
    twice = sa.case((_lists_sessions_twice(domain), report.c[f"tlsa_{name}"]), else_=0)
    return (report.c[name] - twice).label(name)


def _lists_sessions_twice(domain: str | None) -> sa.ColumnElement[bool]:
    """Whether its tlsa entries list the sessions of its sts entries again, as Microsoft does: as many under both, in every
    report of this voice about the domain that is trusted like this one (docs/verdict.md, "What counts as evidence").
    """
    other = report.alias("by_the_same_voice").c
    listed_apart = sa.exists().where(
        other.policy_domain == report.c.policy_domain,
        sa.true() if domain is None else other.policy_domain == domain,
        other.voice == report.c.voice,
        other.tlsa_sessions == TLSA_OTHER,
        other.trust.in_(EVIDENCE) | report.c.trust.not_in(EVIDENCE),
    )
    return sa.and_(report.c.tlsa_sessions == TLSA_EQUAL, ~listed_apart)
