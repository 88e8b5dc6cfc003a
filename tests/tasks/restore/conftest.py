"""The archive that the tests of planning look into."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from restore_examples import Archived

from deployments.local.ngas_server import serving


@pytest.fixture
def archived(tmp_path: Path) -> Iterator[Archived]:
    root = tmp_path / "archive"
    with serving(root) as address:
        yield Archived(root, address)
