"""`ppi fetch`, as a process against a real archive and a real locator service."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_commands import Site, locating

from deployments.local.ngas_faults import Fault, answer, stall
from deployments.local.ngas_server import Entry, serving

LOCATOR = "uid://evla/execblock/fec4d4f4-5dd1"
DATA = {"uid____evla_bdf_1.bdf": b"one" * 100_000, "uid____evla_bdf_2.bdf": b"two" * 100_000}


@pytest.fixture
def faults() -> dict[tuple[str, str], Fault]:
    return {}


@pytest.fixture
def site(tmp_path: Path, faults: dict[tuple[str, str], Fault]) -> Iterator[Site]:
    with serving(tmp_path / "archive", faults=faults) as address:
        made = Site(tmp_path, address)
        made.write_profile()
        yield made


def entry_of(site: Site, entry: Entry, **changes: Any) -> dict[str, Any]:
    return {
        "ngas_file_id": entry.file_id,
        "subdirectory": "17B-197.sb34812522",
        "relative_path": f"ASDMBinary/{entry.file_id.removesuffix('.bdf')}",
        "checksum": entry.checksum,
        "checksum_type": entry.checksum_plugin,
        "version": entry.file_version,
        "size": entry.file_size,
        "server": {"server": site.address, "location": "DSOC", "cluster": "DSOC"},
        **changes,
    }


@pytest.fixture
def report(site: Site) -> dict[str, Any]:
    entries = [site.put(name, data) for name, data in DATA.items()]
    files = [entry_of(site, entry) for entry in entries]
    return {"files": files, "aggregate_size": sum(len(data) for data in DATA.values())}


def place(site: Site, number: int, to: str = "to") -> Path:
    return site.folder / to / "17B-197.sb34812522" / "ASDMBinary" / f"uid____evla_bdf_{number}"


def require_whole(site: Site) -> None:
    for number, data in enumerate(DATA.values(), 1):
        assert place(site, number).read_bytes() == data


def test_files_by_their_ids(site: Site) -> None:
    site.put("a", b"one")
    site.put("a", b"second")
    site.put("b", b"other")
    ran = site.ppi("fetch", "a", "b")
    assert ran.returncode == 0, ran.stderr
    assert (site.folder / "a").read_bytes() == b"second"
    assert (site.folder / "b").read_bytes() == b"other"
    assert f"to {site.folder}" in ran.stdout
    for word in ("the archive", "STREAM", site.address):
        assert word in ran.stdout
    told = site.told("fetch", "a", "--version", "1", "--to", "old")
    assert told["files"][0]["version"] == 1
    assert (site.folder / "old" / "a").read_bytes() == b"one"


def test_a_locator(site: Site, report: dict[str, Any]) -> None:
    with locating({LOCATOR: json.dumps(report).encode()}) as prefix:
        site.write_profile(ngas_locatorServiceUrlPrefix=prefix, ngas_executionSite="NAASC")
        told = site.told("fetch", "--locator", LOCATOR, "--to", "to")
        require_whole(site)
        assert [(file["method"], file["from"]) for file in told["files"]] == [("stream", "archive")] * 2
        assert told["bytes"] == told["bytes_fetched"] == 600_000
        ran = site.ppi("fetch", "--locator", "uid://evla/execblock/nosuch")
    assert ran.returncode == 4
    assert "uid://evla/execblock/nosuch" in ran.stderr
    assert "no such locator" in ran.stderr


def test_at_the_site_of_the_cluster_files_are_copied(site: Site, report: dict[str, Any]) -> None:
    (site.folder / "report.json").write_text(json.dumps(report))
    site.write_profile(ngas_executionSite="DSOC")
    told = site.told("fetch", "--report", "report.json", "--to", "to")
    require_whole(site)
    assert [file["method"] for file in told["files"]] == ["copy", "copy"]


def test_a_dry_run_shows_what_would_come(site: Site, report: dict[str, Any]) -> None:
    site.write_profile(ngas_executionSite="DSOC")
    text = json.dumps(report)
    site.told("fetch", "uid____evla_bdf_1.bdf", "--to", "elsewhere")
    told = site.told("fetch", "--report", "-", "--to", "to", "--dry-run", stdin=text)
    assert [file["in_store"] for file in told["files"]] == [True, False]
    assert [file["method"] for file in told["files"]] == ["copy", "copy"]
    assert (told["bytes"], told["bytes_to_fetch"]) == (600_000, 300_000)
    ran = site.ppi("fetch", "--report", "-", "--to", "to", "--dry-run", stdin=text)
    assert ran.returncode == 0
    assert "2 files, 600.0 kB, of which 300.0 kB are to be fetched" in ran.stdout
    assert "COPY" in ran.stdout
    assert not (site.folder / "to").exists()
    assert site.retrieved() == ["uid____evla_bdf_1.bdf"]


def test_what_fails_stops_nothing_and_asked_again_it_goes_on(
    site: Site, report: dict[str, Any], faults: dict[tuple[str, str], Fault]
) -> None:
    text = json.dumps(report)
    faults["RETRIEVE", "uid____evla_bdf_1.bdf"] = answer(403)
    told = site.told("fetch", "--report", "-", "--to", "to", code=3, stdin=text)
    assert [file["from"] for file in told["files"]] == [None, "archive"]
    assert "HTTP 403" in told["files"][0]["error"]
    assert place(site, 2).exists()
    ran = site.ppi("fetch", "--report", "-", "--to", "to", stdin=text)
    assert ran.returncode == 3
    assert ran.stderr.count("ppi: uid____evla_bdf_1.bdf version 1") == 1
    assert "failed" in ran.stdout
    assert "there already" in ran.stdout
    faults.clear()
    told = site.told("fetch", "--report", "-", "--to", "to", stdin=text)
    assert [file["from"] for file in told["files"]] == ["archive", "place"]
    require_whole(site)


def test_the_worst_failure_decides(
    site: Site, report: dict[str, Any], faults: dict[tuple[str, str], Fault]
) -> None:
    faults["RETRIEVE", "uid____evla_bdf_1.bdf"] = answer(403)
    (path,) = (site.root / "volume1").rglob("*_2.bdf.bin")
    path.write_bytes(b"!" * 300_000)
    ran = site.ppi("fetch", "--report", "-", "--to", "to", stdin=json.dumps(report))
    assert ran.returncode == 6
    assert "HTTP 403" in ran.stderr
    assert "checksum" in ran.stderr
    assert not [path for path in (site.folder / "to").rglob("*") if path.is_file()]


def test_a_hostile_report_touches_nothing(site: Site, report: dict[str, Any]) -> None:
    report["files"][1]["relative_path"] = "../../../escaped"
    ran = site.ppi("fetch", "--report", "-", "--to", "to", stdin=json.dumps(report))
    assert ran.returncode == 3
    assert (
        "the report on standard input: file 2, relative_path '../../../escaped': it leaves the destination"
        in ran.stderr
    )
    assert site.retrieved() == []
    assert not (site.folder / "to").exists()


def test_what_lies_there_already_is_not_replaced(site: Site) -> None:
    site.put("a", b"one")
    (site.folder / "a").write_bytes(b"mine")
    ran = site.ppi("fetch", "a")
    assert ran.returncode == 3
    assert f"something else lies at {site.folder / 'a'}" in ran.stderr
    assert (site.folder / "a").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "name files"),
        (("a", "--locator", "x"), 2, "one of the three"),
        (("--report", "r.json", "--version", "1"), 2, "say the versions themselves"),
        (("--report", "r.json"), 4, "no such file"),
        (("--locator", "uid://x"), 3, "ppi.ngas.locatorServiceUrlPrefix"),
        (("nosuch",), 4, "the latest version of nosuch"),
        (("a", "--version", "0"), 2, "version"),
    ],
)
def test_what_makes_no_sense_is_told_before_work_starts(
    site: Site, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = site.ppi("fetch", *arguments)
    assert ran.returncode == code
    assert says in " ".join(ran.stderr.split())
    assert ran.stdout == ""


def much_came(folder: Path) -> bool:
    """Whether a file that is being fetched has more than a megabyte; folders may go while one looks."""
    with contextlib.suppress(FileNotFoundError):
        return any(path.stat().st_size > 1_000_000 for path in folder.rglob(".ngas-*.part"))
    return False


def test_interrupted_it_goes_on_where_it_was(site: Site, faults: dict[tuple[str, str], Fault]) -> None:
    data = bytes(range(256)) * 12_000
    site.put("large", data)
    faults["RETRIEVE", "large"] = stall(2_000_000, 60)
    process = subprocess.Popen(
        site.command("fetch", "large", "--to", "to"), env=site.variables, cwd=site.folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    ends = time.monotonic() + 60
    while not much_came(site.folder):
        assert time.monotonic() < ends
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "run the same command again" in said
    assert not (site.folder / "to" / "large").exists()
    faults.clear()
    told = site.told("fetch", "large", "--to", "to")
    assert told["files"][0]["resumed_from"] > 1_000_000
    assert (site.folder / "to" / "large").read_bytes() == data
