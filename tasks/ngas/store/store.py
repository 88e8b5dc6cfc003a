"""The store as the work uses it: a file is asked for, kept while it is used, and given a name outside."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from tasks.disk import copy_whole, explained
from tasks.errors import Failed, PpiError, Transient
from tasks.lease import Holder, Lease
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile, Transfer
from tasks.ngas.store.custody import Custody
from tasks.ngas.store.entry import READ_ONLY, Entry, Record, shards
from tasks.ngas.store.prune import Pruned, empty_trash, prune
from tasks.ngas.store.status import Standing, standing
from tasks.ngas.store.tally import Tally
from tasks.ngas.store.verify import Verified, verify
from tasks.progress import OnBytes, note, tell_found

__all__ = ["Held", "Store"]

_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
_MOST_LOSSES: Final = 5


class Held(BaseModel):
    """A file that the store holds, right when it was asked for."""

    model_config = ConfigDict(frozen=True)

    file: StoredFile
    path: Path
    """Its content; read-only, to be linked or read and never changed."""
    transfer: Transfer | None
    """How it came; None when it was there."""


class Store:
    """A folder of files that were fetched, shared by processes, hosts and environments.

    Parameters
    ----------
    root
        The folder; made when it is needed, for its owner and group alone.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._custody, self._tally = Custody(root), Tally(root)

    def held(self, file: StoredFile) -> Held | None:
        """Return the file if it is there and its record vouches for it; changes nothing."""
        entry = Entry.of(self._root, file)
        return Held(file=file, path=entry.content, transfer=None) if entry.vouches_for(file) else None

    @contextmanager
    def using(
        self,
        client: NgasClient,
        file: StoredFile,
        on_bytes: OnBytes = lambda count: None,
        *,
        direct: bool = False,
    ) -> Iterator[Held]:
        """Have the file, fetched if it is not there or not right; it is not removed while the block runs.

        Parameters
        ----------
        on_bytes
            Called with each gain in bytes (negative: bytes that proved wrong); the sum is the file's size.
        direct
            Whether the archive may write it into the store itself; see `NgasClient.retrieve`.

        Raises
        ------
        PpiError
            The file cannot be fetched; see `NgasClient.retrieve`.
        Failed
            The store cannot be written.
        """
        entry = Entry.of(self._root, file)
        with ExitStack() as stack:
            with explained(f"{file} cannot be kept in {self._root}"):
                _clear_away(self._root)
                stack.enter_context(self._custody.using(entry, f"using {file}"))
                fetch = partial(client.retrieve, file, entry.content, on_bytes, direct=direct)
                transfer = self._brought(entry, file, fetch)
            if not transfer:
                tell_found(on_bytes, file.size)
            yield Held(file=file, path=entry.content, transfer=transfer)

    def place(self, held: Held, destination: Path) -> None:
        """Give a held file a name outside the store: a hard link, or a copy where none can be made.

        An existing destination is replaced.

        Raises
        ------
        Failed
            The destination cannot be written.
        """
        with explained(f"{held.file} cannot be placed at {destination}"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link(held.path, destination)
            except OSError as error:
                if error.errno not in _NO_LINK:
                    raise
                copy_whole(held.path, destination, READ_ONLY)

    def status(self) -> Standing:
        """Say how much there is and who has what in hand, however large the store is."""
        with explained(f"the store {self._root} cannot be read"):
            return standing(self._root)

    def prune(self, limit: int, *, dry_run: bool = False, on_entry: Callable[[], None] = lambda: None) -> Pruned:
        """Remove what was not used for longest until there are no more bytes than a limit; see `prune`."""
        with explained(f"the store {self._root} cannot be pruned"):
            return prune(self._root, limit, dry_run=dry_run, on_entry=on_entry)

    def verify(self) -> Verified:
        """Read everything, and take out of service what is not what its record says; see `verify`."""
        with explained(f"the store {self._root} cannot be verified"):
            return verify(self._root)

    def left_by_the_dead(self) -> int:
        """Count the leases that their holders can no longer give back."""
        return Custody(self._root).left()

    def clear_away(self) -> None:
        """Remove what the dead have left, which otherwise the next who uses the store does."""
        with explained(f"the store {self._root} cannot be cleared"):
            _clear_away.__wrapped__(self._root)

    def _brought(self, entry: Entry, file: StoredFile, fetch: Callable[[], Transfer]) -> Transfer | None:
        """Make sure that the file is there; say how it came, if it came now."""
        if entry.vouches_for(file):
            if self._custody.forget_the_dead(entry):
                self._tally.forget_the_dead(entry.shard)
            entry.touch()
            return None
        for _ in range(_MOST_LOSSES):
            with self._custody.alone(entry, f"fetching {file}", _tell_waiting) as lease:
                note("")
                try:
                    return self._filled(entry, file, fetch, lease)
                except (PpiError, OSError):
                    if lease.is_held():
                        raise
        why = "this process was silent for too long, again and again, and others took it over"
        raise Transient(str(file), why, "see whether this host or its file system is overloaded, then run again")

    def _filled(
        self, entry: Entry, file: StoredFile, fetch: Callable[[], Transfer], lease: Lease
    ) -> Transfer | None:
        """Prove or fetch the content; nobody else does meanwhile."""
        self._tally.forget_the_dead(entry.shard)
        if entry.is_withdrawn:
            with self._tally.changing(entry):
                entry.put_back()
        if entry.vouches_for(file):
            return None
        transfer, record = None, entry.proof(file, has_just_come=False)
        if not record:
            self._take_out_of_service(entry)
            with entry.writing(file, lease.holder):
                transfer = fetch()
            record = entry.proof(file, has_just_come=True)
        lease.require_held()
        self._vouch(entry, record, file)
        return transfer

    def _take_out_of_service(self, entry: Entry) -> None:
        if entry.record_path.exists():
            with self._tally.changing(entry):
                entry.withdraw()

    def _vouch(self, entry: Entry, record: Record | None, file: StoredFile) -> None:
        if not record:
            why, todo = "what came was changed before it was proven", "see who else writes there, then run again"
            raise Failed(f"{file} cannot be kept in {self._root}", why, todo)
        with self._tally.changing(entry):
            entry.vouch(record)


@cache
def _clear_away(root: Path) -> None:
    """Remove what dead processes have left; once a process, which is as often as one can have died before it."""
    empty_trash(root)
    for shard in Custody(root).sweep().intersection(shards(root)):
        Tally(root).forget_the_dead(shard)


def _tell_waiting(holder: Holder) -> None:
    note(f"waiting: {holder} is {holder.subject.partition(' ')[0]} it")


def _link(source: Path, destination: Path) -> None:
    try:
        destination.hardlink_to(source)
    except FileExistsError:
        if os.path.samestat(source.stat(), destination.lstat()):
            return
        draft = destination.with_name(f".ngas-{secrets.token_hex(8)}.link")
        draft.hardlink_to(source)
        try:
            draft.replace(destination)
        finally:
            draft.unlink(missing_ok=True)
