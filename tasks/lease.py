"""One holder at a time, over threads, processes and hosts that share a file system, whatever happens to it.

The kernel's locks end with their holder but are not seen by other hosts on every file system. A lease is a
symbolic link that points to nothing: on every file system it is made exclusively, and at once with its text, which
names the holder. Its time of change is the holder's heartbeat. On one host a dead process is known at once; of a
process elsewhere all that can be seen is that its heart has not beaten for a while, by the clock of who looks on,
so that clocks need not agree. A lease is taken over by a link of the next generation, never by removing or
rewriting the old one first: so of several that find it dead, one gets it. A holder that was only slow finds that
it has lost it, and must ask before it finishes.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

from pydantic import BaseModel, ConfigDict

from tasks.abandon import pause
from tasks.disk import make_shared, names_in
from tasks.errors import Transient
from tasks.kin import born, is_gone, machine

__all__ = ["HEARTBEAT_SECONDS", "Claim", "Holder", "Lease", "beating", "holders", "leased", "left", "sweep"]

HEARTBEAT_SECONDS: Final = 5.0
_SILENT_BEATS: Final = 6
"""After so many beats that did not come, a holder elsewhere counts as dead."""
_FORGOTTEN_SECONDS: Final = 86400.0
"""After so long without a beat, even by our own clock, a holder counts as dead for whoever does not wait."""
_LONGEST_SUBJECT: Final = 120
"""Characters: a link takes some hundred bytes on every file system."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5


