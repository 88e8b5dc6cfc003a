"""The way to the broker: connections with our own errors, and the exchange and queues that we use there.

What is there is taken as the broker's operators have made it; what is not is made, durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractQueue
from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    AuthenticationError,
    ChannelNotFoundEntity,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused
from yarl import URL

from tasks.errors import PpiError, Refused, Transient
from tasks.messages.leniency import bear_any_properties

__all__ = ["Broker", "Queues", "connected", "prepare", "queue_of"]

_CONNECT_SECONDS: Final = 15.0
_HEARTBEAT_SECONDS: Final = 30
_LOST: Final = (*CONNECTION_EXCEPTIONS, TimeoutError)
_SHUT: Final = (AuthenticationError, ProbableAuthenticationError, ChannelAccessRefused)


@dataclass(frozen=True)
class Broker:
    """Where the broker is, and where on it events are.

    Parameters
    ----------
    url
        Without a login.
    exchange
        The topic exchange.
    """

    url: str
    username: str
    password: str = field(repr=False)
    exchange: str

    def __str__(self) -> str:
        return f"the broker {self.url}"


@dataclass(frozen=True)
class Queues:
    """The queues of a profile.

    Parameters
    ----------
    profile
        Its name.
    """

    profile: str

    @property
    def observations(self) -> str:
        """Announcements of observations that were ingested."""
        return f"ppi.{self.profile}.observations"

    @property
    def statuses(self) -> str:
        """What workflows say of themselves."""
        return f"ppi.{self.profile}.workflow-status"

    @property
    def dead_letters(self) -> str:
        """What could not be understood, each with the reason."""
        return f"ppi.{self.profile}.dead-letters"

    @property
    def bound(self) -> dict[str, str]:
        """What is listened to: the queue, and the routing keys of what comes into it."""
        return {self.observations: "ingestion-complete.observation", self.statuses: "workflow-status.#"}


@asynccontextmanager
async def connected(broker: Broker) -> AsyncIterator[AbstractConnection]:
    """Connect; whatever is wrong with the connection while the block lasts is explained.

    Raises
    ------
    Transient
        The broker cannot be reached, or went away.
    Refused
        It does not let us in, or not do what we do.
    """
    bear_any_properties()
    connection: AbstractConnection | None = None
    try:
        url = URL(broker.url).with_user(broker.username or None).with_password(broker.password or None)
        timed = url.update_query(heartbeat=_HEARTBEAT_SECONDS)
        connection = await aio_pika.connect(timed, timeout=_CONNECT_SECONDS)
        yield connection
    except _LOST as error:
        raise _explained(broker, error) from error
    finally:
        if connection:
            with suppress(*_LOST):
                await asyncio.wait_for(connection.close(), _CONNECT_SECONDS)


def _explained(broker: Broker, error: BaseException) -> PpiError:
    why = str(error) or type(error).__name__
    if isinstance(error, _SHUT):
        todo = "correct ppi.broker.username and .password, or ask its operators what the account may do"
        return Refused(f"{broker} does not let us in", why, todo)
    return Transient(f"{broker} cannot be reached", why, "see that it runs, or correct ppi.broker.url")


async def prepare(connection: AbstractConnection, broker: Broker, queues: Queues) -> None:
    """Make what is not there of the exchange and the queues, and bind the latter."""
    if not await _has_exchange(connection, broker.exchange):
        async with connection.channel() as channel:
            await channel.declare_exchange(broker.exchange, aio_pika.ExchangeType.TOPIC, durable=True)
    for name in (queues.observations, queues.statuses, queues.dead_letters):
        if await queue_of(connection, name) is None:
            async with connection.channel() as channel:
                await channel.declare_queue(name, durable=True)
    async with connection.channel() as channel:
        for name, key in queues.bound.items():
            queue = await channel.get_queue(name, ensure=False)
            await queue.bind(broker.exchange, key)


async def queue_of(connection: AbstractConnection, name: str) -> AbstractQueue | None:
    """Return a queue with its depth as it is; None if it is not there."""
    async with _asking(connection) as channel:
        with suppress(ChannelNotFoundEntity):
            return await channel.declare_queue(name, passive=True)
    return None


async def _has_exchange(connection: AbstractConnection, name: str) -> bool:
    async with _asking(connection) as channel:
        with suppress(ChannelNotFoundEntity):
            await channel.declare_exchange(name, passive=True)
            return True
    return False


@asynccontextmanager
async def _asking(connection: AbstractConnection) -> AsyncIterator[AbstractChannel]:
    """Open a channel for a question, which the broker closes if the answer is no."""
    channel = await connection.channel()
    try:
        yield channel
    finally:
        if not channel.is_closed:
            await channel.close()
