"""The service: it listens and sends for ever, whatever becomes of the broker, the catalog and the network.

Nothing is consumed while the catalog is away: what was in hand goes back to its queue with the connection, and the
next one is made when the catalog answers.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tasks.catalog.request import Change
from tasks.errors import PpiError, Transient
from tasks.messages.broker import Broker, Queues, connected, prepare
from tasks.messages.intake import Intake
from tasks.messages.listening import Listener
from tasks.messages.sending import Sender

__all__ = ["Service"]

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_TELL_SECONDS: Final = 10.0
_log = logging.getLogger("ppi.messages")


@dataclass
class Service:
    """Listens and sends.

    Parameters
    ----------
    broker
        Where.
    queues
        What is listened to.
    intake
        What becomes of it.
    sender
        What is sent.
    tell
        Called with what was changed in the catalog, at most every 10 s; what it raises is logged, and no more.
    """

    broker: Broker
    queues: Queues
    intake: Intake
    sender: Sender
    tell: Callable[[tuple[Change, ...]], None]
    _untold: list[Change] = field(default_factory=list, init=False)

    def run(self) -> None:
        """Serve until somebody interrupts it.

        Raises
        ------
        Refused, Missing
            The catalog cannot be used at all.
        """
        try:
            self.intake.require_ready()
        except Transient as error:
            _log.warning("%s", error)
        logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # what it tells is told here, in words
        asyncio.run(self.serve())

    async def serve(self) -> None:
        """Do so in an event loop, until it is cancelled."""
        telling = asyncio.create_task(self._tell_for_ever())
        pause = _SHORTEST_PAUSE
        try:
            while True:
                began = time.monotonic()
                await self._session()
                if time.monotonic() - began > _LONGEST_PAUSE:
                    pause = _SHORTEST_PAUSE
                await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - it spreads load
                pause = min(2 * pause, _LONGEST_PAUSE)
        finally:
            telling.cancel()

    async def _session(self) -> None:
        """Listen and send as long as that goes well, and log why it does not."""
        try:
            await asyncio.to_thread(self.intake.require_ready)
            await self._serve()
        except PpiError as error:
            _log.warning("%s. It is tried again.", str(error).rstrip("."))
        except Exception:  # noqa: BLE001 - the service lives
            _log.exception("Listening failed, and is tried again")

    async def _serve(self) -> None:
        listener = Listener(self.queues, self.intake, self._untold.extend)
        async with connected(self.broker) as connection:
            await prepare(connection, self.broker, self.queues)
            _log.info("%s is listened to, in %s", self.broker, " and ".join(self.queues.bound))
            ours = [
                asyncio.create_task(work) for work in (listener.listen(connection), self.sender.send(connection))
            ]
            await _first_of([*ours, asyncio.ensure_future(connection.closed())])
        raise Transient(str(self.broker), "the connection was lost", "see that it runs")

    async def _tell_for_ever(self) -> None:
        while True:
            if changes := tuple(self._untold):
                self._untold.clear()
                await self._tell(changes)
                await asyncio.sleep(_TELL_SECONDS)
            else:
                await asyncio.sleep(_SHORTEST_PAUSE)

    async def _tell(self, changes: tuple[Change, ...]) -> None:
        try:
            await asyncio.to_thread(self.tell, changes)
        except Exception as error:  # noqa: BLE001 - whoever is told, the messages are more important
            _log.warning("%d changes are not told: %s", len(changes), error or type(error).__name__)


async def _first_of(works: list[asyncio.Future[Any]]) -> None:
    """Wait until one piece of work ends, which none should, and end the others; raise what it raised.

    The client's library cancels who waits for a connection that was lost: that is no cancellation of ours.
    """
    try:
        done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
    for work in done:
        if not work.cancelled() and (error := work.exception()):
            raise error
