"""The archive's files: what the archive says of them, and their bytes, checked to the last.

NGAS sends no checksum with a file and its answers cannot be trusted on their own: a truncated or damaged file
comes with status 200. So a file is described first, then retrieved against that description: bytes are hashed
as they stream past, and only a file of the right size and checksum gets its name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tasks.errors import Failed, Refused
from tasks.ngas.model import StoredFile, Transfer
from tasks.ngas.partial import Partial, partial_of
from tasks.ngas.patience import Attempt, Patience, persevere
from tasks.ngas.query import describe_at
from tasks.ngas.stream import receive
from tasks.ngas.wire import Damaged, Wire

__all__ = ["NgasClient"]

_SERVER: Final = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")


class NgasClient:
    """A client of one archive that several servers serve.

    Parameters
    ----------
    servers
        `host:port` of each, best first.
    username, password
        For HTTP Basic; an empty username sends none.
    timeout
        Seconds without a byte after which a server counts as gone.
    patience
        How often to try, and how long to pause.

    Raises
    ------
    Refused
        No server, or one that is not `host:port`.
    """

    def __init__(
        self,
        servers: Sequence[str],
        *,
        username: str = "",
        password: str = "",
        timeout: float = 60,
        patience: Patience | None = None,
    ) -> None:
        self._servers = tuple(_checked(server) for server in servers)
        if not self._servers:
            raise Refused("the archive cannot be reached", "no NGAS server is named", "set ppi.ngas.servers")
        login = (username, password) if username else None
        self._wire = Wire(frozenset(self._servers), login, timeout)
        self._patience = patience or Patience()

    def describe(
        self, file_id: str, version: int | None = None, *, expected_size: int | None = None
    ) -> StoredFile:
        """Ask what the archive knows of a file.

        Parameters
        ----------
        version
            None for the latest.
        expected_size
            What another database says of its size, bytes.

        Raises
        ------
        Missing
            No server knows the file, or not this version.
        Transient
            The servers could not be asked.
        Refused
            The archive does not let us ask.
        Failed
            The archive's size is not the expected one.
        """
        what = f"{file_id} version {version or 'latest'}"
        file = persevere(
            self._servers, self._patience, what, lambda at: describe_at(self._wire, at.server, file_id, version)
        )
        _require_size(file, expected_size)
        return file

    def retrieve(
        self,
        file: StoredFile,
        destination: Path,
        on_bytes: Callable[[int], None] = lambda count: None,
        *,
        expected_size: int | None = None,
    ) -> Transfer:
        """Fetch a file to its destination, which appears whole and right or not at all.

        What an interrupted run left is taken up again. An existing destination is replaced.

        Parameters
        ----------
        on_bytes
            Called with each gain in bytes, and with a negative number when bytes prove wrong and are
            discarded; the sum is the file's size in the end.
        expected_size
            What another database says of its size, bytes.

        Raises
        ------
        Missing
            No server knows the file.
        Transient
            The servers were busy, gone or slow beyond our patience, or somebody else is fetching it there.
        Refused
            The archive does not give it to us.
        Failed
            It comes damaged from every server, its size is not the expected one, or the disk does not take it.
        """
        _require_size(file, expected_size)
        began = time.monotonic()
        with partial_of(file, destination, on_bytes) as partial:
            last = self._complete(file, partial)
            partial.place(destination)
            return Transfer(
                file_id=file.file_id,
                version=file.version,
                size=file.size,
                checksum=str(file.checksum) if file.checksum else None,
                server=last.server,
                seconds=time.monotonic() - began,
                attempts=last.number,
                resumed_from=partial.inherited,
            )

    def _complete(self, file: StoredFile, partial: Partial) -> Attempt:
        """Bring all bytes and prove them; say which attempt did it."""
        if partial.whole and partial.inherited:
            with suppress(Damaged):
                partial.prove()
                return Attempt(file.server, 0, 0)

        def attempt(at: Attempt) -> Attempt:
            receive(self._wire, at.server, file, partial)
            partial.prove()
            return at

        return persevere(self._order(file), self._patience, str(file), attempt)

    def _order(self, file: StoredFile) -> tuple[str, ...]:
        """Ask first the server that described the file: it was well a moment ago."""
        return tuple(dict.fromkeys((file.server, *self._servers)))


def _checked(server: str) -> str:
    if not _SERVER.fullmatch(server):
        # what it says is not repeated: it might hold a password
        raise Refused("an NGAS server's address cannot be read", "it is not host:port", "check ppi.ngas.servers")
    return server


def _require_size(file: StoredFile, expected: int | None) -> None:
    if expected is not None and file.size != expected:
        why = f"the archive has {file.size} bytes (server {file.server}), {expected} were expected"
        raise Failed(f"{file} is not the expected file", why, "ask the archive's operators which one is right")
