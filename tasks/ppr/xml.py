"""PPRs as XML: the plain dialect is written, that and the namespaced one are read.

Both are the ``SciPipeRequest`` that CASA's pipeline takes; the plain one is what the observatory runs. Reading is
strict where the pipeline is silently wrong: it would truncate a list, or lose a session, and go on.
"""

from __future__ import annotations

from collections.abc import Iterable

from lxml import etree
from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel, to_pascal

from tasks.alma.ids import EntityId
from tasks.ppr._elements import attribute, children, exact_id, leaf, only, refuse, root_of
from tasks.ppr.model import (
    Command,
    DataSet,
    Ppr,
    Procedure,
    ProjectStructure,
    ProjectSummary,
    RequestEntity,
    ResultsProcessing,
    refusal,
)

__all__ = ["read", "write"]

_ROOT = "SciPipeRequest"
_XSI = "http://www.w3.org/2001/XMLSchema-instance"
_UNASSIGNED = "UID_UNASSIGNED"
_BOOLEANS = {"true": True, "false": False}


def write(ppr: Ppr) -> bytes:
    """Write the plain dialect, UTF-8, one leaf a line; the same PPR gives the same bytes."""
    root = etree.Element(_ROOT, nsmap={"xsi": _XSI})
    if ppr.entity:
        _add(root, "SciPipeRequestEntity", **{to_camel(name): text for name, text in ppr.entity})
    _add_fields(_add(root, "ProjectSummary"), ppr.summary)
    _add_structure(_add(root, "ProjectStructure"), ppr.structure)
    request = _add(_add(root, "ProcessingRequests"), "ProcessingRequest")
    _add_settings(_add(request, "ProcessingIntents"), "Intents", ppr.intents)
    _add_procedure(_add(request, "ProcessingProcedure"), ppr.procedure)
    sched_block_set = _add(_add(request, "DataSet"), "SchedBlockSet")
    _add_data(_add(sched_block_set, "SchedBlockIdentifier"), ppr.data_set)
    _add_fields(_add(root, "ResultsProcessing"), ppr.results)
    etree.indent(root, space="    ")
    return (
        b'<?xml version="1.0" encoding="UTF-8"?>\n'
        + etree.tostring(root, encoding="UTF-8", xml_declaration=False)
        + b"\n"
    )


def read(document: bytes) -> Ppr:
    """Read a PPR of either dialect.

    Raises
    ------
    Refused
        It is not safe, well-formed XML, not a PPR, or the pipeline would misread it; the reason names the element.
    """
    root = root_of(document, _ROOT)
    request = only(only(root, "ProcessingRequests"), "ProcessingRequest")
    try:
        return Ppr(
            entity=_entity(root),
            summary=ProjectSummary.model_validate(_fields(only(root, "ProjectSummary"), ProjectSummary)),
            structure=_structure(only(root, "ProjectStructure")),
            intents=_settings(only(request, "ProcessingIntents"), "Intents"),
            procedure=_procedure(only(request, "ProcessingProcedure")),
            data_set=_data(only(only(only(request, "DataSet"), "SchedBlockSet"), "SchedBlockIdentifier")),
            results=_results(only(root, "ResultsProcessing")),
        )
    except ValidationError as error:
        raise refusal("the PPR cannot be used", error) from error


def _add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    element = etree.SubElement(parent, name, attributes)
    element.text = text or None
    return element


def _add_fields(parent: etree._Element, values: BaseModel) -> None:
    for name, value in values:
        _add(parent, to_pascal(name), str(value).lower() if isinstance(value, bool) else value)


def _add_settings(parent: etree._Element, name: str, settings: Iterable[tuple[str, str]]) -> None:
    for keyword, value in settings:
        element = _add(parent, name)
        _add(element, "Keyword", keyword)
        _add(element, "Value", value)


def _add_structure(parent: etree._Element, structure: ProjectStructure) -> None:
    _add(
        parent, "ObsUnitSetRef", entityId=structure.project, partId=structure.part_id, entityTypeName="ObsProject"
    )
    _add(parent, "ObsUnitSetTitle", structure.title)
    _add(parent, "ObsUnitSetType", structure.unit_type)
    _add_reference(parent, "ProjectStatus", structure.project_status)
    _add_reference(parent, "OUSStatus", structure.mous)


