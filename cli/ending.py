"""`ppi cancel` and `ppi reconcile`: a run that is to end, and what is left of those that ended without a word."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["cancel", "reconcile"]

ProfileName = Annotated[
    str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


def cancel(
    run: Annotated[
        str, typer.Argument(help="The run: its id or name on the Prefect server, or the MOUS it is on.")
    ],
    profile: ProfileName = None,
    wait: Annotated[bool, typer.Option(help="Wait until nothing is left of it, for at most 90 s.")] = True,
    json: Json = False,
) -> None:
    """End a run, whoever started it, with its processes and jobs; started again, it goes on where it was."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _cancel

        _cancel.run(environment, run, wait, json)


def reconcile(
    profile: ProfileName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Settle nothing; show what would be settled.")
    ] = False,
    json: Json = False,
) -> None:
    """Settle what killed runs have left: their states in catalog and Prefect server, jobs, keys and leases."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _reconcile

        _reconcile.run(environment, dry_run, json)
