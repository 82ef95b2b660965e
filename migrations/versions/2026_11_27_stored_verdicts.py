"""Stored verdicts: a row a domain and day, and the domains that are due

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0006
Revises: 0005
Created: 2026-11-27 20:05:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "domain_due",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("from_day", sa.Date(), nullable=False),
        sa.Column("marks", sa.BigInteger(), nullable=False),
        sa.Column("only_past", sa.Boolean(), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("policy_domain", name=op.f("pk_domain_due")),
    )
    op.create_index(op.f("ix_domain_due_only_past_policy_domain"), "domain_due", ["only_past", "policy_domain"])
    op.create_table(
        "domain_verdict",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("newest", sa.Boolean(), nullable=False),
        sa.Column("verdict", sa.String(length=32), nullable=False),
        sa.Column("urgency", sa.SmallInteger(), nullable=False),
        sa.Column("policy_mode", sa.String(length=32), nullable=False),
        sa.Column("window_start", sa.Date(), nullable=False),
        sa.Column("window_end", sa.Date(), nullable=False),
        sa.Column("reporters", sa.Integer(), nullable=False),
        sa.Column("sessions", sa.BigInteger(), nullable=False),
        sa.Column("refused_sessions", sa.BigInteger(), nullable=False),
        sa.Column("refusal_bound", sa.Double(), nullable=False),
        sa.Column("last_report_day", sa.Date(), nullable=True),
        sa.Column("reasons", sa.Text(), nullable=False),
        sa.Column("thresholds", sa.Text(), nullable=False),
        sa.Column("asked", sa.String(length=32), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("policy_domain", "day", name=op.f("pk_domain_verdict")),
    )
    op.create_index(
        "ix_domain_verdict_newest",
        "domain_verdict",
        ["urgency", sa.text("refused_sessions DESC"), sa.text("sessions DESC"), "policy_domain"],
        postgresql_where=sa.text("newest"),
        sqlite_where=sa.text("newest"),
    )
    op.create_index(op.f("ix_domain_verdict_day"), "domain_verdict", ["day"])


def downgrade() -> None:
    op.drop_table("domain_verdict")
    op.drop_table("domain_due")
