"""The small observatory, built once with real CASA, and held against what it promises.

CASA is never imported here: the checks that need it run in a child.
"""

import io
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.local.ngas_index import Index
from deployments.local.observatory import build as building
from deployments.local.observatory.build import Observatory, build
from deployments.local.observatory.programme import PROGRAMME
from deployments.local.observatory.shape import Shape
from deployments.local.observatory.sky import FIELDS, PHASE, scans
from tasks import xml
from tasks.alma import EntityId, MetadataArchive, ObservingUnitSet, Standing, decide
from tasks.casa.asdm import promised_rows
from tasks.casa.calapply import parse
from tasks.casa.environment import measures_directory
from tasks.casa.executor import Block
from tasks.casa.proof import Reference
from tasks.casa.verdict import Outcome
from tasks.casa.wheels import RestoreParameters, restore
from tasks.errors import Failed, Missing, Refused
from tasks.ppr.manifest import read as read_manifest

SHAPE = Shape(antennas=6, spws=2, channels=16, cycles=1)
MOUS = EntityId.parse("uid://A001/X1284/X265f")
NAME = MOUS.file_form
BLOCKS = [
    "uid___A002_Xc7111c_X3979",
    "uid___A002_Xc7111c_X409e",
    "uid___A002_Xc7111c_X86a7",
    "uid___A002_Xc72427_X2dfe",
]
NOW = datetime(2026, 11, 20, tzinfo=UTC)


