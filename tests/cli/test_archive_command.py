"""`ppi archive`, as a process against a real archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from archive_commands import Site

from deployments.local.ngas_faults import answer
from deployments.local.ngas_server import Fault, requests_of, serving

DATA = b"SIMPLE  =" * 1000


@pytest.fixture
def faults() -> dict[tuple[str, str], Fault]:
    return {}


@pytest.fixture
def site(tmp_path: Path, faults: dict[tuple[str, str], Fault]) -> Iterator[Site]:
    with serving(tmp_path / "archive", faults=faults) as address:
        made = Site(tmp_path, address)
        made.write_profile()
        (tmp_path / "image.fits").write_bytes(DATA)
        yield made


def sent(site: Site) -> list[str]:
    requests = requests_of(site.root, "ARCHIVE") + requests_of(site.root, "QARCHIVE")
    return [request["file_id"] for request in requests]


def test_a_file_is_archived_once(site: Site) -> None:
    ran = site.ppi("archive", "image.fits")
    assert ran.returncode == 0, ran.stderr
    for word in ("image.fits version 1", f"crc32:{crc32(DATA)}", site.address, "archived"):
        assert word in ran.stdout
    again = site.told("archive", "image.fits")
    assert again["files"] == [
        {
            "path": "image.fits",
            "id": "image.fits",
            "stored": {
                "file_id": "image.fits", "version": 1, "size": len(DATA), "checksum": f"crc32:{crc32(DATA)}",
                "server": site.address,
            },
            "was_there": True,
            "error": None,
        }
    ]  # fmt: skip
    assert "was there already" in site.ppi("archive", "image.fits").stdout
    assert len(sent(site)) == 1
    assert site.ppi("fetch", "image.fits", "--to", "back").returncode == 0
    assert (site.folder / "back" / "image.fits").read_bytes() == DATA


def test_what_has_changed_is_a_next_version(site: Site) -> None:
    site.told("archive", "image.fits", "--quick")
    (site.folder / "image.fits").write_bytes(DATA + b"more")
    foretold = site.ppi("archive", "image.fits", "--dry-run")
    assert foretold.returncode == 0
    assert "image.fits version 2" in foretold.stdout
    assert "would be archived" in foretold.stdout
    (file,) = site.told("archive", "image.fits", "--media-type", "image/fits")["files"]
    assert (file["stored"]["version"], file["was_there"]) == (2, False)


def test_a_dry_run_sends_nothing(site: Site) -> None:
    (file,) = site.told("archive", "image.fits", "--dry-run")["files"]
    assert (file["stored"], file["was_there"]) == (None, False)
    site.told("archive", "image.fits")
    (file,) = site.told("archive", "image.fits", "--dry-run")["files"]
    assert (file["stored"]["version"], file["was_there"]) == (1, True)
    assert len(sent(site)) == 1


def test_another_name(site: Site) -> None:
    (file,) = site.told("archive", "image.fits", "--id", "member.uid___A001.fits")["files"]
    assert file["stored"]["file_id"] == "member.uid___A001.fits"


def test_one_that_fails_stops_none(site: Site, faults: dict[tuple[str, str], Fault]) -> None:
    (site.folder / "other.fits").write_bytes(b"other")
    faults["ARCHIVE", "image.fits"] = answer(403)
    told = site.told("archive", "image.fits", "other.fits", code=3)
    assert [file["error"] is None for file in told["files"]] == [False, True]
    ran = site.ppi("archive", "image.fits", "other.fits")
    assert ran.returncode == 3
    assert "other.fits version 1" in ran.stdout
    assert ran.stderr.count("ppi: image.fits") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "Missing argument"),
        (("image.fits", "nosuch"), 4, "there is no such file"),
        (("image.fits", "empty"), 3, "empty"),
        (("image.fits", "folder/image.fits"), 3, "two of the files are called so"),
        (("image.fits", "empty", "--id", "x"), 2, "--id names one file"),
        (("image.fits", "--id", "a/b"), 3, "no slash"),
        (("folder",), 3, "no file"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_sent(
    site: Site, arguments: tuple[str, ...], code: int, says: str
) -> None:
    (site.folder / "empty").write_bytes(b"")
    (site.folder / "folder").mkdir()
    (site.folder / "folder" / "image.fits").write_bytes(b"x")
    ran = site.ppi("archive", *arguments)
    assert ran.returncode == code
    assert says in " ".join(ran.stderr.split())
    assert sent(site) == []
