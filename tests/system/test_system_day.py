"""A day in the life of an archive: two environments, a sweep each minute, 500 observations, and what goes wrong.

At its end the account balances: what could be restored was, once in each environment, and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aio_pika
import pytest
from day import WORKFLOW, Listening, Observation, Runs, Site, Sky
from postgresql import USER, Cluster
from postgresql import running as postgresql_running

from blocks.profile import Profile
from deployments.local.rabbitmq import LocalBroker
from deployments.local.rabbitmq import running as broker_running
from tasks.alma.archive import MetadataArchive
from tasks.catalog.book import Book
from tasks.catalog.catalog import Catalog
from tasks.catalog.desk import Chosen, Desk
from tasks.catalog.outbox import Outbox
from tasks.catalog.request_states import RequestState
from tasks.catalog.tasks import database_of
from tasks.messages.broker import connected, prepare
from tasks.messages.standing import standing
from tasks.messages.tasks import broker_of, queues_of
from tasks.sweep import Terms

OBSERVATIONS, PROJECTS = 500, 25
DAY, LONGEST = 240, 480
"""Minutes of a working day, and by when at the latest all must have come to its end."""
MOST_RUNS = 12
PATIENCE_SECONDS = 240.0
FATES = {"good": 80.0, "crashed": 6.0, "passing": 6.0, "silent": 3.0, "lost": 3.0}
PROFILES = ("site-test", "site-dev")
HELD = "2026.1.00003.S"
Act = Callable[[], None]


def observations(chance: random.Random) -> list[Observation]:
    return [_observation(chance, number) for number in range(OBSERVATIONS)]


def _observation(chance: random.Random, number: int) -> Observation:
    """Make one up: most become public and calibrated in this day, in either order, and stay so."""
    arrives = chance.randrange(DAY - 90)
    calibrated = arrives + chance.choice((0, 0, 5, 60))
    released: int | None = chance.choice((arrives - 100_000, calibrated, arrives + chance.randrange(90)))
    made = Observation(
        f"uid://A001/X7/X{number:x}", f"2026.1.{number % PROJECTS:05}.S", arrives, calibrated, released
    )
    kind = chance.random()
    if kind < 0.05:
        made.calibrated = None
    elif kind < 0.10:
        made.released = chance.choice((None, 10 * LONGEST))
    elif kind < 0.13:
        made.by_hand = True
    elif kind < 0.23:
        made.clawed_back = arrives + chance.randrange(60)
        made.given_back = chance.choice((None, made.clawed_back + chance.randrange(1, 90)))
    if chance.random() < 0.6:
        first = arrives + chance.randrange(30)
        made.announced = tuple(first + chance.randrange(20) for _ in range(chance.randint(1, 3)))
    return made


@dataclass
class Day:
    """All that takes part."""

    sky: Sky
    broker: LocalBroker
    cluster: Cluster
    chance: random.Random
    sites: list[Site] = field(default_factory=list)
    minute: float = 0.0
    to_say: list[tuple[str, bytes]] = field(default_factory=list)
    """What the archive has not announced yet, with the profile whose broker it is for."""

    def now(self) -> datetime:
        return self.sky.at(self.minute)

    def announce(self, minute: int) -> None:
        """Say what is to be said, some of it twice, in any order; what the broker does not take is kept."""
        for each in self.sky.observations:
            body = json.dumps({"mous": each.mous, "project": each.project}).encode()
            self.to_say += [(name, body) for name in PROFILES for _ in range(each.announced.count(minute))]
        if minute % 40 == 7:
            self.to_say += [(name, b'{"mous": 17') for name in PROFILES]
        self.chance.shuffle(self.to_say)
        if self.to_say and self.broker_is_up:
            asyncio.run(self._publish())

    broker_is_up = True

    async def _publish(self) -> None:
        for site in self.sites:
            mine = [body for name, body in self.to_say if name == site.profile.name]
            address = broker_of(site.profile)
            async with connected(address) as connection:
                channel = await connection.channel()
                exchange = await channel.get_exchange(address.exchange)
                for body in mine:
                    message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
                    await exchange.publish(message, "ingestion-complete.observation", mandatory=True)
        self.to_say = []

    def pass_minute(self, minute: int) -> None:
        self.minute = minute
        self.sky.turn(minute)
        self.announce(minute)
        for act in self.troubles().get(minute, ()):
            act()
        with ThreadPoolExecutor(4) as threads:  # some sweeps overlap
            often = 2 if minute % 50 == 0 else 1
            done = [threads.submit(site.sweep, self.now()) for site in self.sites for _ in range(often)]
            for each in done:
                each.result()
        for site in self.sites:
            site.runs.work(self.now())

    def troubles(self) -> dict[int, tuple[Act, ...]]:
        one, other = self.sites
        return {
            30: (lambda: self._hold(Desk.hold),),
            45: (one.listening.end,),
            55: (one.listening.start,),
            70: (lambda: setattr(other.runs, "is_away", True),),
            80: (lambda: setattr(other.runs, "is_away", False),),
            100: (self._stop_broker,),
            108: (self._start_broker,),
            125: (other.listening.end, self._stop_broker),
            133: (self._start_broker, other.listening.start),
            150: (lambda: self._hold(Desk.release),),
            165: (self._cut_connections,),
            180: (lambda: self._die(one),),
            200: (lambda: self._die(other),),
        }

    def _hold(self, act: Callable[[Desk, Chosen], object]) -> None:
        act(Desk(database_of(self.sites[0].profile), "operator", self.now), Chosen(project=HELD))

    def _stop_broker(self) -> None:
        self.broker_is_up = False
        self.broker.kill()

    def _start_broker(self) -> None:
        self.broker.start()
        self.broker_is_up = True

    def _cut_connections(self) -> None:
        self.cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'c_%'")

    def _die(self, site: Site) -> None:
        """Have the next sweeps die, each at another place."""
        left = iter([False, True, True, False, False, True])
        site.runs.kills = lambda: next(left, False)


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:
    chance = random.Random(20261121)  # noqa: S311 - so that it can be done again
    begins = datetime.now(UTC) - timedelta(minutes=LONGEST + 60)
    with ExitStack() as stack:
        sky = Sky(tmp_path / "alma.db", begins, observations(chance))
        stack.callback(sky.close)
        broker = stack.enter_context(broker_running(tmp_path / "rabbitmq"))
        made = Day(sky, broker, stack.enter_context(postgresql_running()), chance)
        monkeypatch.setenv("CAPO_PATH", str(tmp_path / "capo"))
        for name in PROFILES:
            made.sites.append(stack.enter_context(site(made, name, tmp_path)))
        yield made


@contextmanager
def site(day: Day, name: str, folder: Path) -> Iterator[Site]:
    profile = written(day, name, folder)
    catalog = Catalog(database_of(profile), name, upgrade=True, announces=True)
    archive = MetadataArchive(day.sky.url)
    bad = {each.mous for each in day.sky.observations if int(each.mous[-2:].strip("X"), 16) == 0x2A}
    runs = Runs(name, archive, catalog, random.Random(name), FATES, bad)  # noqa: S311
    terms = Terms(name, WORKFLOW, (), 100, None, MOST_RUNS)
    asyncio.run(make_queues(profile))
    listening = Listening(profile, day.now)
    listening.start()
    try:
        yield Site(profile, archive, Book(database_of(profile)), runs, listening, terms)
    finally:
        listening.end()


def written(day: Day, name: str, folder: Path) -> Profile:
    database = f"c_{name.replace('-', '_')}"
    day.cluster.execute(f"CREATE DATABASE {database}")
    properties = {
        "ppi.processing.rootDirectory": str(folder / name),
        "ppi.metadata.url": day.sky.url,
        "ppi.ngas.servers": "127.0.0.1:1",
        "ppi.catalog.url": day.cluster.url(database),
        "ppi.catalog.username": USER,
        "ppi.catalog.password": day.cluster.password,
        "ppi.broker.exchange": f"{name}.events",
        **day.broker.properties,
    }
    (folder / "capo").mkdir(exist_ok=True)
    text = "".join(f"{key} = {value}\n" for key, value in properties.items())
    (folder / "capo" / f"{name}.properties").write_text(text)
    return Profile.load(name)


async def make_queues(profile: Profile) -> None:
    """Make the service's queues, and one in which the test hears all statuses."""
    address = broker_of(profile)
    async with connected(address) as connection:
        await prepare(connection, address, queues_of(profile))
        channel = await connection.channel()
        queue = await channel.declare_queue(f"heard.{profile.name}", durable=True)
        await queue.bind(address.exchange, "workflow-status.#")


