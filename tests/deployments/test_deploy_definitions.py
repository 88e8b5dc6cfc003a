"""What `prefect.yaml` and the environments' own files say: every flow in every environment, nothing left open."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow

from blocks.capo import SHIPPED
from blocks.names import slug
from blocks.profile import Metadata, Ngas, Prefect, Processing, Profile
from deployments import resource
from deployments.definitions import Definition, definitions, pool

ROOT = Path(__file__).parents[2]
CONTENT: dict[str, Any] = yaml.safe_load((ROOT / "prefect.yaml").read_text())
DEPLOYMENTS: list[dict[str, Any]] = CONTENT["deployments"]
SITES, ENVIRONMENTS = ("dsoc", "naasc"), ("prod", "test", "dev")
SHIPPED_PROFILES = {
    *(f"{site}-{environment}" for site in SITES for environment in ENVIRONMENTS),
    *(f"vlass.{environment}" for environment in ENVIRONMENTS),
}
ASKED_FOR = {"mous"}
"""What a deployment of a flow on an observation leaves to whoever runs it; others ask for nothing."""
UPKEEP = {"ingestion_sweep", "housekeeping", "listen"}
"""The flows that look after an environment; they must not wait until there is room for those on observations."""
SCHEDULED = {"ingestion_sweep": "*/5 * * * *", "housekeeping": None}
"""The flows that run by themselves, and when, if that is to be so."""

each_deployment = pytest.mark.parametrize(
    "deployment", DEPLOYMENTS, ids=lambda deployment: f"{deployment['entrypoint']}-{deployment['name']}"
)


def flow_of(deployment: dict[str, Any]) -> Flow[..., Any]:
    module, _, name = deployment["entrypoint"].rpartition(".")
    found: Flow[..., Any] = getattr(importlib.import_module(module), name)
    assert Path(inspect.getfile(found.fn)) == ROOT / f"{module.replace('.', '/')}.py"
    return found


def flow_name(deployment: dict[str, Any]) -> str:
    return str(deployment["entrypoint"]).rpartition(".")[2]


def profile_of(name: str, **more: Any) -> Profile:
    return Profile(
        name=name,
        processing=Processing(root_directory=Path("/area")),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers="one:7777"),
        **more,
    )


@each_deployment
def test_a_deployment_gives_its_flow_all_that_is_not_asked_for(deployment: dict[str, Any]) -> None:
    flow = flow_of(deployment)
    known = inspect.signature(flow.fn).parameters
    required = {name for name, parameter in known.items() if parameter.default is parameter.empty}
    given = deployment["parameters"]
    assert set(given) <= set(known)
    assert required - set(given) == (set() if flow_name(deployment) in UPKEEP else ASKED_FOR)
    assert given["profile"] == deployment["name"]
    asked = dict.fromkeys(required - set(given), "uid://A001/X1284/X265f")
    flow.validate_parameters({**given, **asked})


@each_deployment
def test_what_looks_after_an_environment_has_a_queue_of_its_own_and_runs_once_at_a_time(
    deployment: dict[str, Any],
) -> None:
    name = flow_name(deployment)
    queue, limit = deployment["work_pool"].get("work_queue_name"), deployment.get("concurrency_limit")
    assert queue == ("upkeep" if name in UPKEEP else None)
    assert limit == ({"limit": 1, "collision_strategy": "CANCEL_NEW"} if name in UPKEEP else None)
    crons = [schedule["cron"] for schedule in deployment.get("schedules", [])]
    assert len(crons) == (name in SCHEDULED)
    assert SCHEDULED.get(name) in (None, *crons)


@each_deployment
def test_a_deployment_says_what_it_does_and_explains_every_parameter(deployment: dict[str, Any]) -> None:
    said = deployment["description"]
    assert [name for name in inspect.signature(flow_of(deployment).fn).parameters if f"`{name}`" not in said] == []
    assert "report" in said


def test_every_flow_is_in_every_environment() -> None:
    flows = {entry["entrypoint"] for entry in CONTENT["definitions"]["flows"]}
    there = {path.stem for path in (ROOT / "flows").glob("*.py") if not path.name.startswith("_")}
    assert flows == {f"flows.{name}.{name}" for name in there}
    wanted = sorted((flow, profile) for flow in flows for profile in SHIPPED_PROFILES)
    assert sorted((deployment["entrypoint"], deployment["name"]) for deployment in DEPLOYMENTS) == wanted


def test_every_environment_is_shipped_whole() -> None:
    assert {file.stem for file in SHIPPED.glob("*.properties")} == SHIPPED_PROFILES
    files = {file.stem for file in resource("").glob("*.yaml") if file.name != "prefect.yaml"}
    assert files == SHIPPED_PROFILES


@pytest.mark.parametrize("name", sorted(SHIPPED_PROFILES))
def test_a_shipped_environment_has_its_own_work_pool(name: str) -> None:
    profile = Profile.load(name, str(SHIPPED))
    for definition in definitions(profile):
        assert definition.work_pool.name == profile.prefect.work_pool == slug(name)
        assert definition.tags == tuple(name.replace(".", "-").split("-"))
    assert pool(profile).description
    assert pool(profile).concurrency_limit
    listed = [deployment for deployment in DEPLOYMENTS if deployment["name"] == name]
    assert {deployment["work_pool"]["name"] for deployment in listed} == {slug(name)}


def described(definition: Definition) -> tuple[Any, ...]:
    return definition.work_pool.work_queue_name, definition.schedules, definition.concurrency_limit


def test_a_profile_that_is_not_listed_gets_every_flow() -> None:
    profile = profile_of("my.own", site="MINE", environment="trial")
    made = definitions(profile)
    assert [each.entrypoint for each in made] == [flow["entrypoint"] for flow in CONTENT["definitions"]["flows"]]
    assert {(each.name, each.tags, each.work_pool.name) for each in made} == {
        ("my.own", ("mine", "trial"), "my-own")
    }
    assert all(each.parameters == {"profile": "my.own"} for each in made)
    listed = definitions(Profile.load("dsoc-test", str(SHIPPED)))
    assert [described(each) for each in made] == [described(each) for each in listed]
    assert definitions(profile_of("unknown"))[0].tags == ()
    assert pool(profile).concurrency_limit is None
    assert pool(profile_of("prefect")).description == "The environment of profile prefect."


def test_a_profile_may_name_another_work_pool() -> None:
    found = definitions(profile_of("dsoc-test", prefect=Prefect(work_pool="big")))
    assert {definition.work_pool.name for definition in found} == {"big"}


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for each in value:
            yield from texts(each)
    else:
        yield str(value)


def test_no_placeholder_waits_to_be_filled_and_nothing_is_pulled() -> None:
    assert [text for text in texts(CONTENT) if "{{" in text or "${" in text] == []
    assert CONTENT["pull"] == []
