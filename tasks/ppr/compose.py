"""From what the archive knows of an observation to the request that CASA's pipeline takes."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from pydantic import ValidationError

from tasks.alma.ids import EntityId
from tasks.alma.model import ObservingUnitSet
from tasks.errors import Refused
from tasks.ppr.model import DataSet, Ppr, Procedure, ProjectStructure, ProjectSummary, refusal

__all__ = ["compose"]


def compose(
    ous: ObservingUnitSet,
    procedure: Procedure,
    *,
    stamp: datetime,
    site: str,
    operator: str,
    execution_blocks: Collection[EntityId],
) -> Ppr:
    """Compose the PPR that does a procedure on some execution blocks of an observation.

    Parameters
    ----------
    ous
        The observation; its sessions are all written, so that each keeps its number.
    stamp
        When the attempt was begun; without an offset it is UTC. It names the attempt's directory.
    site, operator
        Where and as whom the pipeline runs.
    execution_blocks
        Those to process; the PPR has them in the observation's order.

    Raises
    ------
    Refused
        There are none, one is not of this observation, or one is in no session: the pipeline would give it the
        calibration tables of the first.
    """
    blocks = _chosen(ous, execution_blocks)
    moment = stamp.replace(tzinfo=None) if stamp.tzinfo is None else stamp.astimezone(UTC).replace(tzinfo=None)
    time = moment.isoformat(timespec="milliseconds")
    try:
        return Ppr(
            summary=ProjectSummary(
                proposal_code=ous.project_code, processing_site=site, operator=operator, creation_time=time
            ),
            structure=_structure(ous),
            intents=_intents(ous, blocks),
            procedure=procedure,
            data_set=DataSet(
                relative_path=_relative_path(ous, time),
                sched_block=ous.sched_block,
                sched_block_status=ous.sched_block_status,
                execution_blocks=blocks,
            ),
        )
    except ValidationError as error:
        raise refusal(f"no PPR can be made for MOUS {ous.mous}", error) from error


def _chosen(ous: ObservingUnitSet, wanted: Collection[EntityId]) -> tuple[EntityId, ...]:
    blocks = tuple(block.uid for block in ous.execution_blocks if block.uid in wanted)
    in_sessions = {uid for session in ous.sessions for uid in session.execution_blocks}
    strangers, outside = sorted(set(wanted) - set(blocks)), [uid for uid in blocks if uid not in in_sessions]
    if not blocks and not strangers:
        raise _refused(ous, "no execution block is to be processed", "check that its data were archived")
    if strangers:
        raise _refused(ous, f"{', '.join(strangers)} is not of this observation", "check the ids")
    if outside:
        raise _refused(
            ous,
            f"{', '.join(outside)} is in no session of its status XML, and would get the tables of session_1",
            "leave it out, or have the status corrected",
        )
    return blocks


def _refused(ous: ObservingUnitSet, why: str, todo: str) -> Refused:
    return Refused(f"no PPR can be made for MOUS {ous.mous}", why, todo)


def _structure(ous: ObservingUnitSet) -> ProjectStructure:
    return ProjectStructure(
        project=ous.project_uid,
        part_id=ous.part_id or "Undefined",
        project_status=ous.project_status,
        mous=ous.mous,
    )


def _intents(ous: ObservingUnitSet, blocks: Collection[EntityId]) -> tuple[tuple[str, str], ...]:
    sessions = (
        (f"SESSION_{session.number}", " | ".join(uid for uid in session.execution_blocks if uid in blocks))
        for session in ous.sessions
    )
    return (("PROCESS", "true"), *sessions, ("INTERFEROMETRY_STANDARD_OBSERVING_MODE", "Undefined"))


def _relative_path(ous: ObservingUnitSet, time: str) -> str:
    levels = (("SOUS", ous.sous), ("GOUS", ous.gous), ("MOUS", ous.mous))
    names = (f"{level}_{uid.file_form if uid else 'unknown'}" for level, uid in levels)
    stamp = time.replace("-", "_").replace(":", "_")
    return "/".join((f"{ous.project_code}_{stamp}", *names))
