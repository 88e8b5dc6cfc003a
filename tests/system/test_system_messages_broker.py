"""The service with a real RabbitMQ: the hostile is put aside and may be put back, ours is sent in order."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pamqp.encode
import pytest
from sqlmodel import Session

from blocks.profile import Profile
from deployments.local.rabbitmq import LocalBroker
from tasks.catalog import outbox
from tasks.catalog.book import Book
from tasks.catalog.outbox import Outbox
from tasks.catalog.request import Change
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import Refused, Transient
from tasks.messages.broker import Broker, Queues, connected
from tasks.messages.service import Service
from tasks.messages.standing import put_back, standing
from tasks.messages.tasks import broker_of, queues_of, service_of

WORKFLOW = "restore-ous"
PATIENCE_SECONDS = 180.0
INGESTED = "ingestion-complete.observation"


def uid(number: int) -> str:
    return f"uid://A001/X1/X{number:x}"


def announcement(number: int, **more: object) -> bytes:
    return json.dumps({"mous": uid(number), **more}).encode()


@dataclass
class Place:
    """A profile with a broker, and what its service told of."""

    profile: Profile
    told: list[Change] = field(default_factory=list)

    @property
    def service(self) -> Service:
        return service_of(self.profile, WORKFLOW, self.told.extend)

    @property
    def broker(self) -> Broker:
        return broker_of(self.profile)

    @property
    def queues(self) -> Queues:
        return queues_of(self.profile)

    @property
    def book(self) -> Book:
        return Book(database_of(self.profile))

    def waiting(self) -> set[str]:
        return {each.observation for each in self.book.candidates(WORKFLOW, 10_000, datetime.now(UTC))}

    def say(self, number: int) -> None:
        with database_of(self.profile).writing() as connection, Session(connection) as session:
            outbox.write(session, f"workflow-status.{WORKFLOW}", {"number": number}, datetime.now(UTC))
            session.flush()


@pytest.fixture
def place(tmp_path: Path, broker: LocalBroker, monkeypatch: pytest.MonkeyPatch, request: Any) -> Place:
    name = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)[:60]
    keys = {
        "ppi.processing.rootDirectory": str(tmp_path / "area"),
        "ppi.metadata.url": "sqlite:////nowhere",
        "ppi.ngas.servers": "127.0.0.1:1",
        "ppi.broker.exchange": f"events-{name}",
        **broker.properties,
    }
    (tmp_path / f"{name}.properties").write_text("".join(f"{key} = {value}\n" for key, value in keys.items()))
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    made = Place(Profile.load(name))
    catalog_of(made.profile)
    return made


@asynccontextmanager
async def served(place: Place) -> AsyncIterator[None]:
    serving = asyncio.create_task(place.service.serve())
    try:
        await until(lambda: listeners(place))
        yield
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def listeners(place: Place) -> bool:
    depths = (await standing(place.broker, place.queues, 0)).depths
    return all(depth.consumers for depth in depths[:2])


async def until(met: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await met():
            await asyncio.sleep(0.05)


async def publish(place: Place, *messages: aio_pika.Message, key: str = INGESTED) -> None:
    async with connected(place.broker) as connection:
        channel = await connection.channel(on_return_raises=True)
        exchange = await channel.get_exchange(place.broker.exchange)
        for message in messages:
            await exchange.publish(message, key, mandatory=True)


async def dead(place: Place, count: int) -> dict[bytes, str]:
    """Wait for so many different dead letters, and return their reasons by the beginnings of their bodies."""
    found: dict[bytes, str] = {}

    async def all_there() -> bool:
        letters = (await standing(place.broker, place.queues, 1000)).dead_letters
        found.update({each.beginning[:40].encode(): each.reason for each in letters})
        return len(found) >= count

    await until(all_there)
    return found


HOSTILE = (
    b"not JSON",
    b"[1",
    b"\xff\xfe\x00",
    b'{"mous": ""}',
    b'{"project": "2017.1.00886.L"}',
    announcement(1, profile="site-prod"),
    b'{"mous": "\\u0000; DROP TABLE request; --"}',
    b"x" * 10_000_000,
)


def test_what_is_hostile_is_put_aside_with_its_reason_and_the_service_lives(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with served(place):
            await publish(place, *(aio_pika.Message(body) for body in HOSTILE), aio_pika.Message(announcement(2)))
            await publish(place, aio_pika.Message(b"{}"), key="workflow-status.anything")
            with monkeypatch.context() as patched:
                patched.setitem(pamqp.encode.METHODS, "timestamp", lambda _: struct.pack(">Q", 2**63))
                strange = aio_pika.Message(announcement(3), timestamp=datetime.now(UTC))
                await publish(place, strange)
            await publish(place, aio_pika.Message(announcement(4)))
            reasons = await dead(place, len(HOSTILE) + 2)
            assert "Invalid JSON" in reasons[b"not JSON"]
            assert "site-prod" in reasons[announcement(1, profile="site-prod")[:40]]
            assert "10000000 bytes" in reasons[b"x" * 40]
            assert "mous: Field required" in reasons[b'{"project": "2017.1.00886.L"}']
            assert "properties cannot be read" in reasons[announcement(3)[:40]]
            assert "workflow: Field required" in reasons[b"{}"]
            await until(lambda: true(place.waiting() == {uid(2), uid(4)}))
            await until(lambda: true({change.observation for change in place.told} == {uid(2), uid(4)}))

    asyncio.run(scene())


async def true(value: bool) -> bool:
    return value


def test_dead_letters_are_put_back(place: Place) -> None:
    async def scene() -> None:
        async with served(place):
            await publish(place, aio_pika.Message(b"no"), aio_pika.Message(announcement(5, profile="site-prod")))
            await dead(place, 2)
        found = await standing(place.broker, place.queues, 1)
        assert [(each.queue, each.routing_key, each.size) for each in found.dead_letters] == [
            (place.queues.observations, INGESTED, 2)
        ]
        assert await put_back(place.broker, place.queues) == 2
        depths = (await standing(place.broker, place.queues, 10)).depths
        assert [(depth.messages, depth.consumers) for depth in depths] == [(2, 0), (0, 0), (0, 0)]
        async with served(place):
            await dead(place, 2)

    asyncio.run(scene())


def test_the_outbox_is_sent_in_its_order_by_one_of_two_services(place: Place) -> None:
    async def scene() -> None:
        heard: list[tuple[int, str | None]] = []

        async def hear(message: Any) -> None:
            heard.append((json.loads(message.body)["number"], message.message_id))

        async with served(place), served(place), connected(place.broker) as connection:
            channel = await connection.channel()
            queue = await channel.declare_queue(exclusive=True)
            await queue.bind(place.broker.exchange, "workflow-status.#")
            await queue.consume(hear, no_ack=True)
            for number in range(250):
                place.say(number)
            await until(lambda: true(len(heard) >= 250))
            await until(lambda: true(Outbox(database_of(place.profile)).backlog() == 0))
        assert [number for number, _ in heard] == list(range(250))
        assert len({name for _, name in heard}) == 250

    asyncio.run(scene())


def test_a_queue_that_is_deleted_is_made_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.messages.listening._LOOK_SECONDS", 0.2)

    async def scene() -> None:
        async with served(place):
            async with connected(place.broker) as connection:
                await (await connection.channel()).queue_delete(place.queues.observations)
            await until(lambda: listeners(place))
            await publish(place, aio_pika.Message(announcement(6)))
            await until(lambda: true(place.waiting() == {uid(6)}))

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("wrong", "error"), [({"password": "wrong"}, Refused), ({"url": "amqp://127.0.0.1:1/"}, Transient)]
)
def test_a_broker_that_cannot_be_used_is_explained(
    place: Place, wrong: dict[str, str], error: type[Exception]
) -> None:
    broker = Broker(**{**vars(place.broker), **wrong})
    with pytest.raises(error, match=r"the broker amqp://127\.0\.0\.1:") as raised:
        asyncio.run(standing(broker, place.queues, 1))
    assert place.broker.password not in str(raised.value)
