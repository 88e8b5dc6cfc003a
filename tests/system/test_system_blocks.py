"""Blocks on a real Prefect server: saved, loaded, planted, mixed; no secret can be read in its database."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import BlockDocumentUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import Profile, ProfileError
from blocks.compare import differences
from blocks.saved import load, save, slug

ROOT = Path(__file__).parents[2]
SECRETS = {
    "ppi.prefect.password": "Zq7xK-prefect",
    "ppi.prefect.database.password": "Zq7xK-server-database",
    "ppi.metadata.password": "Zq7xK-metadata",
    "ppi.catalog.password": "Zq7xK-catalog",
    "ppi.ngas.password": "Zq7xK-ngas",
    "ppi.broker.password": "Zq7xK-broker",
}


@pytest.fixture(autouse=True)
def _server(prefect_api: str) -> Iterator[None]:
    with temporary_settings({PREFECT_API_URL: prefect_api}):
        yield


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as made:
        yield made


@pytest.fixture
def name() -> str:
    return f"site-{uuid4().hex[:8]}"


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def written(directory: Path, name: str, api: str, **more: str) -> Profile:
    """Write and load a profile with a value for about everything."""
    given = {
        "ppi.profile.site": "NAASC",
        "ppi.prefect.apiUrl": api,
        "ppi.prefect.username": "ppi",
        "ppi.prefect.database.url": "postgresql+psycopg://db:5432/prefect",
        "ppi.processing.rootDirectory": "/lustre/test",
        "ppi.metadata.url": "postgresql+psycopg://reader@almadb:5432/alma",
        "ppi.metadata.schema": "alma",
        "ppi.ngas.servers": "ngas1:7777, ngas2:7778",
        "ppi.ngas.timeoutSeconds": "2.123456789",
        "ppi.casa.measuresDirectory": "/home/casa/data",
        "ppi.cluster.casa.walltime": "48:00:00",
        "ppi.cluster.casa.requirements": '(TARGET.NodeClass == "highmem")',
        "ppi.access.projects": "2017.1.00886.L, 2019.1.00001.S",
        **SECRETS,
    } | {f"ppi.{key.replace('__', '.')}": value for key, value in more.items()}
    directory.mkdir(exist_ok=True)
    (directory / f"{name}.properties").write_text("".join(f"{key} = {given[key]}\n" for key in given))
    return Profile.load(name, str(directory))


def documents(client: SyncPrefectClient, name: str) -> dict[str, Any]:
    """Every block of a profile by its type, with when it was written."""
    kinds = [kind for kind in client.read_block_types() if kind.name.startswith("PPI ")]
    listed = [(kind.name, found) for kind in kinds for found in client.read_block_documents_by_type(kind.slug)]
    return {kind: found for kind, found in listed if found.name == slug(name)}


def times(client: SyncPrefectClient, name: str) -> dict[str, datetime]:
    return {kind: found.updated for kind, found in documents(client, name).items()}


def plant(client: SyncPrefectClient, document: Any, **data: Any) -> None:
    """Change a block as its form in Prefect's pages does, which sends all of it."""
    held = {name: each["block_document"]["id"] for name, each in document.block_document_references.items()}
    whole = document.data | {name: {"$ref": {"block_document_id": part}} for name, part in held.items()} | data
    client.update_block_document(document.id, BlockDocumentUpdate(data=whole, merge_existing_data=False))


def reference(document: Any) -> dict[str, Any]:
    return {"$ref": {"block_document_id": str(document.id)}}


def test_what_was_saved_is_loaded(name: str, tmp_path: Path, prefect_api: str) -> None:
    profile = written(tmp_path / "capo", name, prefect_api)
    save(profile)
    loaded = load(name)
    assert differences(loaded, profile) == ()
    assert loaded.catalog.password.get_secret_value() == SECRETS["ppi.catalog.password"]
    assert loaded.model_dump(exclude={"prefect"}) == profile.model_dump(exclude={"prefect"})
    assert loaded.prefect.username == "ppi"


