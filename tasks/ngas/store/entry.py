"""One file's folder in the store: its content, and the record that vouches for it.

``record.json`` is written last, and nothing is served without it. ``description.json`` says what a content is, or
is to become, while nothing vouches for it. ``.ngas-*`` is on its way, ``writer-*`` says who may be writing that.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.disk import make_shared, sync_file, write_whole
from tasks.lease import Holder
from tasks.ngas.checksum import Checksum, checksum_of
from tasks.ngas.model import StoredFile

__all__ = ["LEVELS", "READ_ONLY", "Count", "Entry", "Record", "entries_in", "shards"]

READ_ONLY: Final = 0o440
"""Of contents: what is in the archive may be proprietary."""
_OF_THE_GROUP: Final = 0o660
"""Of records and the like, which every account of the site goes on with."""
_TOUCH_SECONDS: Final = 3600
_HEX: Final = re.compile(r"[0-9a-f]{2}")
_FOLDER: Final = re.compile(r"[0-9a-f]{20}-\d+-[A-Za-z0-9._-]*")
LEVELS: Final = (_HEX, _HEX, _FOLDER)
"""The names of the folders that lead to an entry, its own included."""


@dataclass(frozen=True)
class Count:
    """How much there is."""

    entries: int = 0
    bytes: int = 0

    def plus(self, other: Count, sign: int = 1) -> Count:
        """Add another, or take it away."""
        return Count(self.entries + sign * other.entries, self.bytes + sign * other.bytes)


class Record(BaseModel):
    """What a content was proven to be, and when it was last changed; 0 while it is still to be proven."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file_id: str
    version: int
    size: int
    checksum: Checksum | None
    """None when only the size could be checked."""
    mtime_ns: int

    @classmethod
    def of(cls, file: StoredFile, mtime_ns: int = 0) -> Record:
        """Describe a file."""
        return cls(
            file_id=file.file_id, version=file.version, size=file.size, checksum=file.checksum, mtime_ns=mtime_ns
        )

    @property
    def file(self) -> StoredFile:
        """The file, of which no server is known."""
        return StoredFile(
            file_id=self.file_id, version=self.version, size=self.size, checksum=self.checksum, server=""
        )

    def fits(self, content: Path) -> bool:
        """Whether a content has not been changed since it was proven."""
        with suppress(FileNotFoundError):
            found = content.stat()
            return (found.st_size, found.st_mtime_ns) == (self.size, self.mtime_ns)
        return False


