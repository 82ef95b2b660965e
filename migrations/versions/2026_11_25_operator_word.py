"""the operator's word about a domain: accepted causes, own thresholds, a policy entered by hand

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0003
Revises: 0002
Created: 2026-11-25 12:55:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "operator_word",
        sa.Column("policy_domain", sa.String(253), nullable=False),
        sa.Column("word_key", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.Column("author", sa.Text(), server_default="", nullable=False),
        sa.Column("given_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until_day", sa.Date(), nullable=True),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("withdrawn_by", sa.Text(), server_default="", nullable=False),
        sa.Column("withdrawal_note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "word_key", name=op.f("pk_operator_word")),
    )


def downgrade() -> None:
    op.drop_table("operator_word")
