"""What happens in an environment now, put together from those who know a part of it: area, catalog, crews, pool.

Each of them may be away: what the others say is shown then, and with it that something is missing. The Prefect
server is not asked: a run writes down itself what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from blocks.profile import Profile
from tasks.alma.ids import EntityId
from tasks.catalog.catalog import Wanted
from tasks.catalog.model import Record
from tasks.catalog.states import State as RunState
from tasks.catalog.tasks import catalog_of, database_of
from tasks.cluster.board import Board, boards, read
from tasks.cluster.seen import SeenJob, from_boards, joined
from tasks.cluster.tag import Tag
from tasks.cluster.tasks import CLASS_OF_STAGE, log_directory, pool_of
from tasks.errors import PpiError
from tasks.workspace.layout import Area
from tasks.workspace.status import State, states

__all__ = ["Now", "Observation", "Run", "RunStage", "look"]

A = TypeVar("A")
E = TypeVar("E")
_STAGES: Final = {"restore-ous": ("plan", *CLASS_OF_STAGE)}
"""The stages of each flow, in their order."""
_CLOCKS: Final = timedelta(hours=1)
"""How far the clocks of two hosts may be apart."""
_LOOKS: Final = 5


class RunStage(BaseModel):
    """A stage of a run that is under way.

    Parameters
    ----------
    seconds
        How long it took, or has taken until now; None for one that is to come.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    state: Literal["done", "running", "to come"]
    started: datetime | None = None
    seconds: float | None = None


class Run(BaseModel):
    """A flow run that is under way.

    Parameters
    ----------
    execution
        Its number in the catalog.
    name, flow, flow_run
        What people call it, the flow's name, and Prefect's id.
    observation, project
        What it works on.
    host, account
        Where it runs, and as whom.
    page
        Where browsers see it; None where the profile names no Prefect server.
    """

    model_config = ConfigDict(frozen=True)

    execution: int
    name: str
    flow: str
    flow_run: str | None
    observation: str
    project: str | None
    state: RunState
    started: datetime
    seconds: float
    host: str | None
    account: str | None
    page: str | None
    stages: tuple[RunStage, ...]


