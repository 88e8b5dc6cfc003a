"""`ppi pool`: what is refused before anything is installed, and what is said where there is no pool."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from tasks.errors import Missing


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--memory", "16"), "not a size"),
        (("--limit", "CASA"), "NAME=N"),
        (("--limit", "CASA=many"), "NAME=N"),
        (("--cpus", "0"), "cpus"),
    ],
)
def test_what_a_pool_cannot_be_like_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], told: str
) -> None:
    monkeypatch.setenv("PPI_HOME", str(tmp_path))
    wrong = CliRunner().invoke(app, ["pool", "up", *arguments])
    assert (wrong.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert told in wrong.stderr


@pytest.mark.parametrize("command", ["status", "env", "down"])
def test_nothing_is_installed_to_say_that_there_is_no_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PPI_HOME", str(tmp_path))
    with pytest.raises(Missing, match=r"does not run.*`ppi pool up`"):
        CliRunner().invoke(app, ["pool", command], catch_exceptions=False)
    assert list(tmp_path.iterdir()) == []
