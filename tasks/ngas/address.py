"""What a server of the archive is called: `host:port` and nothing more, wherever the name comes from."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["server_address"]

_ADDRESS: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")
_LAST_PORT: Final = 65535


def server_address(text: str) -> str:
    """Return an address that is one.

    Raises
    ------
    ValueError
        It is none; what it says is not repeated, since it might hold a password.
    """
    found = _ADDRESS.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= _LAST_PORT:
        raise ValueError("it is not host:port")
    return text
