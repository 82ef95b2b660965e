"""first tables

Compatibility: expand, then contract. The previous version of the program must be able to run on the new schema; what it
still reads or writes is removed one release later. Every step runs on SQLite and on PostgreSQL.

Revision: 0001
Revises:
Created: 2026-11-25 02:09:34.564334
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "delivery",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("report_key", sa.String(length=32), nullable=False),
        sa.Column("delivery_key", sa.String(length=32), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrival_estimated", sa.Boolean(), nullable=False),
        sa.Column("dkim", sa.String(length=16), nullable=False),
        sa.Column("dkim_reason", sa.Text(), server_default="", nullable=False),
        sa.Column("signer", sa.String(length=255), server_default="", nullable=False),
        sa.Column("selector", sa.String(length=255), server_default="", nullable=False),
        sa.Column("key_record", sa.Text(), server_default="", nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("submitter", sa.Text(), server_default="", nullable=False),
        sa.Column("message_digest", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "report_key", "delivery_key", name=op.f("pk_delivery")),
    )
    op.create_table(
        "domain_day",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("policy_type", sa.String(length=255), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("successful_sessions", sa.Double(), nullable=False),
        sa.Column("failed_sessions", sa.Double(), nullable=False),
        sa.Column("refused_sessions", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "day", "trust", "policy_type", name=op.f("pk_domain_day")),
    )
    op.create_table(
        "domain_reporter",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("reports", sa.BigInteger(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("last_received_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "organization", "trust", name=op.f("pk_domain_reporter")),
    )
    op.create_table(
        "failure_detail",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("report_key", sa.String(length=32), nullable=False),
        sa.Column("entry_position", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("result_type", sa.String(length=255), nullable=False),
        sa.Column("failed_sessions", sa.BigInteger(), nullable=True),
        sa.Column("refused", sa.Boolean(), nullable=False),
        sa.Column("sending_mta_ip", sa.Text(), server_default="", nullable=False),
        sa.Column("receiving_mx_hostname", sa.Text(), server_default="", nullable=False),
        sa.Column("receiving_mx_helo", sa.Text(), server_default="", nullable=False),
        sa.Column("receiving_ip", sa.Text(), server_default="", nullable=False),
        sa.Column("failure_reason_code", sa.Text(), server_default="", nullable=False),
        sa.Column("additional_information", sa.Text(), server_default="", nullable=False),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint(
            "policy_domain", "report_key", "entry_position", "position", name=op.f("pk_failure_detail")
        ),
    )
    op.create_table(
        "policy_entry",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("report_key", sa.String(length=32), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("policy_type", sa.String(length=255), nullable=False),
        sa.Column("policy_mode", sa.String(length=32), nullable=False),
        sa.Column("policy_digest", sa.String(length=32), nullable=True),
        sa.Column("mx_hosts", sa.Text(), nullable=True),
        sa.Column("successful_sessions", sa.BigInteger(), nullable=True),
        sa.Column("failed_sessions", sa.BigInteger(), nullable=True),
        sa.Column("refused_sessions", sa.BigInteger(), nullable=False),
        sa.Column("unexplained_sessions", sa.BigInteger(), nullable=False),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("policy_domain", "report_key", "position", name=op.f("pk_policy_entry")),
    )
    op.create_table(
        "policy_text",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("policy_digest", sa.String(length=32), nullable=False),
        sa.Column("policy_type", sa.String(length=255), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=32), nullable=False),
        sa.Column("mx", sa.Text(), nullable=False),
        sa.Column("mx_digest", sa.String(length=32), nullable=False),
        sa.Column("max_age", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("policy_domain", "policy_digest", name=op.f("pk_policy_text")),
    )
    op.create_table(
        "quarantine",
        sa.Column("message_digest", sa.String(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("file_name", sa.Text(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.Column("state", sa.String(length=16), server_default="waiting", nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("message_digest", name=op.f("pk_quarantine")),
    )
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_quarantine_state_received_at"), ["state", "received_at"], unique=False)

    op.create_table(
        "raw_report",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("report_key", sa.String(length=32), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "report_key", name=op.f("pk_raw_report")),
    )
    with op.batch_alter_table("raw_report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_raw_report_stored_at"), ["stored_at"], unique=False)

    op.create_table(
        "report",
        sa.Column("policy_domain", sa.String(length=253), nullable=False),
        sa.Column("report_key", sa.String(length=32), nullable=False),
        sa.Column("organization", sa.String(length=255), nullable=False),
        sa.Column("report_id", sa.String(length=255), nullable=False),
        sa.Column("contact_info", sa.Text(), server_default="", nullable=False),
        sa.Column("range_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("range_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("long_range", sa.Boolean(), nullable=False),
        sa.Column("trust", sa.String(length=16), nullable=False),
        sa.Column("signer", sa.String(length=255), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("arrival_estimated", sa.Boolean(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("policies", sa.Integer(), nullable=False),
        sa.Column("successful_sessions", sa.BigInteger(), nullable=True),
        sa.Column("failed_sessions", sa.BigInteger(), nullable=True),
        sa.Column("refused_sessions", sa.BigInteger(), nullable=False),
        sa.Column("same_id", sa.String(length=32), nullable=False),
        sa.Column("extra", sa.Text(), nullable=True),
        sa.Column("defects", sa.Text(), nullable=True),
        sa.Column("raw_domain", sa.String(length=253), nullable=False),
        sa.Column("raw_domains", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("policy_domain", "report_key", name=op.f("pk_report")),
    )
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_report_day"), ["day"], unique=False)
        batch_op.create_index(batch_op.f("ix_report_policy_domain_day"), ["policy_domain", "day"], unique=False)
        batch_op.create_index(batch_op.f("ix_report_policy_domain_same_id"), ["policy_domain", "same_id"], unique=False)

    op.create_table(
        "undetermined",
        sa.Column("message_digest", sa.String(length=32), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_attempt", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("door", sa.String(length=16), nullable=False),
        sa.Column("sender", sa.Text(), server_default="", nullable=False),
        sa.Column("message", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("message_digest", name=op.f("pk_undetermined")),
    )
    with op.batch_alter_table("undetermined", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_undetermined_next_attempt"), ["next_attempt"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("undetermined", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_undetermined_next_attempt"))

    op.drop_table("undetermined")
    with op.batch_alter_table("report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_report_policy_domain_same_id"))
        batch_op.drop_index(batch_op.f("ix_report_policy_domain_day"))
        batch_op.drop_index(batch_op.f("ix_report_day"))

    op.drop_table("report")
    with op.batch_alter_table("raw_report", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_raw_report_stored_at"))

    op.drop_table("raw_report")
    with op.batch_alter_table("quarantine", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_quarantine_state_received_at"))

    op.drop_table("quarantine")
    op.drop_table("policy_text")
    op.drop_table("policy_entry")
    op.drop_table("failure_detail")
    op.drop_table("domain_reporter")
    op.drop_table("domain_day")
    op.drop_table("delivery")
