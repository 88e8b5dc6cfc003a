"""NRAO's locations report: which files an observation has, where each is in the archive, and where it is to lie.

A report comes from the locator service or from a file, and nothing in it is trusted: it is read whole and refused
whole, before any work starts, if one entry is not what it should be or would leave the destination.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from tasks.errors import Missing, Refused
from tasks.ngas.address import server_address
from tasks.ngas.checksum import Checksum
from tasks.ngas.destination import relative_path
from tasks.ngas.model import StoredFile
from tasks.ngas.reply import excerpt

__all__ = ["LARGEST", "Located", "Locations", "apart", "read_report"]

LARGEST: Final = 64 << 20
"""Bytes that a report may have: some hundred thousand files."""

_DIRECT_CLUSTER: Final = "DSOC"
"""The cluster whose servers write files themselves, for who is at the same site."""
_TODO: Final = "do not trust this report; tell who made it"


@dataclass(frozen=True)
class Located:
    """A file of a report."""

    stored: StoredFile
    """What the report says of it; its server is the one that holds it."""
    path: PurePosixPath
    """Where it is to lie, below the destination."""
    direct: bool
    """Whether its server can write it there itself (COPY); else it is streamed."""


@dataclass(frozen=True)
class Locations:
    """A report that may be followed."""

    files: tuple[Located, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stored.size for file in self.files)


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has characters that cannot be printed")
    return text


_Count = Annotated[int, Field(strict=True, ge=0, lt=1 << 63)]
_Path = Annotated[str, AfterValidator(lambda text: str(relative_path(text)))]


class _Server(BaseModel):
    server: Annotated[str, AfterValidator(server_address)]
    location: str | None = None
    cluster: str | None = None


class _File(BaseModel):
    ngas_file_id: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_printable)]
    subdirectory: _Path | None = None
    relative_path: _Path
    checksum: str | Annotated[int, Field(strict=True)] | None = None
    checksum_type: str | None = None
    version: Annotated[_Count, Field(ge=1)]
    size: _Count
    server: _Server

    def located(self, site: str | None) -> Located:
        stored = StoredFile(
            file_id=self.ngas_file_id,
            version=self.version,
            size=self.size,
            checksum=Checksum.parse(self.checksum_type, self.checksum),
            server=self.server.server,
        )
        direct = site is not None and (self.server.cluster, self.server.location) == (_DIRECT_CLUSTER, site)
        return Located(stored, relative_path(f"{self.subdirectory or '.'}/{self.relative_path}"), direct)


class _Report(BaseModel):
    files: tuple[_File, ...]
    aggregate_size: _Count | None = None


def read_report(data: bytes, what: str, site: str | None) -> Locations:
    """Read a report.

    Parameters
    ----------
    what
        What it is called in errors.
    site
        This site's name, which says which servers can write files here themselves.

    Raises
    ------
    Refused
        It is no report, or an entry of it is wrong or hostile: the error names the first.
    Missing
        It names no file.
    """
    report = _parsed(data, what)
    files = tuple(_located(number, file, what, site) for number, file in enumerate(report.files, 1))
    if not files:
        raise Missing(what, "it names no file", "check the locator")
    total = sum(file.stored.size for file in files)
    if report.aggregate_size not in (None, total):
        why = f"its files have {total} bytes, it promises {report.aggregate_size}: it is not whole"
        raise Refused(what, why, "ask for it again; if it stays so, tell who made it")
    return Locations(apart(files, what))


def _parsed(data: bytes, what: str) -> _Report:
    if len(data) > LARGEST:
        raise Refused(what, f"it has more than {LARGEST} bytes", "check that it is a locations report")
    try:
        return _Report.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if not first["loc"]:
            came = f"it is no locations report ({first['msg']}); it begins {excerpt(data)!r}"
            raise Refused(what, came, "check ppi.ngas.locatorServiceUrlPrefix, or the file") from error
        raise Refused(what, _told(first["loc"], first["msg"], first["input"]), _TODO) from error


def _told(location: tuple[int | str, ...], message: str, value: object) -> str:
    """Say which entry is wrong; a server's address is not repeated, since it might hold a password."""
    place = ", ".join(f"{part + 1}" if isinstance(part, int) else part for part in location)
    shown = "" if location[-1] == "server" or isinstance(value, dict | list) else f" {repr(value)[:120]}"
    return f"{place}{shown}: {message.removeprefix('Value error, ')}".replace("files, ", "file ")


def _located(number: int, file: _File, what: str, site: str | None) -> Located:
    try:
        return file.located(site)
    except ValueError as error:
        raise Refused(what, f"file {number}, {file.relative_path!r} in its folder: {error}", _TODO) from error
    except Refused as error:
        raise Refused(what, f"file {number}, {file.ngas_file_id}: {error.what}, {error.why}", _TODO) from error


def apart(files: Iterable[Located], what: str) -> tuple[Located, ...]:
    """Return each file once, none of them where another lies or needs a folder.

    Parameters
    ----------
    what
        What named the files.

    Raises
    ------
    Refused
        Two would lie at one place, or one would be a folder of another.
    """
    placed: dict[PurePosixPath, Located] = {}
    for file in files:
        other = placed.setdefault(file.path, file)
        if _content(other) != _content(file):
            raise Refused(what, f"{other.stored} and {file.stored} would both be {str(file.path)!r}", _TODO)
    for path in placed:
        for parent in placed.keys() & set(path.parents):
            raise Refused(what, f"{str(parent)!r} would be a file, and a folder for {str(path)!r}", _TODO)
    return tuple(placed.values())


def _content(file: Located) -> StoredFile:
    return file.stored.model_copy(update={"server": ""})