class Built(NamedTuple):
    observatory: Observatory
    root: Path
    progress: list[tuple[str, int, int]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("observatory")
    progress: list[tuple[str, int, int]] = []
    observatory = build(root, SHAPE, seed=7, on_progress=lambda *step: progress.append(step))
    return Built(observatory, root, progress)


@pytest.fixture
def content(built: Built) -> Callable[[str], bytes]:
    """Return what the archive holds under an id."""
    index = Index(built.observatory.archive_root)

    def read(file_id: str) -> bytes:
        entry = index.find(file_id)
        assert entry is not None, f"{file_id} is not archived"
        return (index.files / entry.file_name).read_bytes()

    return read


def unit_set(built: Built, mous: EntityId = MOUS) -> ObservingUnitSet:
    return MetadataArchive(built.observatory.database_url).observing_unit_set(mous)


def members(tar: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as opened:
        files = {member.name: opened.extractfile(member) for member in opened if member.isfile()}
        return {name: file.read() for name, file in files.items() if file is not None}


@given(st.tuples(*(st.integers(*limits) for limits in ((5, 60), (1, 8), (8, 4096), (1, 50), (1, 60)))))
def test_a_shape_is_read_as_it_is_written(numbers: tuple[int, ...]) -> None:
    assert Shape.parse(str(Shape(*numbers))) == Shape(*numbers)


@pytest.mark.parametrize("text", ["", "8x4x16", "8x4x16x2x6x1", "8x4x16xtwo", "4x4x16x2", "8x0x16x2", "-8x4x16x2"])
def test_a_shape_that_cannot_be_simulated_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="shape"):
        Shape.parse(text)


def test_the_last_spectral_window_is_narrow() -> None:
    assert [Shape(spws=3, channels=64).channels_of(spw) for spw in range(3)] == [64, 64, 32]
    assert Shape(spws=1).channels_of(0) == 16


def test_progress_is_told_from_nothing_to_all(built: Built) -> None:
    blocks = [done for stage, done, total in built.progress if stage == "execution blocks" and total == 7]
    assert blocks == list(range(8))
    assert built.progress[-1] == ("archive", 4, 4)


def test_a_second_build_finds_the_first(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "make_blocks", lambda *_: pytest.fail("built again"))
    assert build(built.root, SHAPE, seed=7) == built.observatory
    assert sorted(path.name for path in built.root.glob("*.building")) == []


def test_a_build_that_fails_leaves_nothing_that_looks_like_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise Failed("simulating", "on purpose")

    (tmp_path / "measures" / "geodetic" / "TAI_UTC").mkdir(parents=True)
    monkeypatch.setattr(building, "make_blocks", fail)
    with pytest.raises(Failed):
        build(tmp_path / "root", SHAPE, measures=tmp_path / "measures")
    assert not list((tmp_path / "root").glob("observatory-*/observatory.json"))
    assert not [path for path in (tmp_path / "root").iterdir() if path.is_dir() and path.suffix != ".building"]


def test_without_measures_tables_nothing_is_begun(tmp_path: Path) -> None:
    with pytest.raises(Missing, match="measures"):
        build(tmp_path / "root", SHAPE, measures=tmp_path)


def test_shape_and_seed_make_other_versions(built: Built) -> None:
    versions = {building._version(shape, seed) for shape in (SHAPE, Shape()) for seed in (7, 8)}
    assert len(versions) == 4
    assert built.observatory.version in versions


def test_everything_says_that_it_is_simulated(built: Built, content: Callable[[str], bytes]) -> None:
    assert "SIMULATED" in (built.observatory.folder / "README.txt").read_text()
    asdm = members(content(f"{BLOCKS[0]}.asdm.sdm.tar"))
    assert b"simulated by PPI" in asdm[f"{BLOCKS[0]}.asdm.sdm/ExecBlock.xml"]
    weblog = members(content(f"member.{NAME}.hifa_calimage.weblog.tgz"))
    assert b"Simulated" in weblog["pipeline-simulated/html/index.html"]


def test_raw_blocks_promise_what_was_observed(
    built: Built, content: Callable[[str], bytes], tmp_path: Path
) -> None:
    integrations = sum(round((scan.stop - scan.start) / SHAPE.integration) for scan in scans(SHAPE))
    rows = 15 * SHAPE.spws * integrations
    for block in built.observatory.sets[0].blocks:
        name = block.uid.file_form
        with tarfile.open(fileobj=io.BytesIO(content(f"{name}.asdm.sdm.tar"))) as tar:
            tar.extractall(tmp_path, filter="data")
        assert promised_rows(tmp_path / f"{name}.asdm.sdm") == block.rows == rows


def test_a_raw_block_names_its_unit_set_and_session(content: Callable[[str], bytes]) -> None:
    asdm = members(content(f"{BLOCKS[2]}.asdm.sdm.tar"))
    (row,) = xml.parse(asdm[f"{BLOCKS[2]}.asdm.sdm/ExecBlock.xml"], "ExecBlock.xml").iter("row")
    (session,) = row.iterfind("sessionReference/EntityRef")
    (own,) = row.iterfind("execBlockUID/EntityRef")
    assert (session.get("entityId"), session.get("partId")) == (MOUS, "X00000002")
    assert own.get("entityId") == EntityId.parse(BLOCKS[2])


def test_products_have_the_pipelines_names(built: Built) -> None:
    files = {file.file_id: file.file_class for file in unit_set(built).products}
    names = [
        f"{block}.ms.{end}" for block in BLOCKS for end in ("flagversions.tgz", "calapply.txt", "reference.json")
    ]
    names += [f"{NAME}.session_{number}.caltables.tgz" for number in (1, 3, 4)]
    names += [f"{NAME}.hifa_calimage.pipeline_manifest.xml"]
    of_class: dict[str, set[str]] = {}
    for file_id, file_class in files.items():
        of_class.setdefault(file_class, set()).add(file_id)
    assert of_class["calibration"] == {f"member.{name}" for name in names}
    assert {name.rsplit(".", 2)[-2] for name in of_class["script"]} == {
        "pprequest", "casa_pipescript", "casa_piperestorescript",
    }  # fmt: skip
    assert len(of_class["science"]) == len(of_class["qa"]) == len(of_class["log"]) == 1


def test_every_row_of_the_tables_is_in_the_archive_with_its_size(built: Built) -> None:
    index = Index(built.observatory.archive_root)
    stored = {entry.file_id: entry.file_size for entry in index.like("%")}
    sets = [unit_set(built, archived.mous) for archived in built.observatory.sets]
    files = [file for each in sets for file in (*each.products, *(block.raw for block in each.execution_blocks))]
    assert {file.file_id: file.size for file in files} == stored
    assert all((index.files / entry.file_name).stat().st_size == entry.file_size for entry in index.like("%"))


def test_the_image_is_one(content: Callable[[str], bytes]) -> None:
    image = content(f"member.{NAME}.SimulatedTarget_sci.mfs.I.pbcor.fits")
    assert image.startswith(b"SIMPLE  =                    T")
    assert len(image) % 2880 == 0


def test_the_manifest_names_what_is_archived(content: Callable[[str], bytes]) -> None:
    manifest = read_manifest(content(f"member.{NAME}.hifa_calimage.pipeline_manifest.xml"))
    sessions = {session.name: [block.vis for block in session.execution_blocks] for session in manifest.sessions}
    assert sessions == {
        "session_1": [f"{BLOCKS[0]}.ms", f"{BLOCKS[1]}.ms"],
        "session_3": [f"{BLOCKS[2]}.ms"],
        "session_4": [f"{BLOCKS[3]}.ms"],
    }
    for session in manifest.sessions:
        tables = {Path(name).parts[0] for name in members(content(f"member.{session.caltables}"))}
        for block in session.execution_blocks:
            own = {table for table in tables if table.startswith(block.vis)}
            commands = parse(content(f"member.{block.apply_commands}").decode(), block.apply_commands)
            assert own == {table for command in commands for table in command.gaintable}
            tables -= own
            flags = members(content(f"member.{block.final_flags}"))
            assert any(name.startswith(f"{block.vis}.flagversions/flags.Pipeline_Final/") for name in flags)
        assert not tables


def test_calibration_commands_use_the_pipelines_intents_and_a_map_of_windows(
    content: Callable[[str], bytes],
) -> None:
    commands = parse(content(f"member.{BLOCKS[0]}.ms.calapply.txt").decode(), "calapply")
    assert [command.intent for command in commands] == ["BANDPASS,AMPLITUDE", "PHASE", "TARGET"]
    assert [command.spwmap for command in commands] == [([], [], [0, 0], [])] * 3


def test_the_flux_scale_is_right(built: Built) -> None:
    calibrator = FIELDS[PHASE]
    found = [block.fluxes for each in built.observatory.sets for block in each.blocks if block.fluxes]
    assert len(found) == 5
    for fluxes in found:
        assert fluxes[calibrator.name] == pytest.approx(calibrator.flux, rel=0.02)


def test_sessions_keep_their_numbers_and_missing_ends(built: Built) -> None:
    sessions = unit_set(built).sessions
    assert [[block.file_form for block in session.execution_blocks] for session in sessions] == [
        BLOCKS[:2], [], BLOCKS[2:3], BLOCKS[3:],
    ]  # fmt: skip
    assert [session.number for session in sessions] == [1, 2, 3, 4]
    assert [session.end is None for session in sessions] == [False, True, False, True]


def test_the_unit_sets_stand_as_they_should(built: Built) -> None:
    sets = [unit_set(built, archived.mous) for archived in built.observatory.sets]
    assert [decide(each.evidence, (), NOW).standing for each in sets] == [
        Standing.RESTORABLE, Standing.PROPRIETARY, Standing.HAND_CALIBRATED, Standing.NOT_CALIBRATED,
    ]  # fmt: skip
    assert [each.mous for each in sets] == [planned.mous for planned in PROGRAMME]
    assert decide(sets[1].evidence, (sets[1].project_code,), NOW).restorable
    first = sets[0]
    assert (first.project_code, first.gous, first.sous) == (
        "2017.1.00886.L", "uid://A001/X1284/X265e", "uid://A001/X1284/X265d",
    )  # fmt: skip


def test_a_block_is_restored_bitwise(content: Callable[[str], bytes], tmp_path: Path) -> None:
    name, session = BLOCKS[1], "session_1"
    rawdata, products, child = (tmp_path / folder for folder in ("rawdata", "products", "child"))
    for folder in (rawdata, products, child):
        folder.mkdir()
    with tarfile.open(fileobj=io.BytesIO(content(f"{name}.asdm.sdm.tar"))) as tar:
        tar.extractall(rawdata, filter="data")
    (rawdata / f"{name}.asdm.sdm").rename(rawdata / name)
    block = Block(
        uid=EntityId.parse(name),
        name=name,
        vis=f"{name}.ms",
        session=session,
        flags=f"{name}.ms.flagversions.tgz",
        commands=f"{name}.ms.calapply.txt",
        caltables=f"{NAME}.{session}.caltables.tgz",
        reference=f"{name}.ms.reference.json",
    )
    for product in (block.flags, block.commands, block.caltables, block.reference):
        assert product is not None
        (products / product).write_bytes(content(f"member.{product}"))
    record = restore(
        block,
        RestoreParameters(),
        rawdata,
        products,
        child,
        measures=measures_directory(),
        timeout_seconds=120,
        watch=lambda step: None,
    )
    assert record.proof is not None, record.verdict
    assert record.proof.reference is Reference.EQUAL
    assert record.verdict.outcome is not Outcome.FAILED
