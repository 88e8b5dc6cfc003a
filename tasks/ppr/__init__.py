"""The pipeline processing request (PPR), because it is the contract with CASA: both executors take it.

`compose` makes one from what the archive knows, `write` and `read` are its XML, and `differences` says whether two
ask for the same work. The `Manifest` is the pipeline's answer, from which a later restore begins.
"""

from __future__ import annotations

from tasks.ppr.compare import differences
from tasks.ppr.compose import compose
from tasks.ppr.manifest import Manifest, ManifestBlock, ManifestSession
from tasks.ppr.model import Command, Ppr, Procedure
from tasks.ppr.procedures import CALIBRATE, CALIBRATE_AND_IMAGE, IMAGE, RESTORE
from tasks.ppr.xml import read, write

__all__ = [
    "CALIBRATE",
    "CALIBRATE_AND_IMAGE",
    "IMAGE",
    "RESTORE",
    "Command",
    "Manifest",
    "ManifestBlock",
    "ManifestSession",
    "Ppr",
    "Procedure",
    "compose",
    "differences",
    "read",
    "write",
]
