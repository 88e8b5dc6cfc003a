"""Requests, how far sweeps have come, messages to be sent, and what was archived."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0004", "0003"
_STATES = "'waiting', 'held', 'launched', 'running', 'succeeded', 'failed', 'withdrawn', 'cancelled'"


def upgrade() -> None:
    """Make the tables by which the archive works by itself."""
    _requests()
    op.create_table(
        "mark",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("moment", sa.DateTime(timezone=True)),
        sa.Column("place", sa.Text()),
        sa.PrimaryKeyConstraint("name", name="pk_mark"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("routing_key", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("written", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        sa.UniqueConstraint("message_id", name="uq_outbox_message_id"),
    )
    op.create_index("ix_outbox_unsent", "outbox", ["sent", "id"])
    _archived()


def _requests() -> None:
    op.create_table(
        "request",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(64), nullable=False),
        sa.Column("observation", sa.String(64), nullable=False),
        sa.Column("project", sa.String(64)),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("asked", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due", sa.DateTime(timezone=True), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("launches", sa.Integer(), nullable=False),
        sa.Column("processing_id", sa.String(36)),
        sa.Column("stage", sa.Text()),
        sa.Column("told", sa.DateTime(timezone=True)),
        sa.Column("ingestion_id", sa.String(36)),
        sa.Column("ingestion_state", sa.String(16)),
        sa.CheckConstraint(f"state IN ({_STATES})", name="ck_request_state"),
        sa.PrimaryKeyConstraint("id", name="pk_request"),
        sa.UniqueConstraint("workflow", "observation", name="uq_request_workflow"),
    )
    op.create_index("ix_request_order", "request", ["state", sa.text("priority DESC"), "turn", "id"])
    op.create_index("ix_request_turn", "request", ["state", "turn"])
    op.create_index("ix_request_project", "request", ["project", "state", "turn"])


def _archived() -> None:
    op.create_table(
        "archived",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observation", sa.String(64), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("file_id", sa.String(256), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("checksum", sa.Text(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("provenance", sa.Text(), nullable=False),
        sa.Column("archived", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_archived"),
        sa.UniqueConstraint("file_id", "version", name="uq_archived_file_id"),
    )
    op.create_index("ix_archived_observation", "archived", ["observation"])
