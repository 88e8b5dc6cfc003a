"""The configuration of a private pool: what its nodes and limits become, and what never stands in it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deployments.local.condor import config
from deployments.local.condor.config import Node, Settings
from deployments.local.condor.install import Release
from tasks.errors import Refused

RELEASE = Release(Path("/opt/condor/usr"))
GIGABYTE = 10**9


def written(directory: Path, settings: Settings | None = None) -> dict[str, str]:
    """Write a configuration; return its settings as HTCondor reads them: of several the last."""
    config.write(directory, RELEASE, settings or Settings())
    lines = config.config_file(directory).read_text().splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and not line.startswith("#")]
    return {name.strip(): value.strip() for name, _, value in pairs}


def test_a_pool_is_one_node_and_loopback_alone(tmp_path: Path) -> None:
    found = written(tmp_path / "pool")
    assert (found["NUM_CPUS"], found["MEMORY"]) == ("8", str(16 * GIGABYTE // 2**20))
    assert found["SLOT_TYPE_1_PARTITIONABLE"] == "True"
    assert found["SLOT_TYPE_1_NodeClass"] == '"general"'
    assert (found["NETWORK_INTERFACE"], found["COLLECTOR_HOST"]) == ("127.0.0.1", "127.0.0.1:0")
    assert found["LOCAL_DIR"] == str(tmp_path / "pool")
    assert found["BIN"] == "/opt/condor/usr/bin"


def test_node_classes_share_the_machine_in_numbers(tmp_path: Path) -> None:
    nodes = (Node("general", 4, 8 * GIGABYTE, 100), Node("highmem", 2, 64 * GIGABYTE, 300))
    found = written(tmp_path / "pool", Settings(nodes))
    assert found["NUM_CPUS"] == "6"
    assert found["SLOT_TYPE_1"] == "cpus=4, memory=7629, disk=25.000%"
    assert found["SLOT_TYPE_2"] == "cpus=2, memory=61035, disk=75.000%"
    assert found["SLOT_TYPE_2_NodeClass"] == '"highmem"'
    assert found["MEMORY"] == str(7629 + 61035)


def test_limits_and_what_a_caller_adds_count_over_ours(tmp_path: Path) -> None:
    limits, further = {"casa": 2, "ARCHIVE": 1.5}, {"NEGOTIATOR_INTERVAL": "60"}
    found = written(tmp_path / "pool", Settings(limits=limits, further=further))
    assert (found["CASA_LIMIT"], found["ARCHIVE_LIMIT"], found["NEGOTIATOR_INTERVAL"]) == ("2", "1.5", "60")


def test_nobody_but_its_owner_may_do_anything(tmp_path: Path) -> None:
    found = written(tmp_path / "pool")
    own = f"{config.account()}@{config.DOMAIN}"
    assert {value for name, value in found.items() if name.startswith("ALLOW_")} == {own}
    assert found["SEC_DEFAULT_AUTHENTICATION"] == "REQUIRED"
    assert (tmp_path / "pool").stat().st_mode & 0o777 == 0o700
    assert found["CONDOR_IDS"] == f"{os.geteuid()}.{os.getegid()}"


@pytest.mark.parametrize(
    "settings",
    [
        Settings((Node('a" || true'),)),
        Settings((Node(""),)),
        Settings(limits={"CASA LIMIT": 1}),
        Settings(limits={"A\nB": 1}),
        Settings(further={"A": "1\nSTART = False"}),
        Settings(further={"A = 1\nB": "2"}),
    ],
)
def test_what_would_say_more_than_it_names_is_refused(tmp_path: Path, settings: Settings) -> None:
    with pytest.raises(Refused):
        config.write(tmp_path / "pool", RELEASE, settings)
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(
    "name", ["with space", "dollar$(LOG)", "colon:s", "quote'", 'double"', "line\nfeed", "a,b"]
)
def test_a_place_that_htcondor_would_read_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="PPI_HOME"):
        config.write(tmp_path / name, RELEASE, Settings())
