"""Where commands print: as wide as the terminal, and wide enough for whole names where there is none."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Column, Table

__all__ = ["out", "print_json", "whole"]

_WIDTH_OF_FILES = 200


def out() -> Console:
    """Return the console for standard output; it takes text as it is, since names come from archives."""
    return Console(
        soft_wrap=True, highlight=False, markup=False, width=None if sys.stdout.isatty() else _WIDTH_OF_FILES
    )


def whole(*headers: str) -> Table:
    """Return a table for values that are of use only if nothing is cut off them, in a narrow terminal too."""
    return Table(*(Column(header, overflow="fold") for header in headers))


def print_json(content: Any) -> None:
    """Print for machines."""
    sys.stdout.write(json.dumps(content, indent=1) + "\n")
