"""The questions that a sweep asks of the ALMA tables: of many observations in one SELECT each, however many.

What decides on an observation is looked up for each row in the tables' own indexes, so that it costs what is asked
for and not what there is; where tables are joined, a database may choose to read whole ones. The statements keep
to what SQLite, PostgreSQL and Oracle have in common.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    String,
    and_,
    case,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    union_all,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import aliased
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlmodel import col

from tasks.alma.ids import EntityId
from tasks.alma.statements import Question, Questions, file_form
from tasks.alma.tables import (
    AquaOus,
    AsaDeliveryStatus,
    AsaOus,
    AsaProductFiles,
    AsaScience,
    Moment,
    Name,
    ObsUnitSetStatus,
)

__all__ = ["UNKNOWN_RELEASE", "evidence", "survey"]

UNKNOWN_RELEASE: Final = datetime(9999, 12, 31, tzinfo=UTC)
"""In the place of a release date that is not known; it is later than all."""
_MOST_IN_A_LIST: Final = 1000
"""As many as Oracle takes."""
_FILE_FORM: Final = "uid___"


class _Position(FunctionElement[int]):
    """Where a text begins in another, from 1; 0 if it is not in it."""

    inherit_cache = True
    type = Integer()


@compiles(_Position)
def _position(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return f"instr({compiler.process(element.clauses, **options)})"


@compiles(_Position, "postgresql")
def _position_in_postgresql(element: _Position, compiler: SQLCompiler, **options: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **options)})"


def evidence(listed: Sequence[EntityId]) -> Question:
    """Ask for what decides on some observations."""
    chunks = [listed[start : start + _MOST_IN_A_LIST] for start in range(0, len(listed), _MOST_IN_A_LIST)]
    keys = col(AsaOus.member_ous_uid), col(AsaOus.asa_ous_id)
    return _evidence().where(or_(*(key.in_(chunk) for key in keys for chunk in chunks)))


def survey(
    after: tuple[datetime, str] | None, until: datetime, releases: int, after_id: str | None, audit: int
) -> Questions:
    """Ask for what decides on observations that have become public, and on a page of all by their ids.

    Of each is told by which release it is looked at: the first, the second, ... (``number``), with its date and
    name (``moment``, ``place``). Those of the page have the number 0, and in ``place`` the last id of the page.

    Parameters
    ----------
    after
        The last release that is known; None for the beginning.
    until
        Releases of later are left out.
    releases
        So many of them, in the order of date and name.
    after_id
        The page begins after this id; None for the first page.
    audit
        How many observations the page has.
    """
    return union_all(_of_releases(after, until, releases), _of_page(after_id, audit))


def _of_releases(after: tuple[datetime, str] | None, until: datetime, most: int) -> Question:
    date, name = col(AsaDeliveryStatus.release_date), col(AsaDeliveryStatus.delivery_name)
    number = func.row_number().over(order_by=(date, name))
    chosen: Question = select(date, name, number.label("number")).where(date <= until, name.is_not(None))
    if after:
        moment, place = after
        # With no name (which Oracle takes for an unknown one), all of that moment are new.
        chosen = chosen.where(date >= moment, *([or_(date > moment, name > place)] if place else []))
    page = chosen.order_by(date, name).limit(most).subquery("page")
    mous = cast(_id_of(page.c.delivery_name), Name(64))
    is_it = or_(col(AsaOus.member_ous_uid) == mous, col(AsaOus.asa_ous_id) == mous)
    found = _evidence(page.c.number, page.c.release_date, page.c.delivery_name)
    return found.select_from(page.outerjoin(AsaOus, is_it))


def _of_page(after: str | None, most: int) -> Question:
    other = aliased(AsaOus)
    ids: Question = select(col(other.member_ous_uid).label("mous")).where(col(other.member_ous_uid).is_not(None))
    if after:
        ids = ids.where(col(other.member_ous_uid) > after)
    page = ids.distinct().order_by(col(other.member_ous_uid)).limit(most).subquery("audited")
    last = select(func.max(page.c.mous)).scalar_subquery()
    found = _evidence(literal(0), cast(null(), Moment()), last).where(col(AsaOus.member_ous_uid) <= last)
    return found.where(col(AsaOus.member_ous_uid) > after) if after else found


def _id_of(delivery: ColumnElement[Any]) -> ColumnElement[str]:
    """Read an id out of a delivery's name, which is a project's code and the id as in file names."""
    begin = _Position(delivery, literal(_FILE_FORM)) + len(_FILE_FORM)
    return literal("uid://", String()) + func.replace(func.substr(delivery, begin), "_", "/", type_=String())


def _evidence(
    number: ColumnElement[Any] | None = None,
    moment: ColumnElement[Any] | None = None,
    place: ColumnElement[Any] | None = None,
) -> Question:
    mous = func.coalesce(col(AsaOus.member_ous_uid), col(AsaOus.asa_ous_id))
    code = func.coalesce(col(AsaOus.asa_project_code), _observed_code(mous))
    of_survey = {"number": number, "moment": moment, "place": place}
    return select(
        mous.label("mous"),
        code.label("project_code"),
        _of_status(mous, col(ObsUnitSetStatus.status_entity_id)).label("status"),
        _of_status(mous, col(ObsUnitSetStatus.domain_entity_state)).label("state"),
        _quality(mous).label("qa2_status"),
        _files(mous).label("files"),
        _release(_delivery_name(code, mous)).label("release_date"),
        *(column.label(name) for name, column in of_survey.items() if column is not None),
    )


def _looked_up(what: Any, where: ColumnElement[bool]) -> ScalarSelect[Any]:
    """Ask for something of each row of `AsaOus`."""
    return select(what).where(where).correlate(AsaOus).scalar_subquery()


def _observed_code(mous: ColumnElement[Any]) -> ScalarSelect[Any]:
    return _looked_up(func.min(col(AsaScience.project_code)), col(AsaScience.member_ouss_id) == mous)


def _of_status(mous: ColumnElement[Any], column: Any) -> ScalarSelect[Any]:
    return _looked_up(func.max(column), col(ObsUnitSetStatus.status_entity_id) == mous)


def _quality(mous: ColumnElement[Any]) -> ScalarSelect[Any]:
    return _looked_up(func.max(col(AquaOus.qa2status)), col(AquaOus.ous_status_entity_id) == mous)


def _files(mous: ColumnElement[Any]) -> ScalarSelect[Any]:
    """Ask, in one look at the files, for ``1`` or ``0`` twice, and then a script's name if there is one.

    They are: whether there are calibration products, whether there are science products, and the script by which
    people calibrated.
    """
    kind, name = func.lower(col(AsaProductFiles.file_class)), col(AsaProductFiles.ngas_file_id)
    script = case((and_(kind == "script", func.lower(name).like("%scriptfor%cal%")), name))
    found = _whether(kind == "calibration") + _whether(kind == "science") + func.coalesce(func.min(script), "")
    return _looked_up(found, col(AsaProductFiles.asa_ous_id).in_((mous, col(AsaOus.asa_ous_id))))


def _whether(condition: ColumnElement[bool]) -> ColumnElement[str]:
    return func.max(case((condition, literal("1", String())), else_=literal("0", String())), type_=String())


def _release(name: ColumnElement[str]) -> ScalarSelect[Any]:
    """Ask for the latest release under a name: of several, an unknown date or a later one is the safe one."""
    date = func.max(func.coalesce(col(AsaDeliveryStatus.release_date), literal(UNKNOWN_RELEASE, Moment())))
    return _looked_up(date, col(AsaDeliveryStatus.delivery_name) == name)


def _delivery_name(code: ColumnElement[Any], mous: ColumnElement[Any]) -> ColumnElement[str]:
    return func.rtrim(code, type_=String()) + "_" + file_form(mous)
