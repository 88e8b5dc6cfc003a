"""The tables of the ALMA metadata database that a restore reads, as far as it reads them.

They belong to the observatory: PPI only ever selects from them. Only the embedded observatory and the tests
create them, through `METADATA`. The same columns come differently from different databases: ids padded with
blanks where they are CHAR(64), dates as text in SQLite, sizes as anything. The column types here level that.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import CHAR, BigInteger, DateTime, Dialect, String, Text, TypeDecorator
from sqlalchemy.orm import registry
from sqlalchemy.types import TypeEngine
from sqlmodel import Field, SQLModel

__all__ = [
    "METADATA",
    "AquaOus",
    "AsaDeliveryAsdmOus",
    "AsaDeliveryStatus",
    "AsaOus",
    "AsaProductFiles",
    "AsaScience",
    "Moment",
    "Name",
    "ObsProjectStatus",
    "ObsUnitSetStatus",
    "SchedBlockStatus",
]


class Name(TypeDecorator[str]):
    """Text whose padding means nothing; empty text is None (Oracle knows no difference)."""

    impl = String
    cache_ok = True

    def __init__(self, length: int) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Bind as CHAR in Oracle, which pads a CHAR column's blanks only against a CHAR."""
        return dialect.type_descriptor(CHAR(self.length) if dialect.name == "oracle" else self.impl_instance)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Hand drivers exactly a `str`, never one of our own kinds of it."""
        return None if value is None else str(value)

    def process_result_value(self, value: object, dialect: Dialect) -> str | None:
        """Drop padding."""
        return None if value is None else str(value).strip() or None


class Moment(TypeDecorator[datetime]):
    """A time as aware UTC; what cannot be understood is unknown (None), never a guess."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Take SQLite's dates as the text that they are."""
        return dialect.type_descriptor(String() if dialect.name == "sqlite" else DateTime())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Write UTC without its offset, as the observatory does."""
        if value is None:
            return None
        naive = _in_utc(value).replace(tzinfo=None)
        return naive.isoformat(timespec="milliseconds") if dialect.name == "sqlite" else naive

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Read a native date or time, or ISO text."""
        if isinstance(value, datetime):
            return _in_utc(value)
        if isinstance(value, date):
            return datetime.combine(value, time(), UTC)
        return _from_text(value) if isinstance(value, str) else None


class Size(TypeDecorator[int]):
    """A number of bytes; what is none, or negative, is unknown (None)."""

    impl = BigInteger
    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> int | None:
        """Read a number, or SQLite's text in the place of one."""
        text = str(value).strip()
        return int(text) if text.isascii() and text.isdigit() else None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _from_text(text: str) -> datetime | None:
    try:
        return _in_utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        return None


class _Table(SQLModel, registry=registry()):
    """Keeps the observatory's tables apart from those of PPI's own catalog."""


METADATA = _Table.metadata
"""All tables of this module; ``METADATA.create_all(engine)`` makes an empty observatory."""

_ID, _STATE, _NAME = Name(64), Name(32), Name(256)


def _key(kind: TypeEngine[Any], *, index: bool = False) -> Any:
    return Field(primary_key=True, sa_type=kind, index=index)


def _column(kind: TypeEngine[Any] | type[TypeEngine[Any]], *, index: bool = False) -> Any:
    return Field(default=None, sa_type=kind, index=index)


class AsaScience(_Table, table=True):
    """One row per source and spectral window of each execution block."""

    __tablename__ = "asa_science"

    dataset_id: str = _key(_NAME)
    project_code: str | None = _column(_STATE)
    member_ouss_id: str | None = _column(_ID, index=True)
    asdm_uid: str | None = _column(_ID, index=True)
    asa_ous_id: str | None = _column(_ID)
    schedblock_uid: str | None = _column(_ID)
    start_date: datetime | None = _column(Moment)
    end_date: datetime | None = _column(Moment)


class AsaOus(_Table, table=True):
    """The archive's own key of each MOUS."""

    __tablename__ = "asa_ous"

    asa_ous_id: str = _key(_ID)
    asa_project_code: str | None = _column(_STATE)
    group_ous_uid: str | None = _column(_ID)
    member_ous_uid: str | None = _column(_ID, index=True)


class AsaProductFiles(_Table, table=True):
    """The files in NGAS."""

    __tablename__ = "asa_product_files"

    asa_ous_id: str = _key(_ID)
    ngas_file_id: str = _key(_NAME, index=True)
    file_class: str | None = _column(_STATE)
    stored_size: int | None = _column(Size)


class AsaDeliveryStatus(_Table, table=True):
    """What was delivered, and when it becomes public."""

    __tablename__ = "asa_delivery_status"

    delivery_id: str = _key(_NAME)
    delivery_name: str | None = _column(_NAME, index=True)
    release_date: datetime | None = _column(Moment, index=True)
    qa2_passed: str | None = _column(_STATE)


class AsaDeliveryAsdmOus(_Table, table=True):
    """Which execution blocks a delivery is made of; one can be in several."""

    __tablename__ = "asa_delivery_asdm_ous"

    asdm_uid: str = _key(_ID)
    deliverable_name: str = _key(_NAME, index=True)


class ObsUnitSetStatus(_Table, table=True):
    """The status entity of a SOUS, GOUS or MOUS; the id of a MOUS is that of this entity."""

    __tablename__ = "obs_unit_set_status"

    status_entity_id: str = _key(_ID)
    domain_entity_id: str | None = _column(_ID)
    domain_entity_state: str | None = _column(_STATE)
    parent_obs_unit_set_status_id: str | None = _column(_ID, index=True)
    obs_project_status_id: str | None = _column(_ID)
    obs_project_id: str | None = _column(_ID)
    xml: str | None = _column(Text)


class SchedBlockStatus(_Table, table=True):
    """The status entity of a scheduling block."""

    __tablename__ = "sched_block_status"

    status_entity_id: str = _key(_ID)
    domain_entity_id: str | None = _column(_ID, index=True)
    domain_entity_state: str | None = _column(_STATE)
    parent_obs_unit_set_status_id: str | None = _column(_ID, index=True)
    obs_project_status_id: str | None = _column(_ID)
    obs_project_id: str | None = _column(_ID)
    xml: str | None = _column(Text)


class ObsProjectStatus(_Table, table=True):
    """The status entity of a project."""

    __tablename__ = "obs_project_status"

    status_entity_id: str = _key(_ID)
    domain_entity_id: str | None = _column(_ID)
    domain_entity_state: str | None = _column(_STATE)
    obs_project_id: str | None = _column(_ID, index=True)
    xml: str | None = _column(Text)


class AquaOus(_Table, table=True):
    """The quality assurance of an observing unit set."""

    __tablename__ = "aqua_ous"

    obsunitsetuid: str = _key(_ID)
    obsunitsetpartid: str = _key(_ID)
    ous_status_entity_id: str | None = _column(_ID, index=True)
    qa2status: str | None = _column(_STATE)
