"""A pool that stays until it is taken down: for trials over several commands, `ppi pool`."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Final

import psutil

from deployments.local.condor import config
from deployments.local.condor.config import Settings, log_folder, master_file
from deployments.local.condor.daemons import OUTPUT, STOP, Daemons
from deployments.local.condor.install import Release
from tasks import disk
from tasks.errors import Failed

__all__ = ["down", "up"]

_LOCK: Final = "pool.lock"
_KILL_SECONDS: Final = 10.0


def up(directory: Path, release: Release, settings: Settings | None = None) -> Daemons:
    """Start a pool that stays, and wait until it is up; one that runs already stays as it is.

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
    daemons = Daemons(directory, release)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with disk.exclusive(directory / _LOCK, str(daemons)):
        if not daemons.processes():
            config.write(directory, release, settings or Settings())
            _start(daemons)
        daemons.wait()
    return daemons


def down(daemons: Daemons) -> None:
    """Stop a pool with all jobs that run; its queue stays.

    Raises
    ------
    Failed
        Something of it cannot be ended.
    """
    with disk.exclusive(daemons.directory / _LOCK, str(daemons)):
        if running := daemons.processes():
            daemons.evict()
            _stop(daemons, running["master"])


def _start(daemons: Daemons) -> None:
    command = daemons.command()
    with (log_folder(daemons.directory) / OUTPUT).open("ab") as log:
        started = subprocess.run(
            command,
            env=daemons.environment,
            cwd=daemons.directory,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        daemons.wait(lambda: started.returncode or _code(daemons))
    except BaseException:
        if running := daemons.processes():
            _stop(daemons, running["master"])
        raise


def _code(daemons: Daemons) -> int | None:
    """Return some exit code when the first daemon was there and is no more; its own is not to be had."""
    return 1 if master_file(daemons.directory).exists() and not daemons.processes() else None


def _stop(daemons: Daemons, master: psutil.Process) -> None:
    """End the first daemon, and kill what it leaves."""
    family = [master, *master.children(recursive=True)]
    for name, seconds in STOP:
        master.send_signal(signal.Signals[name])
        psutil.wait_procs(family, timeout=seconds)
    for process in family:
        if process.is_running():
            process.kill()
    _, left = psutil.wait_procs(family, timeout=_KILL_SECONDS)
    if left:
        why = f"these processes do not end: {', '.join(str(process.pid) for process in left)}"
        raise Failed(str(daemons), why, "see what they wait for")
