"""`ppi status --log`: the tail of CASA's log of one job, or of the job's own where CASA does not work."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blocks.profile import Profile
from cli._console import print_json
from cli._status import until_interrupted
from tasks.alma.ids import EntityId
from tasks.cluster.board import Board, Entry, boards
from tasks.cluster.logs import LOGS, Follower, tail
from tasks.cluster.tasks import log_directory
from tasks.errors import Missing, PpiError
from tasks.workspace.casalogs import log_of_block, log_of_pipeline
from tasks.workspace.layout import Area

__all__ = ["follow", "show"]

_JOB: Final = re.compile(r"\d+(\.\d+)?")
_PROCESS: Final = "process"
"""The stage in which CASA works."""
_SECONDS: Final = 0.5
_LOOK_AGAIN: Final = 4
"""Every so many times that a log is read on it is looked whether there is a newer one."""


@dataclass(frozen=True)
class _Log:
    """A log, and what it is for people."""

    path: Path
    what: str

    def __str__(self) -> str:
        return f"{self.what}: {self.path}"


def show(profile: Profile, job: str, mous: str | None, lines: int, as_json: bool) -> None:
    """Print the last lines of a log.

    Parameters
    ----------
    job
        HTCondor's id of a job, as in ``17.0``, or an execution block, in any spelling or by the end of its uid.

    Raises
    ------
    Missing
        There is no such job, or no log.
    Refused
        Several execution blocks are called so.
    """
    log = _find(profile, job, mous)
    text = tail(log.path, lines)
    if as_json:
        print_json(
            {"job": job, "what": log.what, "path": str(log.path), "lines": text.split("\n") if text else []}
        )
        return
    sys.stderr.write(f"{log}\n")
    sys.stdout.write(f"{text}\n" if text else "")


def follow(profile: Profile, job: str, mous: str | None, lines: int) -> None:
    """Print the last lines of a log, and what is written to it, until Ctrl-C; a newer one takes its place.

    Raises
    ------
    Missing, Refused
        As `show`.
    """
    log = _find(profile, job, mous)
    with until_interrupted():
        for told in _followed(profile, job, mous, log, lines):
            sys.stdout.write(f"{told}\n")
            sys.stdout.flush()


def _followed(profile: Profile, job: str, mous: str | None, log: _Log, lines: int) -> Iterator[str]:
    sys.stderr.write(f"{log}\n")
    follower, number = Follower(log.path), _inode(log.path)
    yield from follower.more()[-lines:]
    while True:
        for _ in range(_LOOK_AGAIN):
            time.sleep(_SECONDS)
            yield from follower.more()
        newer = _newer(profile, job, mous) or log
        if newer != log:
            log = newer
            sys.stderr.write(f"{log}\n")
            if (there := _inode(log.path)) == number:
                follower.path = log.path
            else:
                follower, number = Follower(log.path), there


def _newer(profile: Profile, job: str, mous: str | None) -> _Log | None:
    try:
        return _find(profile, job, mous)
    except PpiError:
        return None


def _inode(path: Path) -> int | None:
    """Return what stays of a file when its attempt is finished, and gets another name."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _find(profile: Profile, job: str, mous: str | None) -> _Log:
    area = Area(profile.processing.root_directory)
    observation = EntityId.parse(mous) if mous else None
    if not _JOB.fullmatch(job):
        return _Log(log_of_block(area, job, observation), f"CASA's log of {job}")
    board, entry = _on_board(profile, job if "." in job else f"{job}.0")
    return _log_of_casa(area, board, entry) or _log_of_job(profile, board, entry)


def _on_board(profile: Profile, job: str) -> tuple[Board, Entry]:
    """Return what its crew says of a job; numbers come again where a pool was made anew, the newest counts."""
    for board in boards(log_directory(profile)).found:
        for entry in board.entries:
            if entry.job == job and board.profile == profile.name:
                return board, entry
    raise Missing(f"job {job}", f"no crew of profile {profile.name} had it", "see `ppi status` for those that run")


def _log_of_casa(area: Area, board: Board, entry: Entry) -> _Log | None:
    """Return CASA's log, where a job lets CASA work, or did so last."""
    step, item = (entry.step, entry.item) if entry.step else (entry.last_step, entry.last_item)
    if board.stage != _PROCESS or not step:
        return None
    observation = EntityId.parse(board.observation)
    try:
        path = log_of_block(area, item, observation) if item else log_of_pipeline(area, observation)
    except Missing:
        return None
    does = f"{step} {item or observation}"
    return _Log(path, f"CASA's log of job {entry.job}, {does}{'' if entry.step else ', which it did last'}")


def _log_of_job(profile: Profile, board: Board, entry: Entry) -> _Log:
    """Return what a job itself said; else what it printed, or what HTCondor did with it."""
    directory = log_directory(profile) / board.crew
    files = [directory / f"{entry.name}{ending}" for ending in LOGS]
    there = [path for path in files if path.is_file() and path.stat().st_size]
    if not there:
        why = f"it has written none in {directory} yet"
        raise Missing(f"a log of job {entry.job}", why, "see `ppi status` for whether it runs")
    does = f"{entry.step} {entry.item}".strip() or entry.state or "nothing"
    return _Log(there[0], f"CASA does not work in job {entry.job} ({board.stage}: {does}); its own log")
