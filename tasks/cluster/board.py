"""What a crew says of its jobs, in a file beside their logs: so that others see which job works on what.

HTCondor knows a job's slot and how it fares, and nothing of what it does; the crew knows that, and says it here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tasks import disk
from tasks.errors import PpiError
from tasks.workspace import stored

__all__ = ["Board", "Boards", "Entry", "JobRow", "boards", "read", "write"]

_NAME: Final = "crew.json"


class Entry(BaseModel):
    """One job of a crew.

    Parameters
    ----------
    name
        The worker that it is, as in `tasks.cluster.job.Job`; its logs are named after it.
    job
        HTCondor's id, as in ``17.0``; empty until it is known.
    step, item
        What it does now, and to which execution block; empty while it does nothing, or nothing to one block.
    last_step, last_item
        As these, of what it did last: its logs are there when it is done.
    state
        What the crew makes of it, in a few words.
    is_over
        Whether the job is gone, or was given up.
    requested_memory
        Bytes.
    since
        Since when this is so, UTC.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    job: str = ""
    step: str = ""
    item: str = ""
    last_step: str = ""
    last_item: str = ""
    state: str = ""
    is_over: bool = False
    requested_memory: int = 0
    since: datetime


class Board(BaseModel):
    """A crew and its jobs; the first fields are those of its `tasks.cluster.tag.Tag`.

    Parameters
    ----------
    written
        When this was so, UTC.
    entries
        Every job that the crew ever had, in the order of their submission.
    """

    model_config = ConfigDict(frozen=True)

    crew: str
    profile: str
    project: str
    observation: str
    flow: str
    flow_run: str
    stage: str
    written: datetime
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class JobRow:
    """What became of one job of a crew, for the page of its run.

    Parameters
    ----------
    crew, name
        Its crew's id and its own name: its logs are ``<crew>/<name>.out``, ``.err`` and ``.log``.
    job
        HTCondor's id; empty if it was never queued.
    did
        What it did, as in ``restore uid://A002/Xabc/X1``; all of it, where it did more.
    slot
        Where it ran; empty if it never did.
    wall_seconds, cpu_seconds
        What it took; None where that is not known.
    peak_memory, requested_memory
        Bytes, with all its children; None where that is not known.
    attempts
        How often what it did was begun.
    outcome
        How it ended or what it does, in a few words, with the reason if that was bad.
    """

    crew: str
    name: str
    job: str = ""
    did: str = ""
    slot: str = ""
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    requested_memory: int | None = None
    attempts: int = 1
    outcome: str = ""


@dataclass(frozen=True)
class Boards:
    """The boards in a log directory.

    Parameters
    ----------
    found
        Those that could be read, the newest first.
    unread
        Why each of the others could not.
    """

    found: tuple[Board, ...] = ()
    unread: tuple[str, ...] = ()


def write(directory: Path, board: Board) -> None:
    """Write a crew's board into its directory, whole or not at all."""
    disk.write_whole(directory / _NAME, board.model_dump_json().encode())


def read(directory: Path) -> Board:
    """Read the board in a crew's directory.

    Raises
    ------
    FileNotFoundError
        There is none.
    Failed
        It is damaged, or written by another version of PPI.
    """
    return stored.read(Board, directory / _NAME)


def boards(log_directory: Path, since: datetime | None = None) -> Boards:
    """Read the boards of a log directory.

    Parameters
    ----------
    since
        Leave out those that nobody wrote since then.
    """
    found: list[Board] = []
    unread: list[str] = []
    for directory in _crews(log_directory, since):
        try:
            found.append(read(directory))
        except FileNotFoundError:
            continue
        except (PpiError, OSError) as error:
            unread.append(str(error))
    return Boards(tuple(sorted(found, key=lambda board: board.written, reverse=True)), tuple(unread))


def _crews(log_directory: Path, since: datetime | None) -> Iterator[Path]:
    for path in sorted(log_directory.glob(f"[!.]*/{_NAME}")):
        if since is None or _changed(path) >= since:
            yield path.parent


def _changed(path: Path) -> datetime:
    """Return when a file was written; one that is just gone was never."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return datetime.min.replace(tzinfo=UTC)
