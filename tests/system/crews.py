"""Crews at work for tests: what is heard of them, which job does what, and what is left when they have ended."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from crew_work import by_value

from tasks.abandon import ending
from tasks.cluster.crew import Crew, at_work
from tasks.cluster.description import Site
from tasks.cluster.dispatcher import Terms
from tasks.cluster.job import Job
from tasks.cluster.pool import Pool
from tasks.cluster.resources import Resources
from tasks.cluster.tag import Tag, own
from tasks.usage import Work

__all__ = ["SEEN_SECONDS", "Working", "left_of", "processes_of", "waited", "waited_for", "working"]

PATIENCE = 120.0
SEEN_SECONDS = 30.0
"""Within so long, what befalls a job is told."""
_MEGABYTE = 1 << 20


def waited_for(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait until something is so; return the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, f"it was not so within {seconds:.0f} s"
        time.sleep(0.05)
    return time.monotonic() - begun


def waited(condition: Callable[[], object], seconds: float = PATIENCE) -> bool:
    """Wait until something is so; return whether it is."""
    with contextlib.suppress(AssertionError):
        waited_for(condition, seconds)
    return bool(condition())


@dataclass
class Working:
    """A crew at work."""

    pool: Pool
    crew: Crew
    tag: Tag
    directory: Path
    """Its own, with the logs of its jobs."""
    folder: Path
    """Where its work leaves marks."""
    heard: list[tuple[float, str]]
    threads: ThreadPoolExecutor
    asked: dict[str, Future[Any]] = field(default_factory=dict)

    def do(self, name: str, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a piece of work done in the background."""
        work = Work(self.tag.stage, function.__name__, name)
        call = by_value(function)
        self.asked[name] = self.threads.submit(
            copy_context().run, self.crew.run, work, call, self.folder, name, *arguments
        )
        return self.asked[name]

    def flag(self, name: str) -> None:
        """Make the file that work may wait for."""
        (self.folder / name).touch()

    def count(self, name: str, what: str) -> int:
        """Return how often a piece of work has begun, or ended."""
        return len(list(self.folder.glob(f"{name}.{what}.*")))

    def begun(self, *names: str) -> bool:
        """Whether all these pieces of work have begun."""
        return all(self.count(name, "began") for name in names)

    def job_of(self, name: str) -> str:
        """Return the id of the job that works on something now."""
        (row,) = (row for row in self.crew.rows() if row.outcome.startswith("works") and row.did.endswith(name))
        return row.job

    def jobs(self) -> tuple[Job, ...]:
        """Return those in the queue."""
        return self.pool.queue(Tag.constraint(crew=self.tag.crew))

    def told(self, words: str, seconds: float = SEEN_SECONDS) -> str:
        """Wait until something is said; return the sentence."""
        waited_for(lambda: self._sentences(words), seconds)
        return self._sentences(words)[0][1]

    def told_after(self, since: float, words: str) -> float:
        """Return the seconds after which something was said for the first time."""
        return min(when for when, _ in self._sentences(words)) - since

    def _sentences(self, words: str) -> list[tuple[float, str]]:
        return [(when, sentence) for when, sentence in self.heard if words in sentence]

    def pid_of(self, job: str) -> int:
        """Return the process of the worker that a job is."""
        (name,) = (row.name for row in self.crew.rows() if row.job == job)
        (found,) = (
            process.pid for process in processes_of(self.tag.crew)
            if "tasks.cluster.worker" in _words(process) and name in _words(process)
        )  # fmt: skip
        return found


@contextmanager
def working(
    pool: Pool,
    folder: Path,
    most: int = 4,
    memory: Callable[[Work], int | None] = lambda work: None,
    python: Path | None = None,
    longest_idle: float = 3600.0,
    **resources: Any,
) -> Iterator[Working]:
    """Have a crew at work; when the block has ended, nothing of it may be left."""
    made = new_tag()
    directory, marks = folder / "jobs" / made.crew, folder / f"marks-{made.crew}"
    marks.mkdir(parents=True)
    heard: list[tuple[float, str]] = []
    given = {"memory": 500 * _MEGABYTE, "memory_limit": 2000 * _MEGABYTE, "disk": 10**8, "walltime": 600.0}
    terms = Terms(
        Resources("casa", **given | resources), most, longest_idle,
        lambda sentence: heard.append((time.monotonic(), sentence)),
    )  # fmt: skip
    try:
        with (
            at_work(pool, Site(directory, python, "lo"), made, terms, memory) as crew,
            ThreadPoolExecutor(64) as threads,
            ending(),
        ):
            yield Working(pool, crew, made, directory, marks, heard, threads)
    except BaseException:
        print(*(f"{when:.1f} {sentence}" for when, sentence in heard), sep="\n")  # noqa: T201
        raise
    waited(lambda: not left_of(pool, made.crew, directory), 30)
    left = left_of(pool, made.crew, directory)
    assert left == [], left


def new_tag() -> Tag:
    """Return the tag of a crew of this process."""
    owner = own(os.uname().nodename, os.getpid())
    return Tag(
        "site-test", "2017.1.00886.L", "uid://A001/X1284/X265f", "restore-ous", "process", "a run",
        uuid.uuid4().hex, owner,
    )  # fmt: skip


def left_of(pool: Pool, crew: str, directory: Path, *, keys: bool = True) -> list[str]:
    """Return what is left of a crew: jobs, processes, keys if wanted."""
    jobs = [f"job {job.id}: {job.status}" for job in pool.queue(Tag.constraint(crew=crew))]
    processes = [" ".join(_words(process)) for process in processes_of(crew)]
    return [*jobs, *processes, *(map(str, directory.glob("tls/*")) if keys else ())]


def processes_of(crew: str) -> list[psutil.Process]:
    """Return the processes of a crew, workers and keeper, and what works in its folder of marks."""
    return [process for process in psutil.process_iter() if any(crew in word for word in _words(process))]


def _words(process: psutil.Process) -> list[str]:
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []
