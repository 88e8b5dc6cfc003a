"""Taking messages from a profile's queues: each is acknowledged when what it says is committed, and not before."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from tasks.catalog.request import Change
from tasks.errors import Transient
from tasks.messages.broker import Queues, queue_of
from tasks.messages.intake import Arrived, Intake, Taken
from tasks.messages.leniency import UNREADABLE

__all__ = ["QUEUE", "REASON", "ROUTING_KEY", "Listener"]

REASON: Final = "reason"
QUEUE: Final = "queue"
ROUTING_KEY: Final = "routing-key"
"""The headers of a dead letter: why it is one, where it came from, and how it was sent."""
_AT_ONCE: Final = 64
"""How many messages are in hand: all of them in one transaction, and all of them in memory, however long."""
_LOOK_SECONDS: Final = 30.0
_log = logging.getLogger("ppi.messages")


@dataclass(frozen=True)
class Listener:
    """Takes messages.

    Parameters
    ----------
    queues
        From where.
    intake
        What becomes of them.
    on_changes
        Called with what they changed, after the commit.
    """

    queues: Queues
    intake: Intake
    on_changes: Callable[[tuple[Change, ...]], None]

    async def listen(self, connection: AbstractConnection) -> None:
        """Take messages until the connection ends."""
        incoming: asyncio.Queue[tuple[str, AbstractIncomingMessage]] = asyncio.Queue()
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=_AT_ONCE, global_=True)
        for name in self.queues.bound:
            await _consume(channel, name, incoming)
        looked = time.monotonic()
        while True:
            if batch := await _batch(incoming):
                await self._take(connection, batch)
            if time.monotonic() - looked > _LOOK_SECONDS:
                await self._require_listeners(connection)
                looked = time.monotonic()

    async def _require_listeners(self, connection: AbstractConnection) -> None:
        """See that the queues still have us: a broker whose queue is deleted says little about it."""
        for name in self.queues.bound:
            queue = await queue_of(connection, name)
            if queue is None or not queue.declaration_result.consumer_count:
                raise Transient(f"the queue {name}", "it gives us no messages any more", "see who deletes it")

    async def _take(
        self, connection: AbstractConnection, batch: Sequence[tuple[str, AbstractIncomingMessage]]
    ) -> None:
        arrived = [self._arrived(name, message) for name, message in batch]
        taken = await asyncio.to_thread(self.intake.take, arrived)
        if taken.changes:
            self.on_changes(taken.changes)
        if any(taken.reasons):
            await self._put_aside(connection, batch, taken)
        for _, message in batch:
            await message.ack()
        refused = sum(reason is not None for reason in taken.reasons)
        _log.info("%d messages taken, %d requests, %d refused", len(batch), len(taken.changes), refused)

    def _arrived(self, name: str, message: AbstractIncomingMessage) -> Arrived:
        wrong = message.headers.get(UNREADABLE)
        unreadable = f"its properties cannot be read: {wrong!s}" if wrong else None
        return Arrived(message.body, name == self.queues.statuses, unreadable)

    async def _put_aside(
        self, connection: AbstractConnection, batch: Sequence[tuple[str, AbstractIncomingMessage]], taken: Taken
    ) -> None:
        """Copy what was refused to the dead letters; the broker has it, or this raises."""
        async with connection.channel(publisher_confirms=True, on_return_raises=True) as channel:
            for (name, message), reason in zip(batch, taken.reasons, strict=True):
                if reason:
                    _log.warning("A message in %s is put aside: %s", name, reason)
                    copy = _dead(message, name, reason)
                    await channel.default_exchange.publish(copy, self.queues.dead_letters, mandatory=True)


async def _consume(
    channel: AbstractChannel, name: str, incoming: asyncio.Queue[tuple[str, AbstractIncomingMessage]]
) -> None:
    async def take(message: AbstractIncomingMessage) -> None:
        incoming.put_nowait((name, message))

    queue = await channel.get_queue(name, ensure=False)
    await queue.consume(take)


async def _batch(
    incoming: asyncio.Queue[tuple[str, AbstractIncomingMessage]],
) -> list[tuple[str, AbstractIncomingMessage]]:
    """Return what has come, at least one if there is one before it is time to look around."""
    try:
        batch = [await asyncio.wait_for(incoming.get(), _LOOK_SECONDS)]
    except TimeoutError:
        return []
    while len(batch) < _AT_ONCE and not incoming.empty():
        batch.append(incoming.get_nowait())
    return batch


def _dead(message: AbstractIncomingMessage, name: str, reason: str) -> aio_pika.Message:
    """Return a copy of a body: what else a message has may be what is wrong with it."""
    headers: dict[str, str] = {REASON: reason, QUEUE: name, ROUTING_KEY: message.routing_key or ""}
    return aio_pika.Message(message.body, headers=dict(headers), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
