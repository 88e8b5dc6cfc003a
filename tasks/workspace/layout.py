"""The directory tree that the pipeline expects, and the attempts that are made in it.

::

    <root>/<project>_<time stamp>/              an attempt; one that was interrupted is taken up again
        attempt.json                            of which observation, and its key
        SOUS_…/GOUS_…/MOUS_…/
            rawdata/  working/  products/
            working/<eb>/                       a finished execution block; record.json in it is written last
            working/attempts/<eb>.<n>/          an unfinished one
            working/images/                     what was made of them, where images were asked for
        delivery/                               the delivery in the making
    <root>/delivered/<project>/MOUS_…/          the named destination
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from humanize import naturalsize
from pydantic import BaseModel, ConfigDict

from tasks import disk
from tasks.alma.ids import EntityId
from tasks.errors import Transient
from tasks.workspace import stored

__all__ = ["Area", "Attempt", "Tree"]

_MARKER = "attempt.json"
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)


class Attempt(BaseModel):
    """What an attempt's marker says of it.

    Parameters
    ----------
    observation, key
        Of which observation it is, and the hash of all that decides the result.
    stamp
        When it was begun, UTC.
    relative
        See `Tree`.
    """

    model_config = ConfigDict(frozen=True)

    observation: EntityId
    key: str
    stamp: datetime
    relative: str

    @classmethod
    def of(cls, folder: Path) -> Attempt:
        """Read the marker of an attempt's folder.

        Raises
        ------
        FileNotFoundError
            There is none.
        Failed
            It cannot be read.
        """
        return stored.read(cls, folder / _MARKER)


@dataclass(frozen=True)
class Tree:
    """One attempt's directories.

    Parameters
    ----------
    root
        The environment's processing area (SCIPIPE_ROOTDIR).
    relative
        The PPR's RelativePath, from there to the MOUS's directory.
    stamp
        When the attempt was begun, UTC.
    """

    root: Path
    relative: str
    stamp: datetime

    @property
    def attempt(self) -> Path:
        """The attempt's whole directory."""
        return self.root / Path(self.relative).parts[0]

    @property
    def mous(self) -> Path:
        """The MOUS's directory."""
        return self.root / self.relative

    @property
    def rawdata(self) -> Path:
        """Where execution blocks are unpacked."""
        return self.mous / "rawdata"

    @property
    def working(self) -> Path:
        """Where CASA works."""
        return self.mous / "working"

    @property
    def delivery(self) -> Path:
        """Where the delivery is put together: it lives and dies with the attempt."""
        return self.attempt / "delivery"

    @property
    def products(self) -> Path:
        """Where the archive's calibration products are placed."""
        return self.mous / "products"

    @property
    def images(self) -> Path:
        """Where finished images are, with their record; see `tasks.workspace.images`."""
        return self.working / "images"

    @property
    def exported(self) -> Path:
        """The files that the pipeline exported, until they are delivered."""
        return self.images / "files"

    def finished(self, name: str) -> Path:
        """Return the directory of a finished execution block."""
        return self.working / name

    def new_attempt(self, name: str) -> Path:
        """Make the directory of a new attempt at one execution block."""
        attempts = self.working / "attempts"
        attempts.mkdir(exist_ok=True)
        last = max((int(path.suffix[1:]) for path in attempts.glob(f"{name}.*")), default=0)
        directory = attempts / f"{name}.{last + 1}"
        directory.mkdir()
        return directory


