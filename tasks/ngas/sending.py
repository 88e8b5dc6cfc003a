"""Putting many files into the archive: each is looked at before the first is sent; one that fails stops none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tasks.disk import explained
from tasks.errors import Missing, PpiError, Refused
from tasks.ngas.archiving import require_name
from tasks.ngas.checksum import checksum_of
from tasks.ngas.client import NgasClient
from tasks.ngas.content import Source
from tasks.ngas.model import StoredFile

__all__ = ["Parcel", "Sent", "found", "parcels", "send"]


@dataclass(frozen=True)
class Parcel:
    """A file that is to be archived."""

    path: Path
    file_id: str
    """What the archive is to call it."""
    size: int


@dataclass(frozen=True)
class Sent:
    """What became of it."""

    parcel: Parcel
    stored: StoredFile | None = None
    """As the archive has it."""
    was_there: bool = False
    """Whether the archive had just this already."""
    error: PpiError | None = None
    """Why it is not there."""


def parcels(paths: Sequence[Path], file_id: str | None) -> tuple[Parcel, ...]:
    """Look at files that are to be archived.

    Parameters
    ----------
    file_id
        The archive's name for the only one of them; None for their own.

    Raises
    ------
    Missing
        One is not there.
    Refused
        One is empty or no file, its name can be none in the archive, or two have the same.
    """
    made = tuple(_parcel(path, path.name if file_id is None else file_id) for path in paths)
    (name, count), *_ = Counter(each.file_id for each in made).most_common(1)
    if count > 1:
        why = "two of the files are called so, and one would become a version of the other"
        raise Refused(f"{name} cannot be archived", why, "archive them one after the other, with --id")
    return made


def _parcel(path: Path, name: str) -> Parcel:
    return Parcel(path, require_name(name), Source.of(path).size)


def found(client: NgasClient, parcel: Parcel) -> Sent:
    """Look whether the archive has a file already, just so; nothing is sent.

    Raises
    ------
    PpiError
        The archive cannot be asked; see `NgasClient.describe`.
    """
    latest = _latest(client, parcel)
    with explained(f"{parcel.path} cannot be read"):
        return Sent(parcel, latest, bool(latest and _is_same(parcel, latest)))


def _latest(client: NgasClient, parcel: Parcel) -> StoredFile | None:
    try:
        return client.describe(parcel.file_id)
    except Missing:
        return None


def _is_same(parcel: Parcel, stored: StoredFile) -> bool:
    wanted = stored.checksum
    return wanted is not None and parcel.size == stored.size and checksum_of(parcel.path, wanted.kind) == wanted


def send(client: NgasClient, parcels: Sequence[Parcel], media_type: str | None, quick: bool) -> Iterator[Sent]:
    """Archive one file after the other, and say of each what became of it.

    Parameters
    ----------
    media_type, quick
        See `NgasClient.archive`.
    """
    for parcel in parcels:
        try:
            before = _latest(client, parcel)
            stored = client.archive(parcel.path, file_id=parcel.file_id, media_type=media_type, quick=quick)
            yield Sent(parcel, stored, bool(before and before.version == stored.version))
        except PpiError as error:
            yield Sent(parcel, error=error)
