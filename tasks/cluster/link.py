"""The flow's end of the line to its workers: a Dask scheduler in the flow's own process, with keys of its own.

Who has the key may send pickles to the flow and to its workers, so each crew has a new one, in files that only our
account reads, for as long as the crew lives.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import dask
from distributed import Client, Future, Scheduler, SpecCluster
from distributed.diagnostics.plugin import SchedulerPlugin
from distributed.security import Security

from tasks import disk
from tasks.cluster.orphans import KEYS
from tasks.cluster.relay import retell
from tasks.cluster.worker import TOPIC, Untold, do

__all__ = ["Link"]

_CONFIG: Final = {
    "distributed.admin.tick.limit": "1h",
    "distributed.scheduler.allowed-failures": 0,
    "distributed.scheduler.http.routes": [],
    "distributed.scheduler.unknown-task-duration": "1h",
    "distributed.scheduler.work-stealing": False,
    "distributed.scheduler.worker-ttl": "90 s",
}


class _Watch(SchedulerPlugin):
    """Hears which workers come and go."""

    def __init__(self, joined: Callable[[str, str], None], left: Callable[[str], None]) -> None:
        self._joined, self._left = joined, left

    def add_worker(self, scheduler: Scheduler, worker: str) -> None:
        """Pass on that a worker has come."""
        self._joined(str(scheduler.workers[worker].name), worker)

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Pass on that the worker at an address has gone; its name is forgotten by now."""
        self._left(worker)


class Link:
    """A scheduler, and what goes over it.

    Parameters
    ----------
    directory
        The crew's own.
    interface
        Where workers reach this host; by default its own choice.
    joined, left
        Called in another thread: with a worker's name and its address, or with its address alone.
    """

    def __init__(
        self,
        directory: Path,
        interface: str | None,
        joined: Callable[[str, str], None],
        left: Callable[[str], None],
    ) -> None:
        self.security = _security(directory / KEYS)
        logging.getLogger("distributed").setLevel(logging.ERROR)
        options = {
            "protocol": "tls://",
            "security": self.security,
            "interface": interface,
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
        }
        with dask.config.set(_CONFIG):
            self._cluster = SpecCluster(
                workers={},
                scheduler={"cls": Scheduler, "options": options},
                security=self.security,
                silence_logs=logging.CRITICAL,
            )
        self._cluster.sync(self._watched, _Watch(joined, left))
        self._client = Client(self._cluster, set_as_default=False)
        self._client.subscribe_topic(TOPIC, lambda event: retell(event[1]))

    async def _watched(self, watch: _Watch) -> None:
        scheduler: Any = self._cluster.scheduler
        scheduler.add_plugin(watch)

    @property
    def address(self) -> str:
        """Where workers find it."""
        return str(self._cluster.scheduler_address)

    def send(
        self, key: str, address: str, call: tuple[Any, ...], ended: Callable[[Future[Any]], None]
    ) -> Future[Any]:
        """Have one worker, and no other, do a piece of work.

        Parameters
        ----------
        key
            Unlike any other.
        address
            The worker's.
        call
            Function, positional and named arguments.
        ended
            Called in another thread when the worker has done it, or something else has become of it.
        """
        future = self._client.submit(do, Untold(*call), key=key, workers=[address], pure=False, retries=0)
        future.add_done_callback(ended)
        return future

    def close(self) -> None:
        """End it; workers that are still there end as soon as they see that."""
        self._client.close()
        self._cluster.close()


def _security(folder: Path) -> Security:
    """Make a key and its certificate, for both sides."""
    made = Security.temporary().get_tls_config_for_role("worker")
    folder.mkdir(mode=0o700, parents=True)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    disk.write_whole(certificate, str(made["cert"]).encode(), mode=0o600)
    disk.write_whole(key, str(made["key"]).encode(), mode=0o600)
    files = {f"tls_{role}_cert": str(certificate) for role in ("scheduler", "worker", "client")}
    keys = {f"tls_{role}_key": str(key) for role in ("scheduler", "worker", "client")}
    return Security(tls_ca_file=str(certificate), require_encryption=True, **files, **keys)
