"""What a job says of itself comes back from the queue as it was, whatever signs are in it; it has no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from crews import waited_for
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deployments.local.condor.pool import LocalPool
from tasks.cluster.description import Site, describe
from tasks.cluster.link import Link
from tasks.cluster.pool import Pool
from tasks.cluster.resources import Resources
from tasks.cluster.tag import Owner, Tag

NASTY = (
    "", " ", "plain", "a b", 'say "so"', "it's", "a\\b", "ends\\", '\\"', "a;b", "a,b", "a=b", "$", "$(HOME)",
    "$ENV(HOME)", "$RANDOM_CHOICE(1,2)", "#", "# no", "%d", "été", "日本", "&&", "true", "1", "undefined", "[x]",
    "uid://A001/X1284/X265f", "a\\nb", "x" * 500, "queue",
)  # fmt: skip
PRINTABLE = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), max_size=30)


def tag(observation: str, project: str = "2017.1.00886.L", crew: str = "a crew") -> Tag:
    owner = Owner("host", "boot id pid:[4026531836]", 17, 4711)
    return Tag("site-test", project, observation, "restore-ous", "process", "a run", crew, owner)


def submitted(pool: Pool, link: Link, site: Site, told: Tag) -> None:
    """Queue a worker of that tag, to be held for ever."""
    words = describe(site, Resources("casa"), told, link.address, link.security, "process-1", 10**9)
    head, queue, rest = words.rpartition("Queue")
    assert rest.strip() == ""
    pool.submit(f"{head}hold = True\n{queue}\n", "process-1")


@pytest.fixture
def link(tmp_path: Path) -> Link:
    made = Link(tmp_path / "link", "lo", lambda name, address: None, lambda name, address: None)
    made.close()
    return made


def test_a_job_has_the_environment_that_it_was_given(
    pool: LocalPool, link: Link, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has a home and the like, whatever signs are in them, and nothing else of ours."""
    home = """/home/some body/it's "so" $(HOME) $x\\ %d;"""
    monkeypatch.setenv("HOME", home)
    monkeypatch.setenv("USER", "two\nlines = 1")
    monkeypatch.setenv("PLANTED", "pl4nted")
    program = tmp_path / "python"
    program.write_text('#!/bin/sh\nenv -0 > "$0.part" && mv "$0.part" "$0.env"\n')
    program.chmod(0o700)
    words = describe(
        Site(tmp_path, program, "lo"),
        Resources("casa", disk=10**6),
        tag(""),
        link.address,
        link.security,
        "w-1",
        10**8,
    )
    pool.client.submit(words, "w-1")
    waited_for((tmp_path / "python.env").exists)
    found = dict(line.split("=", 1) for line in (tmp_path / "python.env").read_text().split("\0") if line)
    assert found["HOME"] == home
    assert found["PATH"].split(":")[0] == "/usr/local/bin"
    assert "two" not in found.get("USER", "")
    assert found["PYTHONPATH"] == str(Path(__file__).parents[2])
    assert "pl4nted" not in "".join(found.values())
    waited_for(lambda: pool.client.queue("true") == ())


def test_a_tag_comes_back_as_it_was(pool: LocalPool, link: Link, tmp_path: Path) -> None:
    site = Site(tmp_path, None, "lo")

    @given(drawn=st.lists(PRINTABLE, min_size=8, max_size=8, unique=True))
    @settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
    def round_trip(drawn: list[str]) -> None:
        texts = [text for text in drawn if "$$(" not in text]  # which HTCondor replaces at the last moment
        for text in texts:
            submitted(pool.client, link, site, tag(text, project=text))
        found = {job.tag for job in pool.client.queue(Tag.constraint(crew="a crew"))}
        assert found == {tag(text, project=text) for text in texts}
        for text in texts:
            (one,) = pool.client.queue(Tag.constraint(crew="a crew", observation=text))
            assert one.tag == tag(text, project=text)
        pool.client.remove("true", "they were seen")

    for text in NASTY:
        submitted(pool.client, link, site, tag(text, project=text, crew="nasty"))
    found = {job.tag for job in pool.client.queue(Tag.constraint(crew="nasty"))}
    expected = {tag(text, project=text, crew="nasty") for text in NASTY}
    try:
        assert found - expected == expected - found
        round_trip()
    finally:
        pool.client.remove("true", "they were seen")
