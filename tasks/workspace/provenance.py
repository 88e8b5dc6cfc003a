"""Where a delivered product comes from: everything that is needed to make it again, in one `provenance.json`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from tasks.casa.record import BlockRecord
from tasks.casa.verdict import Verdict
from tasks.progress import Event, tell

__all__ = ["BlockRecord", "Clock", "Image", "Input", "Provenance", "StageTime"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Input(_Frozen):
    """One file from the archive.

    Parameters
    ----------
    name
        Its name in the processing directory.
    file_id, version, size, checksum
        What the archive calls it; bytes; ``crc32:<decimal>``, which was verified, or None where the archive keeps
        none and only the size could be.
    server
        The server that it was fetched from; None when the store held it.
    seconds, attempts
        Time of the fetch, and how many requests it took; 0 when the store held it.
    resumed_from
        Bytes that an interrupted fetch had left, which did not have to come again.
    method
        Whether it came as a stream, or the archive itself copied it to the file system.
    """

    name: str
    file_id: str
    version: int
    size: int
    checksum: str | None
    server: str | None = None
    seconds: float = 0.0
    attempts: int = 0
    resumed_from: int = 0
    method: Literal["stream", "copy"] = "stream"

    @property
    def moved(self) -> int:
        """Bytes that came from the archive for it."""
        return self.size - self.resumed_from if self.server else 0


class Image(_Frozen):
    """An image, or a file that the pipeline exported with the images.

    Parameters
    ----------
    name
        Its path in ``images/``.
    size, sha256
        Bytes, and their hash.
    """

    name: str
    size: int
    sha256: str


class StageTime(_Frozen):
    """A stage of the flow and how long it took, in seconds."""

    stage: str
    seconds: float


class Clock:
    """Take the times of a run's stages."""

    def __init__(self) -> None:
        self.started = datetime.now(UTC)
        self.times: tuple[StageTime, ...] = ()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage; one that fails is not noted."""
        begun = time.monotonic()
        tell(Event(name))
        yield
        self.times += (StageTime(stage=name, seconds=round(time.monotonic() - begun, 3)),)


class Provenance(_Frozen):
    """A delivery's whole history.

    Parameters
    ----------
    observation, project
        MOUS uid and project code.
    profile
        The environment in which it was made.
    flow_run
        Id of the Prefect flow run that delivered it; None outside one.
    key
        Hash of everything that decides the result; the same key makes the same bytes.
    procedure
        What was asked for.
    covers
        Keys of what it is as well: with images it is also the delivery of a restore without.
    started, finished
        When the delivering run began and ended, UTC.
    ppi_version, casa_version, calibrated_with, executor, recipe
        The software that made it, and the CASA of the original calibration.
    ppr_sha256
        Hash of the PPR in ``script/``.
    inputs, blocks, images, stages
        What went in, what became of each execution block, what was made of them, and the time of each stage.
    verdict
        The verdict on the whole.
    """

    observation: str
    project: str
    profile: str
    flow_run: str | None
    key: str
    procedure: str = "hifa_restore"
    covers: tuple[str, ...] = ()
    started: datetime
    finished: datetime
    ppi_version: str
    casa_version: str
    calibrated_with: str
    executor: str
    recipe: str
    ppr_sha256: str
    inputs: tuple[Input, ...]
    blocks: tuple[BlockRecord, ...]
    images: tuple[Image, ...] = ()
    stages: tuple[StageTime, ...]
    verdict: Verdict
