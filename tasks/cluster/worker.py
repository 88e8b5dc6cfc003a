"""The program that a job runs: one Dask worker, which does one piece of work at a time and knows no Prefect.

It ends when the flow that it works for is gone, when HTCondor asks it to, and when its time is over. Before it
does so, whatever it works on is given up in order: children end, leases are let go, and transfers stop.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final

import dask
from distributed import Worker, get_worker
from distributed.core import Status
from distributed.security import Security

from tasks.abandon import abandon_others
from tasks.casa.launch import end_children
from tasks.cluster.fate import OVERTIME
from tasks.cluster.measure import Taken, measured
from tasks.cluster.relay import Relay
from tasks.progress import following

__all__ = ["TOPIC", "Done", "Untold", "do", "main"]

TOPIC: Final = "ppi"
"""Under which a worker tells of its progress."""
_CONFIG: Final = {
    "distributed.admin.tick.limit": "1h",
    "distributed.comm.timeouts.connect": "30s",
    "distributed.worker.http.routes": [],
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.terminate": False,
}
"""HTCondor watches over the whole job's memory, so that Dask need not watch over the worker's."""
_UNWIND_SECONDS: Final = 5.0
_LOOK_SECONDS: Final = 0.5
_WORKING: Final = (Status.running, Status.paused)

Done = tuple[Any, Taken]
"""What a piece of work came to, and what it took."""


class Untold:
    """A call that shows nothing of its arguments: Dask writes down those of work that fails.

    Parameters
    ----------
    function, args, kwargs
        What is called.
    """

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._function, self._args, self._kwargs = function, args, kwargs

    def __call__(self) -> Any:
        """Call it."""
        return self._function(*self._args, **self._kwargs)

    def __repr__(self) -> str:
        return f"<{getattr(self._function, '__name__', 'a call')}>"


def do(call: Untold) -> Done:
    """Do a piece of work on the worker that calls this, and tell of its progress meanwhile."""
    worker = get_worker()
    try:
        with (
            Relay(lambda events: worker.log_event(TOPIC, events)) as relay,
            following(relay),
            _busy(),
            measured() as taken,
        ):
            done = call()
    except BaseException:
        if _ends.is_set():
            threading.Event().wait()  # that it was given up here is no outcome: it is done again elsewhere
        raise
    return done, taken


_at_work = threading.Lock()
_ends = threading.Event()


@contextmanager
def _busy() -> Iterator[None]:
    with _at_work:
        yield


def main(arguments: list[str]) -> None:
    """Work until the scheduler is gone, the time is over, or a signal comes; it does not come back."""
    given = _parsed(arguments)
    logging.getLogger("distributed").setLevel(logging.WARNING)  # below, it logs arguments that it cannot unpickle
    security = Security(
        tls_ca_file=given.tls_ca_file,
        tls_worker_cert=given.tls_cert,
        tls_worker_key=given.tls_key,
        require_encryption=True,
    )
    with dask.config.set(_CONFIG):
        asyncio.run(_work(given, security))


async def _work(given: argparse.Namespace, security: Security) -> None:
    signalled = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    worker = await Worker(
        given.scheduler,
        name=given.name,
        nthreads=given.nthreads,
        memory_limit=0,
        security=security,
        interface=given.interface,
        protocol=given.protocol,
        death_timeout=given.death_timeout,
        local_directory=given.local_directory,
        dashboard=False,
        dashboard_address="127.0.0.1:0",
    )
    status = await _end_of(worker, signalled, given.lifetime)
    await asyncio.to_thread(_let_go)
    with suppress(TimeoutError):
        await asyncio.wait_for(worker.close(executor_wait=False, reason="the job ends"), _UNWIND_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what cannot be ended, such as a thread that waits for a disk, must not keep the node


async def _end_of(worker: Worker, signalled: asyncio.Event, lifetime: float | None) -> int:
    """Wait until the worker is to end, and return its exit code; nobody is told while work is at hand."""
    ends = time.monotonic() + lifetime if lifetime else math.inf
    while worker.status in _WORKING and not signalled.is_set() and time.monotonic() < ends:
        with suppress(TimeoutError):
            await asyncio.wait_for(signalled.wait(), _LOOK_SECONDS)
    return OVERTIME if time.monotonic() >= ends else 0


def _let_go() -> None:
    """Give up what is at work, and wait until it has let go of all that it held."""
    _ends.set()
    abandon_others()
    ends = time.monotonic() + _UNWIND_SECONDS
    while time.monotonic() < ends:
        end_children()
        if _at_work.acquire(timeout=0.1):
            _at_work.release()
            return


def _parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tasks.cluster.worker", description=__doc__)
    parser.add_argument("scheduler")
    for name in ("name", "tls-ca-file", "tls-cert", "tls-key", "protocol", "local-directory"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--interface")
    parser.add_argument("--memory-limit", help="HTCondor's matter; dask-jobqueue says it all the same")
    parser.add_argument("--nthreads", type=int, default=1)
    parser.add_argument("--death-timeout", type=float, default=60.0)
    parser.add_argument("--lifetime", type=float)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    from tasks.cluster import worker  # with the `do` that the flow calls, which shares nothing with this copy

    worker.main(sys.argv[1:])
