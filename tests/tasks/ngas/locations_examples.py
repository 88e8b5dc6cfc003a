"""Locations reports as NRAO's service writes them, for the tests to change."""

from __future__ import annotations

import json
from typing import Any, Final

FILE: Final[dict[str, Any]] = {
    "ngas_file_id": "uid____evla_bdf_1519049009612.bdf",
    "subdirectory": "17B-197.sb34812522.eb35115211.58168.58572621528",
    "relative_path": "ASDMBinary/uid____evla_bdf_1519049009612",
    "checksum": "-1940987795",
    "checksum_type": "ngamsGenCrc32",
    "version": 1,
    "size": 1182557411,
    "server": {"server": "nmngas01:7777", "location": "DSOC", "cluster": "DSOC"},
}


def entry(**changes: Any) -> dict[str, Any]:
    """Return an entry with changes; None of them is a key that the report leaves out."""
    return {**FILE, **changes}


def report(*entries: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"files": list(entries), **more}).encode()
