"""The plan: everything that a restore needs is found and proven to be there, before a byte of data is fetched."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from restore_examples import (
    CASA,
    FIRST,
    MANIFEST,
    MOUS,
    SECOND,
    THIRD,
    Archived,
    commands_name,
    flags_name,
    manifest_of,
    raw_name,
    reference_name,
    tables_name,
)  # fmt: skip

from deployments.local.ngas_server import serving
from tasks.alma import EntityId
from tasks.errors import Failed, Missing, PpiError, Refused, Transient
from tasks.ngas import Checksum, StoredFile
from tasks.ppr.manifest import Manifest, write
from tasks.ppr.model import Command
from tasks.ppr.procedures import IMAGE, RESTORE
from tasks.restore.plan import Casa, Plan, PlannedBlock, PlannedFile, make_plan


@pytest.mark.parametrize("prefix", ["member.", ""])
def test_everything_is_planned_and_only_the_manifest_is_fetched(archived: Archived, prefix: str) -> None:
    archived.put_all(prefix)
    plan = archived.plan()
    assert [(block.uid, block.session) for block in plan.blocks] == [(FIRST, "session_1"), (SECOND, "session_3")]
    assert [(block.flags, block.commands, block.caltables, block.reference) for block in plan.blocks] == [
        (flags_name(uid), commands_name(uid), tables_name(session), None)
        for uid, session in ((FIRST, 1), (SECOND, 3))
    ]
    assert [(block.raw.name, block.raw.stored.file_id) for block in plan.blocks] == [
        (uid.file_form, raw_name(uid)) for uid in (FIRST, SECOND)
    ]
    assert {file.name: file.stored.file_id for file in plan.products} == {
        MANIFEST.removeprefix("member."): MANIFEST,
        **{name: f"{prefix}{name}" for name in _named(FIRST, 1) | _named(SECOND, 3)},
    }
    assert plan.size == sum(len(file.stored.file_id) for file in plan.files[:2]) + sum(
        file.stored.size for file in plan.products
    )
    assert plan.caveats == ()
    assert plan.procedure == RESTORE
    assert archived.retrieved() <= {MANIFEST}


def _named(uid: EntityId, session: int) -> set[str]:
    return {flags_name(uid), commands_name(uid), tables_name(session)}


def test_a_product_that_no_table_lists_is_found_where_it_is_archived(archived: Archived) -> None:
    archived.without = (flags_name(FIRST), tables_name(3))
    archived.put_all()
    archived.put(f"member.{flags_name(FIRST)}", b"with the prefix", listed=False)
    archived.put(tables_name(3), b"without it", listed=False)
    found = {file.name: file.stored for file in archived.plan().products}
    assert found[flags_name(FIRST)].file_id == f"member.{flags_name(FIRST)}"
    assert found[tables_name(3)].file_id == tables_name(3)


@pytest.mark.parametrize("name", [flags_name(SECOND), commands_name(FIRST), tables_name(3), raw_name(SECOND)])
@pytest.mark.parametrize("listed", [False, True])
def test_what_is_needed_and_not_archived_is_named(archived: Archived, name: str, listed: bool) -> None:
    archived.without = (name,)
    archived.put_all()
    if listed and not name.endswith(".tar"):
        archived.list(f"member.{name}")
    with pytest.raises(Missing, match=name.replace(".", r"\.")):
        archived.plan()


def test_a_calibrated_execution_block_that_the_archive_does_not_know_is_missing(archived: Archived) -> None:
    archived.manifest = manifest_of({"session_1": (FIRST, THIRD), "session_3": (SECOND,)})
    archived.put_all()
    with pytest.raises(Missing, match=rf"{THIRD.file_form}.*{MOUS}"):
        archived.plan()


def test_an_execution_block_that_was_not_calibrated_is_left_out_with_a_caveat(archived: Archived) -> None:
    archived.sessions = ((FIRST, THIRD), (), (SECOND,))
    archived.put_all()
    plan = archived.plan()
    assert [block.uid for block in plan.blocks] == [FIRST, SECOND]
    assert plan.caveats == (f"execution block {THIRD} is not part of the calibration and was left out",)
    assert [uid for uid in (FIRST, SECOND, THIRD) if uid in dict(_intents(plan))["SESSION_1"]] == [FIRST]


def _intents(plan: Plan) -> tuple[tuple[str, str], ...]:
    return plan.request(datetime.now(UTC), "LOCAL", "ppi").intents


def test_a_calibration_of_no_execution_block_is_refused(archived: Archived) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    with pytest.raises(Refused, match="names no execution block"):
        _make(archived, file, manifest.model_copy(update={"sessions": ()}))


def _make(archived: Archived, file: PlannedFile, manifest: Manifest, casa: Casa = CASA) -> Plan:
    return make_plan(archived.observation, manifest, file, archived.client, casa)


def test_a_session_on_which_status_and_manifest_disagree_is_refused(archived: Archived) -> None:
    archived.manifest = manifest_of({"session_1": (FIRST,), "session_2": (SECOND,)})
    archived.put_all()
    with pytest.raises(Refused, match=rf"{SECOND}.*session_3 of the status XML, but in session_2 "):
        archived.plan()


def test_an_execution_block_in_no_session_is_refused(archived: Archived) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    whole = archived.observation
    observation = whole.model_copy(update={"sessions": whole.sessions[:2]})
    with pytest.raises(Refused, match=rf"{SECOND}.*no session of the status XML, but in session_3"):
        make_plan(observation, manifest, file, archived.client, CASA)


def test_a_size_on_which_table_and_archive_disagree_is_told(archived: Archived) -> None:
    archived.without = (tables_name(1),)
    archived.put_all()
    archived.put(f"member.{tables_name(1)}", b"1234567", size=8_901)
    with pytest.raises(Failed, match=rf"{tables_name(1)}.*7 bytes.*8901 were expected"):
        archived.plan()


def test_a_raw_size_on_which_table_and_archive_disagree_is_told(archived: Archived) -> None:
    archived.raw_sizes = {FIRST: 8_901}
    archived.put_all()
    with pytest.raises(Failed, match=rf"{raw_name(FIRST)}.*{len(raw_name(FIRST))} bytes.*8901 were expected"):
        archived.plan()


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "../x.tgz", "a/b.tgz", "/etc/passwd", "member.../x", ".hidden", "a\x00b", "*", "-rf", "a b"],
)
@pytest.mark.parametrize("place", ["final_flags", "apply_commands", "caltables"])
def test_a_hostile_name_in_the_manifest_is_refused(archived: Archived, name: str, place: str) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    with pytest.raises(Refused, match="cannot be the name of a file"):
        _make(archived, file, _renamed(manifest, place, name))
    assert archived.retrieved() <= {MANIFEST}


def _renamed(manifest: Manifest, place: str, name: str) -> Manifest:
    """Name something in the manifest's first session as no manifest that is read could."""
    session = manifest.sessions[0]
    block = session.execution_blocks[0]
    if place == "caltables":
        changed = session.model_copy(update={place: name})
    else:
        blocks = (block.model_copy(update={place: name}), *session.execution_blocks[1:])
        changed = session.model_copy(update={"execution_blocks": blocks})
    return manifest.model_copy(update={"sessions": (changed, *manifest.sessions[1:])})


