"""Strict access to XML: what is not there exactly once, or is not plain text, is refused by name and line."""

from __future__ import annotations

from lxml import etree

from tasks.alma.ids import EntityId
from tasks.errors import Refused
from tasks.xml import local_name, parse

__all__ = ["attribute", "children", "exact_id", "leaf", "only", "refuse", "root_of"]


def root_of(document: bytes, name: str) -> etree._Element:
    """Parse a document whose root has a name; one with a DTD is refused, which could change attributes."""
    root = parse(document, f"the {name} document")
    if local_name(root) != name:
        raise refuse(root, f"its root is {local_name(root)}, not {name}")
    if root.getroottree().docinfo.internalDTD is not None:
        raise refuse(root, "it has a document type declaration, which is not allowed")
    return root


def children(parent: etree._Element, name: str) -> list[etree._Element]:
    """Return the children of a name, in any namespace, in order."""
    return [child for child in parent if local_name(child) == name]


def only(parent: etree._Element, name: str) -> etree._Element:
    """Return the one child of a name."""
    found = children(parent, name)
    if len(found) != 1:
        how_many = "no" if not found else f"{len(found)} times"
        raise refuse(
            parent, f"{local_name(parent)} (line {parent.sourceline}) has {how_many} {name}, not exactly one"
        )
    return found[0]


def leaf(parent: etree._Element, name: str) -> str:
    """Return the exact text of the one child of a name, which holds nothing but text."""
    element = only(parent, name)
    if len(element):
        raise refuse(element, f"{name} (line {element.sourceline}) holds a comment or an element, not just text")
    return element.text or ""


def attribute(element: etree._Element, name: str) -> str:
    """Return the exact text of an attribute."""
    value = element.get(name)
    if value is None:
        raise refuse(element, f"{local_name(element)} (line {element.sourceline}) has no attribute {name}")
    return str(value)


def exact_id(text: str, element: etree._Element) -> EntityId:
    """Return an entity id that is written as ALMA writes it, with nothing around it."""
    uid = EntityId(text)
    if uid != text:
        raise refuse(element, f"{text!r} (line {element.sourceline}) is not written as {uid}")
    return uid


def refuse(element: etree._Element, why: str) -> Refused:
    """Return an error that names the document and the reason."""
    name = local_name(element.getroottree().getroot())
    return Refused(f"the {name} document cannot be used", why, "correct it, or have it made anew")