class Holder(BaseModel):
    """Who holds a lease."""

    model_config = ConfigDict(frozen=True)

    token: str
    """Unlike that of any other lease that ever was."""
    host: str
    machine: str
    """Where its number means it; see `tasks.kin`."""
    pid: int
    born: int
    subject: str
    """What it does, for people."""

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended; False also where that cannot be seen from here."""
        return is_gone(self.machine, self.pid, self.born)

    @property
    def text(self) -> str:
        """All of it, as the path that its file, a symbolic link, points to: there is nothing at it.

        A name in it that is too long for any file would make an error of looking there.
        """
        return "/".join(str(value) for value in self.model_dump().values())

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class _Seen:
    """The newest file of a lease, as somebody saw it; its holder is None while it cannot be read."""

    generation: int
    holder: Holder | None
    beat: int

    @property
    def is_over(self) -> bool:
        """Whether nobody needs to wait in order to know that the holder is dead."""
        forgotten = time.time() - self.beat / 1e9 > _FORGOTTEN_SECONDS
        return forgotten or (self.holder is not None and self.holder.is_gone)


class Lease:
    """A lease that is held.

    Parameters
    ----------
    path
        Its file.
    holder
        We.
    """

    def __init__(self, path: Path, holder: Holder) -> None:
        self._path, self.holder = path, holder

    def is_held(self) -> bool:
        """Whether it is still ours.

        Somebody's file of a later generation may be there for a moment, until that one has seen ours.
        """
        ends = time.monotonic() + _LONGEST_PAUSE
        while self._is_there() and time.monotonic() < ends:
            newest = _newest(self._path.parent)
            if newest and (newest.holder == self.holder or newest.is_over):
                return True
            time.sleep(_SHORTEST_PAUSE)
        return False

    def _is_there(self) -> bool:
        try:
            return _read(self._path) == self.holder
        except FileNotFoundError:
            return False

    def require_held(self) -> None:
        """Make sure that it is still ours.

        Raises
        ------
        Transient
            It was taken over: this process was silent for too long.
        """
        if not self.is_held():
            why = f"another process took it over, as nothing was heard of {self.holder} for too long"
            raise Transient(self.holder.subject, why, "run again")

    def beat(self) -> None:
        """Say that the holder is alive."""
        with suppress(FileNotFoundError):
            os.utime(self._path, follow_symlinks=False)

    def release(self) -> None:
        """Let others have it."""
        if self._is_there():
            self._path.unlink(missing_ok=True)
            _tidy(self._path.parent)


@dataclass
class Claim:
    """The wish for a lease, which remembers since when its holder has been silent.

    Parameters
    ----------
    folder
        Where leases lie.
    name
        What is to be held; any file name.
    subject
        What for, told to whoever waits.
    heartbeat
        Seconds between beats.
    """

    folder: Path
    name: str
    subject: str
    heartbeat: float = HEARTBEAT_SECONDS
    _silent: tuple[_Seen, float] | None = field(default=None, init=False)

    @property
    def _place(self) -> Path:
        return self.folder / self.name

    def holder(self) -> Holder | None:
        """Return who holds it, if anybody."""
        newest = _newest(self._place)
        return newest.holder if newest else None

    def attempt(self) -> Lease | None:
        """Take the lease if nobody has it or its holder is dead; return None otherwise."""
        before = _newest(self._place)
        if before and not self._is_dead(before):
            return None
        holder = _ourselves(self.subject)
        path = self._place / str(before.generation + 1 if before else 1)
        if not _make(path, holder):
            return None
        remains = _remains(path, before)
        if remains is None:
            path.unlink(missing_ok=True)
            _tidy(self._place)
            return None
        for each in remains:
            each.unlink(missing_ok=True)
        return Lease(path, holder)

    def _is_dead(self, seen: _Seen) -> bool:
        if seen.is_over:
            return True
        if self._silent is None or self._silent[0] != seen:
            self._silent = seen, time.monotonic()
        return time.monotonic() - self._silent[1] > _SILENT_BEATS * self.heartbeat


@contextmanager
def leased(
    folder: Path,
    name: str,
    subject: str,
    *,
    on_wait: Callable[[Holder], None] = lambda holder: None,
    heartbeat: float = HEARTBEAT_SECONDS,
) -> Iterator[Lease]:
    """Hold a lease; wait for it as long as its holder lives.

    Parameters
    ----------
    folder
        Where leases lie; made when it is needed.
    name
        What is to be held; any file name.
    subject
        What for, told to whoever waits.
    on_wait
        Called once when somebody else holds it.
    heartbeat
        Seconds between beats.
    """
    claim = Claim(folder, name, subject, heartbeat)
    with beating(_awaited(claim, on_wait), heartbeat) as lease:
        yield lease


def _awaited(claim: Claim, on_wait: Callable[[Holder], None]) -> Lease:
    told, seconds = False, _SHORTEST_PAUSE
    while not (lease := claim.attempt()):
        holder = claim.holder()
        if holder and not told:
            on_wait(holder)
            told = True
        pause(random.uniform(seconds / 2, seconds))  # noqa: S311 - it spreads load and guards nothing
        seconds = min(_LONGEST_PAUSE, 1.5 * seconds)
    return lease


@contextmanager
def beating(lease: Lease, heartbeat: float = HEARTBEAT_SECONDS) -> Iterator[Lease]:
    """Keep a lease alive while the block runs, then release it."""
    _heart.add(lease, heartbeat)
    try:
        lease.beat()  # a file system that does not take it tells so now, not when others take us for dead
        yield lease
    finally:
        _heart.remove(lease)
        lease.release()


def holders(folder: Path) -> Mapping[str, Holder]:
    """Return who holds what; those known to be dead are left out."""
    seen = {name: _newest(folder / name) for name in names_in(folder)}
    return {name: each.holder for name, each in seen.items() if each and each.holder and not each.is_over}


def left(folder: Path) -> list[str]:
    """Return the names of what the dead hold, which `sweep` would remove; changes nothing."""
    return [name for name in names_in(folder) if (seen := _newest(folder / name)) and seen.is_over]


def sweep(folder: Path, names: Iterable[str] | None = None) -> list[str]:
    """Remove what the dead have left, of all or under certain names, and return the names of what was there.

    The dead are those of this host, and those of whom nobody has heard for a day.
    """
    return [name for name in (names_in(folder) if names is None else names) if _is_swept(folder, name)]


def _is_swept(folder: Path, name: str) -> bool:
    seen = _newest(folder / name)
    if seen is None:
        _tidy(folder / name)
    elif seen.is_over and (lease := Claim(folder, name, "clearing away").attempt()):
        lease.release()
        return True
    return False


def _newest(place: Path) -> _Seen | None:
    """Return the newest generation; one that goes away meanwhile is looked for again."""
    while generations := [int(name) for name in names_in(place) if name.isdecimal()]:
        path = place / str(max(generations))
        with suppress(FileNotFoundError):
            return _look(path)
    return None


def _look(path: Path) -> _Seen:
    return _Seen(int(path.name), _read(path), path.lstat().st_mtime_ns)


def _read(path: Path) -> Holder | None:
    try:
        values = os.readlink(path).split("/", len(Holder.model_fields) - 1)  # noqa: PTH115 - a `Path` changes it
        return Holder.model_validate(dict(zip(Holder.model_fields, values, strict=True)))
    except FileNotFoundError:
        raise
    except (OSError, ValueError):
        return None  # none of ours


def _make(path: Path, holder: Holder) -> bool:
    try:
        make_shared(path.parent)
        path.symlink_to(holder.text)
    except (FileExistsError, FileNotFoundError):
        return False  # somebody was faster; or the last holder has just tidied up
    return True


def _remains(path: Path, before: _Seen | None) -> list[Path] | None:
    """Return what the dead have left beside our file; None if ours is gone, or there is anything else.

    Whoever makes a file looks after that: so of two that make one each at the same time, one sees the other.
    """
    names = set(names_in(path.parent))
    others = sorted(path.with_name(name) for name in names - {path.name})
    if path.name not in names or (others and (before is None or str(before.generation) not in names)):
        return None
    return others if before is None or all(_is_of_the_dead(other, before) for other in others) else None


def _is_of_the_dead(path: Path, before: _Seen) -> bool:
    """Whether a file is of the holder that we follow, or of one whom that one was following when it was killed."""
    try:
        seen = _look(path)
    except FileNotFoundError:
        return True
    is_before = seen.generation == before.generation
    return seen.holder == before.holder if is_before else seen.generation < before.generation and seen.is_over


def _tidy(place: Path) -> None:
    with suppress(OSError):  # somebody has made a file in it
        place.rmdir()


def _ourselves(subject: str) -> Holder:
    pid = os.getpid()
    return Holder(
        token=uuid4().hex,
        host=os.uname().nodename,
        machine=machine(),
        pid=pid,
        born=born(pid) or 0,
        subject=re.sub(r"[^ -~]", "?", subject)[:_LONGEST_SUBJECT],
    )


class _Heart:
    """One thread a process, which beats for all its leases while there are any."""

    def __init__(self) -> None:
        self._leases: dict[Lease, float] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, lease: Lease, heartbeat: float) -> None:
        with self._changed:
            self._leases[lease] = heartbeat
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
            self._changed.notify()

    def remove(self, lease: Lease) -> None:
        with self._changed:
            del self._leases[lease]

    def _run(self) -> None:
        while leases := self._due():
            for lease in leases:
                with suppress(OSError):  # the file system is away: others see that we are silent
                    lease.beat()

    def _due(self) -> list[Lease]:
        with self._changed:
            self._changed.wait(min(self._leases.values(), default=HEARTBEAT_SECONDS))
            if not self._leases:
                self._thread = None
            return list(self._leases)


_heart = _Heart()
os.register_at_fork(after_in_child=lambda: vars(_heart).update(vars(_Heart())))  # a child holds nothing