@dataclass(frozen=True)
class Entry:
    """A file's folder."""

    folder: Path

    @classmethod
    def of(cls, root: Path, file: StoredFile) -> Entry:
        """Find the folder; names of the archive are only decoration in it and cannot lead out."""
        identity = f"{file.file_id}\n{file.version}\n{file.checksum}"
        digest = sha256(identity.encode("utf-8", "surrogatepass")).hexdigest()
        name = re.sub(r"[^A-Za-z0-9._-]", "_", file.file_id)[-80:]
        return cls(root / digest[:2] / digest[2:4] / f"{digest[4:24]}-{file.version}-{name}")

    @property
    def key(self) -> str:
        """What leases and holds of it are called."""
        return f"{self.shard}{self.folder.parent.name}{self.folder.name[:20]}"

    @property
    def shard(self) -> str:
        """The part of the store that it is in."""
        return self.folder.parent.parent.name

    @property
    def content(self) -> Path:
        """The file's bytes."""
        return self.folder / "content"

    @property
    def record_path(self) -> Path:
        """Where its record is."""
        return self.folder / "record.json"

    @property
    def _description(self) -> Path:
        return self.folder / "description.json"

    def record(self) -> Record | None:
        """Return its record, if it has one that can be read."""
        return _read(self.record_path)

    def description(self) -> Record | None:
        """Return what its content is said to be while no record vouches for it."""
        with suppress(PermissionError):  # another account was killed before it gave it its rights
            return _read(self._description)
        return None

    @property
    def is_untidy(self) -> bool:
        """Whether a record vouches for the content, and who wrote it was killed before it had removed the rest."""
        return self._description.exists() and self.record_path.exists()

    def count(self) -> Count:
        """Return what it adds to the store."""
        record = self.record()
        return Count(1, record.size) if record else Count()

    def vouches_for(self, file: StoredFile) -> bool:
        """Whether its record matches the file that is asked for and the content as it is now."""
        record = self.record()
        return record is not None and record == Record.of(file, record.mtime_ns) and record.fits(self.content)

    def touch(self) -> None:
        """Remember that it was used, to the hour."""
        with suppress(
            OSError
        ):  # it is gone, or another account's and not to be touched: it seems older than it is
            if time.time() - self.record_path.stat().st_mtime > _TOUCH_SECONDS:
                os.utime(self.record_path)

    def proof(self, file: StoredFile, *, has_just_come: bool) -> Record | None:
        """Prove that the content is the file, which is ours from then on; None when it is not, or is not there.

        Parameters
        ----------
        has_just_come
            Whether it was proven while it came. Otherwise it is read, and without a checksum nothing proves it.
        """
        try:
            was_ours = self._make_ours()
            found = self.content.stat()
        except FileNotFoundError:
            return None
        if found.st_size != file.size or not (file.checksum or has_just_come):
            return None
        is_proven = has_just_come and was_ours
        if file.checksum and not is_proven and checksum_of(self.content, file.checksum.kind) != file.checksum:
            return None
        return Record.of(file, found.st_mtime_ns)

    def _make_ours(self) -> bool:
        """Keep the bytes in a file of ours: whoever owns a file can change it later. Say whether they were."""
        is_ours = self.content.stat().st_uid == os.geteuid()
        if not is_ours:
            _renew(self.content)
        self.content.chmod(READ_ONLY)
        return is_ours

    def vouch(self, record: Record) -> None:
        """Write the record, and remove all else that it took to get there."""
        write_whole(self.record_path, record.model_dump_json().encode(), _OF_THE_GROUP)
        self.tidy()

    def tidy(self) -> None:
        """Remove all but the content and its record; the description last, as it shows that more may be left."""
        lasting = (self.content, self.record_path, self._description)
        for path in (*(each for each in self.folder.iterdir() if each not in lasting), self._description):
            path.unlink(missing_ok=True)

    @property
    def is_withdrawn(self) -> bool:
        """Whether it was taken out of service by somebody who died before removing it; it is as good as before."""
        said = self.description()
        return said is not None and not self.record_path.exists() and said.fits(self.content)

    def withdraw(self) -> None:
        """Let nothing vouch for the content; what it is said to be stays."""
        self.record_path.replace(self._description)

    def put_back(self) -> None:
        """Undo a withdrawal."""
        self._description.replace(self.record_path)

    def disown(self) -> None:
        """Forget what the content is, and remove it."""
        for path in (self.record_path, self._description, self.content):
            path.unlink(missing_ok=True)
        self.drop_if_empty()

    def drop_if_empty(self) -> None:
        """Remove the folder if there is nothing in it to go on with."""
        if not any(self.folder.glob(".ngas-*")):
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def writing(self, file: StoredFile, holder: Holder) -> Iterator[None]:
        """Let the content come; what earlier ones left of it can be gone on with safely.

        Somebody who seemed dead may wake up and write on. So where it is not certain that all who have written
        are dead, we go on in a copy, and what they write ends in a file that has lost its name.
        """
        make_shared(self.folder)
        self._take_up()
        mark = self.folder / f"writer-{holder.token}"
        _write(mark, holder)
        _write(self._description, Record.of(file))
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)

    def _take_up(self) -> None:
        writers = list(self.folder.glob("writer-*"))
        are_gone = all(map(_is_gone, writers))
        for partial in self.folder.glob(".ngas-*.part"):
            if not (are_gone and os.access(partial, os.R_OK | os.W_OK)):
                _renew(partial)
        for writer in writers:
            writer.unlink(missing_ok=True)


def shards(root: Path) -> list[str]:
    """Return the names of the store's parts."""
    return _named(root, _HEX)


def entries_in(root: Path, shard: str) -> Iterator[Entry]:
    """Return the entries of one part, complete or not."""
    for leaf in _named(root / shard, _HEX):
        for name in _named(root / shard / leaf, _FOLDER):
            yield Entry(root / shard / leaf / name)


def _named(folder: Path, names: re.Pattern[str]) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(each.name for each in found if names.fullmatch(each.name) and each.is_dir())
    except FileNotFoundError:
        return []


def _read(path: Path) -> Record | None:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _write(path: Path, what: BaseModel) -> None:
    """Write a note for a while, whoever has left one there."""
    path.unlink(missing_ok=True)
    with path.open("x") as stream:
        os.fchmod(stream.fileno(), _OF_THE_GROUP)
        stream.write(what.model_dump_json())


def _is_gone(writer: Path) -> bool:
    try:
        return Holder.model_validate_json(writer.read_bytes()).is_gone
    except (FileNotFoundError, PermissionError, ValidationError):
        return False


def _renew(path: Path) -> None:
    """Put a copy in a file's place; one that we may not read goes."""
    draft = path.with_name(f".ngas-{path.name}.copy")
    draft.unlink(missing_ok=True)
    try:
        shutil.copyfile(path, draft)
        sync_file(draft)
        draft.replace(path)
    except PermissionError:
        path.unlink()
