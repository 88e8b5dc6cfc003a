"""Bringing an environment up part by part, watching what was started, and ending that in the opposite order."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from blocks.keys import keys_of
from blocks.profile import Profile
from deployments.lifeline import Kept, keep
from deployments.serve import database, listener, reports, server, worker
from deployments.serve.part import Part
from tasks import disk
from tasks.errors import Failed, Refused, Transient
from tasks.workspace.layout import Area

__all__ = ["Serving", "State", "serving"]

State = Literal["starting", "started", "up already", "elsewhere"]
_LOOK_SECONDS: Final = 0.25
_TAIL_LINES, _TAIL_BYTES, _MOST_LOG_BYTES = 5, 4096, 10 * 1024**2
_MASK: Final = "********"


@dataclass(frozen=True)
class _Started:
    part: Part
    kept: Kept
    log: Path


class Serving:
    """An environment that is served.

    Parameters
    ----------
    profile
        Its profile.
    """

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._started: list[_Started] = []

    @property
    def is_idle(self) -> bool:
        """Whether nothing had to be started, so that there is nothing to watch."""
        return not self._started

    def watch(self) -> None:
        """Wait for ever, unless a part dies.

        Raises
        ------
        Failed
            One died; the message has the end of its log.
        """
        while True:
            self._look()
            time.sleep(_LOOK_SECONDS)

    @contextmanager
    def up(self, part: Part) -> Iterator[None]:
        """Start a part, wait until it answers, and end it when the block is left."""
        home = server.home_of(self._profile)
        with disk.exclusive(_lock(home, part.name), f"{part.what} of profile {self._profile.name}"):
            log = _log(home, part.name)
            started = _Started(part, keep(part.command(), log), log)
            self._started.append(started)
            try:
                self._await(part)
                yield
            finally:
                self._started.remove(started)
                started.kept.end()

    def _await(self, part: Part) -> None:
        ready, ends = part.is_ready or part.is_up, time.monotonic() + part.seconds
        while not ready():
            self._look()
            if time.monotonic() > ends:
                what, why = f"{part.what} of profile {self._profile.name}", f"no answer within {part.seconds:g} s"
                raise Transient(what, why, f"read {_log_path(server.home_of(self._profile), part.name)}")
            time.sleep(_LOOK_SECONDS)

    def _look(self) -> None:
        for each in self._started:
            if (status := each.kept.status()) is not None:
                what = f"{each.part.what} of profile {self._profile.name}"
                said = _masked(_tail(each.log), self._profile)
                why = f"it ended with status {status}" + (f"; its last lines: {said}" if said else "")
                raise Failed(what, why, f"read {each.log}, mend it, then serve again")


@contextmanager
def serving(
    profile: Profile,
    environment: Mapping[str, str],
    kinds: Collection[str] = (),
    tell: Callable[[Part, State], None] = lambda part, state: None,
) -> Iterator[Serving]:
    """Bring up what is not up, and end it when the block is left.

    Parameters
    ----------
    environment
        What parts begin with for an environment of their own.
    kinds
        Which parts; by default all, where those of other hosts must only answer.
    tell
        Called with each part and what is done about it.

    Raises
    ------
    Refused
        A part may not be started as the profile would have it, or does not belong on this host.
    Transient
        A part of another host does not answer, or one of this host does not come up.
    Failed
        A part died while others were started.
    """
    Area(profile.processing.root_directory).make()
    _make(server.home_of(profile))
    _make(profile.processing.root_directory / ".prefect")
    served = Serving(profile)
    with ExitStack() as stack:
        for part in _parts(profile, kinds, environment):
            if not _needs_starting(part, named=part.kind in kinds, tell=tell):
                continue
            tell(part, "starting")
            stack.enter_context(served.up(part))
            tell(part, "started")
        yield served


def _parts(profile: Profile, kinds: Collection[str], environment: Mapping[str, str]) -> Iterator[Part]:
    def is_up(name: str) -> bool:
        return disk.is_locked(_lock(server.home_of(profile), name))

    parts = (
        *database.parts(profile, environment),
        server.part(profile, environment),
        *filter(None, [reports.part(profile, environment)]),
        worker.part(profile, environment, is_up=is_up("worker")),
        *filter(None, [listener.part(profile, environment, is_up=is_up("listener"))]),
    )
    yield from (part for part in parts if not kinds or part.kind in kinds)


def _needs_starting(part: Part, *, named: bool, tell: Callable[[Part, State], None]) -> bool:
    if part.is_up():
        tell(part, "up already" if part.is_here else "elsewhere")
        return False
    if part.is_here:
        return True
    if named:
        raise Refused(f"{part.what} at {part.where}", "that is not on this host", "serve it there")
    raise Transient(
        f"{part.what} at {part.where}", "it does not answer, and is not on this host", "start it there"
    )


def _make(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)


def _lock(home: Path, name: str) -> Path:
    return home / f"{name}@{socket.gethostname()}.lock"


def _log_path(home: Path, name: str) -> Path:
    return home / "log" / f"{name}.log"


def _log(home: Path, name: str) -> Path:
    """Return a part's log; a long one makes room for a new one, and is kept until the next does."""
    path = _log_path(home, name)
    _make(path.parent)
    if path.exists() and path.stat().st_size > _MOST_LOG_BYTES:
        path.rename(path.with_suffix(".log.1"))
    return path


def _tail(log: Path) -> str:
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = stream.read().decode(errors="replace").split("\n")
    return " | ".join([line.strip() for line in lines if line.strip()][-_TAIL_LINES:])


def _masked(text: str, profile: Profile) -> str:
    for key in keys_of(Profile):
        secret = key.value_in(profile).get_secret_value() if key.is_secret else ""
        text = text.replace(secret, _MASK) if secret else text
    return text
