"""What a Prefect server, reports and databases are started with, and what is refused before they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checks_examples import greeted, written

from blocks.profile import Profile
from deployments import postgresql
from deployments.serve import Part, database, reports, server
from deployments.serve.place import Place
from tasks.errors import PpiError, Refused

API = "http://127.0.0.1:4299/api"
LOGIN = {"prefect_username": "ppi", "prefect_password": "s3cret"}
EVERYWHERE = "0.0.0.0"  # noqa: S104 - a host that is this one, and not loopback


def part_of(folder: Path, api: str = API, **properties: str) -> Part:
    return server.part(written(folder, prefect_apiUrl=api, **properties), {"PATH": "/bin", "PREFECT_API_URL": "x"})


def test_a_server_is_told_what_its_profile_says_and_nothing_of_another(tmp_path: Path) -> None:
    made = part_of(tmp_path, prefect_retentionDays="30", **LOGIN).command()
    told = made.environment
    assert told["PATH"] == "/bin"
    assert "PREFECT_API_URL" not in told
    assert told["PREFECT_SERVER_API_AUTH_STRING"] == "ppi:s3cret"
    assert told["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert told["PREFECT_SERVER_UI_API_URL"] == API
    assert told["PREFECT_SERVER_EVENTS_RETENTION_PERIOD"] == "P30D"
    assert told["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == "P30D"
    assert set(told["PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED"].split(",")) == {"events", "flow_runs"}
    assert told["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert "s3cret" not in " ".join(made.arguments)
    assert made.arguments[-4:] == ("--host", "127.0.0.1", "--port", "4299")


def test_its_pages_alone_may_talk_to_it(tmp_path: Path) -> None:
    origins = part_of(tmp_path).command().environment["PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS"]
    assert set(origins.split(",")) == {"http://127.0.0.1:4299", "http://localhost:4299"}


def test_the_key_of_its_blocks_is_passed_on(tmp_path: Path) -> None:
    given = {"PREFECT_SERVER_ENCRYPTION_KEY": "a key", "PREFECT_SERVER_DATABASE_CONNECTION_URL": "of another"}
    told = server.part(written(tmp_path, prefect_apiUrl=API), given).command().environment
    assert told["PREFECT_SERVER_ENCRYPTION_KEY"] == "a key"
    assert "PREFECT_SERVER_DATABASE_CONNECTION_URL" not in told


@pytest.mark.parametrize("given", [{}, {"prefect_username": "ppi"}, {"prefect_password": "s3cret"}])
def test_no_server_is_opened_to_a_network_without_a_login(tmp_path: Path, given: dict[str, str]) -> None:
    with pytest.raises(
        Refused, match=r"anybody who can reach it.*Next: set ppi\.prefect\.username and \.password"
    ):
        part_of(tmp_path, f"http://{EVERYWHERE}:4299/api", **given).command()
    assert part_of(tmp_path, f"http://{EVERYWHERE}:4299/api", **LOGIN).command()


@pytest.mark.parametrize("given", [{}, {"prefect_username": "ppi"}])
def test_no_reports_are_opened_to_a_network_without_a_login(tmp_path: Path, given: dict[str, str]) -> None:
    profile = written(tmp_path, prefect_apiUrl=API, reports_url=f"http://{EVERYWHERE}:4298", **given)
    part = reports.part(profile, {})
    assert part
    with pytest.raises(Refused, match="could read what is proprietary"):
        part.command()


def test_the_login_of_reports_is_seen_by_nobody_on_the_host(tmp_path: Path) -> None:
    profile = written(tmp_path, prefect_apiUrl=API, reports_url="http://127.0.0.1:4298/reports/", **LOGIN)
    part = reports.part(profile, {})
    assert part
    made = part.command()
    assert "ppi:s3cret" in made.environment.values()
    assert "s3cret" not in " ".join(made.arguments)
    assert made.arguments[-1] == "/reports"


def test_a_profile_may_have_no_place_for_reports_but_needs_a_server(tmp_path: Path) -> None:
    assert reports.part(written(tmp_path), {}) is None
    with pytest.raises(Refused, match=r"names no Prefect server.*Next: set ppi\.prefect\.apiUrl"):
        server.part(written(tmp_path), {})


def test_the_api_is_where_prefect_has_it(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"Next: write it like http://127\.0\.0\.1:4299/api"):
        part_of(tmp_path, "http://127.0.0.1:4299/prefect").command()


@pytest.mark.parametrize(
    ("api", "here"),
    [
        (API, True),
        ("http://localhost:4299/api", True),
        (f"http://{os.uname().nodename}:4299/api", True),
        ("https://127.0.0.1:4299/api", False),
        ("http://192.0.2.1:4299/api", False),
        ("http://no-such-host.invalid:4299/api", False),
    ],
)
def test_what_is_of_this_host(tmp_path: Path, api: str, here: bool) -> None:
    assert part_of(tmp_path, api).is_here is here


def test_where_nobody_listens_nothing_is_up(tmp_path: Path) -> None:
    assert part_of(tmp_path, "http://127.0.0.1:1/api").is_up() is False


def test_places() -> None:
    assert str(Place.of("https://host/x")) == "host:443"
    assert str(Place.of("http://[::1]:4200/api")) == "[::1]:4200"
    assert Place("127.9.9.9", 1).is_loopback
    assert not Place("192.0.2.1", 1).is_loopback
    assert not Place("no-such-host.invalid", 1).is_loopback


def named(folder: Path, **properties: str) -> Profile:
    return written(folder, **{f"prefect_database_{key}": value for key, value in properties.items()})


@pytest.mark.parametrize(
    ("properties", "url"),
    [
        ({}, None),
        (
            {"url": "postgresql+psycopg://db:5432/p", "username": "ppi", "password": "a:b/@?"},
            "postgresql+asyncpg://ppi:a%3Ab%2F%40%3F@db:5432/p",
        ),
        (
            {"url": "postgresql+psycopg://ppi:x@db/p?sslmode=require"},
            "postgresql+asyncpg://ppi:x@db/p?ssl=require",
        ),
        ({"url": "sqlite:////var/p.db"}, "sqlite+aiosqlite:////var/p.db"),
    ],
)
def test_its_database_in_its_own_words(tmp_path: Path, properties: dict[str, str], url: str | None) -> None:
    assert database.for_prefect(named(tmp_path, **properties)) == url


def test_a_database_that_prefect_cannot_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"ppi\.prefect\.database\.url.*keeps nothing in oracle"):
        database.for_prefect(named(tmp_path, url="oracle+oracledb://db:1521/?service_name=p"))


def databases(folder: Path, prefect: str, catalog: str) -> list[Part]:
    profile = written(folder, prefect_database_url=prefect, catalog_url=catalog)
    return list(database.parts(profile, {}))


def test_databases_of_one_server_are_one_part_and_sqlite_is_none(tmp_path: Path) -> None:
    port = 1
    local = f"postgresql+psycopg://ppi:x@127.0.0.1:{port}/p"
    both = databases(tmp_path, local, f"postgresql+psycopg://c:x@localhost:{port}/c")
    assert [(part.where, part.is_here, part.is_up()) for part in both] == [(f"127.0.0.1:{port}", True, False)]
    apart = databases(tmp_path, local, "postgresql+psycopg://c:x@db.invalid/c")
    assert {part.where: part.is_here for part in apart} == {f"127.0.0.1:{port}": True, "db.invalid:5432": False}
    assert databases(tmp_path, "sqlite:////p.db", "sqlite:////c.db") == []


def test_a_private_cluster_needs_to_know_its_accounts(tmp_path: Path) -> None:
    (part,) = databases(tmp_path, "postgresql+psycopg://127.0.0.1:1/p", "sqlite:////c.db")
    with pytest.raises(Refused, match=r"Next: set ppi\.prefect\.database\.url with.*\.username "):
        part.command()


def test_two_areas_have_two_clusters() -> None:
    homes = {postgresql.home_for(Path(area), port) for area in ("/a/x", "/b/x") for port in (1, 2)}
    assert len(homes) == 4


def test_what_listens_and_is_no_postgresql_is_told(tmp_path: Path) -> None:

    with greeted(b"HTTP/1.0 400 Bad Request\r\n\r\n") as (address, _):
        url = f"postgresql+psycopg://ppi:planted@{address}/p?connect_timeout=3"
        (part,) = databases(tmp_path, url, "sqlite:////c.db")
        with pytest.raises(PpiError) as raised:
            part.is_up()
    assert "the Prefect server's database" in str(raised.value)
    assert "planted" not in str(raised.value)
