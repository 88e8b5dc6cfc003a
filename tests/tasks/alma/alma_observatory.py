"""A small archive in SQLite: the MOUS of seed 004 as far as it is public, the rest made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import create_engine
from sqlmodel import Session as Transaction
from sqlmodel import SQLModel

from tasks.alma import EntityId, MetadataArchive
from tasks.alma.tables import (
    METADATA,
    AquaOus,
    AsaDeliveryStatus,
    AsaOus,
    AsaProductFiles,
    AsaScience,
    ObsProjectStatus,
    ObsUnitSetStatus,
    SchedBlockStatus,
)

MOUS = EntityId("uid://A001/X1284/X265f")
GOUS, SOUS = EntityId("uid://A001/X1284/X265e"), EntityId("uid://A001/X1284/X265d")
PROJECT, PROJECT_STATUS = EntityId("uid://A001/X1220/Xdd9"), EntityId("uid://A001/X1220/Xddd")
SCHED_BLOCK, SCHED_BLOCK_STATUS = EntityId("uid://A001/X1284/X2641"), EntityId("uid://A001/X1284/X2660")
BLOCKS = tuple(
    EntityId(f"uid://A002/{end}") for end in ("Xc7111c/X3979", "Xc7111c/X409e", "Xc7111c/X86a7", "Xc72427/X2dfe")
)
CODE = "2017.1.00886.L"
DELIVERY = f"{CODE}_{MOUS.file_form}"

STATUS_XML = f"""<?xml version="1.0" encoding="UTF-8"?>
<OUSStatus xmlns="Alma/Scheduling/OUSStatus" xmlns:ps="Alma/Scheduling/ProjectStatus" almatype="APDM::OUSStatus">
  <ps:Status State="ReadyForProcessing"/>
  <OUSStatusEntity entityId="{MOUS}"/>
  <Session entityPartId="X00000000"><StartTime>2017-07-21T05:00:00</StartTime>
    <EndTime>2017-07-21T07:00:00</EndTime>
    <ExecBlockRef><ExecBlockId>{BLOCKS[0]}</ExecBlockId></ExecBlockRef>
    <ExecBlockRef><ExecBlockId>{BLOCKS[1]}</ExecBlockId></ExecBlockRef></Session>
  <Session entityPartId="X00000001"><StartTime>2017-07-22T05:00:00</StartTime>
    <EndTime>End time not known yet.</EndTime></Session>
  <Session entityPartId="X00000002"><StartTime>2017-07-23 05:00:00.000</StartTime>
    <ExecBlockRef><ExecBlockId>{BLOCKS[2]}</ExecBlockId></ExecBlockRef></Session>
  <Session entityPartId="X00000003"><StartTime>2017-07-24T05:00:00</StartTime><EndTime>NULL</EndTime>
    <ExecBlockRef><ExecBlockId>{BLOCKS[3]}</ExecBlockId></ExecBlockRef></Session>
</OUSStatus>
"""


@dataclass
class Observatory:
    """A metadata database that a test may fill and spoil."""

    path: Path

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def archive(self) -> MetadataArchive:
        return MetadataArchive(self.url)

    @classmethod
    def create(cls, path: Path) -> Observatory:
        """Make the tables, all empty."""
        engine = create_engine(f"sqlite:///{path}")
        METADATA.create_all(engine)
        engine.dispose()
        return cls(path)

    def add(self, *rows: SQLModel) -> None:
        engine = create_engine(self.url)
        with Transaction(engine) as transaction:
            transaction.add_all(rows)
            transaction.commit()
        engine.dispose()

    def execute(self, *statements: str) -> None:
        engine = create_engine(self.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
        engine.dispose()


def rows_of(blocks: tuple[EntityId, ...]) -> tuple[SQLModel, ...]:
    return (
        ObsUnitSetStatus(
            status_entity_id=MOUS,
            domain_entity_id="X870875696",
            domain_entity_state="Verified",
            parent_obs_unit_set_status_id=GOUS,
            obs_project_status_id=PROJECT_STATUS,
            obs_project_id=PROJECT,
            xml=STATUS_XML,
        ),
        ObsUnitSetStatus(status_entity_id=GOUS, parent_obs_unit_set_status_id=SOUS, obs_project_id=PROJECT),
        ObsProjectStatus(status_entity_id=PROJECT_STATUS, obs_project_id=PROJECT),
        SchedBlockStatus(
            status_entity_id=SCHED_BLOCK_STATUS, domain_entity_id=SCHED_BLOCK, parent_obs_unit_set_status_id=MOUS
        ),
        AquaOus(obsunitsetuid=PROJECT, obsunitsetpartid="X870875696", ous_status_entity_id=MOUS, qa2status="Pass"),
        AsaOus(asa_ous_id="ous-1", asa_project_code=CODE, group_ous_uid=GOUS, member_ous_uid=MOUS),
        AsaDeliveryStatus(
            delivery_id="1",
            delivery_name=DELIVERY,
            release_date=datetime(2018, 11, 20, 17, 30, tzinfo=UTC),
            qa2_passed="Y",
        ),
        AsaProductFiles(
            asa_ous_id="ous-1", ngas_file_id="member.cal.tgz", file_class="calibration", stored_size=5
        ),
        AsaProductFiles(asa_ous_id="ous-1", ngas_file_id="member.image.fits", file_class="science"),
        *(
            AsaProductFiles(
                asa_ous_id="ous-1",
                ngas_file_id=f"{block.file_form}.asdm.sdm.tar",
                file_class="raw",
                stored_size=1000 + number,
            )
            for number, block in enumerate(blocks)
        ),
        *(_science(i % 9, block, source) for i, block in enumerate(blocks) for source in range(3)),
    )


def _science(number: int, block: EntityId, source: int) -> AsaScience:
    return AsaScience(
        dataset_id=f"{block.file_form}_{source}",
        project_code=CODE,
        member_ouss_id=MOUS,
        asdm_uid=block,
        asa_ous_id="ous-1",
        schedblock_uid=SCHED_BLOCK,
        start_date=datetime(2017, 7, 21 + number, 5, source, tzinfo=UTC),
    )
