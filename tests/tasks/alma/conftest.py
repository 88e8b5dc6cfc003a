"""Fixtures of the archive's tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from alma_observatory import BLOCKS, Observatory, rows_of


@pytest.fixture
def empty(tmp_path: Path) -> Observatory:
    return Observatory.create(tmp_path / "metadata.sqlite")


@pytest.fixture
def observatory(empty: Observatory) -> Observatory:
    empty.add(*rows_of(BLOCKS))
    return empty
