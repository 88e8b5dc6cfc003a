"""The manifest that the pipeline leaves beside its products: which files calibrate which execution block.

It is the ``piperesults`` document of the observatory's pipeline. Its later versions add elements and attributes;
what is unknown is passed over, and so is a session without execution blocks; what a restore needs must be there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Self

from lxml import etree
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from tasks.ppr._elements import attribute, children, refuse, root_of
from tasks.ppr.model import Line, Text, refusal
from tasks.xml import local_name

__all__ = ["Manifest", "ManifestBlock", "ManifestSession", "read", "read_images", "write"]


def _measurement_set(name: str) -> str:
    if not name.removesuffix(".ms") or not name.endswith(".ms"):
        raise ValueError("an execution block's measurement set is named <execution block>.ms")
    return name


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ManifestBlock(_Frozen):
    """What calibrates one execution block."""

    vis: Annotated[Line, AfterValidator(_measurement_set)]
    """Its measurement set, ``<execution block>.ms``."""
    final_flags: Line
    """The archive of its flag versions."""
    apply_commands: Line
    """The file of its applycal calls."""


class ManifestSession(_Frozen):
    """A session's calibration tables, and the execution blocks that they are for."""

    name: Line
    caltables: Line
    aux_caltables: Line | None = None
    execution_blocks: tuple[ManifestBlock, ...] = Field(min_length=1)


class Manifest(_Frozen):
    """A pipeline manifest; a version or name that it does not give is empty text."""

    ous: Line
    casa_version: Text = ""
    pipeline_version: Text = ""
    procedure: Text = ""
    sessions: tuple[ManifestSession, ...]

    @model_validator(mode="after")
    def _one_place_each(self) -> Self:
        sets = [block.vis for session in self.sessions for block in session.execution_blocks]
        if twice := sorted({vis for vis in sets if sets.count(vis) > 1}):
            raise ValueError(f"{', '.join(twice)} is in it more than once")
        return self


def write(manifest: Manifest) -> bytes:
    """Write a manifest as the pipeline of Cycle 5 does, UTF-8."""
    root = etree.Element("piperesults", name=manifest.ous)
    ous = etree.SubElement(root, "ous", name=manifest.ous)
    for tag, name in _versions(manifest):
        etree.SubElement(ous, tag, name=name)
    for session in manifest.sessions:
        _add_session(ous, session)
    etree.indent(root, space="    ")
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def read(document: bytes) -> Manifest:
    """Read a manifest.

    Raises
    ------
    Refused
        It is not safe, well-formed XML, not a manifest, or lacks what a restore needs.
    """
    root = root_of(document, "piperesults")
    ous = next((child for child in root if local_name(child)), None)
    if ous is None or local_name(ous) != "ous":
        raise refuse(root, "its first element is not ous")
    try:
        return Manifest(
            ous=attribute(ous, "name"),
            casa_version=_name(ous, "casaversion") or "",
            pipeline_version=_name(ous, "pipeline_version") or "",
            procedure=_name(ous, "procedure_name") or "",
            sessions=tuple(_session(element) for element in children(ous, "session") if children(element, "asdm")),
        )
    except ValidationError as error:
        raise refusal("the pipeline manifest cannot be used", error) from error


def read_images(document: bytes) -> tuple[str, ...]:
    """Read only the names of the images that a manifest lists; that of an imaging run need not calibrate anything.

    Raises
    ------
    Refused
        It is not safe, well-formed XML, or not a manifest.
    """
    root = root_of(document, "piperesults")
    return tuple(attribute(element, "name") for element in root.iter() if local_name(element) == "image")


def _versions(manifest: Manifest) -> Iterator[tuple[str, str]]:
    yield "casaversion", manifest.casa_version
    yield "pipeline_version", manifest.pipeline_version
    yield "procedure_name", manifest.procedure


def _add_session(parent: etree._Element, session: ManifestSession) -> None:
    element = etree.SubElement(parent, "session", name=session.name)
    etree.SubElement(element, "caltables", name=session.caltables)
    if session.aux_caltables:
        etree.SubElement(element, "aux_caltables", name=session.aux_caltables)
    for block in session.execution_blocks:
        asdm = etree.SubElement(element, "asdm", name=block.vis)
        etree.SubElement(asdm, "finalflags", name=block.final_flags)
        etree.SubElement(asdm, "applycmds", name=block.apply_commands)


def _session(element: etree._Element) -> ManifestSession:
    return ManifestSession(
        name=attribute(element, "name"),
        caltables=_required(element, "caltables"),
        aux_caltables=_name(element, "aux_caltables"),
        execution_blocks=tuple(
            ManifestBlock(
                vis=attribute(asdm, "name"),
                final_flags=_required(asdm, "finalflags"),
                apply_commands=_required(asdm, "applycmds"),
            )
            for asdm in children(element, "asdm")
        ),
    )


def _name(parent: etree._Element, tag: str) -> str | None:
    found = children(parent, tag)
    if len(found) > 1:
        raise refuse(parent, f"{local_name(parent)} (line {parent.sourceline}) has {tag} more than once")
    return attribute(found[0], "name") if found else None


def _required(parent: etree._Element, tag: str) -> str:
    name = _name(parent, tag)
    if name is None:
        raise refuse(parent, f"{local_name(parent)} (line {parent.sourceline}) has no {tag}")
    return name
