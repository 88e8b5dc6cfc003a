"""Files that were fetched once, kept for every environment of a site.

One archive serves all environments, so nothing should cross the wire twice. A file is kept by its id, version
and checksum, read-only, with a record beside it that is written last: what the record does not vouch for is
proven again or fetched anew, never served. Whoever fetches a file holds its lock; the others wait and then find
it there. The lock is the kernel's and ends with its holder, however that ends; the next takes up what it left.
"""

from __future__ import annotations

import errno
import re
import secrets
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.disk import explained, locked, write_whole
from tasks.ngas.checksum import Checksum, checksum_of
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile, Transfer

__all__ = ["Held", "Store"]

_NO_LINK: Final = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP)
_READ_ONLY: Final = 0o444


class Held(BaseModel):
    """A file that the store holds, right when it was asked for."""

    model_config = ConfigDict(frozen=True)

    file: StoredFile
    path: Path
    """Its content; read-only, to be linked or read and never changed."""
    transfer: Transfer | None
    """How it came; None when it was there."""


class _Record(BaseModel):
    """What was proven of a content, and how the content looked then."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_id: str
    version: int
    size: int
    checksum: Checksum | None
    """None when only the size could be checked."""
    mtime_ns: int


class Store:
    """A folder of files that were fetched, shared by processes and environments.

    Parameters
    ----------
    root
        The folder; made when it is needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def held(self, file: StoredFile) -> Held | None:
        """Return the file if it is there and its record vouches for it; changes nothing."""
        entry = _Entry.of(self._root, file)
        return Held(file=file, path=entry.content, transfer=None) if entry.is_vouched_for() else None

    def fetch(
        self, client: NgasClient, file: StoredFile, on_bytes: Callable[[int], None] = lambda count: None
    ) -> Held:
        """Return the file, fetched if it is not there or not right.

        Parameters
        ----------
        on_bytes
            Called with each gain in bytes (negative: bytes that proved wrong); the sum is the file's size.

        Raises
        ------
        PpiError
            The file cannot be fetched; see `NgasClient.retrieve`.
        Failed
            The store cannot be written.
        """
        with explained(f"{file} cannot be kept in {self._root}"):
            found = self.held(file) or _Entry.of(self._root, file).filled(client, on_bytes)
        if not found.transfer:
            on_bytes(file.size)
        return found

    def place(self, held: Held, destination: Path) -> None:
        """Give a held file a name outside the store: a hard link, or a copy where none can be made.

        An existing destination is replaced.

        Raises
        ------
        Failed
            The destination cannot be written.
        """
        draft = destination.with_name(f".ngas-{secrets.token_hex(8)}.link")
        with explained(f"{held.file} cannot be placed at {destination}"):
            destination.parent.mkdir(parents=True, exist_ok=True)
            try:
                _link_or_copy(held.path, draft)
                draft.replace(destination)
            finally:
                draft.unlink(missing_ok=True)


def _link_or_copy(source: Path, destination: Path) -> None:
    try:
        destination.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        shutil.copyfile(source, destination)
        destination.chmod(_READ_ONLY)


@dataclass(frozen=True)
class _Entry:
    """One file's folder in the store."""

    file: StoredFile
    folder: Path

    @classmethod
    def of(cls, root: Path, file: StoredFile) -> _Entry:
        """Find the folder; names of the archive are only decoration in it and cannot lead out."""
        identity = f"{file.file_id}\n{file.version}\n{file.checksum}"
        digest = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]", "_", file.file_id)[-80:]
        return cls(file, root / digest[:2] / digest[2:4] / f"{digest[4:24]}-{file.version}-{name}")

    @property
    def content(self) -> Path:
        return self.folder / "content"

    @property
    def record(self) -> Path:
        return self.folder / "record.json"

    def is_vouched_for(self) -> bool:
        """Whether the record matches the file that is asked for and the content as it is now."""
        try:
            record = _Record.model_validate_json(self.record.read_bytes())
            return record.size == self.file.size and record == self._as_it_is()
        except (FileNotFoundError, ValidationError):
            return False

    def filled(self, client: NgasClient, on_bytes: Callable[[int], None]) -> Held:
        """Prove or fetch the content, one holder at a time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        transfer = None
        with locked(self.folder / "lock", wait=True):
            if not self.is_vouched_for():
                if not self._is_proven():
                    self.record.unlink(missing_ok=True)
                    transfer = client.retrieve(self.file, self.content, on_bytes)
                self._vouch()
        return Held(file=self.file, path=self.content, transfer=transfer)

    def _is_proven(self) -> bool:
        """Read all of a content that no record vouches for; without a checksum nothing can prove it."""
        wanted = self.file.checksum
        if wanted is None or not self.content.exists():
            return False
        return self.content.stat().st_size == self.file.size and checksum_of(self.content, wanted.kind) == wanted

    def _vouch(self) -> None:
        self.content.chmod(_READ_ONLY)
        write_whole(self.record, self._as_it_is().model_dump_json().encode())

    def _as_it_is(self) -> _Record:
        """Describe the content as it lies there, as a record would."""
        stat = self.content.stat()
        return _Record(
            file_id=self.file.file_id,
            version=self.file.version,
            size=stat.st_size,
            checksum=self.file.checksum,
            mtime_ns=stat.st_mtime_ns,
        )
