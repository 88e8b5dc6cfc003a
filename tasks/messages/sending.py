"""Sending what the outbox holds, in its order, by one sender of a profile at a time.

What the broker has confirmed is marked; a kill in between has it sent again, with the id that it had.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange

from tasks.catalog.outbox import Message, Outbox
from tasks.lease import Claim, beating

__all__ = ["Sender"]

_LOOK_SECONDS: Final = 1.0
_TURN_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Sender:
    """Sends messages.

    Parameters
    ----------
    outbox
        Which.
    exchange
        To where.
    turn
        Which of several senders sends.
    """

    outbox: Outbox
    exchange: str
    turn: Claim

    async def send(self, connection: AbstractConnection) -> None:
        """Send whatever there is, until the connection ends or another sender has taken over."""
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(self.exchange, ensure=False)
        while (lease := await asyncio.to_thread(self.turn.attempt)) is None:
            await asyncio.sleep(_TURN_SECONDS)
        with beating(lease, self.turn.heartbeat):
            while True:
                await asyncio.to_thread(lease.require_held)
                if not await self._send(exchange):
                    await asyncio.sleep(_LOOK_SECONDS)

    async def _send(self, exchange: AbstractExchange) -> int:
        messages = await asyncio.to_thread(self.outbox.unsent)
        sent = await _published(exchange, messages)
        if sent:
            await asyncio.to_thread(self.outbox.mark_sent, sent, datetime.now(UTC))
        return len(sent)


async def _published(exchange: AbstractExchange, messages: Sequence[Message]) -> list[int]:
    """Publish messages; return the numbers of those that the broker has, unless it has none of them.

    Their order is kept: each is written to the connection before the next, and then all are waited for.
    """
    done = await asyncio.gather(*(_publish(exchange, each) for each in messages), return_exceptions=True)
    failures = [each for each in done if isinstance(each, BaseException)]
    if failures and len(failures) == len(done):
        raise failures[0]
    return [
        each.number for each, answer in zip(messages, done, strict=True) if not isinstance(answer, BaseException)
    ]


async def _publish(exchange: AbstractExchange, message: Message) -> None:
    wrapped = aio_pika.Message(
        message.body.encode(),
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        message_id=message.message_id,
        timestamp=message.written,
        app_id="ppi",
    )
    await exchange.publish(wrapped, message.routing_key, mandatory=False)
