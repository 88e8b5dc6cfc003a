"""Any sequence of faults from any of several servers, with kills in between: right bytes, or a due error."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ngas_archive import some_bytes

from deployments.local.illness import Ill, replicated
from deployments.local.ngas_faults import (
    answer,
    busy,
    cut,
    failure,
    flip,
    hang_up,
    in_turn,
    internal_error,
    negative_length,
    newer_version,
    offline,
    page,
    redirect,
    reset,
    stall,
    trickle,
    trickle_head,
    unavailable,
    whole_again,
    wrong_start,
)
from deployments.local.ngas_handler import Fault
from deployments.local.ngas_index import Plugin
from deployments.local.ngas_server import NgasServer, archive, serving_cluster
from tasks.errors import Failed, PpiError, Refused
from tasks.ngas import NgasClient, Patience, Store, StoredFile

DATA: Final = some_bytes(200_003)
NODES, MOST_FAULTS = 3, 3
TIMEOUT = 0.1
IN_TIME = 20.0
"""Seconds: what a play may take on a busy machine; all its time-outs together are far less."""
KINDS: Final[Mapping[str, tuple[Plugin, bool]]] = {
    "summed": ("crc32", False),
    "signed": ("ngamsGenCrc32", True),
    "castagnoli": ("crc32c", False),
    "plain": ("None", False),
}
"""Files by how the archive records their checksum."""

ABOUT_THE_SERVER: Final[Mapping[str, Fault]] = {
    "busy": busy(),
    "reset": reset(),
    "closed": hang_up(),
    "no answer": hang_up(60),
    "header trickle": trickle_head(0.03),
    "internal error": internal_error(),
    "bad gateway": page(502),
    "4019": unavailable(),
    "4015": offline(),
    "redirect loop": redirect(),
    "redirect to a dead node": redirect("127.0.0.1:1"),
}
PASSING: Final[Mapping[str, Fault]] = ABOUT_THE_SERVER | {
    "half": cut(),
    "a little": cut(1000),
    "nothing": cut(0),
    "all but one": cut(len(DATA) - 1),
    "stall": stall(),
    "trickle": trickle(0.03),
    "whole again": whole_again(),
    "newer version": newer_version(),
}
FLIPPING: Final[Mapping[str, Fault]] = {"first byte": flip(0), "last byte": flip(len(DATA) - 1)}
DAMAGING: Final[Mapping[str, Fault]] = FLIPPING | {
    "truncated": answer(200, DATA[:-1]),
    "grown": answer(200, DATA + b"x"),
    "empty": answer(200),
    "wrong start": wrong_start(),
    "negative length": negative_length(),
    "page": page(),
    "failure": failure("NGAMS_ER_ILL:1:ERROR: x"),
    "part without a range": answer(206, DATA),
}
REFUSING: Final[Mapping[str, Fault]] = {"forbidden": answer(403), "unauthorised": answer(401), "bad": answer(400)}
FAULTS: Final = PASSING | DAMAGING | REFUSING


@dataclass(frozen=True)
class Play:
    """What happens."""

    file_id: str
    described: tuple[tuple[str, ...], ...]
    """For each server, the faults that successive requests for the description meet there."""
    retrieved: tuple[tuple[str, ...], ...]
    """For each server, those that requests for the bytes meet."""
    kills: tuple[int, ...]
    """After so many bytes each a process ends, and another begins."""

    @property
    def must_pass(self) -> bool:
        """Whether a server comes round in the client's patience: it refuses nothing, and damages once at most."""
        return any(
            not REFUSING.keys() & set(names) and sum(name in DAMAGING for name in names) < 2
            for names in self.retrieved
        )

    @property
    def due(self) -> tuple[type[PpiError], ...]:
        """The errors that it may end with."""
        met = {name for names in self.retrieved for name in names}
        ends = {Refused: met & REFUSING.keys(), Failed: met & DAMAGING.keys()}
        return () if self.must_pass else tuple(kind for kind, names in ends.items() if names)


