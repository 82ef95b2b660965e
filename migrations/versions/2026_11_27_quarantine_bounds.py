"""quarantine: who sent what is held, and what gave way

Rows that are there get their origin from the program (ingest.store.quarantine_bounds), the first time that it prunes.

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0005
Revises: 0004
Created: 2026-11-27 08:10:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "quarantine_origin",
        sa.Column("message_digest", sa.String(length=32), nullable=False),
        sa.Column("network", sa.String(length=255), nullable=False),
        sa.Column("signer", sa.String(length=255), nullable=True),
        sa.Column("vouched", sa.Boolean(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("came_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("message_digest", name=op.f("pk_quarantine_origin")),
    )
    op.create_index("ix_quarantine_origin_bounds", "quarantine_origin", ["vouched", "network", "came_at", "size"])
    op.create_table(
        "quarantine_lost",
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("bound", sa.String(length=16), nullable=False),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("reason", "bound", name=op.f("pk_quarantine_lost")),
    )


def downgrade() -> None:
    op.drop_table("quarantine_lost")
    op.drop_index("ix_quarantine_origin_bounds", "quarantine_origin")
    op.drop_table("quarantine_origin")
