"""The one way in which PPI reads XML: entities, DTDs and the network are off for every document."""

from __future__ import annotations

from lxml import etree

from tasks.errors import Refused

__all__ = ["local_name", "parse"]


def parse(document: bytes | str, what: str) -> etree._Element:
    """Parse an XML document from outside.

    Parameters
    ----------
    document
        The whole document. A `str` is taken as already decoded, whatever its declaration says.
    what
        The document's name, for the error message.

    Raises
    ------
    Refused
        It is not well-formed, or it declares or uses entities of its own.
    """
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, dtd_validation=False, no_network=True, huge_tree=False
    )
    data = document.encode() if isinstance(document, str) else document
    if isinstance(document, str):
        parser = etree.XMLParser(
            resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, encoding="utf-8"
        )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Refused(f"{what} cannot be read", f"not well-formed XML ({error})") from error
    _refuse_entities(root, what)
    return root


def _refuse_entities(root: etree._Element, what: str) -> None:
    dtd = root.getroottree().docinfo.internalDTD
    entities = [] if dtd is None else dtd.entities()  # type: ignore[attr-defined]
    if entities or next(root.iter(etree.Entity), None) is not None:
        raise Refused(f"{what} cannot be read", "it declares or uses XML entities, which are not allowed")


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace (`""` for comments and the like)."""
    return etree.QName(element).localname if isinstance(element.tag, str) else ""