def _plays() -> st.SearchStrategy[Play]:
    def of(file_id: str, nodes: int) -> st.SearchStrategy[Play]:
        names = sorted(FAULTS.keys() - FLIPPING.keys() if file_id == "plain" else FAULTS)
        each = st.lists(st.sampled_from(names), max_size=MOST_FAULTS).map(tuple)
        first = st.lists(st.sampled_from(sorted(ABOUT_THE_SERVER)), max_size=1).map(tuple)
        return st.builds(
            Play,
            st.just(file_id),
            st.tuples(*[first] * nodes),
            st.tuples(*[each] * nodes),
            st.lists(st.integers(1, len(DATA)), max_size=2).map(tuple),
        )

    return st.tuples(st.sampled_from(sorted(KINDS)), st.integers(1, NODES)).flatmap(lambda drawn: of(*drawn))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[NgasServer, ...]]:
    """Three servers, each with a copy of every file."""
    folder = tmp_path_factory.mktemp("cluster")
    for file_id, (plugin, signed) in KINDS.items():
        source = folder / file_id
        source.write_bytes(DATA)
        archive(folder / "archive", source, file_id, plugin=plugin, signed=signed)
    with serving_cluster(folder / "archive", NODES) as nodes:
        for number in range(1, NODES):
            replicated(lambda ill: None)(Ill((nodes[0], nodes[number]), "summed"))
        yield nodes


class Killed(BaseException):
    """The end of a process, as far as its files are concerned."""


class Killer:
    """Kills at some gain of bytes, and counts them."""

    def __init__(self, ends: int | None) -> None:
        self.count, self._ends = 0, ends

    def __call__(self, gain: int) -> None:
        self.count += gain
        if self._ends is not None and self.count >= self._ends:
            raise Killed


Fetch = Callable[[NgasClient, StoredFile, Killer], None]


def run(
    play: Play, nodes: tuple[NgasServer, ...], fetch: Callable[[NgasClient, StoredFile, Killer], None]
) -> None:
    """Fetch while all that happens."""
    servers = nodes[: len(play.retrieved)]
    for node, described, retrieved in zip(servers, play.described, play.retrieved, strict=True):
        node.faults = {
            ("STATUS", play.file_id): in_turn(*[FAULTS[name] for name in described]),
            ("RETRIEVE", play.file_id): in_turn(*[FAULTS[name] for name in retrieved]),
        }
    for ends in (*play.kills, None):
        client = NgasClient(
            [node.address for node in servers],
            timeout=TIMEOUT,
            patience=Patience(rounds=MOST_FAULTS + 1, sleep=lambda _: None),
        )
        try:
            fetch(client, client.describe(play.file_id, 1), Killer(ends))
        except Killed:
            continue
        return


def judge(
    play: Play, nodes: tuple[NgasServer, ...], fetch: Callable[[NgasClient, StoredFile, Killer], None]
) -> bool:
    """Return whether the bytes came; an error must be one that is due, and in time."""
    began = time.monotonic()
    try:
        run(play, nodes, fetch)
    except PpiError as error:
        if not isinstance(error, play.due):
            raise
        return False
    finally:
        assert time.monotonic() - began < IN_TIME
    return True


@settings(max_examples=500, deadline=None)
@given(play=_plays())
def test_any_sequence(cluster: tuple[NgasServer, ...], play: Play) -> None:
    with tempfile.TemporaryDirectory() as folder:
        destination = Path(folder, "f")

        def fetch(client: NgasClient, file: StoredFile, killer: Killer) -> None:
            client.retrieve(file, destination, killer)
            assert killer.count == len(DATA)

        came = judge(play, cluster, fetch)
        there = [path for path in destination.parent.iterdir() if path.suffix != ".part"]
        assert there == ([destination] if came else [])
        assert not came or destination.read_bytes() == DATA
        assert not (came and list(destination.parent.glob(".*"))), "the part has become the file"


@settings(max_examples=100, deadline=None)
@given(play=_plays())
def test_any_sequence_behind_the_store(cluster: tuple[NgasServer, ...], play: Play) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "store")
        held: list[bytes] = []

        def fetch(client: NgasClient, file: StoredFile, killer: Killer) -> None:
            with Store(root).using(client, file, killer) as found:
                held.append(found.path.read_bytes())

        came = judge(play, cluster, fetch)
        assert held == ([DATA] if came else [])
        assert [path.read_bytes() for path in root.rglob("content")] == held
        assert len(list(root.rglob("record.json"))) == len(held)


def test_a_sequence_can_fail(cluster: tuple[NgasServer, ...]) -> None:
    """The judge is one: what no client may do is seen."""
    play = Play("summed", ((),), (("half",),), ())

    def keep_half(client: NgasClient, file: StoredFile, killer: Killer) -> None:
        raise Failed("f", "it gave up")

    assert play.must_pass
    with pytest.raises(Failed):
        judge(play, cluster, keep_half)
