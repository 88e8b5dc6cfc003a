"""`ppi listen` and `ppi messages`: an environment's ear and voice at its broker, and how things stand there."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["listen", "messages"]

ProfileName = Annotated[
    str | None, typer.Option("--profile", "-P", help="The environment; as with other commands.")
]


def listen(profile: ProfileName = None) -> None:
    """Take announcements and statuses from the broker, and send what the environment has to say, until Ctrl-C."""
    from cli._environment import entered

    with entered(profile) as environment:
        from flows._environment import require_installation

        require_installation(environment, "listen")
        from cli import _listen

        _listen.run(environment)


def messages(
    again: Annotated[
        bool, typer.Option("--again", help="Put the dead letters back into their queues, to be taken again.")
    ] = False,
    profile: ProfileName = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
) -> None:
    """Show what waits in the queues and in the outbox, and which messages were put aside, and why."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _messages

        _messages.run(environment, again, json)
