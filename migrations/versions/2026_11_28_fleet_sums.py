"""Sums over all domains and a row a domain, and indexes of the list of reports, so that pages read what they show

The sums are added up by the program after this step (``upkeep.fleet_sums``): ``pending_upgrade`` says so until that is done.

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0007
Revises: 0006
Created: 2026-11-28 00:30:00
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "domain_trust",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "trust", name=op.f("pk_domain_trust")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "fleet_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("policy_type", sa.String(length=16), nullable=False),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("successful_sessions", sa.Double(), nullable=False),
        sa.Column("failed_sessions", sa.Double(), nullable=False),
        sa.Column("refused_sessions", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("day", "trust", "policy_type", "slot", name=op.f("pk_fleet_day")),
    )
    op.create_index(
        op.f("ix_domain_reporter_trust_organization_last_day"), "domain_reporter", ["trust", "organization", "last_day"]
    )
    op.create_index(
        "ix_domain_verdict_asked",
        "domain_verdict",
        ["asked", "day", "policy_domain"],
        postgresql_where=sa.text("newest"),
        sqlite_where=sa.text("newest = 1"),
    )
    place, failed = ["day", "received_at", "policy_domain", "report_key"], sa.text("failed_sessions > 0")
    listed: dict[str, Any] = {
        "postgresql_where": sa.text("counts OR accuses OR contradicted"),
        "sqlite_where": sa.text("counts = 1 OR accuses = 1 OR contradicted = 1"),
    }
    op.create_index("ix_report_of_trust", "report", ["trust", *place], **listed)
    op.create_index("ix_report_of_organization", "report", ["organization", *place], **listed)
    op.create_index("ix_report_with_failures", "report", place, postgresql_where=failed, sqlite_where=failed)
    if op.get_bind().dialect.name == "sqlite":
        # It uses an index with a condition only where a statement has the same one, and all of them say "newest = 1".
        op.drop_index("ix_domain_verdict_newest", "domain_verdict")
        _create_newest("newest = 1")
    # Also where reports are still to get the keys of today ('rekey'), which adds their sums once more when it was interrupted.
    op.execute("INSERT INTO pending_upgrade (task) SELECT 'fleet' WHERE EXISTS (SELECT 1 FROM report)")


def _create_newest(condition: str) -> None:
    op.create_index(
        "ix_domain_verdict_newest",
        "domain_verdict",
        ["urgency", sa.text("refused_sessions DESC"), sa.text("sessions DESC"), "policy_domain"],
        postgresql_where=sa.text("newest"),
        sqlite_where=sa.text(condition),
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index("ix_domain_verdict_newest", "domain_verdict")
        _create_newest("newest")
    for name in ("ix_report_with_failures", "ix_report_of_organization", "ix_report_of_trust"):
        op.drop_index(name, "report")
    op.drop_index("ix_domain_verdict_asked", "domain_verdict")
    op.drop_index(op.f("ix_domain_reporter_trust_organization_last_day"), "domain_reporter")
    op.drop_table("fleet_day")
    op.drop_table("domain_trust")