@pytest.mark.parametrize("name", ["..", "", "../x", "a/b", ".hidden", "Sgr A* (deep).fits", "\N{SNOWMAN}"])
def test_a_product_that_is_not_needed_may_bear_any_name(archived: Archived, name: str) -> None:
    archived.put_all()
    archived.list(name)
    plan = archived.plan()
    assert plan.caveats == ()
    assert all(file.stored.file_id != name for file in plan.files)


def test_of_a_product_that_is_listed_twice_the_delivered_one_is_taken(archived: Archived) -> None:
    """The archive's own order says nothing: it is another in another database."""
    archived.put_all()
    archived.put(flags_name(FIRST), b"a stray copy")
    for _ in range(2):
        found = {file.name: file.stored.file_id for file in archived.plan().products}
        assert found[flags_name(FIRST)] == f"member.{flags_name(FIRST)}"
        archived.listed.reverse()


def test_references_come_along_where_they_are_listed(archived: Archived) -> None:
    archived.put_all()
    archived.put(f"member.{reference_name(SECOND)}")
    plan = archived.plan()
    assert [block.reference for block in plan.blocks] == [None, reference_name(SECOND)]
    assert reference_name(SECOND) in [file.name for file in plan.products]


def test_scripts_and_weblog_come_along_and_their_absence_is_a_caveat(archived: Archived) -> None:
    archived.put_all()
    script, weblog = (f"{MOUS.file_form}.hifa_cal.{end}" for end in ("casa_pipescript.py", "weblog.tgz"))
    archived.put(f"member.{script}")
    archived.list(f"member.{weblog}")
    archived.put(f"member.{MOUS.file_form}.image.fits")
    plan = archived.plan()
    assert {file.name for file in plan.products} == {
        MANIFEST.removeprefix("member."), script, *_named(FIRST, 1), *_named(SECOND, 3),
    }  # fmt: skip
    assert plan.caveats == (f"{weblog} is listed but not archived",)


