"""What a job says of itself is spelled so that it is nothing but what it says."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster.tag import Owner, Tag, literal, own, spelled


@pytest.mark.parametrize(
    ("value", "in_an_expression", "in_a_description"),
    [
        (17, "17", "17"),
        ("plain", '"plain"', '"plain"'),
        ('say "so"', r'"say \"so\""', r'"say \"so\""'),
        ("a\\b", r'"a\\b"', r'"a\b"'),
        ("$(HOME)", '"$(HOME)"', '"$(DOLLAR)(HOME)"'),
        ("two\nlines\tand\x00", '"two lines and "', '"two lines and "'),
        ("\u2028\u202e", '"  "', '"  "'),
    ],
)
def test_a_value_is_spelled(value: str | int, in_an_expression: str, in_a_description: str) -> None:
    assert (literal(value), spelled(value)) == (in_an_expression, in_a_description)


@given(text=st.text())
def test_no_value_ends_its_quotes_or_its_line(text: str) -> None:
    inner = literal(text)[1:-1].replace("\\\\", "").replace('\\"', "")
    assert not {'"', "\\"} & set(inner)
    assert len(spelled(text).splitlines()) == 1


def test_an_owner_comes_back_from_its_text() -> None:
    me = own("host", os.getpid())
    assert Owner.read(me.text) == me
    assert not me.is_gone
    assert Owner(me.host, me.machine, me.pid, me.born - 1).is_gone
    assert not Owner("other", "another machine", me.pid, 1).is_gone
    with pytest.raises(ValueError):
        Owner.read("no owner")


def test_a_constraint_names_all_that_is_asked() -> None:
    assert Tag.constraint(crew="a", name='b"') == 'PPICrew =?= "a" && PPIName =?= "b\\""'


@pytest.mark.parametrize(("name", "value"), [("PPIObservation", 5), ("PPIOwnerPid", "1"), ("PPICrew", None)])
def test_an_ad_that_others_wrote_is_none_of_ours(name: str, value: object) -> None:
    owner = Owner("host", "machine", 17, 18)
    ours = Tag("site-test", "project", "uid://A001/X1/X1", "restore-ous", "gather", "run", "c1", owner)
    ad = dict.fromkeys(ours.attributes(), "text") | {"PPIOwnerPid": 17, "PPIOwnerBorn": 18}
    assert Tag.of(ad)
    assert Tag.of(ad | {name: value}) is None
