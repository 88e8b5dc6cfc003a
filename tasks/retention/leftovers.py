"""What processes died over in an area: drafts, and what was half removed; nothing reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

from tasks import disk
from tasks.alma.ids import EntityId
from tasks.errors import PpiError, Transient
from tasks.retention.model import Cleared, Finding, Part
from tasks.retention.trash import Trash, measured
from tasks.workspace.delivery import PROVENANCE, REPLACED
from tasks.workspace.layout import Area, Attempt

__all__ = ["of_area", "of_trash"]

_OF_OBSERVATION: Final = re.compile(r"\.{1,2}(?P<observation>uid___\w+)\.(?:spent|begun)(?:\.removed)?")
_REPLACED: Final = (REPLACED, f".{REPLACED}.removed")
_DIED: Final = "who was at work on it is gone"


def of_trash(root: Path, now: datetime) -> Iterator[Finding]:
    """Find what an earlier clean-up died over."""
    trash = Trash(root)
    for doomed in trash.left():
        yield _finding(doomed, "an earlier clean-up died over it", now, partial(_delete, trash, doomed, now))


def of_area(area: Area, now: datetime) -> Iterator[Finding]:
    """Find what runs have left beside and in their attempts, and on which nobody works."""
    for name in disk.names_in(area.root):
        if found := _OF_OBSERVATION.fullmatch(name):
            observation, path = EntityId.parse(found["observation"]), area.root / name
            if not area.is_held(observation):
                yield _finding(path, _DIED, now, partial(_remove, area, observation, path, now))
    for attempt, path in _replaced(area):
        if _is_replaced(area, attempt, path.parent) and not area.is_held(attempt.observation):
            why = "it is the delivery before the one that is in its place"
            yield _finding(path, why, now, partial(_remove_replaced, area, attempt, path, now))


def _replaced(area: Area) -> Iterator[tuple[Attempt, Path]]:
    for folder in area.begun():
        for path in (folder / name for name in _REPLACED):
            if path.is_dir():
                try:
                    yield Attempt.of(folder), path
                except (PpiError, FileNotFoundError):
                    continue


def _is_replaced(area: Area, attempt: Attempt, folder: Path) -> bool:
    destination = area.destination(folder.name.partition("_")[0], attempt.observation)
    return (destination / PROVENANCE).exists()


def _finding(path: Path, why: str, now: datetime, remove: partial[Cleared]) -> Finding:
    return Finding(Part.LEFTOVERS, str(path), why, 1, measured(path, now).size, remove)


def _remove_replaced(area: Area, attempt: Attempt, path: Path, now: datetime) -> Cleared:
    if not _is_replaced(area, attempt, path.parent):
        return Cleared(0, 0, "its place is empty now")
    return _remove(area, attempt.observation, path, now)


def _remove(area: Area, observation: EntityId, path: Path, now: datetime) -> Cleared:
    with ExitStack() as stack:
        try:
            stack.enter_context(area.held(observation))
        except Transient as error:
            return Cleared(0, 0, error.why)
        if not path.exists():
            return Cleared(0, 0, "it is gone already")
        size = measured(path, now).size
        trash = Trash(area.root)
        doomed = trash.take(path)
    trash.delete(doomed)
    return Cleared(1, size)


def _delete(trash: Trash, doomed: Path, now: datetime) -> Cleared:
    size = measured(doomed, now).size
    trash.delete(doomed)
    return Cleared(1, size)
