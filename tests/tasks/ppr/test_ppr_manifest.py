"""The manifest names what calibrates what; nothing is guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ppr_examples import LINES, TEXTS

from tasks.errors import Refused
from tasks.ppr import Manifest, ManifestBlock, ManifestSession
from tasks.ppr.manifest import read, read_images, write

OURS = b"""<?xml version="1.0" encoding="UTF-8"?>
<piperesults name="uid___A001_X1284_X265f">
  <!-- written by a later pipeline -->
  <ous name="uid___A001_X1284_X265f" version="9">
    <casaversion name="5.1.1-5r40896"/><pipeline_version name="40896"/><procedure_name name="hifa_cal"/>
    <piperequest name="pprequest.xml"/>
    <session name="session_1">
      <caltables name="m.session_1.caltables.tgz" level="x"/><aux_caltables name="m.session_1.auxcaltables.tgz"/>
      <asdm name="eb1.ms"><finalflags name="eb1.ms.flagversions.tgz"/><applycmds name="eb1.ms.calapply.txt"/>
        <novelty name="x"/></asdm>
      <aux_asdm name="eb9.ms"/>
    </session>
    <session name="session_2"/>
    <session name="session_3">
      <caltables name="m.session_3.caltables.tgz"/>
      <asdm name="eb2.ms"><finalflags name="eb2.ms.flagversions.tgz"/>
        <applycmds name="eb2.ms.calapply.txt"/></asdm>
    </session>
    <weblog name="weblog.tgz"/><image name="x.fits" imtype="target"/>
  </ous>
</piperesults>
"""

_BLOCKS = st.builds(
    ManifestBlock, vis=LINES.map(lambda name: f"{name}.ms"), final_flags=LINES, apply_commands=LINES
)
_SESSIONS = st.builds(
    ManifestSession,
    name=LINES,
    caltables=LINES,
    aux_caltables=st.none() | LINES,
    execution_blocks=st.lists(_BLOCKS, min_size=1, max_size=3).map(tuple),
)


def _distinct(sessions: list[ManifestSession]) -> bool:
    sets = [block.vis for session in sessions for block in session.execution_blocks]
    return len(sets) == len(set(sets))


@given(
    st.builds(
        Manifest,
        ous=LINES,
        casa_version=TEXTS,
        pipeline_version=TEXTS,
        procedure=TEXTS,
        sessions=st.lists(_SESSIONS, max_size=3).filter(_distinct).map(tuple),
    )
)
def test_the_round_trip_is_exact(manifest: Manifest) -> None:
    assert read(write(manifest)) == manifest


def test_what_is_unknown_is_passed_over() -> None:
    assert read(OURS) == Manifest(
        ous="uid___A001_X1284_X265f",
        casa_version="5.1.1-5r40896",
        pipeline_version="40896",
        procedure="hifa_cal",
        sessions=(
            ManifestSession(
                name="session_1",
                caltables="m.session_1.caltables.tgz",
                aux_caltables="m.session_1.auxcaltables.tgz",
                execution_blocks=(
                    ManifestBlock(
                        vis="eb1.ms", final_flags="eb1.ms.flagversions.tgz", apply_commands="eb1.ms.calapply.txt"
                    ),
                ),
            ),
            ManifestSession(
                name="session_3",
                caltables="m.session_3.caltables.tgz",
                execution_blocks=(
                    ManifestBlock(
                        vis="eb2.ms", final_flags="eb2.ms.flagversions.tgz", apply_commands="eb2.ms.calapply.txt"
                    ),
                ),
            ),
        ),
    )


def test_the_images_are_named_also_where_nothing_is_calibrated() -> None:
    assert read_images(OURS) == ("x.fits",)
    session = b'<session name="session_1"><asdm name="eb.ms"/></session>'
    only = b'<piperesults name="m"><ous name="m">' + session + b"%s</ous></piperesults>"
    assert read_images(only % b'<image name="a.fits"/><image imtype="target" name="b.fits" new="x"/>') == (
        "a.fits", "b.fits",
    )  # fmt: skip
    assert read_images(only % b"") == ()


def test_an_absent_version_is_empty() -> None:
    assert read(OURS.replace(b'<casaversion name="5.1.1-5r40896"/>', b"")).casa_version == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (b"piperesults", b"results"),
        (b"<!-- written by a later pipeline -->", b"<other/>"),
        (b'<ous name="uid___A001_X1284_X265f"', b"<ous"),
        (b'name="eb1.ms"', b'name="eb1"'),
        (b'name="eb1.ms"', b'name=".ms"'),
        (b'name="eb1.ms"', b'name="eb2.ms"'),
        (b'<finalflags name="eb1.ms.flagversions.tgz"/>', b""),
        (b'<applycmds name="eb1.ms.calapply.txt"/>', b"<applycmds/>"),
        (b'<caltables name="m.session_3.caltables.tgz"/>', b""),
        (b'<caltables name="m.session_3.caltables.tgz"/>', b'<caltables name="a"/><caltables name="b"/>'),
        (b'<session name="session_1">', b"<session>"),
        (b"</piperesults>", b""),
        (b"<piperesults", b'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><piperesults'),
        (b"<piperesults", b'<!DOCTYPE x [<!ATTLIST asdm name CDATA "eb0.ms">]><piperesults'),
    ],
)
def test_what_a_restore_needs_must_be_there(right: bytes, wrong: bytes) -> None:
    assert right in OURS
    with pytest.raises(Refused):
        read(OURS.replace(right, wrong))
