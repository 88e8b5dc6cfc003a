"""Which of several servers over one index has a file within reach, as NGAS finds it.

Each server has one volume. What the index says of a volume is not whether its server is alive: of a node that
died nobody has told the others, so they still send clients there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from deployments.local.ngas_index import Entry
from deployments.local.ngas_refusal import unavailable_file

if TYPE_CHECKING:
    from deployments.local.ngas_server import NgasServer

__all__ = ["Cluster", "Located"]


class Located(NamedTuple):
    """A copy within reach."""

    entry: Entry
    holder: NgasServer
    """The server that has its volume."""


class Cluster:
    """Servers that know of each other.

    Parameters
    ----------
    proxy
        Whether a server passes on the bytes of another; else it redirects.
    """

    def __init__(self, *, proxy: bool = False) -> None:
        self.proxy = proxy
        self._nodes: dict[str, NgasServer] = {}

    @property
    def nodes(self) -> tuple[NgasServer, ...]:
        """The servers, dead ones too, in the order in which they joined."""
        return tuple(self._nodes.values())

    def join(self, server: NgasServer) -> None:
        """Let a server take its volume over."""
        self._nodes[server.disk_id] = server

    def locate(
        self, asked: NgasServer, file_id: str, version: int, *, host_id: str = "", disk_id: str = ""
    ) -> Located:
        """Find the copy that is best for the server that is asked: its own, if it can be.

        Parameters
        ----------
        version
            Below 1 for the latest.
        host_id, disk_id
            Of this server or volume only; empty for any.

        Raises
        ------
        Refusal
            There is none, or none within reach, which sounds the same.
        """
        found = [
            Located(entry, node)
            for entry in asked.index.copies(file_id, version)
            if (node := self._nodes.get(entry.disk_id)) and node.within_reach
            if host_id in ("", node.address) and disk_id in ("", entry.disk_id)
        ]
        if not found:
            raise unavailable_file(file_id)
        return min(found, key=lambda each: each.holder is not asked)
