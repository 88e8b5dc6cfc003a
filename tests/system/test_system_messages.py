"""A thousand announcements while broker, service and both are stopped and killed: one request for each.

Messages come twice, in any order, some of them malformed, and nothing is lost that the broker has confirmed. What
our side has to say meanwhile is heard, under one id each.
"""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from environments import Environment
from postgresql import USER, Cluster
from postgresql import running as postgresql_running
from sqlmodel import Session

from blocks.profile import Profile
from deployments.local.rabbitmq import LocalBroker
from deployments.local.rabbitmq import running as broker_running
from tasks.catalog import outbox
from tasks.catalog.book import Book, Filed
from tasks.catalog.outbox import Outbox
from tasks.catalog.tasks import catalog_of, database_of
from tasks.errors import PpiError
from tasks.messages.broker import Broker, connected, prepare
from tasks.messages.standing import Standing, standing
from tasks.messages.tasks import broker_of, queues_of

NAME, WORKFLOW = "site-test", "restore-ous"
OBSERVATIONS, MESSAGES, MALFORMED = 700, 1000, 20
PATIENCE_SECONDS = 300.0
ELSEWHERE = {
    "metadata_url": "sqlite:////nowhere",
    "ngas_servers": "127.0.0.1:1",
    "prefect_apiUrl": "http://127.0.0.1:1/api",
}
"""What is not there, and not needed: a Prefect server that is away is told nothing, and keeps nobody waiting."""
ROUNDS = ("broker stopped", "service stopped", "both killed", "service killed", "nothing")
INGESTED, ARCHIVED = "ingestion-complete.observation", "ingestion-complete.products"


def uid(number: int) -> str:
    return f"uid://A001/X1/X{number:x}"


@dataclass
class Listening:
    """The service, which is started and ended."""

    environment: Environment
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self, *command: str) -> None:
        arguments = self.environment.command(*(command or ("listen",)))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(arguments, env=self.environment.variables, stdout=log, stderr=log)

    def end(self, *, kill: bool = False) -> int:
        assert self.process
        (self.process.kill if kill else self.process.terminate)()
        return self.process.wait(120)


@dataclass
class Scene:
    """All that takes part."""

    profile: Profile
    broker: LocalBroker
    listening: Listening
    written: list[str] = field(default_factory=list)
    told: datetime | None = None

    @property
    def address(self) -> Broker:
        return broker_of(self.profile)

    def standing(self) -> Standing:
        return asyncio.run(standing(self.address, queues_of(self.profile), 1000))

    def dead(self) -> set[str]:
        return {letter.beginning for letter in self.standing().dead_letters}

    def until(self, met: Callable[[], bool]) -> None:
        ends = time.monotonic() + PATIENCE_SECONDS
        while not met():
            if time.monotonic() > ends:
                log = self.listening.log.read_text()[-6000:]
                pytest.fail(f"{len(self.asked_for())} asked for, {self.standing().depths}, {self.dead()}, {log}")
            time.sleep(0.1)

    def requests(self) -> tuple[Filed, ...]:
        return Book(database_of(self.profile)).candidates(WORKFLOW, 10 * MESSAGES, datetime.now(UTC))

    def asked_for(self) -> Counter[str]:
        return Counter(each.observation for each in self.requests())

    def stage(self) -> tuple[str | None, datetime | None]:
        (first,) = (each for each in self.requests() if each.observation == uid(0))
        return first.stage, first.told

    def say(self, count: int) -> None:
        """Write to the outbox, as runs do; the last tells how far the first observation is."""
        now = datetime.now(UTC)
        self.told = now
        status = {"workflow": WORKFLOW, "observation": uid(0), "state": "running", "time": now.isoformat()}
        with database_of(self.profile).writing() as connection, Session(connection) as session:
            for _ in range(count):
                self.written.append(str(len(self.written)))
                outbox.write(session, ARCHIVED, {"text": self.written[-1]}, now)
            outbox.write(session, f"workflow-status.{WORKFLOW}", {**status, "stage": self.written[-1]}, now)
            session.flush()

    async def publish(self, bodies: Sequence[bytes]) -> None:
        async with connected(self.address) as connection:
            channel = await connection.channel(on_return_raises=True)
            exchange = await channel.get_exchange(self.address.exchange)
            for body in bodies:
                message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                await exchange.publish(message, INGESTED, mandatory=True)

    async def make_ready(self) -> None:
        """Make the queues as the service does, and one in which everything is heard that is sent."""
        async with connected(self.address) as connection:
            await prepare(connection, self.address, queues_of(self.profile))
            channel = await connection.channel()
            queue = await channel.declare_queue("heard", durable=True)
            await queue.bind(self.address.exchange, ARCHIVED)

    async def heard(self) -> dict[str, set[str]]:
        """Return the ids under which each text was heard."""
        found: dict[str, set[str]] = {}
        async with connected(self.address) as connection:
            queue = await (await connection.channel()).get_queue("heard")
            while message := await queue.get(fail=False, no_ack=True):
                found.setdefault(json.loads(message.body)["text"], set()).add(message.message_id or "")
        return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with postgresql_running() as cluster:
        cluster.execute("CREATE DATABASE catalog")
        yield cluster


