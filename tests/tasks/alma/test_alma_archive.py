"""The archive's answer: complete, tolerant of what is missing, cheap, and read only."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from alma_observatory import (
    BLOCKS,
    CODE,
    DELIVERY,
    GOUS,
    MOUS,
    PROJECT,
    PROJECT_STATUS,
    SCHED_BLOCK,
    SCHED_BLOCK_STATUS,
    SOUS,
    Observatory,
    rows_of,
)
from sqlalchemy import CHAR, Dialect, Engine, event
from sqlalchemy.dialects import oracle, postgresql
from sqlmodel import SQLModel

from tasks.alma import EntityId, MetadataArchive, statements
from tasks.alma.connection import Database
from tasks.alma.tables import (
    AquaOus,
    AsaDeliveryAsdmOus,
    AsaDeliveryStatus,
    AsaOus,
    AsaProductFiles,
    AsaScience,
    ObsUnitSetStatus,
    SchedBlockStatus,
)
from tasks.errors import Missing, Refused, Transient

QUESTIONS = (
    statements.unit_set(MOUS),
    statements.archive_key(MOUS),
    statements.observed(MOUS),
    statements.quality(MOUS),
    statements.sched_blocks(MOUS),
    statements.execution_blocks(MOUS, DELIVERY),
    statements.products(MOUS),
    statements.deliveries(DELIVERY),
)
ORACLE: Dialect = oracle.dialect()  # type: ignore[no-untyped-call]
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def _bound(question: statements.Question) -> list[Any]:
    return list(question.compile().params.values())


@contextmanager
def _counted() -> Iterator[list[str]]:
    sent: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def _only(*kept: type[SQLModel]) -> tuple[SQLModel, ...]:
    return tuple(row for row in rows_of(BLOCKS) if isinstance(row, kept))


def test_the_whole_tree_is_found(observatory: Observatory) -> None:
    ous = observatory.archive.observing_unit_set(MOUS)

    assert (ous.mous, ous.gous, ous.sous) == (MOUS, GOUS, SOUS)
    assert (ous.project_code, ous.project_uid, ous.project_status) == (CODE, PROJECT, PROJECT_STATUS)
    assert (ous.sched_block, ous.sched_block_status) == (SCHED_BLOCK, SCHED_BLOCK_STATUS)
    assert (ous.part_id, ous.state, ous.qa2_status) == ("X870875696", "Verified", "Pass")
    assert [len(session.execution_blocks) for session in ous.sessions] == [2, 0, 1, 1]
    assert [(b.uid, b.sched_block, b.raw.size) for b in ous.execution_blocks] == [
        (uid, SCHED_BLOCK, 1000 + number) for number, uid in enumerate(BLOCKS)
    ]
    assert ous.execution_blocks[0].raw.file_id == "uid___A002_Xc7111c_X3979.asdm.sdm.tar"
    assert [(file.file_id, file.size) for file in ous.products] == [
        ("member.cal.tgz", 5),
        ("member.image.fits", None),
    ]
    assert ous.delivery is not None
    assert ous.delivery.release_date == datetime(2018, 11, 20, 17, 30, tzinfo=UTC)


@pytest.mark.parametrize("count", [1, 200])
def test_ten_queries_are_enough_for_any_number_of_blocks(empty: Observatory, count: int) -> None:
    blocks = tuple(EntityId(f"uid://A002/X1/X{number:x}") for number in range(count))
    empty.add(*rows_of(blocks))

    with _counted() as sent:
        ous = empty.archive.observing_unit_set(MOUS)

    assert len(ous.execution_blocks) == count
    assert all(block.raw.size is not None for block in ous.execution_blocks)
    assert 0 < len(sent) <= 10


def test_blocks_come_by_session_then_start_then_id(empty: Observatory) -> None:
    strangers = [EntityId(f"uid://A002/X0/X{digit}") for digit in "abc"]
    starts = [datetime(2017, 8, 2, tzinfo=UTC), datetime(2017, 8, 1, tzinfo=UTC), None]
    empty.add(
        *rows_of(BLOCKS[::-1]),
        *(
            AsaScience(dataset_id=uid, member_ouss_id=MOUS, asdm_uid=uid, start_date=start)
            for uid, start in zip(strangers, starts, strict=True)
        ),
    )

    found = [block.uid for block in empty.archive.observing_unit_set(MOUS).execution_blocks]

    # the first session's two blocks were observed in the other order here
    assert found == [BLOCKS[1], BLOCKS[0], BLOCKS[2], BLOCKS[3], strangers[1], strangers[0], strangers[2]]


def test_a_block_shared_with_another_unit_set_comes_by_the_delivery(observatory: Observatory) -> None:
    shared, other = EntityId("uid://A002/Xa/X1"), EntityId("uid://A001/X1/X9")
    observatory.add(
        AsaScience(dataset_id="s", member_ouss_id=other, asdm_uid=shared, schedblock_uid=SCHED_BLOCK),
        AsaProductFiles(
            asa_ous_id="x", ngas_file_id=f"{shared.file_form}.asdm.sdm.tar", file_class="RAW", stored_size=7
        ),
        AsaDeliveryAsdmOus(asdm_uid=shared, deliverable_name=DELIVERY),
        AsaDeliveryAsdmOus(asdm_uid=BLOCKS[0], deliverable_name=DELIVERY),
        AsaDeliveryAsdmOus(asdm_uid="uid://A002/Xb/X1", deliverable_name="another"),
    )

    found = observatory.archive.observing_unit_set(MOUS).execution_blocks

    assert [block.uid for block in found] == [*BLOCKS, shared]
    assert (found[-1].raw.size, found[-1].sched_block) == (7, SCHED_BLOCK)


def test_what_is_optional_may_be_missing(empty: Observatory) -> None:
    empty.add(
        ObsUnitSetStatus(status_entity_id=MOUS, obs_project_id=PROJECT, xml=""),
        AsaScience(dataset_id="1", project_code=CODE, member_ouss_id=MOUS, asdm_uid=BLOCKS[0]),
        AsaScience(dataset_id="2", project_code=CODE, member_ouss_id=MOUS),
    )

    ous = empty.archive.observing_unit_set(MOUS)

    assert (ous.gous, ous.sous, ous.project_status, ous.part_id, ous.state) == (None,) * 5
    assert (ous.sched_block, ous.sched_block_status, ous.qa2_status, ous.delivery) == (None,) * 4
    assert (ous.project_code, ous.sessions, ous.products) == (CODE, (), ())
    assert [(block.uid, block.raw.size) for block in ous.execution_blocks] == [(BLOCKS[0], None)]


def test_gaps_are_filled_from_the_other_tables(empty: Observatory) -> None:
    empty.add(
        ObsUnitSetStatus(status_entity_id=MOUS),
        *_only(AquaOus, AsaOus),
        AsaScience(dataset_id="1", member_ouss_id=MOUS, asdm_uid=BLOCKS[0], schedblock_uid=SCHED_BLOCK),
        SchedBlockStatus(status_entity_id=SCHED_BLOCK_STATUS, domain_entity_id=SCHED_BLOCK),
    )

    ous = empty.archive.observing_unit_set(MOUS)

    assert (ous.project_uid, ous.part_id, ous.gous) == (PROJECT, "X870875696", GOUS)
    assert (ous.sched_block, ous.sched_block_status) == (SCHED_BLOCK, SCHED_BLOCK_STATUS)


def test_the_observed_scheduling_block_is_chosen_of_several(observatory: Observatory) -> None:
    observatory.add(
        SchedBlockStatus(
            status_entity_id="uid://A001/X0/X1",
            domain_entity_id="uid://A001/X0/X2",
            parent_obs_unit_set_status_id=MOUS,
        )
    )
    ous = observatory.archive.observing_unit_set(MOUS)
    assert (ous.sched_block, ous.sched_block_status) == (SCHED_BLOCK, SCHED_BLOCK_STATUS)


def test_an_unknown_unit_set_is_missing(observatory: Observatory) -> None:
    with pytest.raises(Missing, match="uid://A001/X9/X9 is unknown"):
        observatory.archive.observing_unit_set(EntityId("uid://A001/X9/X9"))


@pytest.mark.parametrize("known", [AsaOus, AsaScience])
def test_one_without_its_status_is_missing_too(empty: Observatory, known: type[SQLModel]) -> None:
    empty.add(*_only(known))
    with pytest.raises(Missing, match=f"status of MOUS {MOUS} is unknown"):
        empty.archive.observing_unit_set(MOUS)


def test_without_a_project_nothing_true_can_be_said(empty: Observatory) -> None:
    empty.add(ObsUnitSetStatus(status_entity_id=MOUS))
    with pytest.raises(Missing, match="project code"):
        empty.archive.observing_unit_set(MOUS)
    empty.add(*_only(AsaOus))
    with pytest.raises(Missing, match="project of MOUS"):
        empty.archive.observing_unit_set(MOUS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2018-11-20T17:30:00", datetime(2018, 11, 20, 17, 30, tzinfo=UTC)),
        ("2018-11-20 17:30:00.000", datetime(2018, 11, 20, 17, 30, tzinfo=UTC)),
        ("2018-11-20T17:30:00+02:00", datetime(2018, 11, 20, 15, 30, tzinfo=UTC)),
        (" 2018-11-20 ", datetime(2018, 11, 20, tzinfo=UTC)),
        ("next year", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_as_text_are_understood_or_unknown(
    observatory: Observatory, text: str | None, expected: datetime | None
) -> None:
    value = "NULL" if text is None else f"'{text}'"
    observatory.execute(f"UPDATE asa_delivery_status SET release_date = {value}")  # noqa: S608 (a test's own text)

    delivery = observatory.archive.observing_unit_set(MOUS).delivery

    assert delivery is not None
    assert delivery.release_date == expected


@pytest.mark.parametrize("second", [datetime(2040, 1, 1, tzinfo=UTC), None])
def test_of_two_deliveries_the_more_cautious_counts(observatory: Observatory, second: datetime | None) -> None:
    observatory.add(AsaDeliveryStatus(delivery_id="0", delivery_name=DELIVERY, release_date=second))

    delivery = observatory.archive.observing_unit_set(MOUS).delivery

    assert delivery is not None
    assert delivery.release_date == second


def test_padding_of_char_columns_means_nothing(observatory: Observatory) -> None:
    observatory.execute(
        "UPDATE obs_unit_set_status SET parent_obs_unit_set_status_id = parent_obs_unit_set_status_id || '   ', "
        "domain_entity_id = domain_entity_id || '  ', domain_entity_state = ' '",
        "UPDATE asa_science SET asdm_uid = asdm_uid || '   '",
    )

    ous = observatory.archive.observing_unit_set(MOUS)

    assert (ous.gous, ous.part_id, ous.state) == (GOUS, "X870875696", None)
    assert (ous.execution_blocks[0].uid, ous.execution_blocks[0].raw.size) == (BLOCKS[0], 1000)


def test_a_status_document_that_is_broken_is_refused(observatory: Observatory) -> None:
    observatory.execute("UPDATE obs_unit_set_status SET xml = '<OUSStatus>'")
    with pytest.raises(Refused, match=MOUS):
        observatory.archive.observing_unit_set(MOUS)


def test_a_missing_file_is_missing_and_stays_so(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.sqlite"
    with pytest.raises(Missing, match=r"nowhere\.sqlite"):
        MetadataArchive(f"sqlite:///{path}").observing_unit_set(MOUS)
    assert not path.exists()


@pytest.mark.parametrize("name", ["a b#c.sqlite", "what?.sqlite", "50%25.sqlite"])
def test_awkward_file_names_are_opened(observatory: Observatory, name: str) -> None:
    path = observatory.path.rename(observatory.path.with_name(name))
    assert MetadataArchive(f"sqlite:///{quote(str(path))}").observing_unit_set(MOUS).project_code == CODE


def test_sqlite_has_no_login_and_needs_none(observatory: Observatory) -> None:
    archive = MetadataArchive(observatory.url, username="reader", password="sw0rdf1sh")
    assert archive.observing_unit_set(MOUS).project_code == CODE


def test_sqlite_is_opened_for_reading_only(observatory: Observatory) -> None:
    with Database(observatory.url).reading() as reader, pytest.raises(Exception, match="readonly"):
        reader._connection.exec_driver_sql("DELETE FROM asa_ous")
    assert observatory.archive.observing_unit_set(MOUS).project_code == CODE


@pytest.mark.parametrize("table", sorted({"asa_ous", "aqua_ous", "obs_unit_set_status", "asa_delivery_asdm_ous"}))
def test_a_missing_table_is_named(observatory: Observatory, table: str) -> None:
    observatory.execute(f"DROP TABLE {table}")
    with pytest.raises(Missing, match=table):
        observatory.archive.observing_unit_set(MOUS)


def test_the_tables_are_looked_for_in_the_schema(observatory: Observatory) -> None:
    assert MetadataArchive(observatory.url, schema="main").observing_unit_set(MOUS).project_code == CODE
    with pytest.raises(Missing, match=r"elsewhere\.obs_unit_set_status"):
        MetadataArchive(observatory.url, schema="elsewhere").observing_unit_set(MOUS)


def test_a_missing_column_is_named(observatory: Observatory) -> None:
    observatory.execute("ALTER TABLE aqua_ous DROP COLUMN qa2status")
    with pytest.raises(Missing, match=r"aqua_ous.*qa2status"):
        observatory.archive.observing_unit_set(MOUS)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("these are not the tables that you are looking for\n" * 50)
    with pytest.raises(Refused, match="not a database"):
        MetadataArchive(f"sqlite:///{path}").observing_unit_set(MOUS)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url",
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite://folder/x",
        "carrier+pigeon://host/x",
        "mysql://h/x",
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        MetadataArchive(url)


@pytest.mark.parametrize("scheme", ["postgresql+psycopg", "oracle+oracledb"])
@pytest.mark.parametrize("in_url", [True, False])
def test_a_host_that_does_not_answer_is_transient_and_keeps_the_secret(scheme: str, in_url: bool) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    account = "reader:sw0rdf1sh@" if in_url else ""
    secrets = {} if in_url else {"username": "reader", "password": "sw0rdf1sh"}
    archive = MetadataArchive(f"{scheme}://{account}127.0.0.1:{port}/alma", **secrets)

    with pytest.raises(Transient, match=f"127.0.0.1:{port}") as caught:
        archive.observing_unit_set(MOUS)

    assert "sw0rdf1sh" not in "".join(str(part) for part in (caught.value, caught.value.__cause__))


def test_a_url_that_is_cut_wrongly_keeps_the_secret() -> None:
    with pytest.raises(Refused) as caught:
        MetadataArchive("postgresql+psycopg://reader:sw0rd/alma")
    assert "sw0rd" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("dialect", [ORACLE, POSTGRESQL], ids=["oracle", "postgresql"])
def test_the_statements_are_plain_selects_in_the_named_schema(
    dialect: Dialect, question: statements.Question
) -> None:
    text = str(
        question.compile(dialect=dialect, schema_translate_map={None: "alma"}, render_schema_translate=True)
    )

    assert text.startswith("SELECT")
    assert "alma." in text
    assert '"' not in text
    assert "LIMIT" not in text


@pytest.mark.parametrize("question", [question for question in QUESTIONS if MOUS in _bound(question)])
def test_oracle_compares_ids_as_char_does(question: statements.Question) -> None:
    binds = question.compile(dialect=ORACLE).binds.values()
    kinds = {type(bind.type.dialect_impl(ORACLE).impl_instance) for bind in binds if bind.value == MOUS}  # type: ignore[attr-defined]
    assert all(issubclass(kind, CHAR) for kind in kinds)
