"""The archive's files: what the archive says of them, and their bytes, checked to the last.

NGAS sends no checksum with a file and its answers cannot be trusted on their own: a truncated or damaged file
comes with status 200. So a file is described first, then retrieved against that description: bytes are hashed
as they stream past, and only a file of the right size and checksum gets its name.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial as bound
from pathlib import Path
from typing import Final

from tasks.errors import Failed, Refused
from tasks.ngas.address import server_address
from tasks.ngas.archiving import Archiving, require_media_type, require_name
from tasks.ngas.content import Content, Source
from tasks.ngas.copying import copied
from tasks.ngas.health import HEALTH, watched
from tasks.ngas.model import StoredFile, Transfer
from tasks.ngas.partial import Partial, partial_of
from tasks.ngas.patience import Attempt, Mixed, Patience, persevere
from tasks.ngas.query import describe_at, state_at
from tasks.ngas.reply import Reply
from tasks.ngas.stream import receive
from tasks.ngas.streams import Streams
from tasks.ngas.wire import Damaged, Wire
from tasks.progress import OnBytes

__all__ = ["NgasClient"]

_TO_DESCRIBE: Final = Patience()
"""A few seconds: a wrong address is told soon."""
_TO_TRANSFER: Final = Patience(rounds=8)
"""Most of a minute without any progress: a server may start anew meanwhile."""


class NgasClient:
    """A client of one archive that several servers serve.

    Parameters
    ----------
    servers
        `host:port` of each.
    username, password
        For HTTP Basic; an empty username sends none.
    timeout
        Seconds without a byte after which a server counts as gone.
    patience
        How often to try, and how long to pause.
    streams
        Where each transfer takes its place; None sets no limit.

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
        streams: Streams | None = None,
    ) -> None:
        self._servers = tuple(_checked(server) for server in servers)
        if not self._servers:
            raise Refused("the archive cannot be reached", "no NGAS server is named", "set ppi.ngas.servers")
        login = (username, password) if username else None
        self._streams = streams or Streams(None, 1)
        self._wire, self._timeout = Wire(frozenset(self._servers), login, timeout, self._streams), timeout
        self._to_describe, self._to_transfer = patience or _TO_DESCRIBE, patience or _TO_TRANSFER

    def state(self, server: str) -> Reply:
        """Ask one server how it is, once.

        Raises
        ------
        Refused
            What answers is no NGAS, or does not let us ask.
        Transient
            The server cannot be asked.
        """
        return state_at(self._wire, server)

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
        file = persevere(
            self._servers,
            self._to_describe,
            f"the latest version of {file_id}" if version is None else f"{file_id} version {version}",
            watched(lambda at: describe_at(self._wire, at.server, file_id, version)),
            order=bound(HEALTH.order, subject=file_id),
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
        direct: bool = False,
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
        direct
            Let the server write it there itself, over a file system that it shares with this host (COPY); where it
            does not, and where a part has come already, the file is streamed.

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
            copy = self._copied(file, destination, on_bytes) if direct and not partial.count else None
            last = copy or self._complete(file, partial)
            if not copy:
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
                method="copy" if copy else "stream",
            )

    def archive(
        self, path: Path, *, file_id: str | None = None, media_type: str | None = None, quick: bool = False
    ) -> StoredFile:
        """Put a file into the archive, once: what is there already, just so, is not sent again.

        Parameters
        ----------
        file_id
            The archive's name for it; the file's own if it is not given.
        media_type
            Guessed from the file's name if it is not given.
        quick
            Use QARCHIVE, which does less afterwards.

        Raises
        ------
        Missing
            There is no such file.
        Refused
            The name cannot be one in the archive, or the type none; the file is empty; or the archive does not
            take it.
        Transient
            The servers were busy, gone or slow beyond our patience.
        Failed
            What the archive has now is not this file, or the file changed meanwhile.
        """
        source = Source.of(path)
        return self.archive_content(source, path.name if file_id is None else file_id, media_type, quick=quick)

    def archive_content(
        self,
        content: Content,
        file_id: str,
        media_type: str | None = None,
        on_bytes: OnBytes = lambda count: None,
        *,
        quick: bool = False,
    ) -> StoredFile:
        """Put into the archive what need be no file, such as a tar that is made while it is sent; see `archive`.

        Parameters
        ----------
        on_bytes
            Called with each gain in bytes, and with a negative number when they have to be sent again; the sum is
            its size in the end if it was sent, and 0 if it was there already.
        """
        name, kind = require_name(file_id), require_media_type(media_type)
        command = "QARCHIVE" if quick else "ARCHIVE"
        archiving = Archiving(self._wire, content, name, kind, command, on_bytes)
        return persevere(
            self._servers,
            self._to_transfer,
            name,
            watched(archiving.attempt),
            order=bound(HEALTH.order, subject=name, busy=self._streams.busy),
        )

    def _copied(self, file: StoredFile, destination: Path, on_bytes: Callable[[int], None]) -> Attempt | None:
        return copied(self._wire, file, destination, on_bytes, self._timeout, self._to_transfer)

    def _complete(self, file: StoredFile, partial: Partial) -> Attempt:
        """Bring all bytes and prove them; say which attempt did it."""
        if partial.whole and partial.inherited:
            with suppress(Damaged):
                partial.prove()
                return Attempt(file.server, 0, 0)
        return persevere(
            tuple(dict.fromkeys((file.server, *self._servers))),
            self._to_transfer,
            str(file),
            watched(_Retrieval(self._wire, file, partial).attempt),
            order=bound(HEALTH.order, subject=str(file), preferred=file.server, busy=self._streams.busy),
            progress=lambda: partial.count,
        )


class _Retrieval:
    """A file on its way, and whose bytes it is made of so far."""

    def __init__(self, wire: Wire, file: StoredFile, partial: Partial) -> None:
        self._wire, self._file, self._partial = wire, file, partial
        self._sources = {"an earlier run"}

    def attempt(self, at: Attempt) -> Attempt:
        """Have one server bring what is not there yet, and prove all of it."""
        self._sources = {*self._sources, at.server} if self._partial.count else {at.server}
        receive(self._wire, at.server, self._file, self._partial)
        try:
            self._partial.prove()
        except Damaged as error:
            if len(self._sources) == 1:
                raise
            why = f"{error.why}; they came from {', '.join(sorted(self._sources))}"
            raise Mixed(error.what, why, error.todo) from error
        return at


def _checked(server: str) -> str:
    try:
        return server_address(server)
    except ValueError as error:
        why = str(error)
        raise Refused("an NGAS server's address cannot be read", why, "check ppi.ngas.servers") from error


def _require_size(file: StoredFile, expected: int | None) -> None:
    if expected is not None and file.size != expected:
        why = f"the archive has {file.size} bytes (server {file.server}), {expected} were expected"
        raise Failed(f"{file} is not the expected file", why, "ask the archive's operators which one is right")
