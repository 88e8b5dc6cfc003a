"""`ppi messages`: what waits at the broker and in the outbox, and what was put aside, and why."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Final

from blocks.profile import Profile
from cli._console import out, print_json, whole
from tasks.catalog.outbox import Outbox
from tasks.catalog.tasks import known_database_of
from tasks.messages.standing import DeadLetter, Standing, put_back, standing
from tasks.messages.tasks import broker_of, queues_of
from tasks.report.units import count, size

__all__ = ["run"]

_MOST: Final = 100
"""How many dead letters are shown."""


def run(profile: Profile, again: bool, as_json: bool) -> None:
    """Print how things stand; before that, put dead letters back if that is asked for."""
    broker, queues = broker_of(profile), queues_of(profile)
    put = asyncio.run(put_back(broker, queues)) if again else 0
    found = asyncio.run(standing(broker, queues, _MOST))
    unsent = _unsent(profile)
    if as_json:
        print_json({"profile": profile.name, "put_back": put, "unsent": unsent, **asdict(found)})
        return
    console = out()
    if again:
        console.print(f"{count(put)} dead letters are back in their queues, to be taken again")
    console.print(_queues(found))
    console.print(f"outbox: {count(unsent)} to be sent")
    if found.dead_letters:
        console.print(_dead_letters(found.dead_letters))


def _unsent(profile: Profile) -> int:
    database = known_database_of(profile)
    return Outbox(database).backlog() if database else 0


def _queues(found: Standing) -> object:
    table = whole("queue", "messages", "listeners")
    for depth in found.depths:
        messages = "not there; `ppi listen` makes it" if depth.messages is None else count(depth.messages)
        table.add_row(depth.name, messages, str(depth.consumers))
    return table


def _dead_letters(letters: tuple[DeadLetter, ...]) -> object:
    table = whole("put aside because", "from", "size", "begins with")
    for letter in letters:
        table.add_row(letter.reason, letter.queue, size(letter.size), letter.beginning)
    return table
