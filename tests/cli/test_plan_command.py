"""`ppi plan`: what each stage will probably take, and what its jobs ask for; the rest is in the system's tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from blocks.profile import Cluster, Metadata, Ngas, Processing, Profile
from cli import _plan
from tasks.catalog.catalog import Catalog
from tasks.catalog.model import Execution, Piece
from tasks.catalog.states import State
from tasks.catalog.tasks import database_of
from tasks.restore.work import works

GB = 10**9
BLOCKS = tuple(
    SimpleNamespace(uid=f"uid://A002/X1/X{number}", raw=SimpleNamespace(stored=SimpleNamespace(size=2 * GB)))
    for number in range(3)
)
PLAN: Any = SimpleNamespace(
    blocks=BLOCKS,
    products=(SimpleNamespace(stored=SimpleNamespace(size=GB)),),
    size=7 * GB,
    casa=SimpleNamespace(executor="casatasks", version="6.7.0"),
    procedure=SimpleNamespace(title="hifa_restore"),
)


def profile_at(area: Path, kind: str) -> Profile:
    return Profile(
        name="site-test",
        processing=Processing(root_directory=area),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers=("one:7777", "two:7777"), streams_per_server=1),
        cluster=Cluster.model_validate({"kind": kind, "max_workers": 2, "casa": {"memory": "4 GB"}}),
    )


@pytest.fixture(params=["local", "htcondor"])
def profile(request: pytest.FixtureRequest, tmp_path: Path) -> Profile:
    return profile_at(tmp_path, request.param)


def measured(profile: Profile, peak: int) -> None:
    """Record a run of the whole plan; each piece of work took a minute and a second."""
    done = tuple(
        Piece(
            stage=work.stage,
            step=work.step,
            kind=work.kind,
            input_bytes=work.size,
            wall_seconds=61.0,
            cpu_seconds=30.0,
            peak_memory_bytes=peak,
        )
        for stage in works(PLAN).values()
        for work in stage
    )
    catalog = Catalog(database_of(profile), profile.name)
    begun = catalog.begin(Execution(flow="f", profile=profile.name, observation="o", started=datetime.now(UTC)))
    catalog.write(begun.model_copy(update={"state": State.FAILED, "pieces": done}))


def table(profile: Profile) -> dict[str, list[str]]:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(_plan._forecasts(_plan._expected(PLAN, profile)))
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in captured.get().splitlines() if "│" in line
    ]
    return {row[1]: row[2:] for row in rows}


def test_before_the_first_run_only_what_is_asked_for_is_known(profile: Profile) -> None:
    asked = ["4.0 GB", "4.0 GB", "4.0 GB", "2.0 GB"] if profile.cluster.kind == "htcondor" else [""] * 4
    rows = table(profile)
    assert list(rows) == ["fetch", "fetch products", "restore", "deliver"]
    assert [row[0] for row in rows.values()] == ["3", "1", "3", "1"]
    assert [row[2] for row in rows.values()] == asked
    assert {tuple(row[3:]) for row in rows.values()} == {("", "", "", "", "nothing measured yet")}
    assert not database_of(profile).exists, "asking makes no catalog"


def test_later_the_plan_predicts_from_what_was_measured(profile: Profile) -> None:
    measured(profile, 6 * GB)
    asked = "7.5 GB" if profile.cluster.kind == "htcondor" else ""
    rows = table(profile)
    assert rows["restore"] == ["3", "2", asked, "6.0 GB", "0:01:30", "0:01:01", "0:02:02", "3 runs"]
    assert rows["fetch"][-2:] == ["0:02:02", "3 runs"]
    assert rows["fetch products"][-2:] == ["0:02:02", "1 run"]
    assert rows["deliver"][-1] == "1 run"
    assert rows["deliver"][2] == ("7.5 GB" if profile.cluster.kind == "htcondor" else "")


@pytest.mark.parametrize(("peak", "asked"), [(GB // 10, 512 * 10**6), (100 * GB, 16 * GB)])
def test_what_is_asked_for_stays_within_the_bounds_of_the_class(tmp_path: Path, peak: int, asked: int) -> None:
    profile = profile_at(tmp_path, "htcondor")
    measured(profile, peak)
    process = _plan._expected(PLAN, profile)[1]
    assert [step.requested_memory for step in process.steps] == [asked]
