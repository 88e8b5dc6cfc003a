"""`ppi pool`: a private HTCondor on this machine, for trials of what runs on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="pool",
    help="Run a private HTCondor pool on this machine, for trials; `ppi demo --cluster` has one of its own.",
    no_args_is_help=True,
)

Directory = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where it lives; else `condor/pool` below PPI_HOME.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def up(
    cpus: Annotated[int, typer.Option(min=1, help="How many it has, however many this machine has.")] = 8,
    memory: Annotated[str, typer.Option(metavar="SIZE", help="How much it has, likewise.")] = "16GB",
    limit: Annotated[
        list[str] | None, typer.Option(metavar="NAME=N", help="A concurrency limit; may be given again.")
    ] = None,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Install HTCondor if it is not there, start the pool, and say what a profile must have to use it."""
    from cli import _pool

    _pool.up(directory, cpus, memory, limit or (), json)


@app.command()
def down(directory: Directory = None, json: Json = False) -> None:
    """Stop the pool and the jobs that run; what is queued waits until it is up again."""
    from cli import _pool

    _pool.down(directory, json)


@app.command()
def status(directory: Directory = None, json: Json = False) -> None:
    """Show the pool's nodes, and the jobs in its queue."""
    from cli import _pool

    _pool.status(directory, json)


@app.command()
def env(
    shell: Annotated[
        bool, typer.Option("--shell", help="As exports for a shell, so that condor_q and the like find the pool.")
    ] = False,
    directory: Directory = None,
    json: Json = False,
) -> None:
    """Print the lines that a profile needs to have its jobs run by the pool."""
    from cli import _pool

    _pool.env(directory, shell, json)
