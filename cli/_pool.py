"""`ppi pool`: the private pool as its owner sees it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

from cli._console import out, print_json, whole
from cli._display import building
from deployments.local import environment
from deployments.local.condor import standing
from deployments.local.condor.config import Node, Settings
from deployments.local.condor.daemons import Daemons
from deployments.local.condor.install import found, installed
from tasks.cluster.job import Job
from tasks.errors import Missing
from tasks.report.units import bytes_of, count, moment, size

__all__ = ["down", "env", "status", "up"]

_MEGABYTE = 1 << 20


def up(directory: Path | None, cpus: int, memory: str, limits: Iterable[str], as_json: bool) -> None:
    """Start the pool, and print its lines of a profile."""
    settings = Settings((Node(cpus=cpus, memory=_memory(memory)),), dict(map(_limit, limits)))
    with building("installing HTCondor") as show:
        release = installed(_home(), show)
    daemons = standing.up(_place(directory), release, settings)
    if as_json:
        print_json(daemons.properties)
        return
    out().print(f"{daemons} is up. A profile with these lines has its jobs run by it:")
    _print_lines(daemons.properties)


def down(directory: Path | None, as_json: bool) -> None:
    """Stop the pool, if it runs."""
    daemons = _running(directory)
    standing.down(daemons)
    if as_json:
        print_json({"directory": str(daemons.directory)})
    else:
        out().print(f"{daemons} is stopped; what is queued waits until it is up again")


def status(directory: Path | None, as_json: bool) -> None:
    """Print the pool's nodes and jobs."""
    daemons = _running(directory)
    slots, jobs = daemons.client.slots(), daemons.client.queue("true")
    if as_json:
        pids = {name: process.pid for name, process in daemons.processes().items()}
        queue = [job.model_dump(mode="json") for job in jobs]
        print_json({"pids": pids, "slots": list(map(_slot, slots)), "jobs": queue})
        return
    console = out()
    console.print(f"{daemons} is up")
    console.print(_slots(slots))
    console.print(_jobs(jobs) if jobs else "  no job is in the queue")


def env(directory: Path | None, shell: bool, as_json: bool) -> None:
    """Print what others need to use the pool."""
    daemons = _running(directory)
    if as_json:
        print_json(daemons.properties)
    elif shell:
        config, programs = map(str, (daemons.client.config, daemons.client.programs))
        sys.stdout.write(
            f'export CONDOR_CONFIG={shlex.quote(config)}\nexport PATH={shlex.quote(programs)}:"$PATH"\n'
        )
    else:
        _print_lines(daemons.properties)


def _home() -> Path:
    return environment.home() / "condor"


def _place(directory: Path | None) -> Path:
    return (directory or _home() / "pool").absolute()


def _running(directory: Path | None) -> Daemons:
    release = found(_home())
    daemons = Daemons(_place(directory), release) if release else None
    if daemons is None or not daemons.processes():
        what = f"the HTCondor pool in {_place(directory)}"
        raise Missing(what, "it does not run", "start it with `ppi pool up`")
    return daemons


def _memory(text: str) -> int:
    try:
        return bytes_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--memory") from error


def _limit(text: str) -> tuple[str, float]:
    name, _, number = text.partition("=")
    try:
        return name, float(number)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not NAME=N, as in CASA=2", param_hint="--limit") from error


def _print_lines(properties: Mapping[str, str]) -> None:
    sys.stdout.write("".join(f"{key} = {value}\n" for key, value in properties.items()))


def _slot(ad: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": ad.get("Name"),
        "node_class": ad.get("NodeClass"),
        "state": ad.get("Activity"),
        "cpus": ad.get("Cpus"),
        "memory": int(ad.get("Memory", 0)) * _MEGABYTE,
        "job": ad.get("JobId"),
    }


def _slots(ads: Iterable[Mapping[str, Any]]) -> Any:
    table = whole("slot", "class", "state", "cpus", "memory", "job")
    for slot in map(_slot, ads):
        shown = {**slot, "memory": size(slot["memory"]), "job": slot["job"] or ""}
        table.add_row(*map(str, shown.values()))
    return table


def _jobs(jobs: Iterable[Job]) -> Any:
    table = whole("job", "name", "state", "since", "memory", "starts", "slot or reason")
    for job in jobs:
        since = moment(job.since) if job.since else ""
        asked = size(job.requested_memory) if job.requested_memory else ""
        where = job.hold_reason if job.hold_reason and not job.host else job.host
        table.add_row(job.id, job.name, job.status.name.lower(), since, asked, count(job.starts), where or "")
    return table
