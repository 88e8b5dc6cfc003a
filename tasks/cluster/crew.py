"""The workers of one stage: jobs of the pool, as many as there is work, which end with it, however it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

from distributed import Future

from tasks import disk
from tasks.abandon import Abandoned, on_abandon
from tasks.cluster.board import JobRow
from tasks.cluster.budget import Budget
from tasks.cluster.description import Site
from tasks.cluster.dispatcher import Dispatcher
from tasks.cluster.measure import Taken
from tasks.cluster.member import Ticket
from tasks.cluster.orphans import KEYS, sign
from tasks.cluster.pool import Pool
from tasks.cluster.tag import Tag
from tasks.cluster.watch import Terms
from tasks.cluster.worker import Done
from tasks.errors import PpiError
from tasks.usage import Usage, Work, report

__all__ = ["Crew", "at_work"]

P = ParamSpec("P")
R = TypeVar("R")
_KEEPER: Final = Path(__file__).with_name("_keeper.py")
_KEEPER_SECONDS: Final = 3600.0
_END_SECONDS: Final = 5.0
"""How long the pool may take to remove the jobs at the end; then that is left to the keeper."""
_BRING_SECONDS: Final = 60.0
"""How long a result may take from a worker that says that it has it."""


class Crew:
    """A place where work is done by jobs; see `tasks.place.Place`.

    Parameters
    ----------
    dispatcher
        Who has jobs submitted, and gives them work.
    memory
        Says how many bytes a piece of work is likely to take; None where nobody knows.
    """

    def __init__(self, dispatcher: Dispatcher, memory: Callable[[Work], int | None]) -> None:
        self._dispatcher, self._memory = dispatcher, memory

    def run(self, work: Work, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Have a job do a piece of work, and another one if that is lost.

        Raises
        ------
        PpiError
            What the function raises on its worker.
        Exhausted
            It was lost too often, or the pool stays away.
        Failed
            It is out of memory at its class's limit, or out of time.
        """
        resources = self._dispatcher.terms.resources
        budget = Budget(work, resources, self._memory(work) or resources.memory)
        ticket = Ticket(work, (function, args, kwargs), budget)
        self._dispatcher.ask(ticket)
        usage = None
        try:
            with on_abandon(lambda: ticket.mail.put(Abandoned())):
                done, taken = self._brought(ticket)
            usage = _usage(ticket, taken)
            report(usage)
        finally:
            self._dispatcher.settle(ticket, usage)
        return done  # type: ignore[no-any-return]

    def rows(self) -> tuple[JobRow, ...]:
        """Return what became of every job so far."""
        return self._dispatcher.rows()

    def _brought(self, ticket: Ticket) -> Done:
        """Wait for the result; one whose worker dies with it is made again."""
        while True:
            told = ticket.mail.get()
            if isinstance(told, Exception):
                raise told
            with suppress(TimeoutError, OSError):
                return _result(told)
            self._dispatcher.lost(ticket, told)


def _usage(ticket: Ticket, taken: Taken) -> Usage:
    member = ticket.member
    return Usage(
        ticket.work,
        taken.wall_seconds,
        taken.cpu_seconds,
        taken.peak_memory,
        member.memory if member else None,
        member.host if member else "",
        ticket.budget.attempts,
    )


def _result(future: Future[Any]) -> Done:
    """Return what a worker has made.

    Raises
    ------
    TimeoutError, OSError
        The worker that has it does not answer.
    """
    from distributed.client import FutureCancelledError

    try:
        done: Done = future.result(timeout=_BRING_SECONDS)
    except FutureCancelledError as error:
        raise TimeoutError from error
    return done


@contextmanager
def at_work(
    pool: Pool, site: Site, tag: Tag, terms: Terms, memory: Callable[[Work], int | None]
) -> Iterator[Crew]:
    """Have a crew while the block runs; none of its jobs is left when it ends, or when this process does.

    Raises
    ------
    Missing
        HTCondor's programs are not on this host.
    Transient
        Its directory cannot be made.
    """
    constraint = Tag.constraint(crew=tag.crew)
    programs, keys = (pool.program("condor_rm"), pool.program("condor_q")), site.directory / KEYS
    site.directory.mkdir(mode=0o700, parents=True)
    sign(site.directory, tag.owner)
    with _kept(pool, *programs, constraint, str(keys)) as dismissed:
        try:
            dispatcher = Dispatcher(pool, site, tag, terms)
            dispatcher.start()
            try:
                yield Crew(dispatcher, memory)
            finally:
                if dispatcher.stop() and _are_removed(pool, constraint, terms, f"the stage {tag.stage} has ended"):
                    dismissed()
                dispatcher.close()
        finally:
            disk.remove(keys)


def _are_removed(pool: Pool, constraint: str, terms: Terms, why: str) -> bool:
    """Take the jobs out of the queue; return whether the pool did so at once."""
    try:
        replace(pool, seconds=_END_SECONDS).remove(constraint, why)
    except PpiError as error:
        terms.say(f"The jobs are removed as soon as the pool answers: {error}")
        return False
    return True


@contextmanager
def _kept(pool: Pool, *arguments: str) -> Iterator[Callable[[], None]]:
    """Have the jobs removed when this process is gone; yields what is to be called once they are."""
    reading, writing = os.pipe()
    keeper = subprocess.Popen(
        [sys.executable, "-I", "-S", str(_KEEPER), f"{_KEEPER_SECONDS:.0f}", *arguments],
        env=pool.environment,
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)
    dismissed = False

    def dismiss() -> None:
        nonlocal dismissed
        with suppress(BrokenPipeError):  # somebody has ended it
            os.write(writing, b".")
        dismissed = True

    try:
        yield dismiss
    finally:
        os.close(writing)
        if dismissed:
            keeper.wait()
        else:
            threading.Thread(target=keeper.wait, name="keeper", daemon=True).start()  # it has to wait for the pool
