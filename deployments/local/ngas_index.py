"""What the embedded archive holds: files on volumes, and one index of them that outlives the servers.

The index has the columns of NGAS's own table of files, since QUERY shows them as they are: one row for each copy
of each version. A file gets its version and its row in one transaction, so that servers and offline archiving may
work on one folder at once.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from tasks.ngas.checksum import Checksum, Kind, checksum_of

__all__ = ["COLUMNS", "DISK_ID", "Entry", "Index", "Plugin", "archive", "decimal_text", "kind_of", "nth_disk"]

_DISKS: Final = "embedded-volume-"
DISK_ID: Final = f"{_DISKS}1"
"""The first volume, and the only one where servers are not several."""

Plugin = Literal["crc32", "crc32z", "ngamsGenCrc32", "crc32c", "None"]
"""What computes the checksums; `None` keeps none."""


@dataclass(frozen=True)
class Entry:
    """One row of the table of files, in the table's order."""

    disk_id: str
    file_name: str
    """Relative to the volume."""
    file_id: str
    file_version: int
    format: str
    """The media type."""
    file_size: int
    """Bytes."""
    uncompressed_file_size: int
    compression: str
    ingestion_date: str
    file_ignore: int
    checksum: str
    """Decimal text, or `None`."""
    checksum_plugin: str
    file_status: str
    creation_date: str
    io_time: float
    ingestion_rate: float
    container_id: str


COLUMNS: Final = tuple(field.name for field in fields(Entry))

_KEY: Final = "file_id, file_version, disk_id"
_TABLE: Final = f"CREATE TABLE IF NOT EXISTS ngas_files ({', '.join(COLUMNS)}, PRIMARY KEY ({_KEY}))"
_PUT: Final = f"INSERT OR REPLACE INTO ngas_files VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - marks only
_LATEST: Final = "SELECT coalesce(max(file_version), 0) FROM ngas_files WHERE file_id = ?"
_LIKE: Final = f"SELECT * FROM ngas_files WHERE file_id LIKE ? ORDER BY {_KEY}"  # noqa: S608


class Index:
    """The index of an archive's folder.

    Parameters
    ----------
    root
        The archive's folder; made when it is needed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        for folder in (self.files, self.staging):
            folder.mkdir(parents=True, exist_ok=True)
        with self._connected() as connection:
            connection.execute(_TABLE)

    @property
    def files(self) -> Path:
        """Where the files of the first volume lie."""
        return self._volume(DISK_ID)

    def _volume(self, disk_id: str) -> Path:
        return self._root / f"volume{disk_id.removeprefix(_DISKS)}"

    def path_of(self, entry: Entry) -> Path:
        """Return where a copy lies."""
        return self._volume(entry.disk_id) / entry.file_name

    @property
    def staging(self) -> Path:
        """Where files lie that are on their way in."""
        return self._root / "staging"

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._root / "index.sqlite", timeout=60, isolation_level=None)) as connection:
            yield connection

    def find(self, file_id: str, version: int = 0) -> Entry | None:
        """Return one version of a file, the latest for a version below 1; None when there is none."""
        return next(iter(self.copies(file_id, version)), None)

    def copies(self, file_id: str, version: int = 0) -> list[Entry]:
        """Return the copies of one version of a file, in the order of the volumes."""
        known = [each for each in self.like(file_id) if each.file_id == file_id]
        wanted = version if version > 0 else max((each.file_version for each in known), default=0)
        return [each for each in known if each.file_version == wanted]

    def like(self, pattern: str) -> list[Entry]:
        """Return all versions of the files whose id fits an SQL pattern, in order."""
        with self._connected() as connection:
            return [Entry(*row) for row in connection.execute(_LIKE, (pattern,))]

    def add(
        self,
        staged: Path,
        file_id: str,
        media_type: str,
        plugin: Plugin,
        checksum: str,
        disk_id: str = DISK_ID,
    ) -> Entry:
        """Move a staged file into the archive as the next version of its id."""
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            (latest,) = connection.execute(_LATEST, (file_id,)).fetchone()
            entry = _entry(staged, disk_id, file_id, latest + 1, media_type, plugin, checksum)
            place = self.path_of(entry)
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(place)
            connection.execute(_PUT, astuple(entry))
            connection.execute("COMMIT")
        return entry

    def replicate(self, entry: Entry, disk_id: str) -> Entry:
        """Copy a file to another volume; the copies share nothing."""
        replica = replace(entry, disk_id=disk_id)
        place = self.path_of(replica)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self.path_of(entry), place)
        self.record(replica)
        return replica

    def record(self, entry: Entry) -> None:
        """Write a copy's row, new or in place of what was said of it."""
        with self._connected() as connection:
            connection.execute(_PUT, astuple(entry))


def nth_disk(number: int) -> str:
    """Return the name of a volume, counted from 1."""
    return f"{_DISKS}{number}"


def _entry(
    staged: Path, disk_id: str, file_id: str, version: int, media_type: str, plugin: Plugin, checksum: str
) -> Entry:
    size, now = staged.stat().st_size, datetime.now(UTC).isoformat(timespec="milliseconds")[:-6]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", file_id)[-100:]
    return Entry(
        disk_id=disk_id,
        file_name=f"{sha256(file_id.encode()).hexdigest()[:16]}/{version}/{name}.bin",
        file_id=file_id,
        file_version=version,
        format=media_type,
        file_size=size,
        uncompressed_file_size=size,
        compression="",
        ingestion_date=now,
        file_ignore=0,
        checksum=checksum,
        checksum_plugin=plugin,
        file_status="00000000",
        creation_date=now,
        io_time=0.0,
        ingestion_rate=0.0,
        container_id="None",
    )


def decimal_text(checksum: Checksum | None, *, signed: bool) -> str:
    """Write a checksum as the archive does; older archives wrote signed numbers."""
    if checksum is None:
        return "None"
    return str(checksum.value - (1 << 32) if signed and checksum.value >= 1 << 31 else checksum.value)


def kind_of(plugin: Plugin) -> Kind | None:
    """Return which checksum a plug-in computes."""
    if plugin == "None":
        return None
    return "crc32c" if plugin == "crc32c" else "crc32"


def archive(
    root: Path,
    path: Path,
    file_id: str,
    *,
    plugin: Plugin = "crc32",
    signed: bool = False,
    media_type: str = "application/octet-stream",
    disk_id: str = DISK_ID,
) -> Entry:
    """Put a file into the archive without a server: a hard link, or a copy where none can be made.

    Parameters
    ----------
    root
        The archive's folder.
    path
        The file, which must not be changed in place afterwards.
    plugin, signed
        How its checksum is recorded.
    disk_id
        The volume.

    Returns
    -------
    Entry
        Its row; each call makes a new version.
    """
    index = Index(root)
    staged = index.staging / secrets.token_hex(8)
    try:
        os.link(path, staged)
    except OSError:
        shutil.copyfile(path, staged)
    kind = kind_of(plugin)
    checksum = checksum_of(staged, kind) if kind else None
    recorded = decimal_text(checksum, signed=signed)
    return index.add(staged, file_id, media_type, plugin, recorded, disk_id)
