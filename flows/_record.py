"""Recording in the environment's catalog what every run of a flow came to, be it good or bad."""

from __future__ import annotations

import importlib.metadata
import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from prefect import get_run_logger
from prefect.context import FlowRunContext
from prefect.runtime import flow_run

from blocks.profile import Profile
from flows._cancel import is_cancelled
from flows._events import tell
from flows._failure import show_failure
from tasks.account import account
from tasks.alma.ids import EntityId
from tasks.catalog import measured
from tasks.catalog.following import Remark
from tasks.catalog.model import Execution, Stage
from tasks.catalog.states import State, state_after
from tasks.catalog.tasks import catalog_of
from tasks.cluster.tag import own
from tasks.errors import Failed, PpiError, Transient
from tasks.restore.deliver import Delivered
from tasks.restore.plan import Plan
from tasks.sweep.model import is_key_of
from tasks.usage import Usage, collecting
from tasks.workspace.layout import Tree
from tasks.workspace.provenance import Clock, Input, StageTime

_PATIENCE_SECONDS, _PAUSE_SECONDS = 60, 3
"""How long a finished run waits for a catalog that is away."""
_OF_THE_SERVER = ("httpx", "prefect")

_log = logging.getLogger("ppi.catalog")


class Recording:
    """One run, as it is written down; its stages are timed on the way.

    A catalog that goes away in the middle of a run does not end it: what could not be written then is written at
    the run's end.

    Parameters
    ----------
    collected
        What pieces of work took, as far as it was reported; it grows while the run goes on.
    """

    def __init__(self, profile: Profile, flow: str, observation: EntityId, collected: Sequence[Usage]) -> None:
        self._catalog, self._collected = catalog_of(profile, tell=partial(tell, profile=profile)), collected
        self._clock = Clock()
        self._tree: Tree | None = None
        self._inputs: tuple[Input, ...] = ()
        self._taken_over: frozenset[str] = frozenset()
        self._remark = Remark()
        execution = _execution(profile, flow, observation, self._clock.started)
        self._record = self._catalog.begin(execution, by_sweep=_is_launched(execution))

    @property
    def started(self) -> datetime:
        """When the run began."""
        return self._clock.started

    @property
    def tree(self) -> Tree | None:
        """Where the run works, once it does."""
        return self._tree

    @property
    def times(self) -> tuple[StageTime, ...]:
        """The stages that have ended well, and their times."""
        return self._clock.times

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage."""
        stages = self._record.stages
        self._note(stages=(*stages, Stage(name=name, started=datetime.now(UTC))))
        self._write_if_possible()
        begun = self._record.stages[-1]
        with self._clock.stage(name):
            yield
        self._note(stages=(*stages, begun.model_copy(update={"wall_seconds": self._clock.times[-1].seconds})))

    def planned(self, plan: Plan, there: Delivered | None) -> None:
        """Note what the run is about to do.

        Parameters
        ----------
        there
            The delivery that is there already; if it is in no record, because its run was killed, it is now.
        """
        if there:
            self._catalog.deliver_late(measured.late(there.path, there.provenance, self._record.flow))
        self._note(
            project=plan.observation.project_code,
            procedure=plan.procedure.title,
            key=plan.key,
            casa_version=plan.casa.version,
            calibrated_with=plan.calibrated_with,
            executor=plan.casa.executor,
            recipe=plan.recipe,
        )

    def working(self, tree: Tree) -> None:
        """Note where the run works, and what an earlier one has finished there."""
        self._tree, self._taken_over = tree, measured.finished_blocks(tree)
        self._remark = Remark(directory=str(tree.mous))

    def gathered(self, inputs: tuple[Input, ...]) -> None:
        """Note what was fetched."""
        self._inputs = inputs
        self._note(bytes_fetched=measured.bytes_fetched(inputs))

    def found(self, done: Delivered) -> Delivered:
        """Note that nothing is to be done, because the delivery is there."""
        provenance = done.provenance
        self._note(
            state=State.UNCHANGED,
            verdict=provenance.verdict.outcome.value,
            reasons=provenance.verdict.reasons,
            delivery=str(done.path),
            report=str(done.report),
        )
        return done

    def delivered(self, done: Delivered) -> Delivered:
        """Note what the run has delivered."""
        provenance = done.provenance
        steps = measured.steps_of(provenance.inputs, provenance.blocks, self._taken_over)
        self._note(**measured.made_by(done.path, provenance), steps=steps)
        return done

    def end(self) -> None:
        """Write down a run that came to its end.

        Raises
        ------
        Transient
            The catalog stays away. Nothing is lost: the next run finds the delivery, and records it.
        """
        self._note(finished=datetime.now(UTC))
        try:
            self._write(_PATIENCE_SECONDS)
        except PpiError as error:
            what = f"{self._record.observation} is delivered in {self._record.delivery}, but that is not recorded"
            raise Transient(what, str(error), "run the same command again, which records it") from error

    def fail(self, error: BaseException) -> None:
        """Write down how a run failed; that the catalog is away hides no other error."""
        state = state_after(error)
        reasons = error.reasons if isinstance(error, Failed) else ()
        verdict = "failed" if isinstance(error, Failed) else None
        self._note(state=state, error=_said(error), verdict=verdict, reasons=reasons, finished=datetime.now(UTC))
        cancelled = state is State.INTERRUPTED and is_cancelled()
        self._remark = replace(self._remark, may_pass=_may_pass(error), cancelled=cancelled)
        try:
            self._note(steps=self._steps_left())
            self._write(0 if state is State.INTERRUPTED else _PATIENCE_SECONDS)
        except PpiError as unwritten:
            _warn(f"execution {self._record.id} is not recorded: {unwritten}")

    def _steps_left(self) -> tuple[Any, ...]:
        left = measured.steps_left(self._tree, self.started, self._taken_over) if self._tree else ()
        return (*measured.steps_of(self._inputs, ()), *left)

    def _note(self, **known: Any) -> None:
        self._record = self._record.model_copy(update=known)

    def _write_if_possible(self) -> None:
        try:
            self._write(0)
        except Transient as error:
            _warn(f"execution {self._record.id} is recorded later: {error}")

    def _write(self, patience: float) -> None:
        self._note(pieces=measured.pieces_of(tuple(self._collected), self._taken_over))
        ends = time.monotonic() + patience
        while True:
            try:
                return self._catalog.write(self._record, self._remark)
            except Transient:
                if time.monotonic() > ends:
                    raise
                time.sleep(_PAUSE_SECONDS)


@contextmanager
def recorded(profile: Profile, flow: str, observation: EntityId) -> Iterator[Recording]:
    """Record a run of a flow in the profile's catalog, with what its work takes; its observation is held.

    Raises
    ------
    Transient
        The catalog cannot be reached, before anything is done; or at the end, when all is delivered.
    Refused, Missing
        The catalog cannot be used.
    """
    with collecting() as collected:
        recording = Recording(profile, flow, observation, collected)
        try:
            yield recording
        except BaseException as error:
            recording.fail(error)
            show_failure(profile, observation, error, recording.tree, recording.started)
            raise
        recording.end()


@contextmanager
def refusals_recorded(profile: Profile, flow: str, observation: EntityId) -> Iterator[None]:
    """Record that a run was refused before there was one, in the catalog, which must be there for it.

    Raises
    ------
    Transient, Refused, Missing
        The catalog cannot be used.
    """
    catalog, started = catalog_of(profile), datetime.now(UTC)
    try:
        yield
    except PpiError as error:
        ended = {"state": state_after(error), "error": str(error), "finished": datetime.now(UTC)}
        try:
            catalog.add(_execution(profile, flow, observation, started).model_copy(update=ended))
        except PpiError as unwritten:
            _warn(f"the refusal is not recorded: {unwritten}")
        raise


def _execution(profile: Profile, flow: str, observation: EntityId, started: datetime) -> Execution:
    return Execution(
        flow_run=flow_run.id,
        flow=flow,
        profile=profile.name,
        observation=str(observation),
        host=os.uname().nodename,
        account=account(),
        owner=own(os.uname().nodename, os.getpid()).text,
        ppi_version=importlib.metadata.version("ppi"),
        started=started,
    )


def _is_launched(execution: Execution) -> bool:
    """Tell whether a sweep has launched the flow's run, by its key."""
    context = FlowRunContext.get()
    key = context.flow_run.idempotency_key if context and context.flow_run else None
    return is_key_of(key, execution.profile, execution.flow, execution.observation)


def _warn(text: str) -> None:
    logger = get_run_logger() if flow_run.id else _log
    logger.warning(text)


def _may_pass(error: BaseException) -> bool:
    """Tell whether what a run failed of may be over in some time, as when a service or the Prefect server is."""
    return isinstance(error, Transient) or type(error).__module__.partition(".")[0] in _OF_THE_SERVER


def _said(error: BaseException) -> str:
    if isinstance(error, PpiError):
        return str(error)
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return words if isinstance(error, Exception) else f"stopped from outside ({words})"
