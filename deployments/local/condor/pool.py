"""A pool for as long as somebody needs it: its daemons and jobs end with the process that started it.

That holds however that process ends; see `deployments.lifeline`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments.lifeline import Command, Kept, keep
from deployments.local.condor import config
from deployments.local.condor.config import Settings, log_folder
from deployments.local.condor.daemons import OUTPUT, STOP, Daemons
from deployments.local.condor.install import Release

__all__ = ["LocalPool", "running"]


class LocalPool(Daemons):
    """A pool that ends with us; it may be stopped and started, and keeps its queue."""

    _kept: Kept | None = None

    def start(self) -> None:
        """Start it, and wait until it is up.

        Raises
        ------
        PpiError
            It could not be; see `Daemons`.
        """
        command = Command(self.command("-f"), self.environment, self.directory, STOP)
        kept = self._kept = keep(command, log_folder(self.directory) / OUTPUT)
        try:
            self.wait(kept.status)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it; jobs that run are ended, and wait in the queue until it is started again."""
        if self._kept:
            if self._kept.status() is None:
                self.evict()
            self._kept.end()
        self._kept = None


@contextmanager
def running(directory: Path, release: Release, settings: Settings | None = None) -> Iterator[LocalPool]:
    """Run a pool for as long as the block lasts.

    Parameters
    ----------
    directory
        Its own; made if it is not there. What a queue in it holds is taken up.
    release
        Whose programs it is run with.

    Raises
    ------
    PpiError
        It could not be; see `Daemons`.
    """
    config.write(directory, release, settings or Settings())
    pool = LocalPool(directory, release)
    try:
        pool.start()
        yield pool
    finally:
        pool.stop()
