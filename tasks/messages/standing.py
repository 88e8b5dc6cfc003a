"""How things stand at the broker: how much waits in each queue, and which messages were put aside, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage, AbstractQueue

from tasks.messages.broker import Broker, Queues, connected, queue_of
from tasks.messages.listening import QUEUE, REASON, ROUTING_KEY
from tasks.messages.reading import short

__all__ = ["DeadLetter", "Depth", "Standing", "put_back", "standing"]

_BEGINNING: Final = 200


@dataclass(frozen=True)
class Depth:
    """A queue.

    Parameters
    ----------
    name
        Its name.
    messages
        How many wait in it; None if there is no such queue.
    consumers
        How many listen to it.
    """

    name: str
    messages: int | None
    consumers: int


@dataclass(frozen=True)
class DeadLetter:
    """A message that was put aside.

    Parameters
    ----------
    reason
        Why.
    queue, routing_key
        Where it was, and how it had been sent.
    size
        In bytes.
    beginning
        Of its body, made safe to print.
    """

    reason: str
    queue: str
    routing_key: str
    size: int
    beginning: str


@dataclass(frozen=True)
class Standing:
    """What is at the broker; of the dead letters the oldest."""

    depths: tuple[Depth, ...]
    dead_letters: tuple[DeadLetter, ...]


async def standing(broker: Broker, queues: Queues, most: int) -> Standing:
    """Look at the queues, and into the oldest dead letters, which stay where they are.

    Parameters
    ----------
    most
        How many dead letters to look into.

    Raises
    ------
    Transient, Refused
        The broker cannot be reached, or does not let us in.
    """
    async with connected(broker) as connection:
        depths = [await _depth(connection, name) for name in (*queues.bound, queues.dead_letters)]
        letters: tuple[DeadLetter, ...] = ()
        if depths[-1].messages:
            async with connection.channel() as channel:  # what it does not acknowledge goes back to its place
                queue = await channel.get_queue(queues.dead_letters, ensure=False)
                letters = tuple([_letter(message) async for message in _oldest(queue, most)])
    return Standing(tuple(depths), letters)


async def put_back(broker: Broker, queues: Queues) -> int:
    """Put all dead letters back into the queues that they come from; return how many.

    One is in both queues for a moment, and stays there if this is killed then: being taken twice does no harm.

    Raises
    ------
    Transient, Refused
        The broker cannot be reached, or does not let us in, or lacks a queue.
    """
    count = 0
    async with connected(broker) as connection:
        waiting = (await _depth(connection, queues.dead_letters)).messages
        if not waiting:
            return 0
        async with connection.channel(publisher_confirms=True, on_return_raises=True) as channel:
            queue = await channel.get_queue(queues.dead_letters, ensure=False)
            async for message in _oldest(queue, waiting):
                name = str(message.headers.get(QUEUE))
                if name in queues.bound:
                    copy = aio_pika.Message(message.body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    await channel.default_exchange.publish(copy, name, mandatory=True)
                    await message.ack()
                    count += 1
    return count


async def _depth(connection: AbstractConnection, name: str) -> Depth:
    queue = await queue_of(connection, name)
    if queue is None:
        return Depth(name, None, 0)
    counts = queue.declaration_result
    return Depth(name, counts.message_count or 0, counts.consumer_count or 0)


async def _oldest(queue: AbstractQueue, most: int) -> AsyncIterator[AbstractIncomingMessage]:
    for _ in range(most):
        message = await queue.get(fail=False)
        if message is None:
            return
        yield message


def _letter(message: AbstractIncomingMessage) -> DeadLetter:
    reason, queue, key = (short(message.headers.get(name, "")) for name in (REASON, QUEUE, ROUTING_KEY))
    beginning = short(message.body[:_BEGINNING].decode(errors="backslashreplace"))
    return DeadLetter(reason, queue, key, len(message.body), beginning)
