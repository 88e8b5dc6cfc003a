"""How faults are put into an archive that is served: as answers, on disk, in the index, as states of servers."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from deployments.local.ngas_faults import answer, in_turn, unavailable
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_index import Entry, Plugin, decimal_text, kind_of
from deployments.local.ngas_server import NgasServer
from tasks.ngas.checksum import checksum_of

__all__ = [
    "ALL", "SITE", "Always", "Ill", "InTurn", "Put", "at_replica", "flipped", "forget", "go_offline",
    "holder_dead", "leave_well", "lock_out", "lose_volume", "on_disk", "once", "recorded", "replicated",
    "rewritten", "unmount",
]  # fmt: skip

ALL: Final = ("RETRIEVE", "STATUS", "QUERY")
"""The commands that fetching a file takes."""
SITE: Final = "LOCAL"
"""This site's name in locations reports."""


@dataclass(frozen=True)
class Ill:
    """An archive that is served, for a fault to be put into it.

    Parameters
    ----------
    nodes
        Its servers; the first has the files.
    file_id
        The file that is to be hit, where a fault is of one.
    """

    nodes: tuple[NgasServer, ...]
    file_id: str

    @property
    def entry(self) -> Entry:
        """The first copy of the file."""
        return self.nodes[0].index.copies(self.file_id)[0]

    @property
    def path(self) -> Path:
        """Where that lies."""
        return self.nodes[0].index.path_of(self.entry)

    def report(self, changes: Mapping[str, str]) -> bytes:
        """Write a locations report of the file, as NRAO's service does: its server may write it at this site.

        Parameters
        ----------
        changes
            What it says otherwise.
        """
        entry = self.entry
        server = {"server": self.nodes[0].address, "location": SITE, "cluster": "DSOC"}
        told = {
            "ngas_file_id": entry.file_id,
            "subdirectory": "fetched",
            "relative_path": entry.file_id,
            "checksum": entry.checksum,
            "checksum_type": entry.checksum_plugin,
            "version": entry.file_version,
            "size": entry.file_size,
            "server": server,
        }
        return json.dumps({"files": [told | dict(changes)], "aggregate_size": entry.file_size}).encode()

    def meet(self, faults: Mapping[tuple[str, str], Fault], *nodes: NgasServer) -> None:
        """Give some servers faults; by default all."""
        for server in nodes or self.nodes:
            server.faults = {**server.faults, **faults}


Put = Callable[[Ill], None]
"""Puts a fault into an archive."""


@dataclass(frozen=True)
class InTurn:
    """Puts faulty answers to the next requests for the file's bytes; those after them are as they should be."""

    faults: tuple[Fault, ...]

    def __call__(self, ill: Ill) -> None:
        """Put them."""
        ill.meet({("RETRIEVE", ill.file_id): in_turn(*self.faults)})


@dataclass(frozen=True)
class Always:
    """Puts a faulty answer to every request of some commands."""

    fault: Fault
    commands: tuple[str, ...] = ("RETRIEVE",)

    def __call__(self, ill: Ill) -> None:
        """Put it."""
        ill.meet({(command, "*"): self.fault for command in self.commands})


def leave_well(ill: Ill) -> None:
    """Put no fault into the archive: it is the report that is hostile."""


def once(*faults: Fault) -> InTurn:
    """Put faulty answers, each of which passes."""
    return InTurn(faults)


def on_disk(change: Callable[[Path], None]) -> Put:
    """Change the stored file."""
    return lambda ill: change(ill.path)


def at_replica(change: Callable[[Path], None]) -> Put:
    """Let both servers have every file, and change the copy of the one that is asked first for the file."""

    def fault(handler: Handler) -> bool:
        change(handler.delivery().path)
        return False

    return replicated(once(fault))


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Write a file anew, as a file of its own: others may have links to the old one."""

    def rewrite(path: Path) -> None:
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(change(data))

    return rewrite


def flipped(data: bytes) -> bytes:
    """Return the bytes with the one in the middle wrong."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def lose_volume(ill: Ill) -> None:
    """Remove the folder of all files from where it should be."""
    volume = ill.nodes[0].index.files
    volume.rename(volume.with_name(f"{volume.name}.gone"))


def recorded(plugin: Plugin, *, signed: bool = False) -> Put:
    """Record the file's checksum as made by a plug-in."""

    def put(ill: Ill) -> None:
        kind = kind_of(plugin)
        text = decimal_text(checksum_of(ill.path, kind) if kind else None, signed=signed)
        ill.nodes[0].index.record(replace(ill.entry, checksum=text, checksum_plugin=plugin))

    return put


def replicated(then: Put) -> Put:
    """Let the second server have a copy of every file, before something happens."""

    def put(ill: Ill) -> None:
        index = ill.nodes[0].index
        for entry in index.like("%"):
            index.replicate(entry, ill.nodes[1].disk_id)
        then(ill)

    return put


def holder_dead(*, proxy: bool) -> Put:
    """Kill the server that has the files; the other does not know."""

    def put(ill: Ill) -> None:
        ill.nodes[0].cluster.proxy = proxy
        ill.nodes[0].die()

    return put


def unmount(ill: Ill) -> None:
    """Unmount the volume that has the files."""
    ill.nodes[0].mounted = False


def go_offline(ill: Ill) -> None:
    """Put the server that has the files OFFLINE."""
    ill.nodes[0].state = "OFFLINE"


def lock_out(ill: Ill) -> None:
    """Want another username and password."""
    for node in ill.nodes:
        node.login = ("somebody", "else")


def forget(ill: Ill) -> None:
    """Know no file."""
    nothing = answer(200, b"[]", {"Content-Type": "application/json"})
    ill.meet({("RETRIEVE", "*"): unavailable(), ("STATUS", "*"): unavailable(), ("QUERY", "*"): nothing})