async def heard(profile: Profile) -> dict[str, dict[str, str]]:
    """Return the statuses that were sent, by their ids."""
    found = {}
    async with connected(broker_of(profile)) as connection:
        queue = await (await connection.channel()).get_queue(f"heard.{profile.name}")
        while message := await queue.get(fail=False, no_ack=True):
            found[message.message_id or ""] = json.loads(message.body)
    return found


def until(met: Callable[[], bool], what: str) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    while not met():
        assert time.monotonic() < ends, what
        time.sleep(0.1)


def is_over(site: Site) -> bool:
    ends = {RequestState.SUCCEEDED, RequestState.FAILED, RequestState.WITHDRAWN}
    return {request.state for request in site.requests().values()} <= ends


@pytest.mark.timeout(1500)
def test_a_day_in_the_life(day: Day) -> None:
    for minute in range(DAY):
        day.pass_minute(minute)
    announced = {each.mous for each in day.sky.observations if each.announced}
    for site in day.sites:
        until(lambda site=site: announced <= set(site.requests()), "all that was announced is asked for")
    for minute in range(DAY, LONGEST):
        day.pass_minute(minute)
        if minute % 5 == 0 and all(map(is_over, day.sites)):
            break
    for site in day.sites:
        balance(day, site, minute)


def balance(day: Day, site: Site, last: int) -> None:
    """Hold what was done against what could be done."""
    until(lambda: Outbox(database_of(site.profile)).backlog() == 0, "what is to be told is sent")
    requests, succeeded = site.requests(), site.succeeded()
    by_mous = {each.mous: each for each in day.sky.observations}
    states = {mous: request.state for mous, request in requests.items()}
    now = {mous for mous, each in by_mous.items() if each.is_restorable(last)}
    ever = {mous for mous, each in by_mous.items() if any(map(each.is_restorable, range(last + 1)))}
    bad = set(site.runs.bad)
    assert {mous for mous in now if states.get(mous) is not RequestState.SUCCEEDED} == now & bad
    assert {states[mous] for mous in now & bad} <= {RequestState.FAILED}
    assert set(succeeded) <= ever - bad
    assert {mous for mous, state in states.items() if state is RequestState.SUCCEEDED} == set(succeeded)
    assert set(succeeded.values()) == {1}
    refused = set(states) - ever
    assert {states[mous] for mous in refused} <= {RequestState.WITHDRAWN}
    assert site.runs.most_at_once <= MOST_RUNS
    completed = Counter(
        body["observation"] for body in asyncio.run(heard(site.profile)).values() if body["state"] == "complete"
    )
    assert completed == succeeded
    put_aside = asyncio.run(standing(broker_of(site.profile), queues_of(site.profile), 100)).dead_letters
    assert len(put_aside) >= len(range(7, DAY, 40))
    assert all("JSON" in letter.reason for letter in put_aside)
