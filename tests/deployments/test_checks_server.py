"""What a check finds of a Prefect server, its work pool and its workers, as far as a stand-in can show it."""

from __future__ import annotations

import base64
import importlib.metadata
import socket
from pathlib import Path
from typing import Any

import pytest
from checks_examples import Answer, Handler, answering, greeted, routed, written

from blocks.profile import Profile
from deployments.checks import Finding, server
from deployments.checks.finding import Look

OURS = importlib.metadata.version("prefect")
POOL = "/api/work_pools/site-test"
WELL: dict[str, Answer] = {
    "/api/admin/version": (200, OURS),
    POOL: (200, {"name": "site-test", "type": "process", "is_paused": False}),
    f"{POOL}/workers/filter": (200, [{"name": "old@a", "status": "OFFLINE"}, {"name": "b", "status": "ONLINE"}]),
}
LOGIN = {"prefect_username": "ppi", "prefect_password": "s3cret"}
SIGNED = "Basic " + base64.b64encode(b"ppi:s3cret").decode()


def looked(profile: Profile) -> dict[str, Finding]:
    return {probe.what: Look(probe, 20).finding() for probe in server.probes(profile)}


def findings(folder: Path, handle: Handler, host: str = "127.0.0.1", **properties: str) -> dict[str, Finding]:
    with answering(handle) as address:
        api = f"http://{host}:{address.rpartition(':')[2]}/api"
        return looked(written(folder, prefect_apiUrl=api, **properties))


def changed(**answers: Answer) -> dict[str, Answer]:
    paths = {"version": "/api/admin/version", "pool": POOL, "workers": f"{POOL}/workers/filter"}
    return WELL | {paths[name]: answer for name, answer in answers.items()}


def test_a_server_that_is_well(tmp_path: Path) -> None:
    of = findings(tmp_path, routed(WELL))
    assert of["Prefect server"].why.startswith(f"Prefect {OURS} at http://127.0.0.1")
    assert of["work pool"].why == "site-test (process)"
    assert of["worker"].why == "b"
    assert {of[what].state for what in ("Prefect server", "work pool", "worker")} == {"ok"}


def test_a_server_that_is_not_there_is_wrong_once_and_the_rest_unknown(tmp_path: Path) -> None:
    of = looked(written(tmp_path, prefect_apiUrl="http://127.0.0.1:1/api"))
    assert (of["Prefect server"].state, of["Prefect server"].exit_code) == ("wrong", 5)
    for what in ("work pool", "worker"):
        assert (of[what].state, of[what].exit_code) == ("unknown", 5)


def test_a_server_of_another_kind_leaves_the_rest_unknown(tmp_path: Path) -> None:
    of = findings(tmp_path, lambda path, _: (200, {}))
    assert of["Prefect server"].state == "wrong"
    for what in ("work pool", "worker"):
        assert (of[what].state, of[what].why) == ("unknown", "the Prefect server is to be mended first")


def test_a_server_that_says_nothing_is_wrong(tmp_path: Path) -> None:
    with greeted(None) as (address, _):
        finding = looked(written(tmp_path, prefect_apiUrl=f"http://{address}/api"))["Prefect server"]
    assert (finding.state, finding.exit_code) == ("wrong", 5)
    assert "ReadTimeout" in finding.why


@pytest.mark.parametrize(
    ("answers", "what", "code", "says"),
    [
        ({"version": (200, "2.20.1")}, "Prefect server", 3, "older than this one's"),
        ({"version": (500, "")}, "Prefect server", 5, "HTTP 500"),
        ({"version": (200, b"<html>It works</html>")}, "Prefect server", 5, "does not answer as Prefect does"),
        ({"version": (200, {"not": "a version"})}, "Prefect server", 5, "does not answer as Prefect does"),
        ({"version": (404, {})}, "Prefect server", 5, "does not answer as Prefect does"),
        ({"pool": (404, {})}, "work pool", 4, "the server has none of this name"),
        ({"pool": (200, {"type": "process", "is_paused": True})}, "work pool", 3, "it is paused"),
        ({"workers": (404, {})}, "worker", 4, "the server has none of this name"),
        ({"workers": (200, [])}, "worker", 4, "there never was one"),
        ({"workers": (200, [{"name": "a", "status": "OFFLINE"}])}, "worker", 4, "none is up (1 were)"),
    ],
)
def test_what_is_wrong_with_a_server_is_told(
    tmp_path: Path, answers: dict[str, Any], what: str, code: int, says: str
) -> None:
    finding = findings(tmp_path, routed(changed(**answers)))[what]
    assert (finding.state, finding.exit_code) == ("wrong", code)
    assert says in finding.why
    assert finding.todo


def guarded(path: str, authorization: str) -> Answer:
    answer = WELL.get(path, (404, {"detail": "Not Found"}))
    return answer if authorization == SIGNED else (401, {"exception_message": "Unauthorized"})


def test_the_login_is_used_and_its_lack_or_fault_told(tmp_path: Path) -> None:
    assert findings(tmp_path, guarded, **LOGIN)["worker"].state == "ok"
    without = findings(tmp_path, guarded)["Prefect server"]
    assert (without.state, without.exit_code) == ("wrong", 3)
    assert "asks for a name and password" in without.why
    wrong = findings(tmp_path, guarded, **LOGIN | {"prefect_password": "0ther"})["Prefect server"]
    assert "does not let us in" in wrong.why
    assert "ppi.prefect.username" in wrong.todo


def test_a_server_that_others_can_reach_must_ask_for_a_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve("127.0.0.1" if host == "prefect-test" else host, *rest, **more),
    )
    opened = findings(tmp_path, routed(WELL), "prefect-test", **LOGIN)["Prefect server"]
    assert (opened.state, opened.exit_code) == ("wrong", 3)
    assert "lets anybody in" in opened.why
    assert findings(tmp_path, guarded, "prefect-test", **LOGIN)["Prefect server"].state == "ok"
