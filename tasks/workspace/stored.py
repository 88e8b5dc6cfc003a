"""Reading back what lies in the processing area as JSON: what cannot be understood is named, and never guessed."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from tasks.errors import Failed

__all__ = ["read"]

M = TypeVar("M", bound=BaseModel)


def read(kind: type[M], path: Path) -> M:
    """Read a record.

    Raises
    ------
    Failed
        It is not such a record: damaged, or written by another version of PPI.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        why = f"it cannot be read ({f'{place}: ' if place else ''}{first['msg']})"
        raise Failed(str(path), why, f"move {path.parent} away and run again") from error
