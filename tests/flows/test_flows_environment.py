"""What a run may stand on, tried with every mixture of names against a rule that is written another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import flows._environment
import flows._standing
from blocks.errors import Problem, ProfileError
from blocks.installation import MARKER
from blocks.profile import Metadata, Ngas, Prefect, Processing, Profile
from flows._environment import enter, require_installation
from flows._standing import Standing
from tasks.errors import Refused

NAMES = ("dsoc-test", "dsoc-dev", "naasc-test", "vlass.test", "vlass.prod", "vlass.odd", "local")
LENT = {
    "vlass.test": {"dsoc-test", "naasc-test", "vlass.odd"},
    "vlass.prod": {"vlass.odd"},
    "vlass.odd": set(NAMES),
}
"""On whose deployment, worker and installation a restore with a VLASS profile may stand."""


def api(name: str) -> str:
    return f"http://{name}/api"


def pool(name: str) -> str:
    return name.replace(".", "-")


def profile(name: str) -> Profile:
    environment = pool(name).rpartition("-")[2]
    return Profile(
        name=name,
        environment="unknown" if environment == "odd" else environment,
        prefect=Prefect(api_url=f"{api(name)}/"),
        processing=Processing(root_directory=Path("/area")),
        metadata=Metadata(url="sqlite:////nowhere"),
        ngas=Ngas(servers="one:7777"),
    )


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Mostly of two profiles, since of more it would almost never be right."""
    own, other = draw(st.sampled_from(NAMES)), draw(st.sampled_from(NAMES))

    def one(*more: str | None) -> str | None:
        return draw(st.sampled_from([own, own, own, other, other, *more]))

    return Standing(
        profile=own,
        installation=one(None, None),
        software=draw(st.sampled_from([None] * 9 + [Path("/elsewhere")])),
        server=api(str(one())),
        run="a-run",
        deployment=one("dsoc-dev", None),
        worker=one("dsoc-dev", None),
        pool=pool(str(one())),
        additions=draw(st.sampled_from([()] * 9 + [("env.CAPO_PROFILE",)])),
    )


def may_stand(standing: Standing, work: str) -> bool:
    """Return whether a run may stand on something: the rule, written another way."""
    own = standing.profile
    installation = None if own == "local" else standing.installation
    strangers = {standing.deployment, standing.worker or own, installation or own} - {own}
    if strangers and not (work == "restore-ous" and strangers in [{name} for name in LENT.get(own, ())]):
        return False
    hosts = {own, *map(str, strangers)}
    places = standing.pool in map(pool, hosts) and standing.server in map(api, hosts)
    return places and not standing.software and not standing.additions


@contextmanager
def standing_on(standing: Standing, load: Callable[[str], Profile] = profile) -> Iterator[None]:
    """Let this process stand on something, where the profiles of the server are as given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows._standing, "of_flow", lambda _: standing)
        patch.setattr(flows._environment, "current", load)
        patch.setattr(flows._environment, "_tell_of_bare_worker", lambda _: None)
        patch.setattr(flows._environment, "_require_fresh", lambda _: None)
        yield


@given(standings(), st.sampled_from(["restore-ous", "sweep"]))
def test_only_what_is_of_one_profile_is_entered(standing: Standing, work: str) -> None:
    with standing_on(standing):
        if may_stand(standing, work):
            assert enter(standing.profile, work).name == standing.profile
            return
        with pytest.raises(Refused) as refused:
            enter(standing.profile, work)
    names = (standing.profile, standing.installation, standing.deployment, standing.worker, standing.pool)
    for name in (*names, standing.server):
        assert str(name or "no") in refused.value.why
    assert refused.value.todo


RIGHT = Standing(
    "dsoc-test", None, None, api("dsoc-test"), "a-run", "dsoc-test", "dsoc-test", "me@here", "dsoc-test"
)


def test_a_profile_that_is_not_on_the_server_is_told_of_if_nothing_else_is_wrong() -> None:
    def missing(name: str) -> Profile:
        raise ProfileError(name, (Problem("blocks", "there are none", f"ppi deploy {name}"),))

    with standing_on(RIGHT, missing), pytest.raises(ProfileError, match="ppi deploy dsoc-test"):
        enter("dsoc-test", "restore-ous")
    with standing_on(replace(RIGHT, worker="dsoc-dev"), missing), pytest.raises(Refused, match="blocks none"):
        enter("dsoc-test", "restore-ous")


def test_a_vlass_profile_is_not_lent_what_nobody_can_look_at() -> None:
    def alone(name: str) -> Profile:
        if name == "dsoc-test":
            raise ProfileError(name, (Problem("profile", "it cannot be read", "mend it"),))
        return profile(name)

    vlass = replace(RIGHT, profile="vlass.test", pool=pool("vlass.test"), server=api("vlass.test"))
    with standing_on(vlass):
        assert enter("vlass.test", "restore-ous").name == "vlass.test"
    with standing_on(vlass, alone), pytest.raises(Refused, match="the deployment is dsoc-test"):
        enter("vlass.test", "restore-ous")


@pytest.mark.parametrize(("server", "wrong"), [(None, True), (api("dsoc-dev"), True), (api("dsoc-test"), False)])
def test_without_a_worker_only_the_server_is_asked_for(server: str | None, wrong: bool) -> None:
    with standing_on(Standing("dsoc-test", None, None, server)):
        if wrong:
            with pytest.raises(Refused, match="the Prefect server is"):
                enter("dsoc-test", "restore-ous")
        else:
            assert enter("dsoc-test", "restore-ous").name == "dsoc-test"


def test_a_profile_without_a_server_is_let_in_where_no_worker_runs_it(tmp_path: Path) -> None:
    def private(name: str) -> Profile:
        return profile(name).model_copy(update={"prefect": Prefect(work_pool=name)})

    with standing_on(Standing("dsoc-test", None, None, "http://harness/api"), private):
        assert enter("dsoc-test", "restore-ous").name == "dsoc-test"
    with standing_on(RIGHT, private), pytest.raises(Refused, match="not none"):
        enter("dsoc-test", "restore-ous")


@pytest.mark.parametrize(
    ("installed", "name", "work", "allowed"),
    [
        ("dsoc-test", "dsoc-test", "deploy", True),
        ("dsoc-test", "dsoc-dev", "restore", False),
        ("dsoc-test", "vlass.test", "restore", True),
        ("dsoc-test", "vlass.prod", "restore", False),
        ("dsoc-test", "vlass.test", "deploy", False),
        ("dsoc-test", "local", "restore", True),
    ],
)
def test_an_installation_works_for_its_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str, name: str, work: str, allowed: bool
) -> None:
    (tmp_path / MARKER).parent.mkdir(parents=True)
    (tmp_path / MARKER).write_text(installed)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    monkeypatch.setattr(flows._standing, "__file__", str(tmp_path / "lib" / "flows" / "_standing.py"))
    monkeypatch.setattr(flows._environment, "current", profile)
    if allowed:
        require_installation(profile(name), work)
    else:
        with pytest.raises(Refused, match=f"installation {installed}"):
            require_installation(profile(name), work)
