"""The profiles that PPI is shipped with: each loads as it is, holds no secret, and shares only what is shared."""

from __future__ import annotations

import re
import sys
from itertools import combinations
from pathlib import Path

import pytest

from blocks import Profile
from blocks.capo import SHIPPED, profiles
from blocks.keys import keys_of

SITES, ENVIRONMENTS = ("dsoc", "naasc"), ("prod", "test", "dev")
OWN = (*(f"{site}-{environment}" for site in SITES for environment in ENVIRONMENTS),)
VLASS = (*(f"vlass.{environment}" for environment in ENVIRONMENTS),)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    for name in ("CAPO_PATH", "CAPO_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for variable in re.findall(r"\$\{env:(\w+)\}", "".join(file.read_text() for file in SHIPPED.iterdir())):
        monkeypatch.delenv(variable, raising=False)


def test_there_is_a_profile_for_each_environment_and_for_vlass_in_each() -> None:
    assert {name for name, files in profiles().items() if SHIPPED in {file.parent for file in files}} == {
        *OWN,
        *VLASS,
    }


@pytest.mark.parametrize("name", [*OWN, *VLASS])
def test_it_loads_without_secrets_and_warnings(name: str) -> None:
    profile = Profile.load(name)
    assert profile.warnings == ()
    assert profile.prefect.api_url
    secrets = [key.value_in(profile).get_secret_value() for key in keys_of(Profile) if key.is_secret]
    assert set(secrets) == {""}


@pytest.mark.parametrize("name", [*OWN, *VLASS])
def test_passwords_are_left_to_the_environment_of_their_own_profile(name: str) -> None:
    text = (SHIPPED / f"{name}.properties").read_text()
    passwords = dict(re.findall(r"^(\S+[pP]assword) = (.*)$", text, re.MULTILINE))
    own = name.replace("vlass.", "dsoc-").replace("-", "_").upper()
    shared = {"ppi.metadata.password"}
    assert all(
        re.fullmatch(r"\$\{env:PPI_\w+\}" if key in shared else rf"\$\{{env:PPI_{own}_\w+\}}", value)
        for key, value in passwords.items()
    )
    assert len(passwords) == 5


def own(profile: Profile) -> list[object]:
    """Return what no two profiles may share."""
    catalog = profile.catalog.url
    return [profile.processing.root_directory, profile.prefect.work_pool, catalog, profile.reports.url]


def of_an_environment(profile: Profile) -> list[object]:
    return [profile.prefect.api_url, profile.prefect.database.url, profile.broker.url]


@pytest.mark.parametrize(("one", "other"), list(combinations((*OWN, *VLASS), 2)))
def test_two_profiles_share_only_what_is_shared(one: str, other: str) -> None:
    first, second = Profile.load(one), Profile.load(other)
    assert not set(own(first)) & set(own(second))
    assert first.metadata == second.metadata
    at_one_site = first.site == second.site
    assert (first.processing.store_directory == second.processing.store_directory) is at_one_site
    assert (first.ngas == second.ngas) is at_one_site
    if at_one_site and first.environment == second.environment:
        assert of_an_environment(first) == of_an_environment(second)
    else:
        assert not set(of_an_environment(first)) & set(of_an_environment(second))


@pytest.mark.parametrize("name", [*OWN, *VLASS])
def test_jobs_count_against_what_environments_share_and_in_the_group_of_their_own(name: str) -> None:
    profile = Profile.load(name)
    cluster, whose = profile.cluster, "vlass" if name in VLASS else "ppi"
    assert (cluster.transfer.concurrency_limits, cluster.casa.concurrency_limits) == ("NGAS", "CASA")
    groups = {each.accounting_group for each in (cluster.transfer, cluster.casa, cluster.light)}
    assert groups == {f"group_{profile.environment}.{whose}"}


def test_what_is_shipped_is_overridden_and_not_read_where_a_path_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = Path.home() / ".capo"
    home.mkdir(parents=True)
    (home / "dsoc-test.properties").write_text("ppi.casa.executor = casatasks\n")
    profile = Profile.load("dsoc-test")
    assert (profile.casa.executor, profile.cluster.kind) == ("casatasks", "htcondor")
    monkeypatch.setenv("CAPO_PATH", str(tmp_path))
    assert profiles() == {"dsoc-test": (home / "dsoc-test.properties",)}
    assert profiles(str(SHIPPED)).keys() == {*OWN, *VLASS}
