"""The catalog's tables; how an older catalog comes to have them is in `_migrations`."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from tasks.catalog.model import Execution, Piece, Product, Stage, Step, Utc
from tasks.catalog.request import Request
from tasks.catalog.request_states import RequestState

__all__ = [
    "METADATA", "ArchivedRow", "EnvironmentRow", "ExecutionRow", "MarkRow", "OutboxRow", "PartRow", "PieceRow",
    "ProductRow", "RequestRow", "StageRow", "StepRow",
]  # fmt: skip


class _Table(SQLModel, registry=registry()):
    """Keeps the catalog's tables apart from those of the observatory."""


METADATA = _Table.metadata
"""All tables of the catalog."""
METADATA.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
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


class RequestRow(_Table, Request, table=True):
    """Requests, numbered; one for each workflow and observation."""

    __tablename__ = "request"
    __table_args__ = (
        UniqueConstraint("workflow", "observation"),
        CheckConstraint("state IN ({})".format(", ".join(f"'{state}'" for state in RequestState)), name="state"),
        Index("ix_request_order", "state", text("priority DESC"), "turn", "id"),
        Index("ix_request_turn", "state", "turn"),
        Index("ix_request_project", "project", "state", "turn"),
    )

    id: int | None = Field(None, primary_key=True)


class MarkRow(_Table, table=True):
    """How far something has come that goes on from where it was."""

    __tablename__ = "mark"

    name: str = Field(primary_key=True, sa_type=String(64))
    moment: datetime | None = Field(None, sa_type=Utc)
    place: str | None = Field(None, sa_type=Text)


class OutboxRow(_Table, table=True):
    """Messages that are to be sent, and were; written in the transaction of what they tell."""

    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_unsent", "sent", "id"),)

    id: int | None = Field(None, primary_key=True)
    message_id: str = Field(sa_type=String(36), unique=True)
    routing_key: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    written: datetime = Field(sa_type=Utc)
    sent: datetime | None = Field(None, sa_type=Utc)


class ArchivedRow(_Table, table=True):
    """Products in the archive: each file of each observation once, with what the archive says that it has."""

    __tablename__ = "archived"
    __table_args__ = (UniqueConstraint("file_id", "version"),)

    id: int | None = Field(None, primary_key=True)
    observation: str = Field(sa_type=String(64), index=True)
    path: str = Field(sa_type=Text)
    file_id: str = Field(sa_type=String(256))
    version: int
    size: int = Field(sa_type=BigInteger)
    checksum: str = Field(sa_type=Text)
    server: str = Field(sa_type=Text)
    provenance: str = Field(sa_type=Text)
    archived: datetime = Field(sa_type=Utc)
