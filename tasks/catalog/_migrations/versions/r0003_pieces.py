"""The pieces of work of an execution, with what they took, and the process that an execution belongs to."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    """Make the table of what sizes are learnt from."""
    op.add_column("execution", sa.Column("owner", sa.Text()))
    op.create_table(
        "piece",
        sa.Column("execution_id", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("item", sa.String(64)),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("input_bytes", sa.BigInteger()),
        sa.Column("wall_seconds", sa.Float()),
        sa.Column("cpu_seconds", sa.Float()),
        sa.Column("peak_memory_bytes", sa.BigInteger()),
        sa.Column("requested_memory_bytes", sa.BigInteger()),
        sa.Column("place", sa.Text()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("taken_over", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["execution_id"], ["execution.id"], name="fk_piece_execution_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("execution_id", "position", name="pk_piece"),
    )
    op.create_index("ix_piece_of_a_kind", "piece", ["stage", "step", "kind", "execution_id"])
