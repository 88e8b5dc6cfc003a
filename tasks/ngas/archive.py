"""The archive and the site's store in plain values: who gets them, on whatever host, needs no profile."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tasks.ngas.client import NgasClient
from tasks.ngas.store import Store
from tasks.ngas.streams import Streams

__all__ = ["Archive"]


@dataclass(frozen=True)
class Archive:
    """An archive, and the store that its files are fetched into.

    Parameters
    ----------
    servers
        ``host:port`` of each.
    store_directory
        The store's.
    streams_per_server
        How many files all users of the store fetch from one server at once.
    timeout
        Seconds that a server may be silent.
    username, password
        The login, where servers ask for one: never to be written down.
    """

    servers: tuple[str, ...]
    store_directory: Path
    streams_per_server: int
    timeout: float
    username: str = ""
    password: str = field(default="", repr=False)

    @property
    def client(self) -> NgasClient:
        """A client of the archive, which shares its streams with the users of the store."""
        return NgasClient(
            self.servers,
            username=self.username,
            password=self.password,
            timeout=self.timeout,
            streams=self.streams,
        )

    @property
    def streams(self) -> Streams:
        """The places for streams from the archive's servers that the store's users share."""
        return Streams(self.store_directory / ".streams", self.streams_per_server)

    @property
    def store(self) -> Store:
        """The store."""
        return Store(self.store_directory)
