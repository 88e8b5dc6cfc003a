"""`ppi store status`, `verify` and `prune`."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from tasks.disk import make_shared
from tasks.errors import Refused
from tasks.lease import leased
from tasks.ngas import StoredFile
from tasks.ngas.store.entry import Entry, Record

PROFILE = """\
ppi.processing.rootDirectory = {area}
ppi.metadata.url = sqlite:////nowhere
ppi.ngas.servers = one:7777,two:7777
ppi.ngas.streamsPerServer = 3
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A profile, and a store of three files in its area."""
    (tmp_path / "site-test.properties").write_text(PROFILE.format(area=tmp_path / "area"))
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    monkeypatch.setenv("CAPO_PROFILE", "site-test")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "installation"))
    root = tmp_path / "area" / "store"
    for hours, name in enumerate("abc"):
        put(root, name, hours)
    return root


def put(root: Path, name: str, hours_ago: int) -> Entry:
    file = StoredFile(file_id=name, version=1, size=10_000, checksum=None, server="one:7777")
    entry, used = Entry.of(root, file), time.time() - 3600 * hours_ago
    make_shared(entry.folder)
    entry.content.write_bytes(bytes(10_000))
    entry.vouch(Record.of(file, entry.content.stat().st_mtime_ns))
    os.utime(entry.record_path, (used, used))
    return entry


def ppi(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["store", *arguments])


def read(*arguments: str) -> Any:
    ran = ppi(*arguments, "--json")
    assert ran.exit_code == 0
    return json.loads(ran.stdout)


def test_status_says_how_much_there_is_and_who_has_it_in_hand(root: Path) -> None:
    with (
        leased(root / ".leases", "k", "fetching f version 1"),
        leased(root / ".holds" / "k", "u", "using a version 1"),
        leased(root / ".streams", "one_3a_7777_stream_0", "a stream"),
    ):
        told, shown = read("status"), ppi("status").stdout
    assert (told["entries"], told["bytes"], told["limit"]) == (3, 30_000, None)
    assert told["free"] > 0
    assert [(each["subject"], each["pid"]) for each in told["at_work"]] == [("fetching f version 1", os.getpid())]
    assert [each["subject"] for each in told["in_use"]] == ["using a version 1"]
    assert told["streams"] == {"one:7777": {"open": 1, "limit": 3}, "two:7777": {"open": 0, "limit": 3}}
    assert "/store: 30.0 kB in 3 files\n" in shown
    assert f"process {os.getpid()} on" in shown
    assert ppi("status").stdout.count("nothing is") == 2


def test_pruning_needs_a_limit() -> None:
    ran = ppi("prune")
    assert isinstance(ran.exception, Refused)
    assert "ppi.processing.storeLimit" in str(ran.exception)
    ran = ppi("prune", "--limit", "many")
    assert ran.exit_code == 2
    assert "'many' is not a size" in ran.stderr


def test_pruning_shows_and_does() -> None:
    dry = ppi("prune", "--limit", "21kB", "--dry-run")
    assert dry.exit_code == 0
    assert "would be removed" in dry.stdout
    assert "c version 1" in dry.stdout
    assert read("status")["entries"] == 3
    told = read("prune", "--limit", "21kB")
    assert [each["file"] for each in told["removed"]] == ["c version 1"]
    assert (told["over"], told["dry_run"]) == (0, False)
    assert read("status")["entries"] == 2


def test_the_profile_says_the_limit(root: Path, tmp_path: Path) -> None:
    with (tmp_path / "site-test.properties").open("a") as file:
        file.write("ppi.processing.storeLimit = 21 kB\n")
    assert read("status")["limit"] == 21_000
    assert "30.0 kB of 21 kB in 3 files" in ppi("status").stdout
    (tmp_path / "link").hardlink_to(next(root.glob("??/??/*-c/content")))
    ran = ppi("prune").stdout
    assert "b version 1" in ran
    assert "stay, linked: 10.1 kB in 1 file\n" in ran


def test_verify_names_what_is_wrong_and_exits_with_six(root: Path) -> None:
    assert ppi("verify").exit_code == 0
    next(root.glob("??/??/*-b/content")).write_bytes(b"short")
    (root / "mine").write_text("x")
    ran = ppi("verify")
    assert ran.exit_code == 6
    assert "wrong: 1" in ran.stdout
    assert "b version 1" in ran.stdout
    assert "it has 5 bytes instead of 10000" in ran.stdout
    assert "mine is not the store's" in ran.stdout
    again = read("verify")
    assert (again["files"], again["bad"], again["strays"]) == (2, [], ["mine"])


@pytest.mark.parametrize("arguments", [["status"], ["verify"], ["prune", "--limit", "1 GB"]])
def test_a_store_that_is_not_there_is_told(root: Path, arguments: list[str]) -> None:
    shutil.rmtree(root)
    ran = ppi(*arguments)
    assert ran.exit_code == 0
    assert f"{root} is not there" in ran.stdout.replace("\n", " ")
    assert not root.exists()