def test_what_has_no_checksum_is_restored_with_a_caveat(archived: Archived) -> None:
    archived.without = (flags_name(FIRST), raw_name(SECOND))
    archived.put_all()
    archived.put(f"member.{flags_name(FIRST)}", plugin="None")
    archived.put(raw_name(SECOND), listed=False, plugin="None")
    assert archived.plan().caveats == tuple(
        f"the archive keeps no checksum of {file_id}: only its size was checked"
        for file_id in (raw_name(SECOND), f"member.{flags_name(FIRST)}")
    )


def test_a_calibration_of_another_casa_is_a_caveat_or_refused(archived: Archived) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    plan = _make(archived, file, manifest.model_copy(update={"casa_version": "5.1.1-5"}))
    assert plan.calibrated_with == "5.1.1-5"
    assert plan.caveats == (f"calibrated with CASA 5.1.1-5, restored with {CASA.version}",)
    with pytest.raises(Refused, match=rf"CASA {CASA.version} cannot restore what CASA 99"):
        _make(archived, file, manifest.model_copy(update={"casa_version": "99.1"}))


def test_no_manifest_is_missing_and_several_are_refused(archived: Archived) -> None:
    with pytest.raises(Missing, match=rf"{MOUS}.*lists none"):
        archived.read_manifest()
    archived.put_all()
    other = MANIFEST.replace("hifa_cal", "hifa_calimage")
    archived.put(other)
    with pytest.raises(Refused, match="lists several") as caught:
        archived.read_manifest()
    assert MANIFEST in str(caught.value)
    assert other in str(caught.value)
    assert archived.retrieved() == set()


@pytest.mark.parametrize("recipe", ["", ".hifa_cal", ".hifa_calimage.calimage"])
@pytest.mark.parametrize("prefix", ["member.", ""])
def test_the_manifest_is_known_by_any_name_that_the_archive_gave_it(
    archived: Archived, prefix: str, recipe: str
) -> None:
    file_id = f"{prefix}{MOUS.file_form}{recipe}.pipeline_manifest.xml"
    archived.put(file_id, write(archived.manifest))
    archived.put(f"member.{MOUS.file_form}0.hifa_cal.pipeline_manifest.xml")
    file, manifest = archived.read_manifest()
    assert (file.name, file.stored.file_id) == (file_id.removeprefix("member."), file_id)
    assert manifest == archived.manifest


def test_a_manifest_that_is_listed_and_not_archived_is_missing(archived: Archived) -> None:
    archived.list(MANIFEST)
    with pytest.raises(Missing, match=r"pipeline_manifest\.xml"):
        archived.read_manifest()


def test_an_archive_that_does_not_answer_is_no_archive_without_the_file(archived: Archived) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    archived.address = "127.0.0.1:1"
    with pytest.raises(Transient):
        _make(archived, file, manifest)


def test_the_key_is_the_same_for_another_server_and_another_listing(archived: Archived) -> None:
    archived.put_all()
    archived.put(f"member.{MOUS.file_form}.casa_pipescript.py")
    archived.put(f"member.{MOUS.file_form}.casa_commands.log")
    plan = archived.plan()
    archived.listed.reverse()
    with serving(archived.root) as address:
        archived.address = address
        other = archived.plan()
    assert {file.stored.server for file in plan.files}.isdisjoint(file.stored.server for file in other.files)
    assert other.key == plan.key


def test_the_key_is_another_for_another_version_of_a_file(archived: Archived) -> None:
    archived.put_all()
    plan = archived.plan()
    archived.listed = [file for file in archived.listed if "calapply" not in file.file_id]
    archived.put(f"member.{commands_name(FIRST)}", b"applycal()", listed=False)
    assert archived.plan().key != plan.key


