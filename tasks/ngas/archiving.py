"""Putting a file into the archive, once.

An archive takes whatever it is sent, as a next version: a request that is repeated because its answer did not come
would archive the file twice. So the archive is asked first, and again whenever it is not known what became of a
request; and what it has in the end is compared with what was to be archived.
"""

from __future__ import annotations

import logging
import mimetypes
import re
from collections.abc import Iterator
from typing import BinaryIO, Final, get_args

from tasks.disk import explained
from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas.checksum import Checksum, Kind
from tasks.ngas.connection import AGAIN, Answer, Upload
from tasks.ngas.content import Content, content_checksum
from tasks.ngas.model import StoredFile
from tasks.ngas.patience import Attempt
from tasks.ngas.query import describe_at
from tasks.ngas.reply import BUFFERED, FileEntry, read_reply
from tasks.ngas.wire import OK, Damaged, Wire, failure, failure_of
from tasks.progress import OnBytes, note

__all__ = ["Archiving", "require_media_type", "require_name"]

_LOG: Final = logging.getLogger(__name__)
_ANY_TYPE: Final = "application/octet-stream"
_SIGN: Final = 1 << 31
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")


def require_name(file_id: str) -> str:
    """Return a name that the archive will not change.

    Raises
    ------
    Refused
        It would: NGAS takes the last part of a path.
    """
    if file_id in ("", ".", "..") or "/" in file_id or not file_id.isprintable() or file_id != file_id.strip():
        why = "a name in the archive has no slash, no characters that cannot be printed and no blanks around it"
        raise Refused(f"{file_id!r} cannot be archived", why, "give it another name")
    return file_id


def require_media_type(media_type: str | None) -> str | None:
    """Return a media type that is one, or None.

    Raises
    ------
    Refused
        It is none.
    """
    if media_type and not _TYPE.fullmatch(media_type):
        raise Refused(f"{media_type[:80]!r} is no media type", "image/fits is one", "correct it, or leave it away")
    return media_type


