"""Fetching many files: several at once from each server, through the shared store, each to its place.

One that fails does not stop the others, and what lies at its place already is never lost: it is the file itself,
or the file is refused.
"""

from __future__ import annotations

import filecmp
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Final, Literal, TypeVar

from tasks.abandon import ending
from tasks.disk import explained
from tasks.errors import Missing, PpiError, Refused
from tasks.ngas.checksum import checksum_of
from tasks.ngas.client import NgasClient
from tasks.ngas.destination import destination_of, relative_path
from tasks.ngas.locations import Located, Locations, apart
from tasks.ngas.model import StoredFile, Transfer
from tasks.ngas.store import Store
from tasks.progress import Item

__all__ = ["STAGE", "Outcome", "Source", "complete", "fetch_all", "find_all"]

STAGE: Final = "gather"
"""The stage of the events that are told."""

Source = Literal["archive", "store", "place"]
"""Where a file was: it had to come, it was in the store, or it lay at its place already."""

_ASKED_AT_ONCE: Final = 8
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Outcome:
    """What became of one file."""

    file: Located
    path: Path
    """Where it lies, or was to lie."""
    source: Source = "archive"
    transfer: Transfer | None = None
    """How it came; None when it was there, or did not come."""
    error: PpiError | None = None
    """Why it is not there."""


def find_all(client: NgasClient, file_ids: Sequence[str], version: int | None) -> Locations:
    """Ask the archive for files by their ids; each is to lie under its id.

    Parameters
    ----------
    version
        The same of each; None for the latest.

    Raises
    ------
    PpiError
        One is not there, or the archive cannot be asked; see `NgasClient.describe`.
    Refused
        An id can be no file's name, or two of them become the same.
    """
    paths = [_path_of(file_id) for file_id in file_ids]
    found = _at_once(lambda file_id: client.describe(file_id, version), file_ids)
    located = (Located(stored, path, direct=False) for stored, path in zip(found, paths, strict=True))
    return Locations(apart(located, "what is to be fetched"))


def _path_of(file_id: str) -> PurePosixPath:
    try:
        return relative_path(re.sub(r"[:/]", "_", file_id))
    except ValueError as error:
        raise Refused(f"file {file_id!r}", f"no file can be called so: {error}", "check its id") from error


def complete(locations: Locations, client: NgasClient) -> Locations:
    """Let the archive say the checksums that a report leaves out, where it knows the files.

    A file without a checksum is kept in the store under its id and size alone, for everybody. So the archive is
    asked for it, and not whom the report names.

    Raises
    ------
    PpiError
        The archive cannot be asked, or has another size; see `NgasClient.describe`.
    """

    def completed(file: Located) -> Located:
        told = file.stored
        if told.checksum:
            return file
        try:
            known = client.describe(told.file_id, told.version, expected_size=told.size)
        except Missing:
            return file
        if known.checksum is None:
            return Located(known, file.path, direct=False)
        return Located(known.model_copy(update={"server": told.server}), file.path, file.direct)

    return Locations(tuple(_at_once(completed, locations.files)))


def _at_once(ask: Callable[[T], R], things: Sequence[T]) -> list[R]:
    with _pool(_ASKED_AT_ONCE) as pool, ending():
        return list(pool.map(ask, things))


@contextmanager
def _pool(size: int) -> Iterator[ThreadPoolExecutor]:
    """Make threads for a block; what has not begun when it is left never does."""
    pool = ThreadPoolExecutor(size, "fetch")
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def fetch_all(
    locations: Locations, store: Store, client: NgasClient, root: Path, streams_per_server: int
) -> tuple[Outcome, ...]:
    """Fetch files to their places below a root.

    Each server has its own threads, so that one that is slow or ill does not keep the others idle.

    Parameters
    ----------
    streams_per_server
        Files that are asked for at once from each server that holds some.

    Returns
    -------
    tuple of Outcome
        What became of each file, in order. Only what is no file's own failure is raised.

    Raises
    ------
    Failed
        The root cannot be made.
    """
    with explained(f"{root} cannot take files"):
        root.mkdir(parents=True, exist_ok=True)
    fetcher = _Fetcher(store, client, root)
    by_server = sorted(locations.files, key=_server)
    futures: dict[PurePosixPath, Future[Outcome]] = {}
    with ExitStack() as pools, ending():
        for _, files in groupby(by_server, _server):
            pool = pools.enter_context(_pool(streams_per_server))
            futures |= {file.path: pool.submit(fetcher, file) for file in files}
        outcomes = {done: done.result() for done in as_completed(futures.values())}
    return tuple(outcomes[futures[file.path]] for file in locations.files)


def _server(file: Located) -> str:
    return file.stored.server


class _Fetcher:
    """Brings one file after the other to its place."""

    def __init__(self, store: Store, client: NgasClient, root: Path) -> None:
        self._store, self._client, self._root = store, client, root

    def __call__(self, file: Located) -> Outcome:
        """Fetch a file, and say what became of it."""
        with Item(STAGE, str(file.path), file.stored.size) as item:
            try:
                place = destination_of(self._root, file.path)
                return self._fetched(file, place, item)
            except PpiError as error:
                return Outcome(file, self._root / file.path, error=error)

    def _fetched(self, file: Located, place: Path, item: Item) -> Outcome:
        there = self._lies_at(place, file.stored)
        if there and file.stored.checksum:
            item.found(file.stored.size)
            return Outcome(file, place, "place")
        with self._store.using(self._client, file.stored, item, direct=file.direct) as held:
            if not there:
                self._store.place(held, place)
            elif not filecmp.cmp(held.path, place, shallow=False):
                raise _taken(place, file.stored)
            return Outcome(file, place, "archive" if held.transfer else "store", held.transfer)

    def _lies_at(self, place: Path, stored: StoredFile) -> bool:
        """Whether the file lies at its place already, as far as its size and checksum say.

        Raises
        ------
        Refused
            Something else lies there.
        """
        with explained(f"{place} cannot be read"):
            try:
                found = place.lstat()
            except FileNotFoundError:
                return False
            held = self._store.held(stored)
            if stat.S_ISREG(found.st_mode) and found.st_size == stored.size:
                if held and held.path.samefile(place):
                    return True
                if stored.checksum is None or checksum_of(place, stored.checksum.kind) == stored.checksum:
                    return True
        raise _taken(place, stored)


def _taken(place: Path, stored: StoredFile) -> Refused:
    todo = "move it away, or choose another destination"
    return Refused(f"{stored} is not placed", f"something else lies at {place}", todo)
