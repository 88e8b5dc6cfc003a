"""A sweep over a thousand to a million observations in PostgreSQL, of which 0, 100 or 10,000 have become public.

BENCH_OBSERVATIONS (default 1000,10000,100000,1000000) sets the sizes. All that was public before is restored. A
sweep is compared with the script that one would write instead: it fetches what may be restored, fetches what was
asked for, and asks for the rest. Neither starts anything; what that costs is the Prefect server's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Engine, create_engine, event, text

from benchmarks.ratio import at_most, median
from benchmarks.served import postgresql_server
from benchmarks.sweep_archive import PRIVATE, fill, fill_catalog, release
from tasks.alma.archive import MetadataArchive
from tasks.catalog.book import Book, Filed, Mark
from tasks.catalog.catalog import Catalog
from tasks.catalog.connection import Database
from tasks.sweep import RunEnd, Terms, sweep

_SIZES = [int(size) for size in os.environ.get("BENCH_OBSERVATIONS", "1000,10000,100000,1000000").split(",")]
_NEW = (0, 100, 10_000)
_TIMES = 5
_MOST_SECONDS, _MOST_QUERIES = 2.0, 12
_TERMS = Terms("bench", "restore-ous", (), audit_size=10_000, since=None, most_runs=8)
_WANTED = """
SELECT o.member_ous_uid, o.asa_project_code FROM asa_ous o
JOIN asa_delivery_status d ON d.delivery_name = o.asa_project_code || '_'
  || replace(replace(o.member_ous_uid, '://', '___'), '/', '_') AND d.release_date <= :now
WHERE EXISTS (SELECT 1 FROM asa_product_files f WHERE f.asa_ous_id = o.asa_ous_id AND f.file_class = 'calibration')
AND EXISTS (SELECT 1 FROM asa_product_files f WHERE f.asa_ous_id = o.asa_ous_id AND f.file_class = 'science')
"""


class _Figure(NamedTuple):
    seconds: float
    queries: int
    of_script: float


@dataclass
class _Runs:
    """A server whose runs are made at once, and succeed by the next sweep."""

    made: list[str] = field(default_factory=list)

    def launch(self, request: Filed, key: str) -> str:
        """Make a run."""
        self.made.append(f"{len(self.made):036}")
        return self.made[-1]

    def ends(self, runs: Collection[str]) -> Mapping[str, RunEnd]:
        """Return how runs ended."""
        return dict.fromkeys(runs, RunEnd.CANCELLED)


def main() -> None:
    """Measure, and print the ratios."""
    figures: dict[tuple[int, int], _Figure] = {}
    with postgresql_server() as server:
        for size in _SIZES:
            figures |= {(size, new): figure for new, figure in _measured(server, size)}
    last, first = _SIZES[-1], _SIZES[max(len(_SIZES) - 2, 0)]
    much = figures[last, 100]
    at_most(f"sweep_seconds_{last}_with_100_new", much.seconds, _MOST_SECONDS)
    at_most("sweep_queries_with_100_new", much.queries, _MOST_QUERIES)
    at_most(f"sweep_{last}_over_{first}", much.seconds / figures[first, 100].seconds, 2)
    at_most(f"sweep_over_script_{last}", much.seconds / much.of_script, 0.2)


def _measured(server: str, size: int) -> Iterator[tuple[int, _Figure]]:
    _execute(f"{server}/postgres", f"CREATE DATABASE alma_{size}", f"CREATE DATABASE catalog_{size}")
    url, began = f"{server}/alma_{size}", time.perf_counter()
    fill(url, size)
    database = Database(f"{server}/catalog_{size}")
    Catalog(database, "bench", upgrade=True)
    fill_catalog(f"{server}/catalog_{size}", size)
    print(f"{size:>8} observations, made in {time.perf_counter() - began:.0f} s", flush=True)
    archive, book, clock = MetadataArchive(url), Book(database), _Clock()
    book.record((), clock.now, marks=[Mark("releases", clock.now, "")])
    sweep(archive, book, _TERMS, clock.now, _Runs(), lambda _: False)
    for new in _NEW:
        times = min(_TIMES, (size // PRIVATE - clock.released) // new) if new else _TIMES
        if times:
            yield new, _figure(archive, book, url, f"{server}/catalog_{size}", new, times, clock)


class _Clock:
    """The time as sweeps see it, an hour later each time; what is private becomes public when it is told to."""

    def __init__(self) -> None:
        self.now, self.released = datetime(2026, 1, 2, tzinfo=UTC), 0

    def go_on(self) -> None:
        self.now += timedelta(hours=1)


def _figure(
    archive: MetadataArchive, book: Book, url: str, catalog: str, new: int, times: int, clock: _Clock
) -> _Figure:
    seconds, queries, runs = [], [], _Runs()
    for _ in range(times):
        clock.go_on()
        release(url, range(clock.released, clock.released + new), clock.now - timedelta(minutes=30))
        clock.released += new
        with _counted() as sent:
            began = time.perf_counter()
            swept = sweep(archive, book, _TERMS, clock.now, runs, lambda _: False)
            seconds.append(time.perf_counter() - began)
        queries.append(len(sent))
        if len(swept.asked) != new:
            sys.exit(f"{len(swept.asked)} were asked for, and not {new}")
        _execute(catalog, "UPDATE request SET state = 'succeeded' WHERE state <> 'succeeded'")
    script = _script(url, catalog, clock.now)
    print(
        f"    {new:>6} new: {median(seconds):.3f} s ({min(seconds):.3f} to {max(seconds):.3f}), "
        f"{max(queries)} queries; by a script {script:.2f} s",
        flush=True,
    )
    return _Figure(median(seconds), max(queries), script)


def _script(url: str, catalog: str, now: datetime) -> float:
    """Return what the look of the script takes that fetches all, compares, and has nothing to add."""
    began = time.perf_counter()
    with _engine(url) as alma, alma.connect() as connection:
        wanted = {row[0] for row in connection.execute(text(_WANTED), {"now": now.replace(tzinfo=None)})}
    with _engine(catalog) as own, own.connect() as connection:
        done = {row[0] for row in connection.execute(text("SELECT observation FROM request"))}
    if missed := wanted - done:
        sys.exit(f"{len(missed)} were not asked for")
    return time.perf_counter() - began


@contextmanager
def _counted() -> Iterator[list[str]]:
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def _execute(url: str, *statements: str) -> None:
    with _engine(url) as engine, engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