def _add_reference(parent: etree._Element, kind: str, uid: EntityId | None, **attributes: str) -> None:
    _add(parent, f"{kind}Ref", entityId=uid or _UNASSIGNED, entityTypeName=kind, **attributes)


def _add_procedure(parent: etree._Element, procedure: Procedure) -> None:
    if procedure.title:
        _add(parent, "ProcedureTitle", procedure.title)
    for command in procedure.commands:
        element = _add(parent, "ProcessingCommand")
        _add(element, "Command", command.name)
        _add_settings(_add(element, "ParameterSet"), "Parameter", command.parameters)


def _add_data(parent: etree._Element, data: DataSet) -> None:
    _add(parent, "RelativePath", data.relative_path)
    _add_reference(parent, "SchedBlock", data.sched_block, documentVersion="1")
    _add_reference(parent, "SBStatus", data.sched_block_status)
    _add(parent, "SBTitle", data.title)
    for uid in data.execution_blocks:
        asdm = _add(parent, "AsdmIdentifier")
        _add(_add(asdm, "AsdmRef"), "ExecBlockId", uid)
        _add(asdm, "AsdmDiskName", uid.file_form)


def _entity(root: etree._Element) -> RequestEntity | None:
    if not children(root, "SciPipeRequestEntity"):
        return None
    element = only(root, "SciPipeRequestEntity")
    return RequestEntity.model_validate(
        {name: attribute(element, to_camel(name)) for name in RequestEntity.model_fields}
    )


def _fields(parent: etree._Element, model: type[BaseModel]) -> dict[str, str]:
    return {name: leaf(parent, to_pascal(name)) for name in model.model_fields}


def _settings(parent: etree._Element, name: str) -> tuple[tuple[str, str], ...]:
    return tuple((leaf(element, "Keyword"), leaf(element, "Value")) for element in children(parent, name))


def _structure(element: etree._Element) -> ProjectStructure:
    parent = only(element, "AlmaStructure") if children(element, "AlmaStructure") else element
    unit_set, mous = only(parent, "ObsUnitSetRef"), only(parent, "OUSStatusRef")
    return ProjectStructure(
        project=exact_id(attribute(unit_set, "entityId"), unit_set),
        part_id=attribute(unit_set, "partId"),
        title=leaf(parent, "ObsUnitSetTitle"),
        unit_type=leaf(parent, "ObsUnitSetType"),
        project_status=_reference(parent, "ProjectStatusRef"),
        mous=exact_id(attribute(mous, "entityId"), mous),
    )


def _reference(parent: etree._Element, name: str) -> EntityId | None:
    element = only(parent, name)
    text = attribute(element, "entityId")
    return None if text == _UNASSIGNED else exact_id(text, element)


def _procedure(parent: etree._Element) -> Procedure:
    return Procedure(
        title=leaf(parent, "ProcedureTitle") if children(parent, "ProcedureTitle") else "",
        commands=tuple(
            Command(
                name=leaf(element, "Command"), parameters=_settings(only(element, "ParameterSet"), "Parameter")
            )
            for element in children(parent, "ProcessingCommand")
        ),
    )


def _data(parent: etree._Element) -> DataSet:
    return DataSet(
        relative_path=leaf(parent, "RelativePath"),
        sched_block=_reference(parent, "SchedBlockRef"),
        sched_block_status=_reference(parent, "SBStatusRef"),
        title=leaf(parent, "SBTitle"),
        execution_blocks=tuple(_execution_block(element) for element in children(parent, "AsdmIdentifier")),
    )


def _execution_block(element: etree._Element) -> EntityId:
    uid = exact_id(leaf(only(element, "AsdmRef"), "ExecBlockId"), element)
    name = leaf(element, "AsdmDiskName")
    if name != uid.file_form:
        raise refuse(element, f"AsdmDiskName {name!r} (line {element.sourceline}) is not that of {uid}")
    return uid


def _results(parent: etree._Element) -> ResultsProcessing:
    texts, fields = _fields(parent, ResultsProcessing), ResultsProcessing.model_fields
    values = {
        name: _BOOLEANS.get(text, text) if fields[name].annotation is bool else text
        for name, text in texts.items()
    }
    return ResultsProcessing.model_validate(values, strict=True)
