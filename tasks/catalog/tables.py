"""The catalog's tables; how an older catalog comes to have them is in `_migrations`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Index, Text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from tasks.catalog.model import Execution, Piece, Product, Stage, Step, Utc

__all__ = [
    "METADATA", "EnvironmentRow", "ExecutionRow", "PartRow", "PieceRow", "ProductRow", "StageRow", "StepRow",
]  # fmt: skip


class _Table(SQLModel, registry=registry()):
    """Keeps the catalog's tables apart from those of the observatory."""


METADATA = _Table.metadata
"""All tables of the catalog."""
METADATA.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class EnvironmentRow(_Table, table=True):
    """The one environment whose catalog this is."""

    __tablename__ = "environment"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: int = Field(1, primary_key=True)
    profile: str = Field(sa_type=Text)
    created: datetime = Field(sa_type=Utc)


class ExecutionRow(_Table, Execution, table=True):
    """Executions, numbered."""

    __tablename__ = "execution"

    id: int | None = Field(None, primary_key=True)


class PartRow(_Table):
    """What belongs to an execution, in its order."""

    execution_id: int = Field(primary_key=True, foreign_key="execution.id", ondelete="CASCADE")
    position: int = Field(primary_key=True)


class StageRow(PartRow, Stage, table=True):
    """Stages."""

    __tablename__ = "stage"


class StepRow(PartRow, Step, table=True):
    """Steps."""

    __tablename__ = "step"


class PieceRow(PartRow, Piece, table=True):
    """Pieces of work; the newest of a kind are looked up."""

    __tablename__ = "piece"
    __table_args__ = (Index("ix_piece_of_a_kind", "stage", "step", "kind", "execution_id"),)


class ProductRow(PartRow, Product, table=True):
    """Products."""

    __tablename__ = "product"
