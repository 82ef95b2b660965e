"""What each voice says in a month, in a rollup; a domain's reports by the day of their failures

The program fills the rollup from the reports that are there (ingest.store.voice_months); the table ``pending_upgrade`` says so
until that is done, and no other command starts before.

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0008
Revises: 0007
Created: 2026-11-28 00:20:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_report_policy_domain_failure_day"), "report", ["policy_domain", "failure_day"])
    op.create_table(
        "voice_month",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("row_key", sa.String(length=32), nullable=False),
        sa.Column("voice", sa.String(length=255), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("policy_digest", sa.String(length=32), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("signer", sa.String(length=255), nullable=False),
        sa.Column("contact_info", sa.Text(), server_default="", nullable=False),
        sa.Column("loaded", sa.Boolean(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("last_failure_day", sa.Date(), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("doubtful", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "month", "row_key", name=op.f("pk_voice_month")),
    )
    op.create_index(
        "ix_voice_month_doubtful",
        "voice_month",
        ["month", "policy_domain"],
        postgresql_where=sa.text("doubtful"),
        sqlite_where=sa.text("doubtful"),
    )
    op.execute("INSERT INTO pending_upgrade (task) SELECT 'voice-months' WHERE EXISTS (SELECT 1 FROM report)")


def downgrade() -> None:
    op.drop_table("voice_month")
    op.drop_index(op.f("ix_report_policy_domain_failure_day"), "report")
