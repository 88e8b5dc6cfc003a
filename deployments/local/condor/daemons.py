"""The daemons of a private pool: what starts them, whether they are up, and which processes they are."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import psutil

from deployments.local.condor.config import ACCOUNT, account, config_file, log_folder, master_file
from deployments.local.condor.install import Release
from tasks.cluster.job import Status
from tasks.cluster.pool import Pool
from tasks.errors import Failed, PpiError, Refused, Transient

__all__ = ["OUTPUT", "STOP", "Daemons"]

STOP: Final = (("SIGQUIT", 15.0),)
"""How the first daemon is ended, and its seconds for it: it shuts down fast, ends jobs, and keeps the queue."""
OUTPUT: Final = "daemons.out"
"""The log of what the first daemon prints."""
_UP: Final = frozenset({"Machine", "Scheduler", "Negotiator"})
_UP_SECONDS, _LOOK_SECONDS = 120.0, 0.1
_EVICT_SECONDS: Final = 20.0
_LINES: Final = 5
_ADDRESSES: Final = ".*_address"


class Daemons:
    """The daemons of a pool.

    Parameters
    ----------
    directory
        The pool's, with its configuration.
    release
        Whose programs they are.
    """

    def __init__(self, directory: Path, release: Release) -> None:
        self.directory = directory
        self.release = release

    @property
    def client(self) -> Pool:
        """The pool, as whoever submits to it sees it."""
        return Pool(config_file(self.directory), self.release.programs)

    @property
    def properties(self) -> Mapping[str, str]:
        """The keys of a profile that has its jobs run by this pool."""
        return {
            "ppi.cluster.kind": "htcondor",
            "ppi.cluster.condorConfig": str(config_file(self.directory)),
            "ppi.cluster.condorPrograms": str(self.release.programs),
            "ppi.cluster.interface": "lo",
        }

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment of the daemons: nothing in it configures them but their own file."""
        kept = {name: value for name, value in os.environ.items() if not name.upper().startswith("_CONDOR_")}
        return kept | {"CONDOR_CONFIG": str(config_file(self.directory))}

    def shown_by(self) -> str:
        """Return what shows its queue, for a shell."""
        return shlex.join(
            (f"CONDOR_CONFIG={config_file(self.directory)}", str(self.release.programs / "condor_q"))
        )

    def command(self, *options: str) -> tuple[str, ...]:
        """Return what starts them, in the background; to be called when none of them runs.

        Parameters
        ----------
        options
            More for the first of them, such as ``-f``, which keeps it in the foreground.

        Raises
        ------
        Refused
            We are root, and may not be anybody else to them.
        """
        for stale in (*log_folder(self.directory).glob(_ADDRESSES), master_file(self.directory)):
            stale.unlink(missing_ok=True)
        program = str(self.release.daemons / "condor_master")
        return (*_namespace(), program, *options, "-pidfile", str(master_file(self.directory)))

    def processes(self) -> dict[str, psutil.Process]:
        """Return the daemons that run, by name, as in ``schedd``; nothing while none does."""
        try:
            master = psutil.Process(int(master_file(self.directory).read_text()))
            if master.environ().get("CONDOR_CONFIG") != str(config_file(self.directory)):
                return {}
            found = {_name(process): process for process in master.children()}
        except (FileNotFoundError, ValueError, psutil.Error):
            return {}
        return found | {"master": master}

    def wait(self, status: Callable[[], int | None] = lambda: None) -> None:
        """Wait until jobs can be submitted and will be run.

        Parameters
        ----------
        status
            Returns the exit code of the first daemon, when it has ended.

        Raises
        ------
        Failed
            The first daemon has ended.
        Transient
            They were not up in time.
        """
        ends = time.monotonic() + _UP_SECONDS
        while not self._are_up():
            if (code := status()) is not None:
                why = f"condor_master ended with exit code {code}: {self._last()}"
                raise Failed(str(self), why, f"see {log_folder(self.directory)}")
            if time.monotonic() > ends:
                why = f"it was not up within {_UP_SECONDS:.0f} s: {self._last()}"
                raise Transient(str(self), why, f"see {log_folder(self.directory)}, then run again")
            time.sleep(_LOOK_SECONDS)

    def kill(self, name: str) -> None:
        """Kill one daemon, as in ``schedd``, and wait until the first one has started it anew and it answers.

        Raises
        ------
        Missing, Transient
            As `wait`.
        """
        killed = self.processes()[name]
        killed.send_signal(signal.SIGKILL)
        killed.wait(_UP_SECONDS)
        ends = time.monotonic() + _UP_SECONDS
        while name not in self.processes() and time.monotonic() < ends:
            time.sleep(_LOOK_SECONDS)
        self.wait()

    def evict(self) -> None:
        """Have all jobs that run go back to the queue, before the daemons are stopped.

        A job whose node is gone without a word is taken for running until its lease is over.
        """
        ends = time.monotonic() + _EVICT_SECONDS
        with contextlib.suppress(PpiError):
            if self._at_work():
                self.client.run(str(self.release.daemons / "condor_off"), "-daemon", "startd")
            while self._at_work() and time.monotonic() < ends:
                time.sleep(_LOOK_SECONDS)

    def _at_work(self) -> bool:
        return self.client.queue(f"JobStatus == {Status.RUNNING.value}") != ()

    def _are_up(self) -> bool:
        if not any(log_folder(self.directory).glob(".collector_address")):
            return False
        with contextlib.suppress(PpiError):
            kinds = set(self.client.run("condor_status", "-any", "-af", "MyType").split())
            return kinds >= _UP and self.client.queue("false") == ()
        return False

    def _last(self) -> str:
        """Return the last lines of the first daemon's log."""
        lines: list[str] = []
        for name in ("MasterLog", OUTPUT):
            with contextlib.suppress(FileNotFoundError):
                lines += (log_folder(self.directory) / name).read_text(errors="replace").splitlines()[-_LINES:]
        return "; ".join(lines)

    def __str__(self) -> str:
        return f"the HTCondor pool in {self.directory}"


def _name(process: psutil.Process) -> str:
    return process.name().removeprefix("condor_")


def _namespace() -> tuple[str, ...]:
    """Return what makes of root another account in the eyes of HTCondor, which runs no job as root.

    On disk its daemons and jobs stay root.
    """
    if account() != ACCOUNT or os.geteuid() != 0:
        return ()
    mapped = ("unshare", "--user", f"--map-user={ACCOUNT}", f"--map-group={ACCOUNT}", "--")
    why, todo = "", "run PPI as another account than root, or let root make user namespaces"
    try:
        tried = subprocess.run((*mapped, "true"), check=False, capture_output=True, text=True)
        why = " ".join(tried.stderr.split()) if tried.returncode else ""
    except FileNotFoundError:
        why, todo = "there is no unshare", "install util-linux, or run PPI as another account than root"
    if why:
        raise Refused("a private HTCondor pool for root", f"HTCondor runs no job as root, and {why}", todo)
    return mapped
