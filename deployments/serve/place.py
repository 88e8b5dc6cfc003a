"""Where a service is to be found, and whether that is this host, so that it can be started here."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

__all__ = ["Place"]

_SECONDS: Final = 3.0
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Place:
    """A host and a port on it."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Place:
        """Return the place that an HTTP URL names."""
        parts = urlsplit(url)
        return cls(parts.hostname or "", parts.port or _PORTS[parts.scheme])

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_here(self) -> bool:
        """Whether the host is this one: one of its addresses can be listened at."""
        return any(_is_ours(*address) for address in self._addresses())

    @property
    def is_loopback(self) -> bool:
        """Whether nothing but this host reaches it."""
        addresses = [ipaddress.ip_address(address[1][0]) for address in self._addresses()]
        return bool(addresses) and all(address.is_loopback for address in addresses)

    @property
    def is_taken(self) -> bool:
        """Whether something listens there."""
        try:
            with socket.create_connection((self.host, self.port), timeout=_SECONDS):
                return True
        except OSError:
            return False

    def _addresses(self) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return []
        return [(family, (str(address[0]).partition("%")[0], self.port)) for family, _, _, _, address in found]


def _is_ours(family: socket.AddressFamily, address: tuple[str, int]) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((address[0], 0))
        except OSError:
            return False
    return True
