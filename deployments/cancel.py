"""Ending one run, wherever it runs: the server is told where there is one, its process where that is on this host.

A worker ends what it started, and every run watches its own state on the server (`flows._cancel`), so that telling
the server suffices. A process on this host is interrupted as Ctrl-C would, which takes no look at any server.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from prefect.client.schemas.objects import FlowRun, StateType

from blocks.profile import Profile
from deployments.prefect_client import client_of
from deployments.processes import owner_of
from deployments.reconcile import running
from deployments.runs import Runs
from flows._events import tell
from tasks import kin
from tasks.alma.ids import EntityId
from tasks.catalog.model import Record
from tasks.catalog.tasks import catalog_of
from tasks.cluster.tag import Owner, Tag
from tasks.cluster.tasks import pool_of
from tasks.errors import Missing, PpiError, Refused, Transient

__all__ = ["Cancelling", "Target", "cancelling", "cancelling_all"]

_LOOK_SECONDS: Final = 0.5
_LONGEST_SECONDS: Final = 90.0


@dataclass(frozen=True)
class Target:
    """A run that is to end.

    Parameters
    ----------
    name
        What it is called, or what it does.
    run
        Its id on the Prefect server, if it is known there.
    record
        Its execution, if the catalog has it.
    of_worker
        Whether a worker started it, which then ends it.
    """

    name: str
    run: UUID | None
    record: Record | None = None
    of_worker: bool = False

    @property
    def owner(self) -> Owner | None:
        """Its process, as far as it is known."""
        return owner_of(self.record) if self.record else None

    @property
    def is_here(self) -> bool:
        """Whether its process can be seen from here."""
        return bool(self.owner and self.owner.machine == kin.machine())


class Cancelling:
    """The end of a run, from telling it until it is gone.

    Parameters
    ----------
    runs
        The runs on the profile's server; None where it names none.
    """

    def __init__(self, profile: Profile, target: Target, runs: Runs | None) -> None:
        self.target, self._profile, self._runs = target, profile, runs

    def tell(self) -> tuple[str, ...]:
        """Tell whoever can end the run; return who was told.

        Raises
        ------
        Refused
            Nobody can be told from here.
        """
        told = (*self._tell_server(), *self._tell_process())
        if not told:
            record = self.target.record
            where = record.host if record else "another host"
            why, todo = (
                f"it runs on {where}, and its profile has no Prefect server",
                f"run this command on {where}",
            )
            raise Refused(self.target.name, why, todo)
        return told

    def wait(self) -> None:
        """Wait until nothing is left of the run: neither its process nor a job of it.

        Raises
        ------
        Transient
            That takes too long.
        """
        ends = time.monotonic() + _LONGEST_SECONDS
        while not (self._is_over() and self._is_out_of_queue()):
            if time.monotonic() > ends:
                why = f"it has not ended within {_LONGEST_SECONDS:.0f} s"
                raise Transient(self.target.name, why, f"ppi reconcile -P {self._profile.name}")
            time.sleep(_LOOK_SECONDS)
        self._settle()

    def _tell_server(self) -> tuple[str, ...]:
        if not (self._runs and self.target.run):
            return ()
        self._runs.cancel(self.target.run)
        return (f"the Prefect server {self._profile.prefect.api_url}",)

    def _tell_process(self) -> tuple[str, ...]:
        owner = self.target.owner
        if self.target.of_worker or not (owner and self.target.is_here):
            return ()
        try:
            _interrupt(owner)
        except PermissionError as error:
            if self._runs and self.target.run:
                return ()
            todo = f"run this command as {self.target.record.account}" if self.target.record else ""
            raise Refused(self.target.name, f"{owner} is another account's", todo) from error
        return (str(owner),)

    def _is_over(self) -> bool:
        owner, run = self.target.owner, self.target.run
        if owner and self.target.is_here:
            return owner.is_gone
        return bool(self._runs and run and self._runs.has_ended(str(run)))

    def _settle(self) -> None:
        """Say what the run did not come to say, as when it was killed before."""
        run, record = self.target.run, self.target.record
        if self._runs and run:
            for each in (*(stage.id for stage in self._runs.stages([run])), run):
                self._runs.settle(each, StateType.CANCELLED, "It was cancelled")
        if record:
            catalog = catalog_of(self._profile, tell=partial(tell, profile=self._profile))
            catalog.interrupt(record.id, cancelled=True)

    def _is_out_of_queue(self) -> bool:
        """Take out what is left of its jobs; a run takes its own out first, as it ends."""
        if self._profile.cluster.kind != "htcondor" or not self.target.run:
            return True
        jobs, pool = (
            Tag.constraint(profile=self._profile.name, flow_run=str(self.target.run)),
            pool_of(self._profile),
        )
        pool.remove(jobs, "its flow was cancelled")
        return not pool.queue(jobs)


@contextmanager
def cancelling(profile: Profile, named: str) -> Iterator[Cancelling]:
    """Find the run that is to end.

    Parameters
    ----------
    named
        The id or the name of a run, or the MOUS that it works on.

    Raises
    ------
    Missing
        No such run is under way, or waits.
    Refused
        There is more than one.
    Transient
        The catalog or the Prefect server does not answer.
    """
    with _runs(profile) as runs:
        yield Cancelling(profile, _found(profile, named, runs), runs)


@contextmanager
def cancelling_all(profile: Profile, flow_runs: Collection[str]) -> Iterator[tuple[Cancelling, ...]]:
    """Find those of some runs, by their ids, that are under way or wait.

    Raises
    ------
    Transient
        The catalog or the Prefect server does not answer.
    """
    with _runs(profile) as runs:
        found = [target for target, (name, *_) in _targets(profile, runs) if name in flow_runs]
        yield tuple(Cancelling(profile, target, runs) for target in found)


@contextmanager
def _runs(profile: Profile) -> Iterator[Runs | None]:
    with ExitStack() as stack:
        yield Runs(stack.enter_context(client_of(profile)), profile) if profile.prefect.api_url else None


def _found(profile: Profile, named: str, runs: Runs | None) -> Target:
    wanted = _plain(named)
    targets = [target for target, names in _targets(profile, runs) if wanted in names]
    if not targets:
        todo = "see `ppi status`, and `ppi history --state running`"
        raise Missing(f"run {named} in profile {profile.name}", "nothing of that name runs, or waits to", todo)
    if len(targets) > 1:
        ids = ", ".join(str(target.run or target.name) for target in targets)
        raise Refused(
            f"{named} in profile {profile.name}", f"{len(targets)} runs are called so", f"name one: {ids}"
        )
    return targets[0]


def _targets(profile: Profile, runs: Runs | None) -> Iterator[tuple[Target, tuple[str, ...]]]:
    """Yield all that may be cancelled, each with the names by which people know it."""
    records = {record.flow_run: record for record in running(profile)}
    for run in runs.unended() if runs else ():
        record = records.pop(str(run.id), None)
        mous = record.observation if record else _mous(run)
        yield (
            Target(run.name, run.id, record, of_worker=run.deployment_id is not None),
            (str(run.id), run.name, mous),
        )
    for record in records.values():
        owner = owner_of(record)
        if not (owner and owner.is_gone):
            name = f"{record.flow} {record.observation}"
            yield Target(name, None, record), (record.flow_run or name, record.observation)


def _mous(run: FlowRun) -> str:
    return _plain(str(run.parameters.get("mous", "of no observation")))


def _plain(named: str) -> str:
    try:
        return str(EntityId.parse(named))
    except PpiError:
        return named


def _interrupt(owner: Owner) -> None:
    """Send what Ctrl-C sends, to that process and to no other that has its number by now."""
    try:
        process = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        return
    try:
        if not owner.is_gone:
            signal.pidfd_send_signal(process, signal.SIGINT)
    finally:
        os.close(process)
