"""`ppi profile`: what environments there are, what is in them, how they differ, and whether one is right."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["app"]

app = typer.Typer(
    name="profile",
    help="See, compare and check profiles: each is one environment, with all that differs between them.",
    no_args_is_help=True,
)

Name = Annotated[
    str | None, typer.Argument(help="The profile; else -P, CAPO_PROFILE, or that of the installation.")
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", "-P", help="The profile, as with other commands; instead of NAME.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command("list")
def list_(profile: ProfileName = None, json: Json = False) -> None:
    """List all profiles: those on the search path, those shipped, and `local`; a star marks the current one."""
    from cli import _profile

    _profile.list_all(profile, json)


@app.command()
def show(name: Name = None, profile: ProfileName = None, json: Json = False) -> None:
    """Show every value of a profile and the file and line it comes from; secrets are masked."""
    from cli._environment import entered

    with entered(_one(name, profile)) as environment:
        from cli import _profile

        _profile.show(environment, json)


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="A profile.")],
    b: Annotated[str, typer.Argument(help="The one to compare it with.")],
    json: Json = False,
) -> None:
    """Show two profiles side by side, as far as they differ; of secrets only that they do."""
    from cli import _profile

    _profile.diff(a, b, json)


@app.command()
def check(name: Name = None, profile: ProfileName = None, json: Json = False) -> None:
    """Reach every service that a profile names; say what is wrong and what to do. Changes nothing."""
    from cli._environment import entered

    with entered(_one(name, profile)) as environment:
        from cli import _check

        code = _check.run(environment, json)
    raise typer.Exit(code)


def _one(name: str | None, profile: str | None) -> str | None:
    if name and profile and name != profile:
        raise typer.BadParameter(f"'{profile}' is another profile than '{name}'; give one", param_hint="-P")
    return name or profile