@dataclass(frozen=True)
class Area:
    """The processing area of one environment.

    Parameters
    ----------
    root
        Its root directory; made with mode 0700 if it is not there.
    """

    root: Path

    @property
    def deliveries(self) -> Path:
        """Where everything is delivered."""
        return self.root / "delivered"

    def destination(self, project: str, mous: EntityId) -> Path:
        """Return where the observation is delivered."""
        return self.deliveries / project / f"MOUS_{mous.file_form}"

    def make(self) -> None:
        """Make the area, for its owner alone, if it is not there."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def held(self, mous: EntityId) -> Iterator[None]:
        """Keep every other run of this environment off the observation.

        Raises
        ------
        Transient
            Another run holds it.
        """
        self.make()
        with disk.exclusive(self._lock(mous), f"observation {mous}"):
            yield

    def attempt(
        self, observation: EntityId, key: str, project: str, relative: Callable[[datetime], str], space: int = 0
    ) -> Tree:
        """Take up the newest unfinished attempt with the same key, or begin a new one.

        Parameters
        ----------
        key
            What decides the result: an attempt with another key has other inputs and is left alone.
        project
            The project's code.
        relative
            Gives the PPR's RelativePath for the time at which an attempt is begun.
        space
            Bytes that a new attempt will write.

        Raises
        ------
        Failed
            The marker of an attempt at this project cannot be read.
        Transient
            There is not enough space to begin one.
        """
        for folder in self._of_project(project):
            found = Attempt.of(folder)
            if (found.observation, found.key) == (observation, key):
                return self._tree(found)
        self._require_space(space)
        return self._begin(observation, key, relative)

    def is_held(self, mous: EntityId) -> bool:
        """Tell whether a run is working on the observation now."""
        return disk.is_locked(self._lock(mous))

    def attempts(self) -> list[tuple[EntityId, Path]]:
        """List every unfinished attempt with its observation.

        Raises
        ------
        Failed
            The marker of one cannot be read.
        """
        return [(Attempt.of(folder).observation, folder) for folder in self.begun()]

    def begun(self) -> list[Path]:
        """List the folders of every unfinished attempt, also of those whose marker cannot be read."""
        return [marker.parent for marker in sorted(self.root.glob(f"[!.]*/{_MARKER}"))]

    def discard(self, observation: EntityId, key: str, project: str, delivered: datetime) -> None:
        """Clear away the attempts that a delivery was made of, and what an earlier clearing left.

        Parameters
        ----------
        delivered
            When the delivery was finished: its attempts were begun before, those to do it anew after.
        """
        spent = self.root / f".{observation.file_form}.spent"
        disk.remove(spent)
        for folder in self._of_project(project):
            found = Attempt.of(folder)
            if (found.observation, found.key) == (observation, key) and found.stamp <= delivered:
                folder.rename(spent)
                disk.remove(spent)

    def _require_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.root).free
        if free < needed:
            raise Transient(
                f"not enough space in {self.root}",
                f"{naturalsize(needed)} are needed and {naturalsize(free)} are free",
                "free some space, then run the same command again",
            )

    def _lock(self, mous: EntityId) -> Path:
        return self.root / ".locks" / mous.file_form

    def _of_project(self, project: str) -> list[Path]:
        markers = sorted(self.root.glob(f"{project}_*/{_MARKER}"), reverse=True)
        return [marker.parent for marker in markers]

    def _tree(self, found: Attempt) -> Tree:
        tree = Tree(self.root, found.relative, found.stamp)
        for directory in (tree.rawdata, tree.working, tree.products):
            directory.mkdir(parents=True, exist_ok=True)
        return tree

    def _begin(self, observation: EntityId, key: str, relative: Callable[[datetime], str]) -> Tree:
        draft = self.root / f".{observation.file_form}.begun"
        disk.remove(draft)
        draft.mkdir(mode=0o700)
        while True:
            stamp = datetime.now(UTC)
            begun = Attempt(observation=observation, key=key, stamp=stamp, relative=relative(stamp))
            disk.write_whole(draft / _MARKER, begun.model_dump_json().encode())
            tree = Tree(self.root, begun.relative, stamp)
            if _placed(draft, tree.attempt):
                return self._tree(begun)


def _placed(draft: Path, attempt: Path) -> bool:
    """Give an attempt its name, unless that of another observation began in the same millisecond."""
    try:
        disk.settle(draft, attempt)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True
