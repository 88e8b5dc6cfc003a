"""The stages, steps and products of an execution."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0002", "0001"


def upgrade() -> None:
    """Make the tables of what was measured and made."""
    _of_execution(
        "stage",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("started", sa.DateTime(timezone=True)),
        sa.Column("wall_seconds", sa.Float()),
    )
    _of_execution(
        "step",
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("block", sa.String(64)),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wall_seconds", sa.Float()),
        sa.Column("cpu_seconds", sa.Float()),
        sa.Column("peak_memory_bytes", sa.BigInteger()),
        sa.Column("bytes_fetched", sa.BigInteger()),
        sa.Column("verdict", sa.Text()),
        sa.Column("taken_over", sa.Boolean(), nullable=False),
    )
    _of_execution(
        "product",
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger()),
        sa.Column("checksum", sa.Text()),
        sa.Column("provenance", sa.Text()),
    )


def _of_execution(table: str, *columns: sa.Column[Any]) -> None:
    op.create_table(
        table,
        sa.Column("execution_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(
            ["execution_id"], ["execution.id"], name=f"fk_{table}_execution_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("execution_id", "position", name=f"pk_{table}"),
    )
