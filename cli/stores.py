"""`ppi store`: what the shared store holds, whether all of it is right, and how it is kept within its limit."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="store",
    help="See, check and prune the store of fetched files that the environments of a site share.",
    no_args_is_help=True,
)

ProfileName = Annotated[
    str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def status(profile: ProfileName = None, json: Json = False) -> None:
    """Show how much is in the store, who fetches or uses what, and how many streams are open."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _store

        _store.status(environment, json)


@app.command()
def verify(profile: ProfileName = None, json: Json = False) -> None:
    """Read everything in the store; what is wrong is taken out of service and named, and the exit code is 6."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _store

        code = _store.verify(environment, json)
    raise typer.Exit(code)


@app.command()
def prune(
    limit: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="How large it may be, such as 40TB; else ppi.processing.storeLimit."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Remove nothing; show what would be removed.")
    ] = False,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Remove what was not used for longest until the store is within its limit; never what a run has in hand."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _store

        _store.prune(environment, limit, dry_run, json)
