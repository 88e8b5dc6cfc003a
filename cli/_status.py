"""`ppi status`: what runs, with its stages and jobs, what was interrupted and what is delivered; once or live."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from blocks.profile import Profile
from cli._console import out, print_json
from cli._now import Now, Observation, Run, RunStage, look
from tasks.alma.ids import EntityId
from tasks.cluster.logs import printable
from tasks.cluster.seen import SeenJob
from tasks.report.units import duration, size

__all__ = ["show", "until_interrupted", "watch"]

_SECONDS = 2.0


def show(profile: Profile, mous: str | None, as_json: bool) -> None:
    """Print what is going on, and a line for each observation in the environment's area."""
    now = look(profile, _parsed(mous))
    if as_json:
        print_json([seen.as_json() for seen in now.observations])
        for line in now.unknown:
            sys.stderr.write(f"not known: {line}\n")
        return
    console = out()
    console.print(_table(now) if now.observations else _nothing(profile, mous))
    for part in (*_running(now), *_unknown(now)):
        console.print(part)


def watch(profile: Profile, mous: str | None) -> None:
    """Show what is going on until Ctrl-C; what runs comes first.

    Raises
    ------
    BadParameter
        This is no terminal.
    """
    console, observation = Console(highlight=False, markup=False), _parsed(mous)
    if not console.is_terminal:
        raise typer.BadParameter("this is no terminal; leave --watch away, or use --json", param_hint="--watch")
    with until_interrupted(), Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            live.update(_live(profile, look(profile, observation)), refresh=True)
            time.sleep(_SECONDS)


@contextmanager
def until_interrupted() -> Iterator[None]:
    """Do what goes on for ever until Ctrl-C, which is the way to end it and no error."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGINT, before)


def _parsed(mous: str | None) -> EntityId | None:
    return EntityId.parse(mous) if mous else None


def _nothing(profile: Profile, mous: str | None) -> str:
    return f"{mous or 'Nothing'} was {'not ' if mous else ''}restored yet in profile {profile.name}."


def _live(profile: Profile, now: Now) -> RenderableType:
    head = Text(f"{profile.name} at {now.moment:%Y-%m-%d %H:%M:%S} UTC; Ctrl-C ends this", style="bold")
    table = (_table(now),) if now.observations else (Text("Nothing runs, and nothing was restored yet."),)
    return Group(head, *_unknown(now), *_running(now), *table)


def _unknown(now: Now) -> Iterator[RenderableType]:
    for line in now.unknown:
        yield Text(f"not known: {printable(line)}", style="yellow")


def _table(now: Now) -> Table:
    table = Table("observation", "project", "state", "execution blocks", Column("where", overflow="fold"))
    for state in (seen.state for seen in now.observations):
        blocks = f"{state.blocks_done} done" + (f", {state.step}" if state.step else "")
        table.add_row(state.observation, state.project, state.state, blocks, str(state.path or ""))
    return table


def _running(now: Now) -> Iterator[RenderableType]:
    """Yield what there is to say of each run that is under way, and of jobs that no run has."""
    for seen in now.observations:
        if seen.run:
            yield from _run(seen.run)
        elif seen.jobs:
            yield Text(f"jobs for {seen.state.observation} without a run that is under way (see `ppi reconcile`)")
        if seen.jobs:
            yield _jobs(seen)


def _run(run: Run) -> Iterator[RenderableType]:
    who = f" by {run.account} on {run.host}" if run.host else ""
    began = f"{run.started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    yield Text(f"{run.name} ({run.project or 'project not known yet'})", style="bold")
    yield Text(f"  {run.state} for {duration(run.seconds)}, since {began}{who}; execution {run.execution}")
    if run.flow_run:
        yield Text(f"  flow run {run.page or run.flow_run}")
    yield Text(f"  {' → '.join(map(_stage, run.stages))}")


def _stage(stage: RunStage) -> str:
    if stage.seconds is None:
        return f"{stage.name} {stage.state}"
    took = duration(stage.seconds)
    return f"{stage.name} done in {took}" if stage.state == "done" else f"{stage.name} running for {took}"


def _jobs(seen: Observation) -> Table:
    table = Table(
        "job", "stage", "works on", "status", "slot", Column("age", justify="right"),
        Column("memory", justify="right"), Column("asked for", justify="right"), Column("CPU", justify="right"),
        Column("why", overflow="fold"),
    )  # fmt: skip
    for job in seen.jobs:
        table.add_row(*(Text(printable(cell)) for cell in _cells(job)))
    return table


def _cells(job: SeenJob) -> tuple[str, ...]:
    return (
        job.id or "not queued",
        job.stage,
        f"{job.step} {job.item}".strip(),
        job.status,
        job.slot or "",
        "" if job.age_seconds is None else duration(job.age_seconds),
        _size(job.memory),
        _size(job.requested_memory),
        "" if job.cpu_seconds is None else duration(job.cpu_seconds),
        _why(job),
    )


def _why(job: SeenJob) -> str:
    """Return why a job does nothing, or how it came to be where it is; of one that works the rest says all."""
    if job.reason or job.step:
        return job.reason or ""
    return "" if job.state == job.status else job.state


def _size(number: int | None) -> str:
    return "" if number is None else size(number)
