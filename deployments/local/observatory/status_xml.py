"""The status documents of observing unit sets, as the observatory's scheduling writes them.

The form is that of facts on OUSStatus: the head in the ProjectStatus namespace, the rest in its own. An aborted
session stays as it was begun, without execution blocks and with words in place of its end.
"""

from __future__ import annotations

from datetime import datetime
from typing import cast

from lxml import etree

from deployments.local.observatory.programme import SessionPlan, UnitSet
from deployments.local.observatory.shape import Shape
from tasks.alma.ids import EntityId

__all__ = ["member_status", "parent_status"]

_OUS = "Alma/Scheduling/OUSStatus"
_PROJECT = "Alma/Scheduling/ProjectStatus"
# The stubs know no default namespace.
_NAMESPACES = cast("dict[str, str]", {None: _OUS, "ps": _PROJECT})
_UNKNOWN_END = "End time not known yet."


def member_status(unit_set: UnitSet, shape: Shape) -> str:
    """Return the OUSStatus of a MOUS with its sessions."""
    root = _root(unit_set, unit_set.mous, unit_set.gous)
    for number, session in enumerate(unit_set.sessions):
        _session(root, unit_set, number, session, shape)
    _refer(root, "ObsUnitSetRef", unit_set.project.uid, "ObsProject", part=unit_set.part_id)
    _refer(root, "SBStatusRef", unit_set.sched_block_status, "SBStatus")
    return _text(root)


def parent_status(unit_set: UnitSet, own: EntityId, parent: EntityId | None, part: str, child: EntityId) -> str:
    """Return the OUSStatus of a SOUS or GOUS, which has one child."""
    root = _root(unit_set, own, parent)
    _refer(root, "ObsUnitSetRef", unit_set.project.uid, "ObsProject", part=part)
    _refer(root, "OUSStatusRef", child, "OUSStatus")
    return _text(root)


def _root(unit_set: UnitSet, own: EntityId, parent: EntityId | None) -> etree._Element:
    root = etree.Element(
        f"{{{_OUS}}}OUSStatus",
        {"schemaVersion": "13", "revision": "1.0", "almatype": "APDM::OUSStatus"},
        nsmap=_NAMESPACES,
    )
    etree.SubElement(root, f"{{{_PROJECT}}}Status", State=unit_set.state)
    blocks = str(len(unit_set.blocks))
    counts = {"executionsRemaining": "0", "successfulExecutions": blocks, "failedExecutions": "0"}
    flags = dict.fromkeys(("hasExecutionCount", "hasTimeLimit", "bookkeepingInitialized"), "true")
    for name, value in {**counts, **flags}.items():
        etree.SubElement(root, f"{{{_PROJECT}}}{name}").text = value
    if parent is not None:
        _refer(root, "ContainingObsUnitSetRef", parent, "OUSStatus", namespace=_PROJECT)
    _refer(root, "ProjectStatusRef", unit_set.project.status, "ProjectStatus", namespace=_PROJECT)
    etree.SubElement(
        root, f"{{{_OUS}}}OUSStatusEntity", entityId=own, entityTypeName="OUSStatus", datamodelVersion="13"
    )
    return root


def _session(root: etree._Element, unit_set: UnitSet, number: int, plan: SessionPlan, shape: Shape) -> None:
    session = etree.SubElement(root, f"{{{_OUS}}}Session", almatype="APDM::Session", entityPartId=f"X{number:08x}")
    etree.SubElement(session, f"{{{_OUS}}}StartTime").text = _time(plan.start)
    executions = list(plan.starts(shape))
    if plan.ended:
        etree.SubElement(session, f"{{{_OUS}}}EndTime").text = _time(executions[-1][2])
    elif not executions:
        etree.SubElement(session, f"{{{_OUS}}}EndTime").text = _UNKNOWN_END
    for block, _, _ in executions:
        reference = etree.SubElement(session, f"{{{_OUS}}}ExecBlockRef", almatype="APDM::ExecBlockRef")
        etree.SubElement(reference, f"{{{_OUS}}}ExecBlockId").text = block
    _refer(session, "SBStatusRef", unit_set.sched_block_status, "SBStatus")


def _refer(
    parent: etree._Element, name: str, entity: EntityId, kind: str, *, part: str = "", namespace: str = _OUS
) -> None:
    attributes = {"entityId": entity, **({"partId": part} if part else {}), "entityTypeName": kind}
    etree.SubElement(parent, f"{{{namespace}}}{name}", attributes)


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S.000")


def _text(root: etree._Element) -> str:
    return etree.tostring(root, encoding="unicode", pretty_print=True)
