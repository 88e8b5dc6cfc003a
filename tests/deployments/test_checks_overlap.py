"""What two profiles may have in common and what not, and the files of a profile itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from checks_examples import found, written
from hypothesis import given
from hypothesis import strategies as st

from blocks.profile import Database, Metadata, Ngas, Prefect, Processing, Profile
from deployments.checks.overlap import overlaps

SERVER = "http://prefect-test:4200/api"


def environment(name: str, root: str = "", prefect: Prefect | None = None, kind: str = "test") -> Profile:
    return Profile(
        name=name,
        environment=kind,
        prefect=prefect or Prefect(),
        processing=Processing(
            root_directory=Path(root or f"/lustre/{name}"), store_directory=Path("/lustre/store")
        ),
        metadata=Metadata(url="postgresql+psycopg://almadb/alma"),
        ngas=Ngas(servers=("ngas:7777",)),
    )


def test_what_is_shared_on_purpose_is_no_overlap() -> None:
    server = Prefect(api_url=SERVER, database=Database(url="postgresql+psycopg://db/prefect"))
    assert (
        list(overlaps(environment("dsoc-test", prefect=server), environment("vlass.test", prefect=server))) == []
    )


@pytest.mark.parametrize(
    ("root", "shared"),
    [("/lustre/a", True), ("/lustre/a/below", True), ("/lustre", True), ("/lustre/ab", False), ("/other", False)],
)
def test_areas_do_not_lie_in_one_another(root: str, shared: bool) -> None:
    found = list(overlaps(environment("b", root), environment("a", "/lustre/a")))
    assert found == (["its processing area overlaps that of a"] if shared else [])


def test_links_do_not_hide_that_an_area_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    one, other = environment("a", f"{tmp_path}/real"), environment("b", f"{tmp_path}/link")
    assert list(overlaps(one, other)) == ["its processing area overlaps that of b"]


def test_a_prefect_server_belongs_to_one_environment_and_a_pool_to_one_profile() -> None:
    one = environment("a", prefect=Prefect(api_url=SERVER, work_pool="p"))
    same = environment("b", prefect=Prefect(api_url=f"{SERVER}/", work_pool="p"), kind="prod")
    assert list(overlaps(one, same)) == [
        "its work pool is that of b",
        "its Prefect server is that of b, which is of another environment",
    ]
    database = Database(url="postgresql+psycopg://db/prefect")
    a = environment("a", prefect=Prefect(api_url="http://a/api", database=database))
    b = environment("b", prefect=Prefect(api_url="http://b/api", database=database))
    assert list(overlaps(a, b)) == ["its Prefect server's database is that of b"]


PATHS = st.lists(st.sampled_from("abc"), min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))
PREFECTS = st.builds(
    Prefect, api_url=st.sampled_from([None, SERVER, "http://other/api"]), work_pool=st.sampled_from(["", "p"])
)


@given(st.tuples(PATHS, PREFECTS), st.tuples(PATHS, PREFECTS), st.sampled_from(["test", "prod"]))
def test_an_overlap_is_seen_from_both_sides(
    one: tuple[str, Prefect], other: tuple[str, Prefect], kind: str
) -> None:
    a, b = environment("x", *one), environment("y", *other, kind=kind)
    assert [each.replace("of y", "of x") for each in overlaps(a, b)] == list(overlaps(b, a))


def test_all_profiles_on_the_path_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAPO_PATH", str(tmp_path / "capo"))
    monkeypatch.setenv("HOME", str(tmp_path))
    area = str(tmp_path / "area")
    profile = written(tmp_path, processing_rootDirectory=area)
    assert found(profile, "other profiles").state == "ok"
    written(tmp_path, "site-dev")
    (tmp_path / "capo" / "broken.properties").write_text(f"ppi.processing.rootDirectory = {area}\n")
    assert found(profile, "other profiles").why.endswith("of 1 others")
    written(tmp_path, "site-prod", processing_rootDirectory=area, catalog_url="postgresql+psycopg://db/one")
    finding = found(profile, "other profiles")
    assert (finding.state, finding.exit_code) == ("wrong", 3)
    assert "overlaps that of site-prod" in finding.why
    again = written(tmp_path, processing_rootDirectory=area, catalog_url="postgresql+psycopg://db/one")
    assert "its catalog is that of site-prod" in found(again, "other profiles").why


def test_a_copy_that_is_not_the_authoritative_one_is_wrong(tmp_path: Path) -> None:
    theirs = tmp_path / "authoritative"
    profile = written(tmp_path, profile_authoritativeDirectory=str(theirs))
    theirs.mkdir()
    copy = tmp_path / "capo" / "site-test.properties"
    (theirs / copy.name).write_text(copy.read_text() + "ppi.profile.site = ELSEWHERE\n")
    profile = Profile.load("site-test", str(copy.parent))
    (problem,) = profile.warnings
    finding = found(profile, problem.what)
    assert (finding.state, finding.exit_code) == ("wrong", 2)
    assert "ppi.profile.site" in finding.why
