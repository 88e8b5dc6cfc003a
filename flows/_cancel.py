"""Ending a run that was cancelled on its Prefect server, wherever it runs and whoever started it.

A worker ends the runs that it started; nobody else looks after a run that a command started. So each run asks for
its own state, in a thread of its own, and interrupts itself as Ctrl-C would. Nothing of it costs the run anything:
a server that does not answer is asked again later, and nothing is waited for at the end.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar, copy_context
from typing import Final
from uuid import UUID

import httpx
from prefect import get_run_logger
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled

__all__ = ["cancellable", "is_cancelled"]

_SECONDS: Final = 3.0
"""How often it is asked: 10 ms of the server's time each."""
_LONGEST_SECONDS: Final = 60.0
_ANSWER_SECONDS: Final = 5.0
_WORKERS_TURN_SECONDS: Final = 30.0
"""How long a worker is given to end a run of its own, which it knows best how to."""
_OF_A_WORKER: Final = "PREFECT__FLOW_RUN_ID"
_CANCELLED: Final = (StateType.CANCELLING, StateType.CANCELLED)
_watching: ContextVar[_Watch | None] = ContextVar("watching", default=None)


@contextmanager
def cancellable() -> Iterator[None]:
    """Let the flow's run be cancelled while the block lasts; it and its stages are then Cancelled on the server.

    A run that is not in its process's main thread cannot be interrupted: that it goes on is told in its log.

    Raises
    ------
    Abort
        The run was cancelled: its state is set, so that Prefect leaves it alone.
    """
    if not flow_run.id or not PREFECT_API_URL.value():  # a private server: nobody else knows of the run
        yield
        return
    watch = _Watch(UUID(flow_run.id))
    token = _watching.set(watch)
    watch.start()
    try:
        yield
        watch.end()
    except BaseException as error:
        if watch.end() or (isinstance(error, KeyboardInterrupt) and watch.finds_it_cancelled()):
            watch.settle()
            raise Abort(f"flow run {watch.run} was cancelled") from error
        raise
    finally:
        _watching.reset(token)


def is_cancelled() -> bool:
    """Tell whether it is because of its cancellation that the flow's run is being interrupted, by whomever."""
    watch = _watching.get()
    return watch is not None and (watch.end() or watch.finds_it_cancelled())


class _Watch:
    """Asks for the state of a run until it is over, and interrupts it when it was cancelled."""

    def __init__(self, run: UUID) -> None:
        self.run = run
        self._is_main = threading.current_thread() is threading.main_thread()
        self._over, self._guard, self._interrupted = threading.Event(), threading.Lock(), False

    def start(self) -> None:
        context = copy_context()
        threading.Thread(target=context.run, args=(self._watch,), name="cancellation", daemon=True).start()

    def end(self) -> bool:
        """Interrupt no more; tell whether that was done."""
        self._over.set()
        with self._guard:
            return self._interrupted

    def finds_it_cancelled(self) -> bool:
        """Ask once; a server that does not answer says nothing."""
        with suppress(Exception), _impatient() as client:
            return _is_cancelled(client, self.run)
        return False

    def settle(self) -> None:
        """Tell the server that the run and those of its stages that are not done were cancelled."""
        cancelled: State[None] = Cancelled(message="It was cancelled; run it again and it goes on where it was.")
        with suppress(httpx.HTTPError), _impatient() as client:
            for each in _with_stages(client, self.run):
                if each.state_type is not StateType.COMPLETED:
                    client.set_flow_run_state(each.id, cancelled, force=True)

    def _watch(self) -> None:
        if not self._over.wait(_SECONDS):  # a short run makes no client
            with _impatient() as client:
                self._ask(client)

    def _ask(self, client: SyncPrefectClient) -> None:
        pause = 0.0
        while not self._over.wait(pause):
            try:
                if _is_cancelled(client, self.run):
                    return self._cancel()
                pause = _SECONDS
            except Exception:  # noqa: BLE001 - whatever is the matter with the server, the run goes on
                pause = min(max(_SECONDS, 2 * pause), _LONGEST_SECONDS)
        return None

    def _cancel(self) -> None:
        if not self._is_main:
            get_run_logger().warning("Cancelled, but it goes on: it is not in its process's main thread.")
            return
        self._over.wait(_WORKERS_TURN_SECONDS if _OF_A_WORKER in os.environ else 0.0)
        with self._guard:
            if not self._over.is_set():
                self._interrupted = True
                signal.pthread_kill(threading.main_thread().ident or 0, _interrupting())


def _interrupting() -> signal.Signals:
    """Return the signal that Python makes an exception of; a process in the background may ignore Ctrl-C."""
    return signal.SIGINT if callable(signal.getsignal(signal.SIGINT)) else signal.SIGTERM


@contextmanager
def _impatient() -> Iterator[SyncPrefectClient]:
    with (
        temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}),
        get_client(httpx_settings={"timeout": _ANSWER_SECONDS}, sync_client=True) as client,
    ):
        yield client


def _is_cancelled(client: SyncPrefectClient, run: UUID) -> bool:
    """Tell whether a run or a stage of it was cancelled."""
    return any(each.state_type in _CANCELLED for each in _with_stages(client, run))


def _with_stages(client: SyncPrefectClient, run: UUID) -> list[FlowRun]:
    either = {"operator": "or_", "id": {"any_": [run]}, "parent_flow_run_id": {"any_": [run]}}
    return client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(either))
