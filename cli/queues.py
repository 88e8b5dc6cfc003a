"""`ppi queue`: what is asked for, in its order, and what people do about it."""

from __future__ import annotations

from typing import Annotated

import typer

from tasks.catalog.request_states import RequestState

__all__ = ["app"]

app = typer.Typer(
    name="queue",
    help="See and change what is asked for: its order, what is held back, given up, or tried again.",
    no_args_is_help=True,
)

_MOST = 2**31 - 1
"""The largest whole number that every database takes."""

Observations = Annotated[list[str] | None, typer.Argument(metavar="MOUS", help="Of these observations.")]
Project = Annotated[
    str | None, typer.Option("--project", metavar="CODE", help="Of this project, such as 2017.1.00886.L.")
]
States = Annotated[
    list[RequestState] | None, typer.Option("--state", help="Only those in this state; may be given again.")
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command("list")
def list_(
    observations: Observations = None,
    project: Project = None,
    state: States = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="So many at most.")] = 50,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """List what is asked for: what runs, what waits in its order, then the rest; by default what is to come."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _queue

        _queue.show(environment, _queue.chosen(observations, project, state), limit, json)


@app.command()
def prioritise(
    observations: Observations = None,
    to: Annotated[
        int, typer.Option("--to", min=-_MOST, max=_MOST, help="The priority: the higher, the sooner; 0 is usual.")
    ] = 10,
    project: Project = None,
    state: States = None,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Give requests another priority."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _queue

        code = _queue.prioritise(environment, _queue.chosen(observations, project, state), to, json)
    raise typer.Exit(code)


@app.command()
def hold(
    observations: Observations = None,
    project: Project = None,
    state: States = None,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Hold back requests that wait, until they are released."""
    _act("hold", observations, project, state, profile, json)


@app.command()
def release(
    observations: Observations = None,
    project: Project = None,
    state: States = None,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Have requests that are held wait for their turn again."""
    _act("release", observations, project, state, profile, json)


@app.command()
def cancel(
    observations: Observations = None,
    project: Project = None,
    state: States = None,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Give up requests, and end the runs that work on them; no sweep asks for them again."""
    _act("cancel", observations, project, state, profile, json)


@app.command()
def retry(
    observations: Observations = None,
    project: Project = None,
    state: States = None,
    again: Annotated[bool, typer.Option("--again", help="Also those that have succeeded.")] = False,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Have requests that failed, were withdrawn or cancelled wait again, with all their tries."""
    _act("retry_all" if again else "retry", observations, project, state, profile, json)


def _act(
    what: str,
    observations: list[str] | None,
    project: str | None,
    state: list[RequestState] | None,
    profile: str | None,
    as_json: bool,
) -> None:
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _queue

        code = _queue.act(environment, what, _queue.chosen(observations, project, state), as_json)
    raise typer.Exit(code)
