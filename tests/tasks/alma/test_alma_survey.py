"""Many observations at a time: the same evidence as of each alone, page by page, in one query."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alma_observatory import CODE, DELIVERY, MOUS, Observatory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import CHAR, Dialect
from sqlalchemy.dialects import oracle, postgresql
from sqlmodel import SQLModel

from tasks.alma import EntityId, decide, surveys
from tasks.alma.survey import Audit, Releases
from tasks.alma.tables import AquaOus, AsaDeliveryStatus, AsaOus, AsaProductFiles, AsaScience, ObsUnitSetStatus
from tasks.errors import Missing, PpiError

NOW = datetime(2020, 1, 1, tzinfo=UTC)
NOTHING = Releases(None, datetime(1970, 1, 1, tzinfo=UTC), 10)
ORACLE: Dialect = oracle.dialect()  # type: ignore[no-untyped-call]
POSTGRESQL: Dialect = postgresql.dialect()  # type: ignore[no-untyped-call]


def mous(number: int) -> EntityId:
    return EntityId(f"uid://A001/X5/X{number:x}")


def known(number: int, release: datetime | None = NOW, code: str = CODE) -> tuple[SQLModel, ...]:
    return (
        AsaOus(asa_ous_id=f"k{number}", asa_project_code=code, member_ous_uid=mous(number)),
        ObsUnitSetStatus(status_entity_id=mous(number), obs_project_id="uid://A001/X6/X6"),
        AsaProductFiles(asa_ous_id=f"k{number}", ngas_file_id=f"{number}.tgz", file_class="Calibration"),
        AsaProductFiles(asa_ous_id=f"k{number}", ngas_file_id=f"{number}.fits", file_class="science"),
        AsaDeliveryStatus(
            delivery_id=f"d{number}", delivery_name=f"{code}_{mous(number).file_form}", release_date=release
        ),
    )


_FILE = st.tuples(
    st.sampled_from(["calibration", "CALIBRATION", "science", "script", "Script", "raw", "log"]),
    st.sampled_from(
        ["a.tgz", "x.scriptForCalibration.py", "scriptforfluxCAL", "x.scriptForPI.py", "Cal.scriptFor"]
    ),
    st.sampled_from(["key", str(MOUS)]),
)
_RELEASE = st.sampled_from([None, NOW - timedelta(days=1), NOW, NOW + timedelta(days=1)])


@given(
    files=st.lists(_FILE, max_size=4, unique_by=lambda file: file[1:]),
    releases=st.lists(_RELEASE, max_size=3),
    keys=st.sampled_from([("key",), ("key", "other"), (MOUS,)]),
    code=st.sampled_from(["asa_ous", "asa_science", "nowhere"]),
    state=st.sampled_from(["Delivered", "Processing", None, "no row"]),
    quality=st.sampled_from(["SemiPass", "Pass", None]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_evidence_of_many_is_that_of_each(
    template: Path,
    tmp_path: Path,
    files: list[tuple[str, str, str]],
    releases: list[datetime | None],
    keys: tuple[str, ...],
    code: str,
    state: str | None,
    quality: str | None,
) -> None:
    observatory = Observatory(shutil.copyfile(template, tmp_path / "metadata.sqlite"))
    rows: list[SQLModel] = [
        AsaOus(
            asa_ous_id=key,
            member_ous_uid=None if key == MOUS else MOUS,
            asa_project_code=CODE if code == "asa_ous" else None,
        )
        for key in keys
    ]
    rows += [AsaProductFiles(asa_ous_id=key, ngas_file_id=name, file_class=kind) for kind, name, key in files]
    rows += [
        AsaDeliveryStatus(delivery_id=str(number), delivery_name=DELIVERY, release_date=date)
        for number, date in enumerate(releases)
    ]
    rows += [AsaScience(dataset_id="1", member_ouss_id=MOUS, project_code=CODE)] if code == "asa_science" else []
    project = "uid://A001/X6/X6"
    rows += [AquaOus(obsunitsetuid=project, obsunitsetpartid="X", ous_status_entity_id=MOUS, qa2status=quality)]
    if state != "no row":
        rows += [ObsUnitSetStatus(status_entity_id=MOUS, domain_entity_state=state, obs_project_id=project)]
    observatory.add(*rows)
    found = observatory.archive.evidence([MOUS])
    assert found == observatory.archive.survey(NOTHING, Audit(None, 5)).evidence or keys == (MOUS,)
    try:
        alone = observatory.archive.observing_unit_set(MOUS).evidence
    except PpiError:
        assert found == {}
        return
    decisions = [decide(each, (), NOW) for each in (found[MOUS], alone)]
    assert decisions[0].standing == decisions[1].standing
    assert (found[MOUS].calibration, found[MOUS].science) == (alone.calibration, alone.science)
    assert found[MOUS].release_date == alone.release_date


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Observatory.create(tmp_path_factory.mktemp("empty") / "x.sqlite").path


def test_the_evidence_is_whole(observatory: Observatory) -> None:
    assert observatory.archive.evidence([MOUS]) == {MOUS: observatory.archive.observing_unit_set(MOUS).evidence}


def test_a_list_may_be_longer_than_a_database_takes_at_once(empty: Observatory) -> None:
    empty.add(*known(1), *known(2))
    assert set(empty.archive.evidence([*(mous(number) for number in range(2500)), "junk"])) == {mous(1), mous(2)}
    assert empty.archive.evidence(["junk"]) == {}


def test_releases_come_page_by_page_in_their_order(empty: Observatory) -> None:
    for number in range(7):
        empty.add(*known(number, NOW + timedelta(hours=number // 3)))
    empty.add(*known(7, NOW + timedelta(days=9)), *known(8, None))
    seen: list[str] = []
    after, pages = None, 0
    while pages == 0 or after:
        survey = empty.archive.survey(Releases(after, NOW + timedelta(days=1), 2), Audit(None, 0))
        seen += survey.evidence
        after, pages = survey.released, pages + 1
    assert (seen, pages) == ([mous(number) for number in range(7)], 4)


def test_a_mark_without_a_name_looks_at_all_of_its_moment(empty: Observatory) -> None:
    empty.add(*known(1, NOW), *known(2, NOW - timedelta(seconds=1)))
    survey = empty.archive.survey(Releases((NOW, ""), NOW, 10), Audit(None, 0))
    assert (list(survey.evidence), survey.released) == ([mous(1)], None)


def test_a_page_of_all_goes_round(empty: Observatory) -> None:
    for number in range(5):
        empty.add(*known(number, None))
    empty.add(AsaOus(asa_ous_id="none", asa_project_code=CODE), AsaOus(asa_ous_id="k1b", member_ous_uid=mous(1)))
    pages, after = [], None
    for _ in range(4):
        survey = empty.archive.survey(NOTHING, Audit(after, 2))
        after = survey.audited
        pages.append((sorted(survey.evidence), after))
    assert pages == [
        ([mous(0), mous(1)], mous(1)),
        ([mous(2), mous(3)], mous(3)),
        ([mous(4)], None),
        ([mous(0), mous(1)], mous(1)),
    ]


def test_what_is_no_observation_is_left_out(empty: Observatory) -> None:
    empty.add(
        *known(1),
        *known(2, code="../etc"),
        AsaOus(asa_ous_id="j", member_ous_uid="Undefined", asa_project_code=CODE),
        ObsUnitSetStatus(status_entity_id="Undefined"),
        AsaOus(asa_ous_id="late", member_ous_uid=mous(3), asa_project_code=CODE),
        AsaDeliveryStatus(delivery_id="a", delivery_name="no id in it", release_date=NOW),
        AsaDeliveryStatus(delivery_id="b", delivery_name=None, release_date=NOW),
        AsaDeliveryStatus(delivery_id="c", delivery_name=f"{CODE}_{mous(9).file_form}", release_date=NOW),
    )
    survey = empty.archive.survey(Releases(None, NOW, 100), Audit(None, 100))
    assert (list(survey.evidence), survey.audited) == ([mous(1)], None)


def test_an_empty_archive_has_nothing(empty: Observatory) -> None:
    survey = empty.archive.survey(Releases(None, NOW, 1), Audit("uid://A001/X1/X1", 1))
    assert (survey.evidence, survey.released, survey.audited) == ({}, None, None)


def test_a_table_that_is_missing_is_named(empty: Observatory) -> None:
    empty.execute("DROP TABLE asa_delivery_status")
    with pytest.raises(Missing, match="asa_delivery_status"):
        empty.archive.survey(Releases(None, NOW, 1), Audit(None, 1))


_QUESTIONS: tuple[Callable[[], surveys.Question | surveys.Questions], ...] = (
    lambda: surveys.evidence([MOUS]),
    lambda: surveys.survey((NOW, "x"), NOW, 10, MOUS, 10),
    lambda: surveys.survey(None, NOW, 10, None, 10),
)


@pytest.mark.parametrize("question", _QUESTIONS)
@pytest.mark.parametrize("dialect", [ORACLE, POSTGRESQL], ids=["oracle", "postgresql"])
def test_the_statements_are_plain_selects_in_the_named_schema(
    dialect: Dialect, question: Callable[[], surveys.Question]
) -> None:
    made = question().compile(dialect=dialect, schema_translate_map={None: "alma"}, render_schema_translate=True)
    text = str(made)
    assert text.startswith("SELECT")
    assert text.count("alma.asa_ous") > 0
    assert ("strpos(" if dialect is ORACLE else "instr(") not in text
    if dialect is ORACLE:
        binds = [bind for bind in made.binds.values() if bind.value == MOUS]
        kinds = {type(bind.type.dialect_impl(ORACLE).impl_instance) for bind in binds}  # type: ignore[attr-defined]
        assert all(issubclass(kind, CHAR) for kind in kinds)
        assert "LIMIT" not in text


def test_a_code_that_only_the_observations_have_is_found(observatory: Observatory) -> None:
    observatory.execute("UPDATE asa_ous SET asa_project_code = NULL")
    assert observatory.archive.evidence([MOUS])[MOUS].project_code == CODE
