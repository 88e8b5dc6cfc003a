"""Attempts: only those of what is delivered or given up go, by age and size, and never what is in use."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killed_moments import moments
from retention_examples import KEY, MONTH, MOUS, NOW, OTHER, Site, aged, ago, told

from tasks.alma import EntityId
from tasks.catalog.needs import Needs
from tasks.retention import leftovers
from tasks.retention.attempts import Terms
from tasks.retention.cleaning import Cleaning
from tasks.retention.model import Outcome, Part


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (site := Site(tmp_path / "area")).area.make()
    return site


def test_an_attempt_of_what_is_delivered_goes_when_it_is_old(site: Site) -> None:
    old, young = site.attempt(MOUS, 31), site.attempt(OTHER, 29)
    delivered = [site.deliver(MOUS, 40), site.deliver(OTHER, 40)]
    planned = told(site.clean(dry_run=True))
    assert planned[old.name] == ("to be removed", "it is delivered, more than 30 days ago")
    assert old.is_dir()
    account = site.clean()
    assert told(account) == {
        old.name: ("removed", "it is delivered, more than 30 days ago"),
        young.name: ("kept", "it is delivered, less than 30 days ago"),
    }
    assert not old.exists()
    assert young.is_dir()
    assert all((folder / "provenance.json").exists() for folder in delivered)
    assert [each.size for each in account.lines] == [1000, 1000]
    assert account.summary == "attempts: 1 (1.0 kB) removed, 1 (1.0 kB) kept"
    account.require_whole()
    assert list((site.root / ".trash").iterdir()) == []


@pytest.mark.parametrize("key", ["another", None])
def test_an_attempt_stays_until_that_is_delivered_for_which_it_was_begun(site: Site, key: str | None) -> None:
    attempt = site.attempt(MOUS, 3000)
    if key:
        site.deliver(MOUS, 2000, key)
    outcome, why = told(site.clean(Terms(timedelta(days=1), limit=1)))[attempt.name]
    assert outcome == "kept"
    assert "not delivered" in why
    assert "ppi queue cancel" in why
    assert attempt.is_dir()


def test_an_attempt_of_what_a_person_has_given_up_goes_when_that_was_long_ago(site: Site) -> None:
    attempt = site.attempt(MOUS, 300)
    site.needs = Needs(given_up={MOUS: ago(29)})
    assert told(site.clean())[attempt.name][0] == "kept"
    site.needs = Needs(given_up={MOUS: ago(31)})
    assert told(site.clean())[attempt.name] == ("removed", "it was given up, more than 30 days ago")
    assert not attempt.exists()


def test_what_was_given_up_stays_while_the_delivery_that_there_was_before_is_in_it(site: Site) -> None:
    """A kill between the two renames of a delivery that replaces another leaves it there, and nowhere else."""
    attempt = site.attempt(MOUS, 300)
    site.deliver(MOUS, 400, "before").rename(attempt / "replaced")
    aged(attempt, 300)
    site.needs = Needs(given_up={MOUS: ago(200)})
    outcome, why = told(site.clean())[attempt.name]
    assert (outcome, "delivery that there was before" in why) == ("kept", True)
    assert (attempt / "replaced" / "provenance.json").exists()
    site.deliver(MOUS, 100, "after")
    assert told(site.clean())[attempt.name][0] == "removed"


def test_what_a_run_works_on_stays_though_it_is_delivered_and_old(site: Site) -> None:
    attempt = site.attempt(MOUS, 300)
    site.deliver(MOUS, 300)
    with site.area.held(MOUS):
        assert told(site.clean())[attempt.name] == ("kept", "a run works on its observation")
    site.needs = Needs(wanted={MOUS: "its request is waiting"})
    assert told(site.clean())[attempt.name] == ("kept", "its request is waiting")
    assert attempt.is_dir()


def test_an_attempt_is_looked_at_again_when_it_goes(site: Site) -> None:
    attempts = [site.attempt(mous, 300) for mous in (MOUS, OTHER)]
    site.deliver(MOUS, 300)
    site.deliver(OTHER, 300)
    found = list(site.attempts().look())
    with site.area.held(MOUS):
        kept = found[0].remove and found[0].remove()
    assert kept
    assert (kept.count, "it is being worked on" in kept.left) == (0, True)
    site.needs = Needs(wanted={OTHER: "its request is waiting"})
    kept = found[1].remove and found[1].remove()
    assert kept
    assert (kept.count, kept.left) == (0, "its request is waiting")
    site.needs = Needs()
    aged(attempts[1], 1)
    kept = found[1].remove and found[1].remove()
    assert kept
    assert (kept.count, kept.left) == (0, "somebody has worked on it meanwhile")
    assert all(attempt.is_dir() for attempt in attempts)


def test_above_the_limit_the_oldest_go_first_and_nothing_of_the_last_days(site: Site) -> None:
    observations = [EntityId(f"uid://A001/X1/X{number}") for number in range(1, 6)]
    attempts = [site.attempt(mous, days) for mous, days in zip(observations, (9, 7, 5, 4, 2), strict=True)]
    needed = site.attempt(OTHER, 20, 50_000)
    for mous in observations:
        site.deliver(mous, 100)
    site.clean(Terms(MONTH.age, 3500))
    assert [attempt.exists() for attempt in attempts] == [False, False, True, True, True]
    account = site.clean(Terms(MONTH.age, 10))
    assert [attempt.exists() for attempt in attempts] == [False, False, False, False, True]
    assert "all such attempts are more than 10 Bytes" in account.lines[0].why
    assert needed.is_dir()


def test_files_that_have_other_names_free_nothing(site: Site, tmp_path: Path) -> None:
    attempt = site.attempt(MOUS, 300)
    (tmp_path / "stored").write_bytes(bytes(70_000))
    (attempt / "linked").hardlink_to(tmp_path / "stored")
    assert site.clean().lines[0].size == 1000


def test_a_marker_that_cannot_be_read_keeps_its_attempt_and_no_other(site: Site) -> None:
    broken, old = site.attempt(MOUS, 300), site.attempt(OTHER, 300)
    site.deliver(OTHER, 300)
    (broken / "attempt.json").write_text("{}")
    account = site.clean()
    assert told(account)[broken.name][0] == "kept"
    assert "it cannot be read" in told(account)[broken.name][1]
    assert not old.exists()


def test_a_kill_leaves_an_attempt_whole_or_none_and_the_next_clean_up_the_rest(site: Site) -> None:
    site.deliver(MOUS, 300)
    whole = site.attempt(MOUS, 300)
    names = sorted(path.name for path in whole.rglob("*"))
    for _ in moments(site.clean):
        assert not whole.exists() or sorted(path.name for path in whole.rglob("*")) == names
        looks = {Part.LEFTOVERS: lambda: leftovers.of_trash(site.root, NOW), Part.ATTEMPTS: site.attempts().look}
        (cleaning := Cleaning("site-test", looks, dry_run=False)).run()
        cleaning.account.require_whole()
        assert not whole.exists()
        assert list((site.root / ".trash").iterdir()) == []
        site.attempt(MOUS, 300)


class Case(NamedTuple):
    request: str
    delivered: str | None
    days: int
    size: int

    @property
    def is_unneeded(self) -> bool:
        return self.request not in ("wanted", "held") and (self.delivered == KEY or self.request == "given up")


CASES = st.builds(
    Case,
    st.sampled_from(["none", "wanted", "given up", "held"]),
    st.sampled_from([None, KEY, "another"]),
    st.integers(0, 90),
    st.integers(500, 5000),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(CASES, max_size=5), st.none() | st.integers(0, 10_000))
def test_whatever_there_is_only_what_is_needed_no_more_goes_and_all_is_accounted_for(
    attempts: list[Case], limit: int | None
) -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as runs:
        (site := Site(Path(folder, "area"))).area.make()
        asked = {EntityId(f"uid://A001/X1/X{number}"): case for number, case in enumerate(attempts, 1)}
        made = {mous: site.attempt(mous, case.days, case.size) for mous, case in asked.items()}
        for mous, case in asked.items():
            if case.delivered:
                site.deliver(mous, case.days, case.delivered)
            if case.request == "held":
                runs.enter_context(site.area.held(mous))
        site.needs = Needs(
            wanted={mous: "its request is waiting" for mous, case in asked.items() if case.request == "wanted"},
            given_up={mous: ago(case.days) for mous, case in asked.items() if case.request == "given up"},
        )
        planned, account = (site.clean(Terms(MONTH.age, limit), dry_run=dry_run) for dry_run in (True, False))
        gone = {mous for mous, attempt in made.items() if not attempt.exists()}
        unneeded = {mous for mous, case in asked.items() if case.is_unneeded}
        assert gone <= unneeded
        assert {mous for mous in unneeded if asked[mous].days > MONTH.age.days} <= gone
        assert not [mous for mous in gone if asked[mous].days <= 3]
        left = sum(asked[mous].size for mous in unneeded - gone if asked[mous].days > 3)
        assert limit is None or left <= limit
        assert sum(line.outcome is Outcome.REMOVED for line in account.lines) == len(gone)
        assert [line.what for line in planned.lines] == [line.what for line in account.lines]
        assert sum(line.size or 0 for line in account.lines) == sum(case.size for case in attempts)
        assert (len(account.lines), account.failures) == (len(made), ())
