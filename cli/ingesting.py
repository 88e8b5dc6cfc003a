"""`ppi ingest`: what was delivered, into the archive."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["ingest"]


def ingest(
    mous: Annotated[
        str, typer.Argument(help="The delivered MOUS: uid://A001/X1284/X265f or uid___A001_X1284_X265f.")
    ],
    profile: Annotated[
        str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; show what would be sent.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Archive what was delivered of an observation, each file once, record it, and announce it."""
    from cli._environment import adopt_prefect, entered

    with entered(profile) as environment:
        if dry_run:
            from cli import _ingest_plan

            _ingest_plan.show(environment, mous, json)
            return
        from flows._environment import require_installation

        require_installation(environment, "ingest")
        adopt_prefect(environment)
        from cli import _ingest

        _ingest.run(environment, mous, json)
