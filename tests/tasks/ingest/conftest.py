"""An environment, and an archive that it may fill."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ingest_examples import Site

from deployments.local.ngas_server import serving


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with serving(tmp_path / "archive") as address:
        yield Site(tmp_path, address)