class Observation(BaseModel):
    """What the area says of an observation, with the run that works on it now, and its jobs."""

    model_config = ConfigDict(frozen=True)

    state: State
    run: Run | None = None
    jobs: tuple[SeenJob, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return all of it, the keys of its state first."""
        content = self.model_dump(mode="json")
        return {**content.pop("state"), **content}


@dataclass(frozen=True)
class Now:
    """All that is seen at one moment.

    Parameters
    ----------
    unknown
        What could not be asked, and why.
    """

    moment: datetime
    observations: tuple[Observation, ...]
    unknown: tuple[str, ...] = ()


@dataclass
class _Looking:
    """One look at an environment."""

    profile: Profile
    observation: EntityId | None
    moment: datetime = field(default_factory=lambda: datetime.now(UTC))
    unknown: list[str] = field(default_factory=list)

    def states(self) -> list[State]:
        found = states(Area(self.profile.processing.root_directory))
        return [state for state in found if self.observation in (None, state.observation)]

    def runs(self) -> tuple[Run, ...]:
        if not database_of(self.profile).exists:
            return ()
        area = Area(self.profile.processing.root_directory)
        wanted = Wanted(observation=self.observation, states=frozenset({RunState.RUNNING}))
        records = catalog_of(self.profile).look_up(wanted, lambda uid: area.is_held(EntityId.parse(uid)))
        return tuple(_run(self.profile, record, self.moment) for record in records)

    def jobs(self, runs: Iterable[Run]) -> tuple[SeenJob, ...]:
        if self.profile.cluster.kind != "htcondor":
            return ()
        told = self._boards_of(runs)
        which = {"profile": self.profile.name} | ({"observation": self.observation} if self.observation else {})
        queue = self.asked(lambda: pool_of(self.profile).queue(Tag.constraint(**which)), None)
        if queue is None:
            return from_boards(told)
        others = {job.tag.crew for job in queue if job.tag} - {board.crew for board in told}
        return joined(queue, (*told, *self._boards(others)), self.moment)

    def _boards_of(self, runs: Iterable[Run]) -> tuple[Board, ...]:
        """Read what the crews of these runs say."""
        begun = {run.flow_run: run.started for run in runs}
        if not begun:
            return ()
        told = boards(log_directory(self.profile), min(begun.values()) - _CLOCKS)
        self.unknown.extend(told.unread)
        return tuple(board for board in told.found if board.flow_run in begun)

    def _boards(self, crews: Iterable[str]) -> Iterator[Board]:
        """Read what crews say whose run is not under way, or not known."""
        for crew in sorted(crew for crew in crews if Path(crew).parts == (crew,) and crew != ".."):
            with suppress(FileNotFoundError):
                board = self.asked(partial(read, log_directory(self.profile) / crew), None)
                yield from (board,) if board else ()

    def asked(self, question: Callable[[], A], else_: E) -> A | E:
        """Ask one of those who know something; that it is away is noted."""
        try:
            return question()
        except PpiError as error:
            self.unknown.append(str(error))
            return else_


def look(profile: Profile, observation: EntityId | None = None) -> Now:
    """Look at what is going on; things may move while one looks.

    Parameters
    ----------
    observation
        Only at this one.

    Raises
    ------
    Failed
        A record in the area cannot be read.
    """
    for _ in range(_LOOKS - 1):
        try:
            return _look(profile, observation)
        except FileNotFoundError:
            continue
    return _look(profile, observation)


def _look(profile: Profile, observation: EntityId | None) -> Now:
    looking = _Looking(profile, observation)
    runs: tuple[Run, ...] = looking.asked(looking.runs, ())
    jobs = looking.jobs(runs)
    found = [Observation(state=state) for state in looking.states()]
    for run in runs:
        _add(found, run.observation, run.project, run=run, jobs=tuple(job for job in jobs if _is_of(run, job)))
    for uid, project in {(job.observation, job.project): None for job in jobs if not _known(runs, job)}:
        rest = tuple(job for job in jobs if job.observation == uid and not _known(runs, job))
        _add(found, uid, project, jobs=rest)
    return Now(looking.moment, tuple(found), tuple(looking.unknown))


def _add(found: list[Observation], uid: str, project: str | None, **more: Any) -> None:
    """Add what is known of an observation to what the area says of it, of several attempts to the newest."""
    attempts = [(index, seen.state) for index, seen in enumerate(found) if not seen.state.is_delivered]
    if mine := [index for index, state in attempts if state.observation == uid]:
        seen = found[mine[-1]]
        joint = {**more, "jobs": (*seen.jobs, *more["jobs"])}
        found[mine[-1]] = seen.model_copy(update=joint)
    else:
        state = State(observation=uid, project=project or "", state="running" if "run" in more else "interrupted")
        found.insert(0, Observation(state=state, **more))


def _is_of(run: Run, job: SeenJob) -> bool:
    return job.flow_run == run.flow_run


def _known(runs: Iterable[Run], job: SeenJob) -> bool:
    return any(_is_of(run, job) for run in runs)


def _run(profile: Profile, record: Record, now: datetime) -> Run:
    return Run(
        execution=record.id,
        name=f"{record.flow} {EntityId.parse(record.observation).short}",
        page=_page(profile, record.flow_run),
        seconds=_seconds(record.started, now),
        stages=tuple(_stages(record, now)),
        **record.model_dump(include=_TAKEN),
    )


_TAKEN: Final = set(Run.model_fields) & set(Record.model_fields) - {"stages"}


def _page(profile: Profile, flow_run: str | None) -> str | None:
    pages = profile.prefect.pages
    return f"{pages}/runs/flow-run/{flow_run}" if pages and flow_run else None


def _stages(record: Record, now: datetime) -> Iterable[RunStage]:
    for stage in record.stages:
        done = stage.wall_seconds is not None
        until_now = _seconds(stage.started, now) if stage.started else None
        yield RunStage(
            name=stage.name,
            state="done" if done else "running",
            started=stage.started,
            seconds=stage.wall_seconds if done else until_now,
        )
    begun = {stage.name for stage in record.stages}
    yield from (RunStage(name=name, state="to come") for name in _STAGES.get(record.flow, ()) if name not in begun)


def _seconds(begun: datetime, now: datetime) -> float:
    return max(0.0, (now - begun).total_seconds())
