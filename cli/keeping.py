"""`ppi housekeeping`: an environment is rid of what it does not need any more."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["housekeeping"]


def housekeeping(
    profile: Annotated[
        str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; show what would be removed.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Remove what is old and not needed: attempts, job logs, messages, runs; keep the store within its limit."""
    from cli._environment import entered

    with entered(profile) as environment:
        from flows._environment import require_installation

        require_installation(environment, "housekeeping")
        from cli import _housekeeping

        _housekeeping.run(environment, dry_run, json)
