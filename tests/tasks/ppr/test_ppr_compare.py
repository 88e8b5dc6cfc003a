"""A difference is one readable line; what every two requests differ in is none."""

from __future__ import annotations

from datetime import timedelta

import pytest
from ppr_examples import BLOCKS, STAMP, seed_004

from tasks.ppr import IMAGE, RESTORE, Command, Ppr, Procedure, compose, differences
from tasks.ppr.model import RequestEntity, ResultsProcessing


def _ppr(procedure: Procedure = RESTORE, later: timedelta = timedelta()) -> Ppr:
    return compose(
        seed_004(), procedure, stamp=STAMP + later, site="NAASC", operator="almapipe", execution_blocks=BLOCKS
    )


def _with_intents(ppr: Ppr, *intents: tuple[str, str]) -> Ppr:
    return ppr.model_copy(update={"intents": intents})


def test_time_identity_and_results_make_no_difference() -> None:
    other = _ppr(later=timedelta(days=400, milliseconds=5)).model_copy(
        update={"entity": RequestEntity(), "results": ResultsProcessing(clean_up_disk=True)}
    )
    assert other != _ppr()
    assert differences(other, _ppr()) == ()


def test_a_changed_session_is_one_line() -> None:
    a = _ppr()
    b = _with_intents(a, *(("SESSION_3", "b") if pair[0] == "SESSION_3" else pair for pair in a.intents))

    assert differences(a, b) == (f"SESSION_3: '{BLOCKS[2]}' != 'b'",)


def test_what_one_lacks_is_absent_not_empty() -> None:
    a = _ppr()
    b = _with_intents(a, *(pair for pair in a.intents if pair[0] != "SESSION_2"))

    assert differences(a, b) == ("SESSION_2: '' != absent",)
    assert differences(b, a) == ("SESSION_2: absent != ''",)


def test_order_matters() -> None:
    a = _ppr()
    blocks = a.data_set.model_copy(update={"execution_blocks": BLOCKS[::-1]})

    assert differences(a, _with_intents(a, *a.intents[::-1])) == (
        "order: 'PROCESS' != 'INTERFEROMETRY_STANDARD_OBSERVING_MODE'",
    )
    assert differences(a, a.model_copy(update={"data_set": blocks}))[0] == (
        f"execution block 1: '{BLOCKS[0]}' != '{BLOCKS[3]}'"
    )


def test_text_is_compared_exactly() -> None:
    def ppr(value: str) -> Ppr:
        command = Command(name="hifa_restoredata", parameters=(("copytoraw", value),))
        return _ppr(Procedure(title="hifa_restore", commands=(command,)))

    assert differences(ppr("False"), ppr("false")) == ("command 1 copytoraw: 'False' != 'false'",)


def test_another_procedure_shows_its_commands() -> None:
    lines = differences(_ppr(), _ppr(IMAGE))
    assert lines[0] == "ProcedureTitle: 'hifa_restore' != 'hifa_image'"
    assert "command 2: absent != 'hif_checkproductsize'" in lines


@pytest.mark.parametrize("field", ["proposal_code", "operator", "mode", "version"])
def test_the_summary_counts(field: str) -> None:
    a = _ppr()
    b = a.model_copy(update={"summary": a.summary.model_copy(update={field: "other"})})
    assert len(differences(a, b)) == 1


@pytest.mark.parametrize("field", ["project", "part_id", "title", "unit_type", "project_status", "mous"])
def test_the_structure_counts(field: str) -> None:
    a = _ppr()
    b = a.model_copy(update={"structure": a.structure.model_copy(update={field: None})})
    assert len(differences(a, b)) == 1


def test_only_the_time_stamp_of_the_path_is_dropped() -> None:
    a = _ppr()
    moved = a.data_set.model_copy(update={"relative_path": a.data_set.relative_path.replace("00886.L", "00886.S")})
    assert len(differences(a, a.model_copy(update={"data_set": moved}))) == 1
