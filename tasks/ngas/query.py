"""What one server of the archive knows of a file: STATUS first, QUERY where that does not answer.

STATUS is one indexed look-up, and says nothing of files whose volume or node is out of reach. QUERY lists those
too, but makes the archive's database search by pattern, so it is asked second. Newer servers answer QUERY in
JSON, all of them as a text table.
"""

from __future__ import annotations

from collections.abc import Iterable

from tasks.errors import Missing, Refused
from tasks.ngas.model import StoredFile
from tasks.ngas.reply import FileEntry, Reply, read_listing, read_reply
from tasks.ngas.wire import OK, Wire, failure

__all__ = ["describe_at", "listed_at", "state_at"]


def state_at(wire: Wire, server: str) -> Reply:
    """Ask one server how it is.

    Raises
    ------
    Refused
        What answers is no NGAS.
    PpiError
        The server cannot be asked.
    """
    document = wire.document(server, "STATUS", {})
    try:
        return read_reply(document, f"the status of server {server}")
    except Refused as error:
        raise Refused(error.what, error.why, "see that ppi.ngas.servers names an NGAS") from error


def describe_at(wire: Wire, server: str, file_id: str, version: int | None) -> StoredFile:
    """Ask one server what it knows of a file.

    Raises
    ------
    Missing
        The server does not know it.
    PpiError
        The server cannot be asked.
    """
    try:
        entry = _pick(_status(wire, server, file_id, version), file_id, version)
    except (Missing, Refused) as error:
        entry = _pick(_query_or(error, wire, server, file_id), file_id, version)
    else:
        entry = entry or _pick(_query(wire, server, file_id), file_id, version)
    if entry is None:
        raise Missing(f"server {server}", "it does not list the file", "check the file's name and version")
    return StoredFile(
        file_id=file_id, version=entry.version, size=entry.size, checksum=entry.checksum, server=server
    )


def listed_at(wire: Wire, server: str, file: StoredFile) -> bool:
    """Whether a server lists a file, within reach or not."""
    return _pick(_query(wire, server, file.file_id), file.file_id, file.version) is not None


def _pick(entries: Iterable[FileEntry], file_id: str, version: int | None) -> FileEntry | None:
    """Choose the wanted version, else the latest; copies of one version are alike."""
    fitting = (each for each in entries if each.file_id == file_id and version in (None, each.version))
    return max(fitting, key=lambda each: each.version, default=None)


def _status(wire: Wire, server: str, file_id: str, version: int | None) -> tuple[FileEntry, ...]:
    parameters = {"file_id": file_id} | ({} if version is None else {"file_version": str(version)})
    body = wire.document(server, "STATUS", parameters)
    reply = read_reply(body, f"STATUS of server {server}")
    if not reply.succeeded:
        raise failure(OK, body, f"server {server}")
    return reply.files


def _query(wire: Wire, server: str, file_id: str) -> tuple[FileEntry, ...]:
    parameters = {"query": "files_like", "like": file_id}
    what = f"QUERY of server {server}"
    try:
        return read_listing(wire.document(server, "QUERY", parameters | {"format": "json"}), file_id, what)
    except Refused:
        return read_listing(wire.document(server, "QUERY", parameters | {"format": "list"}), file_id, what)


def _query_or(error: Missing | Refused, wire: Wire, server: str, file_id: str) -> tuple[FileEntry, ...]:
    """Query, but where the server cannot, what it said before stands."""
    try:
        return _query(wire, server, file_id)
    except Refused:
        raise error from None
