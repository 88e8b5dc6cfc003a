"""What is known of a file in the archive, and of a transfer of it: plain values that may be stored as JSON."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from tasks.ngas.checksum import Checksum

__all__ = ["StoredFile", "Transfer"]


class StoredFile(BaseModel):
    """One version of a file, as the archive describes it."""

    model_config = ConfigDict(frozen=True)

    file_id: str
    """The archive's name of it; never to be used as a path."""
    version: Annotated[int, Field(ge=1)]
    """Counts up from 1."""
    size: Annotated[int, Field(ge=0)]
    """Bytes."""
    checksum: Checksum | None
    """None when the archive has none: then only the size can be checked."""
    server: str
    """The `host:port` that described it."""

    def __str__(self) -> str:
        return f"{self.file_id} version {self.version}"


class Transfer(BaseModel):
    """How a file came."""

    model_config = ConfigDict(frozen=True)

    file_id: str
    version: int
    size: int
    """Bytes of the whole file."""
    checksum: str | None
    """The verified checksum, as `crc32:123`; None when only the size could be checked."""
    server: str
    """The `host:port` that sent the last byte."""
    seconds: float
    """From the first request to the file in its place."""
    attempts: int
    """Requests for the file's bytes; 0 when an earlier run had already brought them all."""
    resumed_from: int
    """Bytes that an earlier run had left and that proved right."""
    method: Literal["stream", "copy"] = "stream"
    """Whether it came over the wire, or the server wrote it to the shared file system itself."""
