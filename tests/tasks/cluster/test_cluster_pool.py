"""What HTCondor's programs print is read with care: they may be cut off, and know nothing of encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.cluster.pool import Pool
from tasks.errors import Transient

DAMAGED = b'[{"ClusterId": 1, "Pro'
LATIN = b'[{"ClusterId": 1, "ProcId": 0, "HoldReason": "Pfad \xfc"}]'


def printing(folder: Path, printed: bytes) -> Pool:
    """Return a pool whose programs print this, whatever they are asked."""
    (folder / "printed").write_bytes(printed)
    program = folder / "condor_q"
    program.write_text(f"#!/bin/sh\nexec cat '{folder / 'printed'}'\n")
    program.chmod(0o700)
    return Pool(programs=folder)


def test_an_answer_that_breaks_off_is_none(tmp_path: Path) -> None:
    with pytest.raises(Transient, match=r"damaged .*condor_status"):
        printing(tmp_path, DAMAGED).queue("true")


def test_a_reason_in_another_encoding_is_read_as_far_as_it_can_be(tmp_path: Path) -> None:
    (job,) = printing(tmp_path, LATIN).queue("true")
    assert job.hold_reason == "Pfad \N{REPLACEMENT CHARACTER}"
