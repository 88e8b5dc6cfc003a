"""Worlds to sweep, each a copy of an empty one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest
from sweep_world import World, templates


class MakeWorld(Protocol):
    """Makes a world; sizes of a sweep's terms may be given."""

    def __call__(self, **terms: object) -> World: ...


@pytest.fixture(scope="session")
def make_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeWorld]:
    made = templates(tmp_path_factory.mktemp("templates"))
    with ExitStack() as stack:

        def make(**terms: object) -> World:
            return World(made, Path(stack.enter_context(tempfile.TemporaryDirectory())), **terms)

        yield make