@pytest.fixture
def scene(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    with broker_running(tmp_path / "rabbitmq") as broker:
        environment = Environment(NAME, tmp_path / "capo", tmp_path / "area", tmp_path)
        properties = {
            key.removeprefix("ppi.").replace(".", "_"): value for key, value in broker.properties.items()
        }
        named = {"url": cluster.url("catalog"), "username": USER, "password": cluster.password}
        catalog = {f"catalog_{key}": value for key, value in named.items()}
        environment.write({**ELSEWHERE, **catalog, **properties})
        monkeypatch.setenv("CAPO_PATH", str(environment.capo))
        made = Scene(Profile.load(NAME), broker, Listening(environment, tmp_path / "log"))
        catalog_of(made.profile)
        yield made
        if made.listening.process and made.listening.process.poll() is None:
            made.listening.end(kill=True)


@contextmanager
def troubled(scene: Scene, trouble: str) -> Iterator[None]:
    """Have something be away for as long as the block lasts."""
    who, how = trouble.split() if " " in trouble else ("", "")
    if who in ("service", "both"):
        scene.listening.end(kill=how == "killed")
    if who in ("broker", "both"):
        (scene.broker.kill if how == "killed" else scene.broker.stop)()
    yield
    if who in ("broker", "both"):
        scene.broker.start()
    if who in ("service", "both"):
        scene.listening.start()


def announcement(number: int) -> bytes:
    return json.dumps({"mous": uid(number), "project": f"2026.1.{number % 7:05}.S"}).encode()


def traffic(chance: random.Random) -> list[bytes]:
    """Return announcements of all observations, some more than once, in any order, and malformed messages."""
    numbers = [*range(OBSERVATIONS), *chance.choices(range(OBSERVATIONS), k=MESSAGES - OBSERVATIONS - MALFORMED)]
    bodies = [announcement(number) for number in numbers]
    bodies += [f"malformed {number}".encode() for number in range(MALFORMED)]
    chance.shuffle(bodies)
    return bodies


def test_a_thousand_messages_lead_to_one_request_each_whatever_is_killed(scene: Scene) -> None:
    chance = random.Random(6)  # noqa: S311 - so that it can be done again
    bodies = traffic(chance)
    asyncio.run(scene.make_ready())
    scene.listening.start()
    publish(scene, [announcement(0)])
    scene.until(lambda: set(scene.asked_for()) == {uid(0)})
    share = len(bodies) // len(ROUNDS) + 1
    for round_, trouble in enumerate(ROUNDS):
        mine = bodies[round_ * share : (round_ + 1) * share]
        cut = chance.randrange(len(mine))
        publish(scene, mine[:cut])
        with troubled(scene, trouble):
            scene.say(40)  # ten minutes of traffic wait meanwhile, here and with those who send to us
        publish(scene, mine[cut:])
    everything = {uid(number) for number in range(OBSERVATIONS)}
    scene.until(lambda: set(scene.asked_for()) == everything)
    scene.until(lambda: len(scene.dead()) == MALFORMED)
    scene.until(lambda: Outbox(database_of(scene.profile)).backlog() == 0)
    scene.until(lambda: scene.stage() == (scene.written[-1], scene.told))
    assert set(scene.asked_for().values()) == {1}
    assert {letter.reason for letter in scene.standing().dead_letters} == {
        "it cannot be understood: Invalid JSON: expected value at line 1 column 1"
    }
    heard = asyncio.run(scene.heard())
    assert set(heard) == set(scene.written)
    assert {len(ids) for ids in heard.values()} == {1}
    look_by_command(scene)


def publish(scene: Scene, bodies: Sequence[bytes]) -> None:
    """Publish until the broker has confirmed all, which may have some of them come twice."""
    while True:
        try:
            return asyncio.run(scene.publish(bodies))
        except PpiError:
            time.sleep(0.2)


def look_by_command(scene: Scene) -> None:
    """The command shows it, and puts back what was put aside; served as a part of its environment, it goes on."""
    assert scene.listening.end() == 0
    scene.listening.start("serve", "listener")
    environment = scene.listening.environment
    shown = environment.ppi("messages")
    assert shown.returncode == 0, shown.stderr
    assert "Invalid JSON" in shown.stdout
    again = environment.ppi("messages", "--again", "--json")
    found: dict[str, Any] = json.loads(again.stdout)
    assert (found["put_back"] >= MALFORMED, found["unsent"]) == (True, 0)
    scene.until(lambda: len(scene.dead()) == MALFORMED)
    assert scene.listening.end() == 0
    log = scene.listening.log.read_text()
    assert scene.address.password not in log + shown.stdout + again.stdout
    assert "Traceback" not in log
