"""What archives hold in place of an id, a code or a size: unknown where that is harmless, else refused."""

from __future__ import annotations

import pytest
from alma_observatory import BLOCKS, GOUS, MOUS, PROJECT, SCHED_BLOCK, Observatory
from sqlmodel import SQLModel

from tasks.alma.tables import AsaOus, AsaScience, ObsUnitSetStatus
from tasks.errors import Refused


@pytest.mark.parametrize("nothing", ["Undefined", "", "  "])
def test_optional_ids_that_are_none_are_unknown(observatory: Observatory, nothing: str) -> None:
    observatory.execute(
        f"UPDATE obs_unit_set_status SET parent_obs_unit_set_status_id = '{nothing}', "  # noqa: S608 (a test's own text)
        f"obs_project_id = '{nothing}', obs_project_status_id = '{nothing}'",
        f"UPDATE obs_project_status SET obs_project_id = '{nothing}'",  # noqa: S608
        f"UPDATE asa_science SET schedblock_uid = '{nothing}'",  # noqa: S608
        f"UPDATE sched_block_status SET domain_entity_id = '{nothing}'",  # noqa: S608
    )

    ous = observatory.archive.observing_unit_set(MOUS)

    assert (ous.gous, ous.sous, ous.project_uid) == (GOUS, None, PROJECT), "as asa_ous and aqua_ous have them"
    assert (ous.sched_block, ous.sched_block_status, ous.execution_blocks[0].sched_block) == (None,) * 3


def test_an_observed_scheduling_block_is_not_lost_to_one_that_is_none(observatory: Observatory) -> None:
    observatory.execute("UPDATE sched_block_status SET domain_entity_id = 'Undefined'")
    ous = observatory.archive.observing_unit_set(MOUS)
    assert (ous.sched_block, ous.sched_block_status) == (SCHED_BLOCK, None)


def test_the_project_is_taken_from_its_own_status_where_the_unit_set_lacks_it(observatory: Observatory) -> None:
    observatory.execute("DELETE FROM aqua_ous", "UPDATE obs_unit_set_status SET obs_project_id = 'Undefined'")
    assert observatory.archive.observing_unit_set(MOUS).project_uid == PROJECT


@pytest.mark.parametrize("text", ["Undefined", " "])
def test_an_execution_block_by_no_id_is_refused_by_its_column(observatory: Observatory, text: str) -> None:
    observatory.add(AsaScience(dataset_id="bad", member_ouss_id=MOUS, asdm_uid=text))
    with pytest.raises(Refused, match="asdm_uid of asa_science"):
        observatory.archive.observing_unit_set(MOUS)


def test_a_session_of_no_id_is_refused_by_its_column(observatory: Observatory) -> None:
    observatory.execute(f"UPDATE obs_unit_set_status SET xml = replace(xml, '{BLOCKS[0]}', 'Undefined')")  # noqa: S608
    with pytest.raises(Refused, match=r"obs_unit_set_status\.xml .*'Undefined'"):
        observatory.archive.observing_unit_set(MOUS)


@pytest.mark.parametrize("code", ["../2017", "2017/1", ".", "-rf", "a b", "2017.1.00886.L\n2018"])
@pytest.mark.parametrize("table", [AsaOus, AsaScience])
def test_a_project_code_that_cannot_name_a_directory_is_refused(
    empty: Observatory, code: str, table: type[SQLModel]
) -> None:
    known = AsaOus(asa_ous_id="o", member_ous_uid=MOUS, asa_project_code=code)
    seen = AsaScience(dataset_id="1", member_ouss_id=MOUS, project_code=code)
    empty.add(ObsUnitSetStatus(status_entity_id=MOUS), known if table is AsaOus else seen)
    with pytest.raises(Refused, match="project code") as caught:
        empty.archive.observing_unit_set(MOUS)
    assert repr(code) in str(caught.value)


@pytest.mark.parametrize(
    ("stored", "size"), [("''", None), ("-1", None), ("'many'", None), ("5.5", None), ("' 7 '", 7), ("0", 0)]
)
def test_sizes_are_understood_or_unknown(observatory: Observatory, stored: str, size: int | None) -> None:
    observatory.execute(f"UPDATE asa_product_files SET stored_size = {stored}")  # noqa: S608

    ous = observatory.archive.observing_unit_set(MOUS)

    assert {file.size for file in (*ous.products, ous.execution_blocks[0].raw)} == {size}