def test_what_only_the_server_needs_is_not_saved(name: str, tmp_path: Path, prefect_api: str) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    loaded = load(name)
    assert loaded.prefect.password.get_secret_value() == ""
    assert loaded.prefect.database.url is None
    assert loaded.left_out == {
        "ppi.prefect.password",
        *(f"ppi.prefect.database.{field}" for field in ("url", "username", "password")),
    }


def test_there_is_a_block_for_the_profile_and_for_each_section(
    name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    assert set(documents(client, name)) == {
        "PPI Profile",
        *(f"PPI {part}" for part in ("Prefect", "Processing", "Metadata", "Catalog", "NGAS", "CASA", "Broker")),
        *(f"PPI {part}" for part in ("Access", "Reports", "Cluster", "Sweep", "Notify", "Retention")),
        *(f"PPI Cluster {part}" for part in ("Transfer", "CASA", "Light")),
    }


def test_saving_again_writes_nothing_and_a_change_only_what_differs(
    name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    first, kinds = times(client, name), {kind.slug: kind.updated for kind in client.read_block_types()}
    save(written(tmp_path / "capo", name, prefect_api))
    assert times(client, name) == first
    save(written(tmp_path / "capo", name, prefect_api, cluster__light__cores="3"))
    second = times(client, name)
    assert {kind for kind in first if first[kind] != second[kind]} == {"PPI Cluster Light", "PPI Profile"}
    assert {kind.slug: kind.updated for kind in client.read_block_types()} == kinds
    assert load(name).cluster.light.cores == 3


def test_a_secret_that_changes_is_saved(name: str, tmp_path: Path, prefect_api: str) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    save(written(tmp_path / "capo", name, prefect_api, ngas__password="another"))
    assert load(name).ngas.password.get_secret_value() == "another"


def test_a_value_that_is_taken_back_is_gone(name: str, tmp_path: Path, prefect_api: str) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    save(written(tmp_path / "capo", name, prefect_api, casa__measuresDirectory=""))
    assert load(name).casa.measures_directory is None


def test_no_secret_can_be_read_in_the_servers_database(
    name: str,
    tmp_path: Path,
    prefect_api: str,
    tmp_path_factory: pytest.TempPathFactory,
    client: SyncPrefectClient,
) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    files = [
        file
        for home in tmp_path_factory.getbasetemp().glob("prefect*")
        for file in home.rglob("*")
        if file.is_file()
    ]
    assert any(file.name == "prefect.db" for file in files)
    assert [file for file in files if b"Zq7xK" in file.read_bytes()] == []
    assert "Zq7xK" not in str(client.read_block_documents(limit=200, include_secrets=False))


def test_blocks_that_are_not_there(name: str, prefect_api: str) -> None:
    with pytest.raises(
        ProfileError, match=rf"none on the Prefect server {prefect_api}\. Next: ppi deploy {name}$"
    ):
        load(name)


def test_a_block_that_holds_another_profile_is_refused_with_both_names(
    name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    other = f"{name}.other"
    profile = written(tmp_path / "capo", f"{name}-other", prefect_api)
    save(profile)
    for act in (lambda: load(other), lambda: save(written(tmp_path / "capo", other, prefect_api))):
        with pytest.raises(ProfileError, match=f"holds the profile '{name}-other', not '{other}'"):
            act()
    plant(client, documents(client, f"{name}-other")["PPI Profile"], name="dsoc-prod")
    with pytest.raises(ProfileError, match=f"holds the profile 'dsoc-prod', not '{name}-other'"):
        load(f"{name}-other")


@pytest.mark.parametrize(("part", "kind"), [("ngas", "PPI NGAS"), ("processing", "PPI Processing")])
def test_another_profiles_section_is_refused_with_both_names_and_mended(
    part: str, kind: str, name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    mine = written(tmp_path / "capo", name, prefect_api)
    save(mine)
    save(written(tmp_path / "capo", f"{name}-prod", prefect_api))
    foreign = documents(client, f"{name}-prod")[kind]
    plant(client, documents(client, name)["PPI Profile"], **{part: reference(foreign)})
    with pytest.raises(ProfileError, match=rf"of the profile '{name}-prod', not of '{name}'\. Next: ppi deploy"):
        load(name)
    save(mine)
    assert differences(load(name), mine) == ()


def test_a_section_that_is_gone_is_told_and_mended(
    name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    mine = written(tmp_path / "capo", name, prefect_api)
    save(mine)
    client.delete_block_document(documents(client, name)["PPI NGAS"].id)
    with pytest.raises(ProfileError, match=rf"ppi-ngas/{name} is missing\. Next: ppi deploy {name}$"):
        load(name)
    save(mine)
    assert differences(load(name), mine) == ()


def test_a_block_that_was_edited_by_hand_is_refused_and_mended(
    name: str, tmp_path: Path, prefect_api: str, client: SyncPrefectClient
) -> None:
    profile = written(tmp_path / "capo", name, prefect_api)
    save(profile)
    plant(client, documents(client, name)["PPI Processing"], root_directory="/lustre/prod")
    with pytest.raises(ProfileError, match="they do not belong together"):
        load(name)
    save(profile)
    assert load(name).processing.root_directory == Path("/lustre/test")


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("PPI NGAS", {"warp": "9"}, "field ngas.warp: PPI of this installation has no such field"),
        ("PPI Profile", {"warp": "9"}, "field warp: PPI of this installation has no such field"),
        ("PPI CASA", {"executor": "rocket"}, "field casa.executor: Input should be 'casatasks' or 'pipeline'"),
        ("PPI Metadata", {"url": ""}, "field metadata.url: Field required"),
    ],
)
def test_a_field_that_this_ppi_cannot_take_is_named_and_mended(
    kind: str,
    data: dict[str, str],
    said: str,
    name: str,
    tmp_path: Path,
    prefect_api: str,
    client: SyncPrefectClient,
) -> None:
    profile = written(tmp_path / "capo", name, prefect_api)
    save(profile)
    plant(client, documents(client, name)[kind], **data)
    with pytest.raises(ProfileError) as caught:
        load(name)
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"Next: ppi deploy {name}")
    assert "Zq7xK" not in f"{caught.value!r} {caught.value.__context__!r}"
    save(profile)
    assert differences(load(name), profile) == ()


def test_a_profile_is_saved_on_no_server_but_its_own(name: str, tmp_path: Path, prefect_api: str) -> None:
    profile = written(tmp_path / "capo", name, "http://prod:4200/api")
    with pytest.raises(
        ProfileError, match=f"uses the Prefect server {prefect_api}, and the .* own is http://prod"
    ):
        save(profile)


def test_a_process_without_a_server_is_told_so(name: str, tmp_path: Path, prefect_api: str) -> None:
    with temporary_settings(restore_defaults={PREFECT_API_URL}), pytest.raises(ProfileError, match="no Prefect"):
        load(name)


THREADED = """
import sys
from concurrent.futures import ThreadPoolExecutor
from blocks.current import current
with ThreadPoolExecutor(4) as threads:
    found = list(threads.map(current, [sys.argv[1]] * 8))
print({profile.ngas.servers[1] for profile in found}, current(sys.argv[1]) is current(sys.argv[1]))
"""


def test_a_run_of_a_worker_takes_blocks_and_no_files_in_any_thread(
    name: str, tmp_path: Path, prefect_api: str
) -> None:
    save(written(tmp_path / "capo", name, prefect_api))
    written(tmp_path / "capo", name, prefect_api, ngas__servers="of:1, files:2")
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CAPO_PATH": str(tmp_path / "capo"),
        "PREFECT_API_URL": prefect_api,
    }

    def servers(**more: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", THREADED, name],
            cwd=ROOT,
            env=variables | more,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert servers(PREFECT__FLOW_RUN_ID=str(uuid4())) == "{'ngas2:7778'} True"
    assert servers() == "{'files:2'} False"
