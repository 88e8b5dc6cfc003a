"""The questions that a restore asks of the ALMA tables, one SELECT each, whatever the number of execution blocks.

The same MOUS goes by `status_entity_id`, `member_ouss_id`, `member_ous_uid`, `ous_status_entity_id` or
`parent_obs_unit_set_status_id`, by the table; which is which is written here and nowhere else. The statements
keep to what SQLite, PostgreSQL and Oracle have in common.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, CompoundSelect, Select, String, func, or_, select, union
from sqlalchemy.orm import aliased
from sqlmodel import col

from tasks.alma.ids import EntityId
from tasks.alma.tables import (
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

__all__ = [
    "Question",
    "Questions",
    "archive_key",
    "deliveries",
    "execution_blocks",
    "file_form",
    "observed",
    "products",
    "quality",
    "sched_blocks",
    "unit_set",
]


Question: TypeAlias = Select[Any]
"""A SELECT of any columns."""
Questions: TypeAlias = CompoundSelect[Any]
"""Several of them in one."""


def unit_set(mous: EntityId) -> Question:
    """Ask for the MOUS's status, the ids of its GOUS and SOUS, and its project."""
    mine, group, project = aliased(ObsUnitSetStatus), aliased(ObsUnitSetStatus), ObsProjectStatus
    parent = col(mine.parent_obs_unit_set_status_id)
    same_project = or_(
        col(project.status_entity_id) == col(mine.obs_project_status_id),
        col(project.obs_project_id) == col(mine.obs_project_id),
    )
    return (
        select(
            col(mine.domain_entity_id).label("part_id"),
            col(mine.domain_entity_state).label("state"),
            col(mine.xml).label("status_xml"),
            parent.label("gous"),
            col(group.parent_obs_unit_set_status_id).label("sous"),
            col(mine.obs_project_id).label("project_uid"),
            col(project.obs_project_id).label("listed_project_uid"),
            col(mine.obs_project_status_id).label("project_status"),
            col(project.status_entity_id).label("listed_project_status"),
        )
        .outerjoin(group, col(group.status_entity_id) == parent)
        .outerjoin(project, same_project)
        .where(col(mine.status_entity_id) == mous)
        .order_by(col(project.status_entity_id))
    )


def archive_key(mous: EntityId) -> Question:
    """Ask for the MOUS in the archive's own index: project code and group."""
    return select(
        col(AsaOus.asa_project_code).label("project_code"), col(AsaOus.group_ous_uid).label("gous")
    ).where(_is_archived_as(mous))


def observed(mous: EntityId) -> Question:
    """Ask under which project codes the MOUS was observed."""
    return select(col(AsaScience.project_code)).where(col(AsaScience.member_ouss_id) == mous).distinct()


def quality(mous: EntityId) -> Question:
    """Ask for the quality assurance, which also knows the MOUS's part of the project."""
    return select(
        col(AquaOus.obsunitsetuid).label("project_uid"),
        col(AquaOus.obsunitsetpartid).label("part_id"),
        col(AquaOus.qa2status).label("qa2_status"),
    ).where(col(AquaOus.ous_status_entity_id) == mous)


def sched_blocks(mous: EntityId) -> Question:
    """Ask for the status entities of the scheduling blocks that the MOUS has, or was observed with."""
    used = select(col(AsaScience.schedblock_uid)).where(col(AsaScience.member_ouss_id) == mous)
    return (
        select(
            col(SchedBlockStatus.domain_entity_id).label("sched_block"),
            col(SchedBlockStatus.status_entity_id).label("status"),
        )
        .where(
            or_(
                col(SchedBlockStatus.parent_obs_unit_set_status_id) == mous,
                col(SchedBlockStatus.domain_entity_id).in_(used),
            )
        )
        .order_by(col(SchedBlockStatus.status_entity_id))
    )


def execution_blocks(mous: EntityId, delivery_name: str) -> Question:
    """Ask for the execution blocks observed for the MOUS or delivered with it, one row each."""
    member: Question = select(col(AsaScience.asdm_uid).label("asdm_uid")).where(
        col(AsaScience.member_ouss_id) == mous, col(AsaScience.asdm_uid).is_not(None)
    )
    delivered: Question = select(col(AsaDeliveryAsdmOus.asdm_uid).label("asdm_uid")).where(
        col(AsaDeliveryAsdmOus.deliverable_name) == delivery_name
    )
    block, raw = union(member, delivered).subquery("execution_block"), AsaProductFiles
    is_raw_of_it = (col(raw.ngas_file_id) == file_form(block.c.asdm_uid) + ".asdm.sdm.tar") & (
        func.lower(col(raw.file_class)) == "raw"
    )
    return (
        select(
            block.c.asdm_uid,
            func.min(col(AsaScience.schedblock_uid)).label("sched_block"),
            func.min(col(AsaScience.start_date)).label("first_start"),
            func.max(col(raw.stored_size)).label("raw_size"),
        )
        .outerjoin(AsaScience, col(AsaScience.asdm_uid) == block.c.asdm_uid)
        .outerjoin(raw, is_raw_of_it)
        .group_by(block.c.asdm_uid)
    )


def products(mous: EntityId) -> Question:
    """Ask for the MOUS's files; one that is listed for several spectral settings comes once."""
    file = AsaProductFiles
    keys = select(col(AsaOus.asa_ous_id)).where(_is_archived_as(mous))
    return (
        select(
            col(file.ngas_file_id).label("file_id"),
            col(file.file_class),
            func.max(col(file.stored_size)).label("file_size"),
        )
        .where(or_(col(file.asa_ous_id) == mous, col(file.asa_ous_id).in_(keys)))
        .group_by(col(file.ngas_file_id), col(file.file_class))
        .order_by(col(file.ngas_file_id))
    )


def deliveries(delivery_name: str) -> Question:
    """Ask for what was delivered under a name."""
    return select(
        col(AsaDeliveryStatus.delivery_name).label("name"),
        col(AsaDeliveryStatus.release_date),
        col(AsaDeliveryStatus.qa2_passed),
    ).where(col(AsaDeliveryStatus.delivery_name) == delivery_name)


def _is_archived_as(mous: EntityId) -> ColumnElement[bool]:
    return or_(col(AsaOus.member_ous_uid) == mous, col(AsaOus.asa_ous_id) == mous)


def file_form(uid: ColumnElement[Any]) -> ColumnElement[str]:
    """Write an id in a statement as `EntityId.file_form` does."""
    text: ColumnElement[str] = func.rtrim(uid, type_=String())
    for old, new in (("://", "___"), ("/", "_")):
        text = func.replace(text, old, new, type_=String())
    return text
