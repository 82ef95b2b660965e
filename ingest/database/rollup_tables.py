"""Tables of sums and newest days, kept in the transaction that writes the reports (ingest.store.rollups, voice_months)."""

import sqlalchemy as sa

from .columns import Digest, Domain, Instant, Word, key, metadata, text

# Sums are floating point on purpose: exact up to 2^53, and no number of absurd reports can make them overflow.
domain_day = sa.Table(
    "domain_day",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("policy_type", Word, nullable=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    sa.Column("successful_sessions", sa.Double, nullable=False),
    sa.Column("failed_sessions", sa.Double, nullable=False),
    sa.Column("refused_sessions", sa.Double, nullable=False),
    key("policy_domain", "day", "trust", "policy_type"),
)

domain_reporter = sa.Table(
    "domain_reporter",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("organization", Word, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("last_received_at", Instant, nullable=False),
    key("policy_domain", "organization", "trust"),
)

# What the trusted reports of a voice about one month say of it and of the policy: a row for each policy that they quote ("" for
# none) and each name, signer and contact that they give (ingest.store.voice_months). ``month`` is its first day.
voice_month = sa.Table(
    "voice_month",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    # Derived from the five columns that follow, and the contact.
    sa.Column("row_key", Digest, nullable=False),
    sa.Column("voice", Word, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("policy_digest", Digest, nullable=False),
    sa.Column("organization", Word, nullable=False),
    sa.Column("signer", Word, nullable=False),
    text("contact_info"),
    # Whether the operator has loaded any of the reports.
    sa.Column("loaded", sa.Boolean, nullable=False),
    sa.Column("first_day", sa.Date, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    sa.Column("last_failure_day", sa.Date, nullable=False),
    sa.Column("last_received_at", Instant, nullable=False),
    # A report has left the row, which may say too much since then: whoever reads asks the reports of that month.
    sa.Column("doubtful", sa.Boolean, nullable=False),
    key("policy_domain", "month", "row_key"),
)
_doubtful = voice_month.c.doubtful
sa.Index(
    "ix_voice_month_doubtful",
    *(voice_month.c.month, voice_month.c.policy_domain),
    postgresql_where=_doubtful,
    sqlite_where=_doubtful,
)
# Organizations are stepped through one by one, whatever number of domains each reports about.
sa.Index(None, domain_reporter.c.trust, domain_reporter.c.organization, domain_reporter.c.last_day)

# A domain's reports by how far they are believed, and the newest day that they are about: every domain there is, in few rows.
domain_trust = sa.Table(
    "domain_trust",
    metadata,
    sa.Column("policy_domain", Domain, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("reports", sa.BigInteger, nullable=False),
    sa.Column("last_day", sa.Date, nullable=False),
    key("policy_domain", "trust"),
    sqlite_with_rowid=False,
)

# The sums of ``domain_day`` over all domains. Workers on PostgreSQL add to different slots of a day, so that none waits until
# another has committed; what a day has is the sum over its slots. Policy types that RFC 8460 does not know are ``other``.
fleet_day = sa.Table(
    "fleet_day",
    metadata,
    sa.Column("day", sa.Date, nullable=False),
    sa.Column("trust", sa.String(16), nullable=False),
    sa.Column("policy_type", sa.String(16), nullable=False),
    sa.Column("slot", sa.SmallInteger, nullable=False),
    sa.Column("successful_sessions", sa.Double, nullable=False),
    sa.Column("failed_sessions", sa.Double, nullable=False),
    sa.Column("refused_sessions", sa.Double, nullable=False),
    key("day", "trust", "policy_type", "slot"),
)
