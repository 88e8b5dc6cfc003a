"""Whether a run's process is gone: told from a record, a worker or the time, and never guessed."""

from __future__ import annotations

import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import FlowRun, StateType

from blocks.profile import Metadata, Ngas, Processing, Profile
from deployments import processes
from tasks.alma.ids import EntityId
from tasks.catalog.model import Record
from tasks.cluster.tag import own
from tasks.workspace.layout import Area

MOUS = "uid://A001/X1284/X265f"
HERE, WORKER = os.uname().nodename, f"p@{socket.gethostname()}"
NO_PROCESS = 2**22 + 1
"""Past the largest number that a process may have."""


@pytest.fixture
def profile(tmp_path: Path) -> Profile:
    return Profile(
        name="p",
        processing=Processing(root_directory=tmp_path),
        metadata=Metadata(url="sqlite:////nowhere.db"),
        ngas=Ngas(servers=("127.0.0.1:1",)),
    )


def record(**known: Any) -> Record:
    given = {
        "host": HERE,
        "profile": "p",
        "flow": "restore-ous",
        "observation": MOUS,
        "started": datetime.now(UTC),
    }
    return Record(id=1, **{**given, **known})


def run(**known: Any) -> FlowRun:
    given = {"flow_id": uuid4(), "state_type": StateType.RUNNING, "parameters": {"profile": "p"}}
    return FlowRun(**{**given, **known})


def of_worker(pid: int | None, name: str = WORKER) -> FlowRun:
    return run(labels={"prefect.worker.name": name}, infrastructure_pid=str(pid) if pid else None)


def test_a_process_is_known_by_more_than_its_number(profile: Profile) -> None:
    ours = own(HERE, os.getpid())
    assert processes.of_execution(record(owner=ours.text), profile).gone is False
    later = ours.text.rpartition("/")[0] + f"/{ours.born + 1}"
    assert processes.of_execution(record(owner=later), profile) == (
        True,
        f"process {os.getpid()} on {HERE} is gone",
    )


def test_a_process_of_another_host_is_not_known(profile: Profile) -> None:
    sight = processes.of_execution(record(host="far", owner=f"far/boot space/{os.getpid()}/1"), profile)
    assert sight == (None, f"process {os.getpid()} on far cannot be seen from {HERE}")
    assert processes.of_execution(record(host="far"), profile).gone is None


@pytest.mark.parametrize("owner", [None, f"{HERE}/earlier boot/1/1"])
def test_of_an_older_record_the_lock_tells(profile: Profile, owner: str | None) -> None:
    assert processes.of_execution(record(owner=owner), profile).gone is True
    with Area(profile.processing.root_directory).held(EntityId.parse(MOUS)):
        assert processes.of_execution(record(owner=owner), profile).gone is False


def test_a_worker_s_run_is_known_by_its_process_where_that_is_here(profile: Profile) -> None:
    assert processes.of_run(of_worker(NO_PROCESS), profile, "").gone is True
    assert processes.of_run(of_worker(NO_PROCESS, "p@far"), profile, "").gone is None
    assert processes.of_run(of_worker(None), profile, "").gone is None
    assert processes.of_run(of_worker(None), profile, WORKER).gone is True


def test_a_run_that_came_to_no_record_is_gone_after_a_while(profile: Profile) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    assert processes.of_run(run(start_time=datetime.now(UTC)), profile, "").gone is None
    assert processes.of_run(run(start_time=long_ago), profile, "").gone is True
    of_vlass = run(start_time=long_ago, parameters={"profile": "vlass.p"})
    assert processes.of_run(of_vlass, profile, "").gone is None, "its record is in another catalog"
