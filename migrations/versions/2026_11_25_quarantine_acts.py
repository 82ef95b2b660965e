"""quarantine: who did what and when; attempts at undetermined messages

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0002
Revises: 0001
Created: 2026-11-25 09:12:00
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("quarantine", sa.Column("stored_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("quarantine", sa.Column("acted_by", sa.Text(), server_default="", nullable=False))
    op.add_column("quarantine", sa.Column("acted_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("undetermined", sa.Column("unfinished", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("undetermined", "unfinished")
    op.drop_column("quarantine", "acted_at")
    op.drop_column("quarantine", "acted_by")
    op.drop_column("quarantine", "stored_at")
