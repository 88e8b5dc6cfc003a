"""What the embedded archive does for each of NGAS's commands."""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deployments.local.ngas_cluster import Located
from deployments.local.ngas_documents import Listing, listing
from deployments.local.ngas_index import COLUMNS, kind_of
from deployments.local.ngas_receiving import receive
from deployments.local.ngas_refusal import Refusal, improper_state, unknown_plugin
from tasks.ngas.checksum import Checksum, checksum_of

if TYPE_CHECKING:
    from deployments.local.ngas_handler import Handler
    from deployments.local.ngas_server import NgasServer

__all__ = ["COPY_PLUGIN", "carry_out"]

COPY_PLUGIN: Final = "ngamsDirectCopyDppi"
"""Makes the server write the file itself, where `outfile` says."""

_PROXY_SECONDS: Final = 60
_PASSED_ON: Final = ("Content-Type", "Content-Disposition", "Content-Range")


def carry_out(handler: Handler) -> None:
    """Do what a request asks for, and answer.

    Raises
    ------
    Refusal
        It cannot be done.
    ConnectionError
        The connection is to close without a word.
    """
    command = _COMMANDS.get(handler.ngas_command)
    if command is None:
        raise Refusal(f"Unknown command: {handler.ngas_command}", status=404)
    if handler.ngas_command in _NEED_ONLINE and handler.server.state != "ONLINE":
        raise improper_state(handler.ngas_command, handler.server.state)
    command(handler)


def _retrieve(handler: Handler) -> None:
    found = handler.located()
    if found.holder is not handler.server:
        _send_to(handler, found)
    elif plugin := handler.parameters.get("processing"):
        _process(handler, plugin)
    else:
        delivery = handler.delivery()
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, delivery.start, delivery.size)


def _send_to(handler: Handler, found: Located) -> None:
    """Redirect to the server that has the file, or pass its answer on."""
    address = found.holder.address
    if handler.server.cluster.proxy:
        _pass_on(handler, address)
    else:
        handler.answer(303, b"", {"Location": f"http://{address}{handler.path}"})


def _pass_on(handler: Handler, address: str) -> None:
    """Read another server's answer whole, as NGAS does, and answer it; of a dead one the client hears nothing."""
    given = {name: handler.headers[name] for name in ("Range", "Authorization") if name in handler.headers}
    with closing(http.client.HTTPConnection(address, timeout=_PROXY_SECONDS)) as connection:
        try:
            connection.request("GET", handler.path, headers=given)
            response = connection.getresponse()
            body = response.read()
        except http.client.HTTPException as error:
            raise ConnectionAbortedError from error
    passed_on = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
    handler.answer(response.status, body, passed_on)


def _process(handler: Handler, plugin: str) -> None:
    """Write the file where the caller wants it."""
    if plugin != COPY_PLUGIN:
        raise unknown_plugin(plugin)
    pairs = (pair.partition("=") for pair in handler.parameters.get("processingPars", "").split(","))
    outfile = {name.strip(): value for name, _, value in pairs}.get("outfile", "")
    if not Path(outfile).is_absolute():
        raise Refusal(f"{COPY_PLUGIN}: no absolute outfile is given")
    try:
        shutil.copyfile(handler.delivery().path, outfile)
    except OSError as error:
        raise Refusal(f"{COPY_PLUGIN}: {error}") from error
    handler.document(f"Successfully handled command RETRIEVE: wrote {outfile}")


def _status(handler: Handler) -> None:
    found = handler.located() if "file_id" in handler.parameters else None
    handler.document("Successfully handled command STATUS", found=found)


def _query(handler: Handler) -> None:
    query = handler.parameters.get("query", "").lower()
    if query not in _QUERIES:
        raise Refusal(f"Invalid query specified: {query}")
    found = _QUERIES[query](handler.server, handler.parameters)
    handler.answer(200, found.body, {"Content-Type": found.media_type})


def _files(server: NgasServer, pattern: str, form: str) -> Listing:
    return listing(COLUMNS, [astuple(each) for each in server.index.like(pattern)], form)


def _disks(server: NgasServer, form: str) -> Listing:
    rows = [(node.disk_id, node.address, int(node.mounted)) for node in server.cluster.nodes]
    return listing(("disk_id", "host_id", "mounted"), rows, form)


def _hosts(server: NgasServer, form: str) -> Listing:
    rows = [(*node.address.rsplit(":", 1), node.state) for node in server.cluster.nodes]
    typed = [(host, int(port), state) for host, port, state in rows]
    return listing(("host_id", "srv_port", "srv_state"), typed, form)


_QUERIES: Final[Mapping[str, Callable[[Any, Mapping[str, str]], Listing]]] = {
    "files_like": lambda server, given: _files(server, given.get("like", "%"), given.get("format", "")),
    "files_list": lambda server, given: _files(server, "%", given.get("format", "")),
    "disks_list": lambda server, given: _disks(server, given.get("format", "")),
    "hosts_list": lambda server, given: _hosts(server, given.get("format", "")),
}


def _archive(handler: Handler) -> None:
    entry = receive(handler.server, handler.headers, handler.parameters, handler.rfile)
    said = f"Successfully handled Archive Push Request for data file with URI {entry.file_id}"
    handler.document(said, found=Located(entry, handler.server))


def _check_file(handler: Handler) -> None:
    """Say how a copy is on disk: in words only, the answer is a success even when the file is bad."""
    entry = handler.located().entry
    path, kind = handler.server.index.path_of(entry), kind_of(entry.checksum_plugin)  # type: ignore[arg-type]
    sound = path.exists() and path.stat().st_size == entry.file_size
    if sound and kind:
        sound = checksum_of(path, kind) == Checksum.parse(kind, entry.checksum)
    name = f"File ID: {entry.file_id}/File Version: {entry.file_version}/Disk ID: {entry.disk_id}"
    if sound:
        handler.document(f"NGAMS_INFO_FILE_OK:4056:INFO: Checked file with {name}. File is OK.")
    else:
        handler.document(f"NGAMS_ER_FILE_NOK:4057:ERROR: Checked file with {name}. File is not OK.")


def _go_offline(handler: Handler) -> None:
    _require_other_state(handler, "OFFLINE")
    handler.server.state = "OFFLINE"
    handler.document("Successfully handled command OFFLINE")


def _go_online(handler: Handler) -> None:
    _require_other_state(handler, "ONLINE")
    handler.server.state, handler.server.mounted = "ONLINE", True
    handler.document("Successfully handled command ONLINE")


def _require_other_state(handler: Handler, state: str) -> None:
    if handler.server.state == state:
        raise improper_state(handler.ngas_command, state)


_COMMANDS: Final[Mapping[str, Callable[[Any], None]]] = {
    "RETRIEVE": _retrieve,
    "STATUS": _status,
    "QUERY": _query,
    "ARCHIVE": _archive,
    "QARCHIVE": _archive,
    "CHECKFILE": _check_file,
    "OFFLINE": _go_offline,
    "ONLINE": _go_online,
}
_NEED_ONLINE: Final = {"RETRIEVE", "ARCHIVE", "QARCHIVE", "CHECKFILE"}
