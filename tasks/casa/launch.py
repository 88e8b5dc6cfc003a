"""Launch CASA, or any program that must not outlive us, as a child that ends however we end.

Between us and the program stands `_supervisor.py`. It holds the reading end of a pipe, the life-line, of
which we hold the only writing end: when we return, raise, are cancelled or are killed, the pipe closes and the
program ends with all its children. Where the system lets us, the child also has a network namespace of its own,
because casatools listens on every interface, and a process namespace, which nothing in it can outlive. The
capabilities that making them gives are kept just until the supervisor has brought up the loopback device.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from tasks.errors import Transient

__all__ = ["EXIT", "Exit", "Launch", "end_children", "ending_children", "namespaces", "run"]

EXIT = "exit.json"
"""Where the supervisor says how the child ended."""
_POLL_SECONDS = 0.25
_SUPERVISOR = Path(__file__).with_name("_supervisor.py")
_open_lifelines: set[int] = set()
_guard = threading.Lock()


@dataclass(frozen=True)
class Launch:
    """What to run and how.

    Parameters
    ----------
    command
        Program and arguments; no shell reads them.
    directory
        The child's own directory; its output, temporary files and exit report are put there.
    timeout_seconds
        After so long it is ended, first with SIGTERM, then with SIGKILL.
    environment
        The whole of the child's environment.
    network
        Whether the child may see the network; by default it may not, where that can be had.
    """

    command: tuple[str, ...]
    directory: Path
    timeout_seconds: float
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False


class Exit(BaseModel):
    """How a child ended; a status and a signal never stand for each other."""

    model_config = ConfigDict(frozen=True)

    status: int | None
    signal: int | None
    timed_out: bool
    wall_seconds: float
    cpu_seconds: float
    peak_rss_bytes: int


def run(launch: Launch, watch: Callable[[], None] = lambda: None) -> Exit:
    """Run a child to its end.

    Parameters
    ----------
    launch
        What to run.
    watch
        Called some times a second while it runs, to report its progress.

    Raises
    ------
    Transient
        The supervisor itself was killed, so that nobody knows how the child ended.
    """
    report = launch.directory / EXIT
    report.unlink(missing_ok=True)
    with _lifeline() as reading, _output(launch.directory) as (out, err):
        supervisor = subprocess.Popen(
            [*_prefix(launch.network), *_supervised(launch, reading, report)],
            cwd=launch.directory,
            env=dict(launch.environment),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            pass_fds=[reading],
            start_new_session=True,
        )
        _await(supervisor, watch)
    if not report.exists():
        raise Transient(
            f"{Path(launch.command[0]).name} in {launch.directory} ended in an unknown way",
            f"its supervisor left status {supervisor.returncode} and no report",
            "run it again; if it happens again look for memory pressure on the host",
        )
    return Exit.model_validate_json(report.read_bytes())


@contextlib.contextmanager
def ending_children() -> Iterator[None]:
    """End every child at once when the block is left by an exception.

    A cancelled flow waits for its threads; the threads wait for their children. This is what lets go.
    """
    try:
        yield
    except BaseException:
        end_children()
        raise


def end_children() -> None:
    """End every child at once."""
    for descriptor in tuple(_open_lifelines):
        _close(descriptor)


@functools.cache
def namespaces() -> tuple[str, ...]:
    """Return the command that puts a child into namespaces of its own, or nothing where none can be made."""
    for kinds in (("--net", "--pid"), ("--pid",)):
        command = (
            "unshare", "--user", "--map-current-user", "--keep-caps", *kinds, "--fork", "--kill-child=SIGKILL",
        )  # fmt: skip
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run([*command, "true"], check=True, capture_output=True, timeout=10)
            return command
    return ()


def _prefix(network: bool) -> list[str]:
    return [word for word in namespaces() if not (network and word == "--net")]


def _supervised(launch: Launch, lifeline: int, report: Path) -> list[str]:
    timeout = str(launch.timeout_seconds)
    return [
        sys.executable, "-I", "-S", str(_SUPERVISOR), str(lifeline), str(report), timeout, "--", *launch.command,
    ]  # fmt: skip


def _await(supervisor: subprocess.Popen[bytes], watch: Callable[[], None]) -> None:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            supervisor.wait(_POLL_SECONDS)
            return
        watch()


@contextlib.contextmanager
def _lifeline() -> Iterator[int]:
    reading, writing = os.pipe()
    with _guard:
        _open_lifelines.add(writing)
    try:
        yield reading
    finally:
        os.close(reading)
        _close(writing)


def _close(writing: int) -> None:
    with _guard:
        if writing in _open_lifelines:
            _open_lifelines.remove(writing)
            os.close(writing)


@contextlib.contextmanager
def _output(directory: Path) -> Iterator[tuple[int, int]]:
    with (directory / "stdout.txt").open("ab") as out, (directory / "stderr.txt").open("ab") as err:
        yield out.fileno(), err.fileno()
