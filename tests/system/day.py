"""A day of two environments in minutes: a simulated archive, and runs that do nothing but say how they went.

The catalogs, the broker and the services that listen at it are real; so is what decides what is asked for, when it
is launched, and what becomes of it. What Prefect and its workers would do is `Runs`.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from sqlalchemy import Engine, create_engine
from sqlmodel import Session, col, select, update

from blocks.profile import Profile
from tasks.alma.access import decide
from tasks.alma.archive import MetadataArchive
from tasks.alma.ids import EntityId
from tasks.alma.tables import METADATA, AsaDeliveryStatus, AsaOus, AsaProductFiles, ObsUnitSetStatus
from tasks.catalog.book import Book, Filed
from tasks.catalog.catalog import Catalog
from tasks.catalog.desk import Chosen, Desk
from tasks.catalog.following import Remark
from tasks.catalog.model import Execution, Record, Stage
from tasks.catalog.request import Change
from tasks.catalog.states import State
from tasks.catalog.tables import ExecutionRow
from tasks.catalog.tasks import database_of
from tasks.errors import Transient
from tasks.messages.service import Service
from tasks.messages.tasks import service_of
from tasks.sweep import RunEnd, Swept, Terms, sweep

__all__ = ["WORKFLOW", "Killed", "Listening", "Observation", "Runs", "Site", "Sky"]

WORKFLOW = "restore-ous"
MINUTE = timedelta(minutes=1)


class Killed(BaseException):
    """As by kill -9: nothing that comes after it is done."""


@dataclass
class Observation:
    """What happens to an observation of the simulated archive, and when, in minutes; None for never."""

    mous: str
    project: str
    arrives: int
    calibrated: int | None
    released: int | None
    by_hand: bool = False
    clawed_back: int | None = None
    given_back: int | None = None
    announced: tuple[int, ...] = ()

    def is_restorable(self, minute: int) -> bool:
        """Whether it may be restored then, as whoever made the archive knows."""
        if self.by_hand or self.arrives > minute:
            return False
        done = self.calibrated is not None and self.calibrated <= minute
        public = self.released is not None and self.released <= minute
        back = self.clawed_back is not None and self.clawed_back <= minute
        return done and public and (not back or (self.given_back is not None and self.given_back <= minute))

    @property
    def name(self) -> str:
        return f"{self.project}_{EntityId(self.mous).file_form}"


class Sky:
    """The observatory, minute by minute."""

    def __init__(self, path: Path, begins: datetime, observations: Collection[Observation]) -> None:
        self.url, self.begins, self.observations = f"sqlite:///{path}", begins, observations
        self._engine: Engine = create_engine(self.url)
        METADATA.create_all(self._engine)

    def at(self, minute: float) -> datetime:
        return self.begins + minute * MINUTE

    def turn(self, minute: int) -> None:
        """Let happen what happens in a minute."""
        with Session(self._engine) as session:
            for each in self.observations:
                if each.arrives == minute:
                    self._arrive(session, each)
                if each.calibrated == minute:
                    for kind in ("calibration", "science", *(["script"] if each.by_hand else [])):
                        session.add(_product(each, kind))
                if each.clawed_back == minute:
                    self._release(session, each, None)
                if each.given_back == minute:
                    self._release(session, each, each.released)
            session.commit()

    def _arrive(self, session: Session, each: Observation) -> None:
        session.add(AsaOus(asa_ous_id=f"o{each.mous}", asa_project_code=each.project, member_ous_uid=each.mous))
        session.add(
            ObsUnitSetStatus(status_entity_id=each.mous, domain_entity_state="Verified", obs_project_id=each.mous)
        )
        release = None if each.released is None else self.at(each.released)
        session.add(AsaDeliveryStatus(delivery_id=each.name, delivery_name=each.name, release_date=release))

    def _release(self, session: Session, each: Observation, minute: int | None) -> None:
        release = None if minute is None else self.at(minute)
        of_it = col(AsaDeliveryStatus.delivery_name) == each.name
        session.exec(update(AsaDeliveryStatus).where(of_it).values(release_date=release))

    def close(self) -> None:
        self._engine.dispose()


def _product(each: Observation, kind: str) -> AsaProductFiles:
    name = {"script": "scriptForPI_Cal.py"}.get(kind, f"{kind}.tgz")
    return AsaProductFiles(
        asa_ous_id=f"o{each.mous}", ngas_file_id=f"member.{each.name}.{name}", file_class=kind, stored_size=1
    )


@dataclass
class Run:
    """A run at the simulated server."""

    id: str
    observation: str
    fate: str
    record: Record | None = None
    ends: datetime | None = None
    end: RunEnd | None = None


@dataclass
class Runs:
    """The Prefect server of an environment with its worker: runs by key, each of which has a fate."""

    profile: str
    archive: MetadataArchive
    catalog: Catalog
    chance: random.Random
    fates: Mapping[str, float]
    bad: Collection[str]
    """Observations whose restore always comes out wrong."""
    runs: dict[str, Run] = field(default_factory=dict)
    most_at_once: int = 0
    is_away: bool = False
    kills: Callable[[], bool] = lambda: False
    """Whether the sweep that launches dies now."""

    def launch(self, request: Filed, key: str) -> str:
        if self.kills():
            raise Killed
        if self.is_away:
            raise Transient("the Prefect server", "it is away", "wait")
        run = self.runs.setdefault(key, Run(str(uuid4()), request.observation, self._fate(request)))
        if self.kills():
            raise Killed
        return run.id

    def ends(self, runs: Collection[str]) -> Mapping[str, RunEnd]:
        if self.is_away:
            raise Transient("the Prefect server", "it is away", "wait")
        known = {run.id: run for run in self.runs.values() if run.fate != "lost"}
        found = {each: known[each].end if each in known else RunEnd.UNKNOWN for each in runs}
        return {each: end for each, end in found.items() if end}

    def is_held(self, observation: str) -> bool:
        return any(run.observation == observation and run.record and not run.end for run in self.runs.values())

    def work(self, now: datetime) -> None:
        """Begin what was launched, and end what is done."""
        for run in [each for each in self.runs.values() if not each.end and each.fate != "lost"]:
            if run.record is None:
                self._begin(run, now)
            elif run.ends and run.ends <= now:
                self._end(run, now)
        at_work = sum(1 for run in self.runs.values() if run.record and not run.end)
        self.most_at_once = max(self.most_at_once, at_work)

    def _begin(self, run: Run, now: datetime) -> None:
        if run.fate == "cancelled":
            run.end = RunEnd.CANCELLED
            return
        execution = Execution(
            flow=WORKFLOW, flow_run=run.id, profile=self.profile, observation=run.observation, account="ppi",
            started=now,
        )  # fmt: skip
        run.record, run.ends = self.catalog.begin(execution), now + self.chance.randint(1, 4) * MINUTE
        stages = (Stage(name="gather", started=now), Stage(name="process", started=now + MINUTE / 2))
        run.record = run.record.model_copy(update={"stages": stages})
        self.catalog.write(run.record)

    def _end(self, run: Run, now: datetime) -> None:
        assert run.record
        if run.fate in ("crashed", "silent"):
            run.end = RunEnd.CRASHED if run.fate == "crashed" else RunEnd.COMPLETED
            return
        state, error = self._outcome(run, now)
        ended = {"state": state, "error": error, "finished": now}
        run.record = run.record.model_copy(update=ended)
        self.catalog.write(run.record, Remark(may_pass=run.fate == "passing"))
        run.end = RunEnd.COMPLETED if state is State.SUCCEEDED else RunEnd.FAILED

    def _outcome(self, run: Run, now: datetime) -> tuple[State, str | None]:
        evidence = self.archive.evidence([EntityId(run.observation)])[run.observation]
        decision = decide(evidence, (), now)
        if not decision.restorable:
            return State.REFUSED, decision.reason
        if run.fate == "passing":
            return State.FAILED, "the archive was busy"
        if run.observation in self.bad:
            return State.FAILED, "the verdict is failed"
        return State.SUCCEEDED, None

    def _fate(self, request: Filed) -> str:
        """Draw what becomes of a run; a last try is spared, since what is unlucky thrice is for people."""
        if request.tries >= 3:
            return "good"
        return self.chance.choices(list(self.fates), list(self.fates.values()))[0]


@dataclass
class Listening:
    """The service that listens and sends for an environment, in a thread; it can be ended at any moment."""

    profile: Profile
    clock: Callable[[], datetime]
    heard: list[Change] = field(default_factory=list)
    _loop: asyncio.AbstractEventLoop | None = None
    _task: asyncio.Task[None] | None = None
    _thread: threading.Thread | None = None

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)))
        self._thread.start()
        assert ready.wait(120)

    def end(self) -> None:
        if self._thread and self._loop and self._task:
            self._loop.call_soon_threadsafe(self._task.cancel)
            self._thread.join(120)
            assert not self._thread.is_alive()
        self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        service: Service = service_of(self.profile, WORKFLOW, self.heard.extend)
        timed = replace(service, intake=replace(service.intake, clock=self.clock))
        self._loop, self._task = asyncio.get_running_loop(), asyncio.create_task(timed.serve())
        ready.set()
        await asyncio.wait([self._task])


@dataclass
class Site:
    """One environment: its catalog, its runs, its ear."""

    profile: Profile
    archive: MetadataArchive
    book: Book
    runs: Runs
    listening: Listening
    terms: Terms
    accounts: list[Swept] = field(default_factory=list)
    deaths: int = 0

    def sweep(self, now: datetime) -> None:
        """Sweep as the flow does; it may be killed, and what it could not reach is tried by the next."""
        try:
            self.accounts.append(sweep(self.archive, self.book, self.terms, now, self.runs, self.runs.is_held))
        except Killed:
            self.deaths += 1
        except Transient as error:
            self.accounts.append(Swept(failures=[str(error)]))

    def requests(self) -> dict[str, Filed]:
        found = Desk(database_of(self.profile), "operator", self.listening.clock).look_up(Chosen())
        assert len({each.observation for each in found}) == len(found)
        return {each.observation: each for each in found}

    def succeeded(self) -> Counter[str]:
        """Return how often each observation was restored."""
        with database_of(self.profile).reading() as connection, Session(connection) as session:
            done = col(ExecutionRow.state) == State.SUCCEEDED
            return Counter(session.exec(select(ExecutionRow.observation).where(done)))
