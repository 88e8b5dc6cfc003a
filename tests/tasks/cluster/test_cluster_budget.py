"""A piece of work survives what may pass, each kind of it so often; what would come again ends it at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cluster.budget import _LOSSES, Budget
from tasks.cluster.fate import Fate, Kind
from tasks.cluster.resources import Resources
from tasks.errors import Exhausted, Failed
from tasks.usage import Work

RESOURCES = Resources("casa", memory=1000, least_memory=500, memory_limit=5000)


def budget(memory: int = 1000) -> Budget:
    return Budget(Work("process", "restore", "uid://A002/X1/X1"), RESOURCES, memory)


@pytest.mark.parametrize(("kind", "often"), _LOSSES.items())
def test_each_kind_of_loss_has_its_own_budget(kind: Kind, often: int) -> None:
    given_up = budget()
    for number in range(often):
        given_up.spend(Fate(kind, "17.0", "why"), whole=False)
        assert given_up.attempts == number + 2
    with pytest.raises(Exhausted, match=rf"restore uid://A002/X1/X1.*{kind.value} {often + 1} times; .*why"):
        given_up.spend(Fate(kind, "17.0", "why"), whole=False)


def test_losses_of_one_kind_do_not_count_for_another() -> None:
    given_up = budget()
    for kind, often in _LOSSES.items():
        for _ in range(often):
            given_up.spend(Fate(kind, "17.0", "why"), whole=False)
    assert given_up.attempts == 1 + sum(_LOSSES.values())
    assert given_up.memory == 1000


def test_memory_doubles_up_to_the_limit_and_then_it_is_a_failure() -> None:
    grows, asked = budget(), []
    with pytest.raises(Failed, match=r"ran out of memory: held \(the limit\).*ppi\.cluster\.casa\.memoryLimit"):
        for _ in range(10):
            asked.append(grows.memory)
            grows.spend(Fate(Kind.OUT_OF_MEMORY, "17.0", "held", grows.memory))
    assert asked == [1000, 2000, 4000, 5000]


def test_the_limit_is_the_limit_though_htcondor_counts_in_mebibytes() -> None:
    resources = Resources("casa", memory=2 * 10**9, memory_limit=8 * 10**9)
    work = Budget(Work("process", "restore"), resources, resources.memory_limit)
    with pytest.raises(Failed, match=r"the limit"):
        work.spend(Fate(Kind.OUT_OF_MEMORY, "17.0", "held", (8 * 10**9 >> 20) << 20))


def test_out_of_time_is_a_failure_at_once() -> None:
    with pytest.raises(Failed, match=r"ran out of time: it ran for 100 s.*ppi\.cluster\.casa\.walltime"):
        budget().spend(Fate(Kind.OVERTIME, "17.0", "it ran for 100 s"))


def test_out_of_the_time_that_others_left_is_none() -> None:
    work = budget()
    work.spend(Fate(Kind.OVERTIME, "17.0", "it worked as long as its class may"), whole=False)
    assert work.attempts == 2


@given(first=st.integers(0, 10**6), had=st.lists(st.integers(0, 4999), max_size=8))
def test_what_is_asked_for_never_shrinks_and_stays_within_bounds(first: int, had: list[int]) -> None:
    grows = budget(first)
    for memory in had:
        before = grows.memory
        if max(memory, before) >= RESOURCES.memory_limit:
            break
        grows.spend(Fate(Kind.OUT_OF_MEMORY, "17.0", "held", memory))
        assert before <= grows.memory <= RESOURCES.memory_limit
        assert grows.memory > before or before == RESOURCES.memory_limit
