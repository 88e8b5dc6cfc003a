"""The locations report: what is read from it, and that nothing hostile in it is ever followed."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from locations_examples import FILE, entry, report

from tasks.errors import Missing, PpiError, Refused
from tasks.ngas.checksum import Checksum
from tasks.ngas.destination import destination_of
from tasks.ngas.locations import LARGEST, Locations, read_report

WHAT = "the report r.json"


def read(*entries: dict[str, Any], site: str | None = "DSOC", **more: Any) -> Locations:
    return read_report(report(*entries, **more), WHAT, site)


def test_the_report_of_the_facts() -> None:
    locations = read(entry(), aggregate_size=FILE["size"])
    (file,) = locations.files
    assert file.stored.file_id == "uid____evla_bdf_1519049009612.bdf"
    assert (file.stored.version, file.stored.size, file.stored.server) == (1, 1182557411, "nmngas01:7777")
    assert file.stored.checksum == Checksum(kind="crc32", value=2**32 - 1940987795)
    folder = "17B-197.sb34812522.eb35115211.58168.58572621528"
    assert file.path == PurePosixPath(folder, "ASDMBinary/uid____evla_bdf_1519049009612")
    assert file.direct
    assert locations.size == 1182557411


@pytest.mark.parametrize(
    ("cluster", "location", "site", "direct"),
    [
        ("DSOC", "DSOC", "DSOC", True),
        ("DSOC", "NAASC", "NAASC", True),
        ("DSOC", "DSOC", "NAASC", False),
        ("NAASC", "NAASC", "NAASC", False),
        ("DSOC", "DSOC", None, False),
        ("DSOC", None, None, False),
        ("DSOC", "dsoc", "DSOC", False),
        (None, None, "DSOC", False),
    ],
)
def test_who_is_at_the_site_of_the_cluster_has_files_written(
    cluster: str | None, location: str | None, site: str | None, direct: bool
) -> None:
    server = {"server": "h:1", "location": location, "cluster": cluster}
    assert read(entry(server=server), site=site).files[0].direct is direct


@pytest.mark.parametrize(
    ("checksum", "plugin", "value"),
    [
        ("-1940987795", "ngamsGenCrc32", 2353979501),
        ("2353979501", "crc32", 2353979501),
        (-1940987795, "crc32z", 2353979501),
        ("None", "None", None),
        (None, None, None),
        ("", "crc32", None),
    ],
)
def test_checksums(checksum: object, plugin: object, value: int | None) -> None:
    found = read(entry(checksum=checksum, checksum_type=plugin)).files[0].stored.checksum
    assert (found and found.value) == value


def test_what_a_report_may_leave_out_or_add() -> None:
    short = {key: value for key, value in FILE.items() if key not in ("subdirectory", "checksum", "checksum_type")}
    (file,) = read({**short, "retrieve_method": "copy"}, aggregate_size=None, made_by="somebody").files
    assert file.path == PurePosixPath("ASDMBinary/uid____evla_bdf_1519049009612")
    assert file.stored.checksum is None
    assert read(entry(subdirectory=None)).files[0].path == file.path


@pytest.mark.parametrize("key", ["ngas_file_id", "relative_path", "version", "size", "server"])
def test_what_it_may_not_leave_out(key: str) -> None:
    with pytest.raises(Refused, match=rf"r\.json: file 2, {key}: Field required"):
        read(entry(), {name: value for name, value in FILE.items() if name != key})


ATTACKS = [
    ("..", "leaves"),
    ("../x", "leaves"),
    ("a/../../x", "leaves"),
    ("a/..", "leaves"),
    ("/etc/passwd", "absolute"),
    ("//etc/passwd", "absolute"),
    ("..\\x", "backslash"),
    ("a\\..\\..\\x", "backslash"),
    ("a\0b", "printed"),
    ("a\nb", "printed"),
    ("a\x1b[2Jb", "printed"),
    ("a\u202eb", "printed"),
    ("", "empty"),
    (".", "empty"),
    ("./", "empty"),
    (".//.", "empty"),
    ("...", "hidden"),
    (".bashrc", "hidden"),
    (".ssh/authorized_keys", "hidden"),
    ("a/.ngas-0123.part", "hidden"),
    ("x" * 256, "too long"),
    ("ü" * 128, "too long"),
    ("x/" * 1100, "too long"),
]


@pytest.mark.parametrize("key", ["relative_path", "subdirectory"])
@pytest.mark.parametrize(("path", "why"), ATTACKS)
def test_a_path_that_leads_elsewhere(key: str, path: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as caught:
        read(entry(), entry(**{key: path}))
    told = str(caught.value)
    assert told.startswith(f"{WHAT}: file 2, {key} ")
    assert told.isprintable()


def test_a_path_that_is_too_long_in_its_folder() -> None:
    with pytest.raises(Refused, match=r"file 1.*too long"):
        read(entry(subdirectory="x/" * 600, relative_path="y/" * 600))


@pytest.mark.parametrize("path", ["a..b", "a..", "~", "a b", "A:B+C@D,E=F", "uid___A002_X1"])
def test_a_path_that_only_looks_odd(path: str) -> None:
    assert str(read(entry(subdirectory=None, relative_path=path)).files[0].path) == path


def test_two_files_at_one_path() -> None:
    with pytest.raises(Refused, match="would both be"):
        read(entry(), entry(version=2))
    with pytest.raises(Refused, match="would both be"):
        read(entry(subdirectory="a", relative_path="b/c"), entry(subdirectory="a/b", relative_path="c", size=1))


def test_one_file_twice() -> None:
    replica = {"server": "nmngas02:7777", "location": "NAASC", "cluster": "DSOC"}
    (file,) = read(entry(), entry(server=replica)).files
    assert file.stored.server == "nmngas01:7777"


@pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b/c/d", "a/b")])
def test_a_file_that_is_a_folder_of_another(paths: tuple[str, str]) -> None:
    with pytest.raises(Refused, match="would be a file, and a folder"):
        read(*(entry(subdirectory=None, relative_path=path) for path in paths))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 0}, "version 0"),
        ({"version": True}, "version"),
        ({"version": "1"}, "version"),
        ({"size": -1}, "size -1"),
        ({"size": 1e3}, "size"),
        ({"size": 10**40}, "size"),
        ({"checksum": "0x12"}, "uid____evla_bdf_1519049009612.bdf: checksum '0x12'"),
        ({"checksum": True}, "checksum"),
        ({"checksum": str(2**32)}, "32-bit"),
        ({"checksum_type": "md5"}, "plug-in 'md5' is not known"),
        ({"ngas_file_id": ""}, "ngas_file_id ''"),
        ({"ngas_file_id": "a\nb"}, "ngas_file_id"),
        ({"ngas_file_id": None}, "ngas_file_id"),
        ({"relative_path": None}, "relative_path"),
        ({"server": None}, "server"),
        ({"server": {"server": "nmngas01"}}, "host:port"),
        ({"server": {"server": "nmngas01:0"}}, "host:port"),
        ({"server": {"server": "nmngas01:99999"}}, "host:port"),
        ({"server": {"server": "h:1/RETRIEVE?x="}}, "host:port"),
    ],
)
def test_an_entry_that_makes_no_sense(change: dict[str, Any], why: str) -> None:
    with pytest.raises(Refused, match=r"r\.json: file 1.*Next: ") as caught:
        read(entry(**change))
    assert why in str(caught.value)


def test_a_servers_password_is_not_repeated() -> None:
    with pytest.raises(Refused, match="host:port") as caught:
        read(entry(server={"server": "ppi:s3cret@h:1"}))
    assert "s3cret" not in str(caught.value)


def test_a_report_that_is_not_whole() -> None:
    with pytest.raises(Refused, match="promises 10756612803: it is not whole"):
        read(entry(), aggregate_size=10756612803)


def test_a_report_without_files() -> None:
    with pytest.raises(Missing, match="no file"):
        read()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b'{"files": [',
        b"<!DOCTYPE html><html>\x1b[2J</html>",
        b"\xff\xfe{",
        b"[" * 100_000,
        b'{"files": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        report(entry(relative_path="\ud800")),
    ],
)
def test_what_is_no_report(data: bytes) -> None:
    with pytest.raises(Refused, match=r"no locations report.*it begins '") as caught:
        read_report(data, WHAT, None)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("data", [b"{}", b'{"files": {}}', b'{"files": [1]}', b'{"files": null}'])
def test_what_is_half_a_report(data: bytes) -> None:
    with pytest.raises(Refused, match="file"):
        read_report(data, WHAT, None)


def test_a_report_that_is_too_large() -> None:
    with pytest.raises(Refused, match="more than"):
        read_report(b" " * (LARGEST + 1), WHAT, None)


PART = st.sampled_from(["a", "b", "..", ".", "", "\\", "\0", "/", " ", "~", "c.d", "é", "\u202e", "x" * 200])
PATHS = st.one_of(st.text(max_size=20), st.lists(PART, max_size=6).map("/".join))
ENTRIES = st.fixed_dictionaries(
    {"subdirectory": st.none() | PATHS, "relative_path": PATHS, "version": st.integers(1, 2)}
)


@given(entries=st.lists(ENTRIES, min_size=1, max_size=4))
def test_no_report_that_is_accepted_leads_out_of_the_destination(entries: list[dict[str, Any]]) -> None:
    """Proven by going there: every file is really written, and nothing else appears."""
    try:
        locations = read(*(entry(**each) for each in entries))
    except PpiError:
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "deep", "destination")
        for number, file in enumerate(locations.files):
            place = destination_of(root, file.path)
            assert place.resolve().is_relative_to(root.resolve())
            assert place != root
            place.write_text(str(number))
        written = sorted(path.read_text() for path in root.rglob("*") if path.is_file())
        assert written == sorted(str(number) for number in range(len(locations.files)))
        outside = [path for path in Path(folder).rglob("*") if root not in (path, *path.parents)]
        assert outside == [root.parent]


@given(
    data=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*FILE, "files"]), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_whatever_comes_is_a_report_or_refused(data: bytes) -> None:
    told = WHAT
    try:
        assert read_report(data, WHAT, "DSOC").files
    except (Refused, Missing) as error:
        told = str(error)
    assert told.startswith(WHAT)


SAFE = st.text("abcXYZ019_-+: ", min_size=1, max_size=12)


@given(
    entries=st.dictionaries(
        SAFE,
        st.fixed_dictionaries(
            {
                "ngas_file_id": st.text("abc_.:/", min_size=1),
                "checksum": st.integers(-(2**31), 2**32 - 1).map(str),
                "checksum_type": st.sampled_from(["crc32", "crc32c", "ngamsGenCrc32"]),
                "version": st.integers(1, 9),
                "size": st.integers(0, 2**50),
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_what_is_written_is_read(entries: dict[str, dict[str, Any]]) -> None:
    given_ = [entry(subdirectory=None, relative_path=path, **each) for path, each in entries.items()]
    total = sum(each["size"] for each in given_)
    locations = read(*given_, aggregate_size=total)
    assert locations.size == total
    for file, each in zip(locations.files, given_, strict=True):
        assert str(file.path) == each["relative_path"]
        assert (file.stored.file_id, file.stored.size) == (each["ngas_file_id"], each["size"])
        assert file.stored.checksum
        assert file.stored.checksum.value == int(each["checksum"]) % 2**32