_SERVERS = st.from_regex(r"[a-z]{1,8}:[0-9]{1,4}", fullmatch=True)
_FILES = st.builds(
    StoredFile,
    file_id=st.from_regex(r"[a-z]{1,8}\.tgz", fullmatch=True),
    version=st.integers(1, 9),
    size=st.integers(0, 1 << 40),
    checksum=st.none() | st.builds(Checksum, kind=st.sampled_from(["crc32", "crc32c"]), value=st.integers(0, 99)),
    server=_SERVERS,
)
_PLANNED = st.builds(PlannedFile, name=st.from_regex(r"[a-z]{1,8}", fullmatch=True), stored=_FILES)
_BLOCKS = st.builds(
    PlannedBlock,
    uid=st.sampled_from([FIRST, SECOND, THIRD]),
    session=st.sampled_from(["session_1", "session_2"]),
    raw=_PLANNED,
    flags=st.just("flags"),
    commands=st.just("commands"),
    caltables=st.just("caltables"),
    reference=st.none() | st.just("reference"),
)
_PLANS = st.builds(
    Plan,
    observation=st.just(Archived(Path(), "").observation),
    casa=st.builds(Casa, executor=st.sampled_from(["casatasks", "pipeline"]), version=st.just("6.7.0")),
    calibrated_with=st.just("6.7.0"),
    procedure=st.just(RESTORE),
    blocks=st.lists(_BLOCKS, min_size=1, max_size=3).map(tuple),
    products=st.lists(_PLANNED, min_size=1, max_size=3).map(tuple),
)


@given(_PLANS, _SERVERS, st.lists(st.text(max_size=5), max_size=2))
def test_the_key_outlives_storage_and_knows_no_server_and_no_caveat(
    plan: Plan, server: str, caveats: list[str]
) -> None:
    def elsewhere(file: PlannedFile) -> PlannedFile:
        return file.model_copy(update={"stored": file.stored.model_copy(update={"server": server})})

    moved = plan.model_copy(
        update={
            "products": tuple(elsewhere(file) for file in plan.products),
            "blocks": tuple(block.model_copy(update={"raw": elsewhere(block.raw)}) for block in plan.blocks),
            "caveats": tuple(caveats),
        }
    )
    assert Plan.model_validate_json(moved.model_dump_json()).key == plan.key


@given(_PLANS, st.data())
def test_the_key_is_another_for_anything_that_decides_the_result(plan: Plan, data: st.DataObject) -> None:
    change = data.draw(st.sampled_from(sorted(_CHANGES)))
    assert _CHANGES[change](plan).key != plan.key


def _with_product(plan: Plan, **changes: Any) -> Plan:
    first = plan.products[0]
    stored = first.stored.model_copy(update=changes)
    return plan.model_copy(update={"products": (first.model_copy(update={"stored": stored}), *plan.products[1:])})


def _with_block(plan: Plan, **changes: Any) -> Plan:
    return plan.model_copy(update={"blocks": (plan.blocks[0].model_copy(update=changes), *plan.blocks[1:])})


_MORE_FLAGS = Command(name="hifa_restoredata", parameters=(("bdfflags", "False"),))
_CHANGES: dict[str, Callable[[Plan], Plan]] = {
    "a product's checksum": lambda plan: _with_product(plan, checksum=Checksum(kind="crc32", value=100)),
    "a product's version": lambda plan: _with_product(plan, version=10),
    "a product's size": lambda plan: _with_product(plan, size=plan.products[0].stored.size + 1),
    "a raw file": lambda plan: _with_block(plan, raw=plan.blocks[0].raw.model_copy(update={"name": "other"})),
    "a session": lambda plan: _with_block(plan, session="session_9"),
    "the proof": lambda plan: _with_block(plan, reference="another"),
    "CASA": lambda plan: plan.model_copy(update={"casa": Casa(executor="casatasks", version="6.7.1")}),
    "the procedure": lambda plan: plan.model_copy(
        update={"procedure": RESTORE.model_copy(update={"commands": (_MORE_FLAGS,)})}
    ),
    "the observation": lambda plan: plan.model_copy(
        update={"observation": plan.observation.model_copy(update={"mous": THIRD})}
    ),
}


@given(_PLANS)
def test_images_cover_the_restore_that_they_begin_with_and_nothing_else_does(plan: Plan) -> None:
    imaging = plan.model_copy(update={"procedure": IMAGE})
    assert plan.covers == ()
    assert imaging.covers == (plan.key,)
    assert imaging.key != plan.key
    assert imaging.space >= plan.space


def test_the_request_asks_for_what_is_planned(archived: Archived) -> None:
    archived.put_all()
    file, manifest = archived.read_manifest()
    for procedure in (RESTORE, IMAGE):
        plan = make_plan(archived.observation, manifest, file, archived.client, CASA, procedure)
        assert plan.request(datetime.now(UTC), "LOCAL", "ppi").procedure == procedure


def test_a_plan_can_be_told_as_json(archived: Archived) -> None:
    archived.put_all()
    plan = archived.plan()
    assert Plan.model_validate(json.loads(plan.model_dump_json())) == plan


def test_a_damaged_manifest_is_refused(archived: Archived) -> None:
    archived.put(MANIFEST, b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><piperesults>&e;</piperesults>')
    with pytest.raises(PpiError):
        archived.read_manifest()
