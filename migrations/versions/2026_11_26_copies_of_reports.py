"""report: what tells its copies, and which of them count

The stored rows are brought to the new keys by the program after this step (``upkeep.rekeying``), in transactions of their own:
the table ``pending_upgrade`` says so until that is done, and no other command starts before.

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0004
Revises: 0003
Created: 2026-11-26 23:00:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("report", sa.Column("failure_day", sa.Date(), server_default="1970-01-01", nullable=False))
    op.add_column("report", sa.Column("voice", sa.String(length=255), server_default="", nullable=False))
    op.add_column("report", sa.Column("tlsa_sessions", sa.String(length=8), server_default="", nullable=False))
    op.add_column("report", sa.Column("tlsa_successful_sessions", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("report", sa.Column("tlsa_failed_sessions", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("report", sa.Column("figures", sa.String(length=32), server_default="", nullable=False))
    op.add_column("report", sa.Column("document", sa.String(length=32), server_default="", nullable=False))
    op.add_column("report", sa.Column("domain_source", sa.String(length=16), server_default="", nullable=False))
    op.add_column("report", sa.Column("counts", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("report", sa.Column("accuses", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("report", sa.Column("contradicted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index(
        "ix_report_policy_domain_voice_tlsa_sessions", "report", ["policy_domain", "voice", "tlsa_sessions"]
    )
    op.create_index("ix_report_failure_day", "report", ["failure_day"])
    inferred = sa.text("domain_source != ''")
    op.create_index("ix_report_document", "report", ["document"], postgresql_where=inferred, sqlite_where=inferred)
    op.create_table(
        "pending_upgrade",
        sa.Column("task", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_pending_upgrade")),
    )
    op.execute("INSERT INTO pending_upgrade (task) SELECT 'rekey' WHERE EXISTS (SELECT 1 FROM report)")


def downgrade() -> None:
    op.drop_table("pending_upgrade")
    op.drop_index("ix_report_document", "report")
    op.drop_index("ix_report_failure_day", "report")
    op.drop_index("ix_report_policy_domain_voice_tlsa_sessions", "report")
    op.drop_column("report", "contradicted")
    op.drop_column("report", "accuses")
    op.drop_column("report", "counts")
    op.drop_column("report", "domain_source")
    op.drop_column("report", "document")
    op.drop_column("report", "figures")
    op.drop_column("report", "tlsa_failed_sessions")
    op.drop_column("report", "tlsa_successful_sessions")
    op.drop_column("report", "tlsa_sessions")
    op.drop_column("report", "voice")
    op.drop_column("report", "failure_day")
