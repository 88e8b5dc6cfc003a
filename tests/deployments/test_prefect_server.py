"""Which Prefect server a process talks to: its profile's, whatever its user's shell says."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks_examples import answering, routed, written

from blocks.profile import Profile
from deployments import prefect_server
from tasks.errors import Refused, Transient

API = "http://127.0.0.1:4299/api"
LOGIN = {"prefect_username": "ppi", "prefect_password": "s3cret"}


def test_an_environment_names_its_own_server_and_no_other(tmp_path: Path) -> None:
    shell = {
        "PATH": "/bin",
        "PREFECT_API_URL": "http://elsewhere/api",
        "PREFECT_API_KEY": "key",
        "PREFECT_API_AUTH_STRING": "other:one",
        "PREFECT_PROFILE": "other",
        "PREFECT_PROFILES_PATH": "/elsewhere/profiles.toml",
        "PREFECT_SERVER_ENCRYPTION_KEY": "of the server alone",
        "PREFECT__FLOW_RUN_ID": "of the run in which somebody called ppi",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_API_SSL_CERT_FILE": "/ca.pem",
    }
    made = prefect_server.environment(written(tmp_path, prefect_apiUrl=f"{API}/"), shell)
    assert made["PREFECT_API_URL"] == API
    assert made["PREFECT_HOME"].startswith(str(tmp_path))
    assert {name: made[name] for name in ("PATH", "PREFECT_LOGGING_LEVEL", "PREFECT_API_SSL_CERT_FILE")} == {
        "PATH": "/bin",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
        "PREFECT_API_SSL_CERT_FILE": "/ca.pem",
    }
    gone = {"PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"}
    assert not (gone | {"PREFECT_SERVER_ENCRYPTION_KEY", "PREFECT__FLOW_RUN_ID"}) & set(made)


@pytest.mark.parametrize(
    ("name", "text", "refused"),
    [
        (".env", "A = 1\nexport PREFECT_API_URL=http://elsewhere/api\n", True),
        (".env", "prefect_api_auth_string = other:one", True),
        (".env", "# PREFECT_API_URL is not here\nMY_PREFECT_API_URL=1\nPREFECT_LOGGING_LEVEL=DEBUG\n", False),
        ("prefect.toml", "[api]\nurl = 'http://elsewhere/api'\n", True),
        ("pyproject.toml", "[project]\n[tool.prefect.api]\nurl = 'http://elsewhere/api'\n", True),
        ("pyproject.toml", "[project]\n[tool.ruff]\n", False),
    ],
)
def test_where_files_tell_prefect_of_another_server_nothing_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str, refused: bool
) -> None:
    profile = written(tmp_path, prefect_apiUrl=API)
    (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    if refused:
        with pytest.raises(Refused, match=f"{name}: it holds settings of Prefect"):
            prefect_server.environment(profile, {})
    else:
        assert prefect_server.environment(profile, {})["PREFECT_API_URL"] == API


def test_a_profile_without_a_server_has_no_word_about_one(tmp_path: Path) -> None:
    made = prefect_server.environment(written(tmp_path), {"PREFECT_API_URL": "http://elsewhere/api"})
    assert "PREFECT_API_URL" not in made


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (LOGIN, "ppi:s3cret"),
        ({"prefect_username": "ppi"}, None),
        ({"prefect_password": "s3cret"}, None),
        ({}, None),
    ],
)
def test_a_login_is_shown_if_there_is_one(tmp_path: Path, given: dict[str, str], shown: str | None) -> None:
    profile = written(tmp_path, prefect_apiUrl=API, **given)
    assert prefect_server.variables(profile).get("PREFECT_API_AUTH_STRING") == shown


def at(tmp_path: Path, address: str, **properties: str) -> Profile:
    return written(tmp_path, prefect_apiUrl=f"http://{address}/api", **properties)


def test_a_server_is_required_to_answer(tmp_path: Path) -> None:
    with answering(routed({"/api/admin/version": (200, "3.8.8")})) as address:
        prefect_server.require(at(tmp_path, address))
    with pytest.raises(Transient, match=r"does not answer\. Next: start it"):
        prefect_server.require(at(tmp_path, "127.0.0.1:1"))


@pytest.mark.parametrize(("status", "error"), [(401, Refused), (403, Refused), (404, Transient), (503, Transient)])
def test_a_server_is_required_to_let_us_in(tmp_path: Path, status: int, error: type[Exception]) -> None:
    with answering(lambda path, authorization: (status, {})) as address:
        with pytest.raises(error) as raised:
            prefect_server.require(at(tmp_path, address, **LOGIN))
        assert "s3cret" not in str(raised.value)
