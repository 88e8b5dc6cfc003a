"""Whose catalog it is, and the executions."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make the first tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "environment",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.CheckConstraint("id = 1", name="ck_environment_one"),
        sa.PrimaryKeyConstraint("id", name="pk_environment"),
    )
    op.create_table(
        "execution",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("flow_run", sa.String(36)),
        sa.Column("flow", sa.Text(), nullable=False),
        sa.Column("profile", sa.Text(), nullable=False),
        sa.Column("observation", sa.String(64), nullable=False),
        sa.Column("project", sa.Text()),
        sa.Column("procedure", sa.Text()),
        sa.Column("key", sa.String(64)),
        sa.Column("host", sa.Text()),
        sa.Column("account", sa.Text()),
        sa.Column("ppi_version", sa.Text()),
        sa.Column("casa_version", sa.Text()),
        sa.Column("calibrated_with", sa.Text()),
        sa.Column("executor", sa.Text()),
        sa.Column("recipe", sa.Text()),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("verdict", sa.Text()),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("started", moment, nullable=False),
        sa.Column("finished", moment),
        sa.Column("bytes_fetched", sa.BigInteger()),
        sa.Column("delivery", sa.Text()),
        sa.Column("report", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_execution"),
    )
    for column in ("flow_run", "observation", "started", "state"):
        op.create_index(f"ix_execution_{column}", "execution", [column])
