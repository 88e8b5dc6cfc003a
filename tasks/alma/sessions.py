"""Sessions from a MOUS's status XML, because nothing else in the archive numbers them as the pipeline does.

The number of a session is its place in the document. A session that was begun and aborted stays there without
execution blocks and without a stop time; were it left out, every later session would get the calibration
tables of its neighbour. So nothing is sorted or filtered here.
"""

from __future__ import annotations

from lxml import etree

from tasks.alma.ids import EntityId
from tasks.alma.model import Session
from tasks.xml import local_name, parse

__all__ = ["read_sessions"]

_COLUMN = "obs_unit_set_status.xml"
_UNKNOWN_TIMES = ("", "null", "none", "start time not known yet.", "end time not known yet.")


def read_sessions(status_xml: str | bytes | None, mous: EntityId) -> tuple[Session, ...]:
    """Read the sessions of a MOUS.

    Parameters
    ----------
    status_xml
        The ``OUSStatus`` document, in any namespace; empty or None has no sessions.
    mous
        Whose document it is, for the error message.

    Raises
    ------
    Refused
        The document is not safe, well-formed XML, or names an execution block by what is not an id.
    """
    document = (status_xml or "").strip()
    if not document:
        return ()
    elements = _named(parse(document, f"the status XML of {mous}"), "Session")
    return tuple(_session(number, element) for number, element in enumerate(elements, start=1))


def _session(number: int, element: etree._Element) -> Session:
    blocks = (_text(block) for block in _named(element, "ExecBlockId"))
    return Session(
        number=number,
        execution_blocks=tuple(dict.fromkeys(EntityId.of_column(block, _COLUMN) for block in blocks if block)),
        start=_time(element, "StartTime"),
        end=_time(element, "EndTime"),
    )


def _time(session: etree._Element, name: str) -> str | None:
    text = next((_text(found) for found in _named(session, name)), "")
    return None if text.casefold() in _UNKNOWN_TIMES else text


def _named(parent: etree._Element, name: str) -> list[etree._Element]:
    return [element for element in parent.iterdescendants() if local_name(element) == name]


def _text(element: etree._Element) -> str:
    return str(element.xpath("string()")).strip()
