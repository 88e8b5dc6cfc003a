"""The processing request of the original calibration, which the archive keeps beside its products."""

from __future__ import annotations

from deployments.local.observatory.programme import UnitSet
from deployments.local.observatory.shape import Shape
from tasks.alma.ids import EntityId
from tasks.alma.model import ArchiveFile, ExecutionBlock, ObservingUnitSet, Session
from tasks.ppr.compose import compose
from tasks.ppr.model import Ppr
from tasks.ppr.procedures import CALIBRATE_AND_IMAGE

__all__ = ["original_request"]


def original_request(unit_set: UnitSet, shape: Shape) -> Ppr:
    """Return the request by which the unit set would have been calibrated and imaged, when its last block was."""
    ends = [end for session in unit_set.sessions for _, _, end in session.starts(shape)]
    return compose(
        _observing_unit_set(unit_set),
        CALIBRATE_AND_IMAGE,
        stamp=max(ends),
        site="simulated",
        operator="simulated",
        execution_blocks=unit_set.blocks,
    )


def _observing_unit_set(unit_set: UnitSet) -> ObservingUnitSet:
    sessions = enumerate(unit_set.sessions, 1)
    return ObservingUnitSet(
        mous=unit_set.mous,
        gous=unit_set.gous,
        sous=unit_set.sous,
        project_code=unit_set.project.code,
        project_uid=unit_set.project.uid,
        project_status=unit_set.project.status,
        part_id=unit_set.part_id,
        sched_block=unit_set.sched_block,
        sched_block_status=unit_set.sched_block_status,
        state=unit_set.state,
        qa2_status=None,
        sessions=tuple(
            Session(number=number, execution_blocks=plan.blocks, start=None, end=None) for number, plan in sessions
        ),
        execution_blocks=tuple(_execution_block(unit_set, block) for block in unit_set.blocks),
        products=(),
        delivery=None,
    )


def _execution_block(unit_set: UnitSet, block: EntityId) -> ExecutionBlock:
    raw = ArchiveFile(file_id=f"{block.file_form}.asdm.sdm.tar", file_class="raw", size=None)
    return ExecutionBlock(uid=block, sched_block=unit_set.sched_block, raw=raw)
