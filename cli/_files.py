"""What the commands that move single files have in common: how each is told, and how failures end."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import typer

from tasks.errors import PpiError
from tasks.ngas.model import StoredFile

__all__ = ["described", "end"]


def described(stored: StoredFile) -> dict[str, object]:
    """Return a file of the archive for machines."""
    return {
        "file_id": stored.file_id,
        "version": stored.version,
        "size": stored.size,
        "checksum": str(stored.checksum) if stored.checksum else None,
        "server": stored.server,
    }


def end(errors: Iterable[PpiError | None]) -> None:
    """Tell all failures, and end with the exit code of the worst if there are any.

    Raises
    ------
    typer.Exit
        There are.
    """
    told = [error for error in errors if error]
    for error in told:
        sys.stderr.write(f"ppi: {error}\n")
    if told:
        raise typer.Exit(max(error.exit_code for error in told))
