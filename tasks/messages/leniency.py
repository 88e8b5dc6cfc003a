"""Messages whose properties cannot be decoded are received, instead of ending the connection that they come on.

A broker hands on whatever properties a message has, such as a time in the year 292278994 or a name that is not
UTF-8. The client's library takes those for a broken connection: it would be dropped, made again, and given the
same message, for ever. So properties that cannot be decoded are taken for none, and a header says why.
"""

from __future__ import annotations

import struct
from typing import Final

from pamqp.commands import Basic
from pamqp.header import ContentHeader

__all__ = ["UNREADABLE", "bear_any_properties"]

UNREADABLE: Final = "x-ppi-unreadable"
"""The header of a message whose properties could not be decoded; it says why."""
_FIXED: Final = struct.Struct(">HHQ")
_LONGEST: Final = 200
_decode = ContentHeader.unmarshal


def bear_any_properties() -> None:
    """Do so in this process from now on."""
    ContentHeader.unmarshal = _unmarshal  # type: ignore[assignment, method-assign]


def _unmarshal(header: ContentHeader, data: bytes) -> None:
    try:
        _decode(header, data)
    except Exception as error:  # noqa: BLE001 - whatever somebody has put there
        _, header.weight, header.body_size = _FIXED.unpack(data[: _FIXED.size])
        header.properties = Basic.Properties(headers={UNREADABLE: str(error)[:_LONGEST] or type(error).__name__})
