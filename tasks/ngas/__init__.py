"""The archive's files: described, fetched once, proven to the last byte, and opened safely.

`NgasClient` speaks to the servers, `Store` keeps what was fetched for every environment of a site, `unpack`
opens a tar. Everything here is plain values and files.
"""

from __future__ import annotations

from tasks.ngas.checksum import Checksum, checksum_of
from tasks.ngas.client import NgasClient
from tasks.ngas.model import StoredFile, Transfer
from tasks.ngas.patience import Patience
from tasks.ngas.store import Held, Store
from tasks.ngas.tar import unpack

__all__ = [
    "Checksum",
    "Held",
    "NgasClient",
    "Patience",
    "Store",
    "StoredFile",
    "Transfer",
    "checksum_of",
    "unpack",
]
