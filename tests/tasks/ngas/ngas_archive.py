"""What the tests of the archive's client share: an archive that they fill, break and count."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from deployments.local.ngas_index import Plugin
from deployments.local.ngas_server import Entry, Fault, archive, requests_of
from tasks.ngas import NgasClient, Patience

MIB: Final = 1 << 20


@dataclass
class Archive:
    """What a test puts in, breaks, and counts."""

    root: Path
    address: str = ""
    faults: dict[tuple[str, str], Fault] = field(default_factory=dict)
    pauses: list[float] = field(default_factory=list)

    def put(
        self, file_id: str, data: bytes, *, plugin: Plugin = "crc32", signed: bool = False, media_type: str = "a/b"
    ) -> Entry:
        path = self.root.parent / f"source-{random.getrandbits(64):x}"
        path.write_bytes(data)
        return archive(self.root, path, file_id, plugin=plugin, signed=signed, media_type=media_type)

    def path_of(self, entry: Entry) -> Path:
        return self.root / "volume1" / entry.file_name

    def client(self, *servers: str, **options: Any) -> NgasClient:
        options.setdefault("timeout", 5)
        options.setdefault("patience", Patience(rounds=3, sleep=self.pauses.append))
        return NgasClient(servers or (self.address,), **options)

    def asked(self, command: str, expected: int) -> list[dict[str, Any]]:
        """Return the requests of a command once as many as expected are over."""
        ends = time.monotonic() + 10
        while len(asked := requests_of(self.root, command)) < expected and time.monotonic() < ends:
            time.sleep(0.01)
        return asked


def some_bytes(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count)  # noqa: S311 - the same every time
