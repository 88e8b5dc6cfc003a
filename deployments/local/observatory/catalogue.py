"""Fills the ALMA tables for what the small observatory has archived.

Ids are given as the real tables give them: the archive's own key of a MOUS (`asa_ous_id`) is a number and nothing
like its uid, and a time that was never written down is NULL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import create_engine
from sqlmodel import Session, SQLModel

from deployments.local.observatory.programme import Calibration, UnitSet
from deployments.local.observatory.shape import Shape
from deployments.local.observatory.sky import FIELDS, TARGET
from deployments.local.observatory.status_xml import member_status, parent_status
from tasks.alma.ids import EntityId
from tasks.alma.tables import (
    METADATA,
    AquaOus,
    AsaDeliveryAsdmOus,
    AsaDeliveryStatus,
    AsaOus,
    AsaProductFiles,
    AsaScience,
    ObsProjectStatus,
    ObsUnitSetStatus,
    SchedBlockStatus,
)

__all__ = ["Entry", "StoredProduct", "fill"]

_FIRST_KEY = 68012301


@dataclass(frozen=True)
class StoredProduct:
    """A file as the archive's tables have it: its name in NGAS, class, and exact size in bytes."""

    file_id: str
    file_class: str
    size: int


@dataclass(frozen=True)
class Entry:
    """A unit set with the shape of its execution blocks and its files, raw ones included."""

    unit_set: UnitSet
    shape: Shape
    files: Sequence[StoredProduct]


def fill(database: Path, entries: Iterable[Entry]) -> None:
    """Create a SQLite database of the ALMA tables and fill it."""
    engine = create_engine(f"sqlite:///{database}")
    METADATA.create_all(engine)
    with Session(engine) as session:
        for key, entry in enumerate(entries, _FIRST_KEY):
            session.add_all(_rows(entry, str(key)))
        session.commit()
    engine.dispose()


def _rows(entry: Entry, key: str) -> Iterator[SQLModel]:
    unit_set = entry.unit_set
    yield AsaOus(
        asa_ous_id=key,
        asa_project_code=unit_set.project.code,
        group_ous_uid=unit_set.gous,
        member_ous_uid=unit_set.mous,
    )
    for file in entry.files:
        yield AsaProductFiles(
            asa_ous_id=key, ngas_file_id=file.file_id, file_class=file.file_class, stored_size=file.size
        )
    yield from _science(entry, key)
    yield from _delivery(unit_set)
    yield from _statuses(entry)
    yield AquaOus(
        obsunitsetuid=unit_set.project.uid,
        obsunitsetpartid=unit_set.part_id,
        ous_status_entity_id=unit_set.mous,
        qa2status=None if unit_set.calibration is Calibration.NONE else "Pass",
    )


def _science(entry: Entry, key: str) -> Iterator[AsaScience]:
    """Give a row for each execution block and spectral window of the target."""
    unit_set = entry.unit_set
    for session in unit_set.sessions:
        for block, start, end in session.starts(entry.shape):
            for spw in range(entry.shape.spws):
                yield AsaScience(
                    dataset_id=f"{block.file_form}.{FIELDS[TARGET].name}.spw{spw}",
                    project_code=unit_set.project.code,
                    member_ouss_id=unit_set.mous,
                    asdm_uid=block,
                    asa_ous_id=key,
                    schedblock_uid=unit_set.sched_block,
                    start_date=start,
                    end_date=end if session.ended else None,
                )


def _delivery(unit_set: UnitSet) -> Iterator[SQLModel]:
    if unit_set.release is None:
        return
    name = unit_set.delivery_name
    yield AsaDeliveryStatus(delivery_id=name, delivery_name=name, release_date=unit_set.release, qa2_passed="Y")
    for block in unit_set.blocks:
        yield AsaDeliveryAsdmOus(asdm_uid=block, deliverable_name=name)


def _statuses(entry: Entry) -> Iterator[SQLModel]:
    unit_set, project = entry.unit_set, entry.unit_set.project
    mous, gous, sous = unit_set.mous, unit_set.gous, unit_set.sous
    yield ObsProjectStatus(
        status_entity_id=project.status,
        domain_entity_id=project.uid,
        domain_entity_state=unit_set.state,
        obs_project_id=project.uid,
    )
    for own, parent, part, child in ((sous, None, "X00000001", gous), (gous, sous, "X00000002", mous)):
        yield _ous(unit_set, own, parent, part, parent_status(unit_set, own, parent, part, child))
    yield _ous(unit_set, mous, gous, unit_set.part_id, member_status(unit_set, entry.shape))
    yield SchedBlockStatus(
        status_entity_id=unit_set.sched_block_status,
        domain_entity_id=unit_set.sched_block,
        domain_entity_state=unit_set.state,
        parent_obs_unit_set_status_id=mous,
        obs_project_status_id=project.status,
        obs_project_id=project.uid,
    )


def _ous(unit_set: UnitSet, own: EntityId, parent: EntityId | None, part: str, xml: str) -> ObsUnitSetStatus:
    return ObsUnitSetStatus(
        status_entity_id=own,
        domain_entity_id=part,
        domain_entity_state=unit_set.state,
        parent_obs_unit_set_status_id=parent,
        obs_project_status_id=unit_set.project.status,
        obs_project_id=unit_set.project.uid,
        xml=xml,
    )
