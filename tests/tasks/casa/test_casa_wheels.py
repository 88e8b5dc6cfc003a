"""What the casatasks executor refuses before any work starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_casa_asdm import asdm

from tasks.casa.executor import Block
from tasks.casa.wheels import RestoreParameters, restore
from tasks.errors import Refused
from tasks.ppr.model import Command, Procedure

BLOCK = Block("uid://A002/X1/X2", "uid___A002_X1_X2", "x.ms", "session_1", "flags", "commands", "tables", None)


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (("hifa_restoredata", "hif_makeimages", "hif_makeimages"), "casatasks covers no hif_makeimages. Next"),
        (("hifa_importdata", "hifa_exportdata"), "casatasks covers no hifa_importdata, hifa_exportdata. Next"),
        (("hifa_restoredata", "hifa_restoredata"), "casatasks covers no second hifa_restoredata. Next"),
    ],
)
def test_a_procedure_is_refused_with_the_commands_that_are_not_covered(
    commands: tuple[str, ...], said: str
) -> None:
    procedure = Procedure(title="ours", commands=tuple(Command(name=name) for name in commands))
    with pytest.raises(Refused, match="procedure ours") as raised:
        RestoreParameters.of(procedure)
    assert said in str(raised.value)
    assert "ppi.casa.executor = pipeline" in raised.value.todo


def test_a_calapply_file_that_is_not_utf_8_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / BLOCK.name).mkdir()
    asdm(tmp_path / BLOCK.name, [("CD_0", 1, 2)])
    for name in (BLOCK.flags, BLOCK.caltables):
        (tmp_path / name).touch()
    (tmp_path / BLOCK.commands).write_bytes(b"applycal(vis='\xff')")
    with pytest.raises(Refused, match=rf"{tmp_path / BLOCK.commands} cannot be used: it is not UTF-8"):
        restore(
            BLOCK, RestoreParameters(), tmp_path, tmp_path, tmp_path,
            measures=tmp_path, timeout_seconds=1, watch=print,
        )  # fmt: skip