class Archiving:
    """One file on its way into the archive, and what is known of where it is.

    Parameters
    ----------
    wire
        To the servers.
    source
        What is to be archived.
    name
        What the archive is to call it.
    media_type
        None to guess it, and to call it just bytes where the server does not know the guess.
    command
        ARCHIVE or QARCHIVE.
    on_bytes
        Called with each gain in bytes, and with a negative number when they have to be sent again.
    """

    def __init__(
        self, wire: Wire, source: Content, name: str, media_type: str | None, command: str, on_bytes: OnBytes
    ) -> None:
        self._wire, self._source, self._name, self._command = wire, source, name, command
        self._on_bytes, self._told = on_bytes, 0
        guess = mimetypes.guess_type(name)[0] or _ANY_TYPE
        self._types = [media_type] if media_type else list(dict.fromkeys((guess, _ANY_TYPE)))
        self._checksums: dict[Kind, Checksum] = {}
        self._doubtful: dict[str, None] = {}
        self._before = 0
        self._sending = False
        self._kept: PpiError | None = None

    def attempt(self, at: Attempt) -> StoredFile:
        """Have the file in the archive: ask the server, and those that may have it from before; then send it.

        Raises
        ------
        PpiError
            The server cannot be asked, does not take it, or it is not known what became of it.
        """
        for server in dict.fromkeys((*self._doubtful, at.server)):
            if there := self._there(server):
                return there
        if self._kept:
            raise self._kept
        self._doubtful.clear()
        return self._send(at.server)

    def _there(self, server: str) -> StoredFile | None:
        try:
            file = describe_at(self._wire, server, self._name, None)
        except Missing:
            return None
        if not self._sending:
            self._before = max(self._before, file.version)
        return file if self._is_ours(file) else None

    def _is_ours(self, file: StoredFile) -> bool:
        """Whether a file is what is to be archived; without a checksum only one that came meanwhile can be."""
        if file.checksum is None:
            return self._sending and file.version > self._before and file.size == self._source.size
        return file.size == self._source.size and file.checksum == self._checksum(file.checksum.kind)

    def _checksum(self, kind: Kind) -> Checksum:
        if kind not in self._checksums:
            note("checksum")
            with explained(f"{self._source} cannot be archived"):
                self._checksums[kind] = content_checksum(self._source, kind)
            note("")
        return self._checksums[kind]

    def _send(self, server: str) -> StoredFile:
        self._checksum("crc32")
        self._source.require_unchanged()
        self._sending = True
        try:
            entries = self._accepted(server)
        except (Transient, Damaged) as error:
            self._doubtful[server] = None
            self._kept = error if BUFFERED in error.why else None
            raise
        self._source.require_unchanged()
        return self._right(self._described(server, entries))

    def _accepted(self, server: str) -> tuple[FileEntry, ...]:
        """Send it with the checksum in each of the forms that servers compare it with, until one takes it."""
        refusals: list[Refused] = []
        for announced in self._announcements():
            try:
                return self._of_known_type(server, announced)
            except Refused as error:
                if not _is_of_checksum(error):
                    raise
                refusals.append(error)
        last = refusals[-1]
        raise Damaged(last.what, f"it came there damaged ({last.why})", AGAIN) from last

    def _announcements(self) -> Iterator[str]:
        """Yield zlib's checksum, then Castagnoli's, each also as older servers write it, which compare texts."""
        for kind in get_args(Kind):
            value = self._checksum(kind).value
            yield str(value)
            if value >= _SIGN:
                yield str(value - 2 * _SIGN)

    def _of_known_type(self, server: str, announced: str) -> tuple[FileEntry, ...]:
        try:
            return self._posted(server, announced)
        except Refused as error:
            if len(self._types) == 1 or _is_of_checksum(error) or not error.why.startswith("HTTP 400"):
                raise
            self._types.pop(0)
            return self._posted(server, announced)

    def _posted(self, server: str, announced: str) -> tuple[FileEntry, ...]:
        parameters = {"filename": self._name, "mime_type": self._types[0]}
        headers = {"Content-Type": self._types[0], "NGAS-File-CRC": announced}
        upload = Upload(str(self._source), self._parts, self._source.size, self._tell)
        try:
            with (
                explained(f"{self._source} cannot be archived"),
                self._wire.post(server, self._command, parameters, headers, upload) as answer,
            ):
                return _entries(answer)
        except PpiError:
            self._tell(-self._told)
            raise

    def _parts(self) -> Iterator[tuple[BinaryIO, int]]:
        """Yield all parts; where a redirect has them sent again, what was told of the first time is taken back."""
        if self._told:
            self._tell(-self._told)
        yield from self._source.parts()

    def _tell(self, count: int) -> None:
        self._told += count
        self._on_bytes(count)

    def _described(self, server: str, entries: tuple[FileEntry, ...]) -> StoredFile:
        """Say what the archive has now: by its answer, or by asking it where that does not tell."""
        mine = [entry for entry in entries if entry.file_id == self._name]
        if not mine:
            return describe_at(self._wire, server, self._name, None)
        entry = max(mine, key=lambda each: each.version)
        return StoredFile(
            file_id=entry.file_id,
            version=entry.version,
            size=entry.size,
            checksum=entry.checksum,
            server=server,
        )

    def _right(self, file: StoredFile) -> StoredFile:
        """Return what the archive has now, if it is what was sent."""
        if file.checksum is None:
            _LOG.warning("%s: the archive keeps no checksum of it, only its size could be compared", file)
        wanted = file.checksum and self._checksum(file.checksum.kind)
        if (file.size, file.checksum) != (self._source.size, wanted):
            why = f"the archive has {file.size} bytes, {file.checksum}; sent were {self._source.size}, {wanted}"
            raise Failed(f"{file} is not {self._source}", why, "tell the archive's operators")
        return file


def _is_of_checksum(error: Refused) -> bool:
    return "checksum" in error.why.lower()


def _entries(answer: Answer) -> tuple[FileEntry, ...]:
    if answer.status != OK:
        raise failure_of(answer)
    body = answer.document()
    try:
        reply = read_reply(body, "the answer")
    except Refused as error:
        raise failure(OK, body, answer.what) from error
    if not reply.succeeded or BUFFERED in reply.message:
        raise failure(OK, body, answer.what)
    return reply.files
