"""`ppi sweep`: what can be restored is asked for, and started."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import typer

__all__ = ["sweep"]

_MOMENTS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


def sweep(
    profile: Annotated[
        str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
    ] = None,
    since: Annotated[
        datetime | None,
        typer.Option(
            formats=_MOMENTS,
            metavar="TIME",
            help="Ask for all that became public then or later, UTC, and start nothing: sweeps do that.",
        ),
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, metavar="TIME", help="And before, UTC; else until now.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would be done.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Ask for all that can be restored, start as much of it as may run, and settle what ended without a word."""
    from cli._environment import entered

    with entered(profile) as environment:
        from flows._environment import require_installation

        require_installation(environment, "ingestion-sweep")
        from cli import _sweep

        _sweep.run(environment, since, until, dry_run, json)
