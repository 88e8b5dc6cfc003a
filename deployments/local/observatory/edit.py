"""CASA tables opened to be changed, so that none stays locked; for the modules of a CASA child."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casatools import table

__all__ = ["edited"]


@contextlib.contextmanager
def edited(path: Path) -> Iterator[Any]:
    """Open a CASA table to change it, and close it whatever happens."""
    tool = table()
    tool.open(str(path), nomodify=False)
    try:
        yield tool
    finally:
        tool.close()
