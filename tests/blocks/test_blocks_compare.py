"""What differs between two profiles: every key that does, no other, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from blocks import Profile
from blocks.compare import differences
from blocks.keys import keys_of
from blocks.sections import Casa, Cluster, Metadata, Ngas, Processing, Resources


def profile(**changed: object) -> Profile:
    """Make a profile, with some of its sections changed."""
    given: dict[str, object] = {
        "name": "t",
        "processing": Processing(root_directory=Path("/area")),
        "metadata": Metadata(url="sqlite:////data/alma.db"),
        "ngas": Ngas(servers=("a:1",)),
    }
    return Profile.model_validate(given | changed)


def test_a_profile_does_not_differ_from_itself() -> None:
    assert differences(profile(), profile()) == ()


def test_values_are_shown_as_in_a_properties_file_in_the_order_of_the_keys() -> None:
    other = profile(
        site="NAASC",
        ngas=Ngas(servers=("a:1", "b:2"), timeout_seconds=1.5),
        cluster=Cluster(light=Resources.model_validate({"walltime": "48:00:00"})),
    )
    assert differences(profile(), other) == (
        ("ppi.profile.site", "unknown", "NAASC"),
        ("ppi.ngas.servers", "a:1", "a:1,b:2"),
        ("ppi.ngas.timeoutSeconds", "60", "1.5"),
        ("ppi.cluster.light.walltime", "01:00:00", "48:00:00"),
    )


@pytest.mark.parametrize(
    ("here", "there", "shown"),
    [
        ("hunter2", "hunter3", ("**********", "********** (another)")),
        ("", "hunter3", ("", "**********")),
        ("hunter2", "", ("**********", "")),
    ],
)
def test_a_secret_that_differs_is_told_and_not_shown(here: str, there: str, shown: tuple[str, str]) -> None:
    both = [profile(ngas=Ngas.model_validate({"servers": "a:1", "password": secret})) for secret in (here, there)]
    assert differences(*both) == (("ppi.ngas.password", *shown),)
    assert differences(*both, secrets=False) == ()


def test_the_name_is_no_difference_but_the_pool_that_follows_from_it_is() -> None:
    assert differences(profile(), profile(name="u")) == (("ppi.prefect.workPool", "t", "u"),)


@settings(deadline=None)
@given(st.sets(st.sampled_from(["home", "default_version", "timeout_seconds", "executor"])))
def test_exactly_what_was_changed_differs(changed: set[str]) -> None:
    other = {"home": "/casa", "default_version": "6.6", "timeout_seconds": 60, "executor": "pipeline"}
    made = profile(casa=Casa.model_validate({name: other[name] for name in changed}))
    found = {difference.key for difference in differences(profile(), made)}
    assert found == {key.name for key in keys_of(Profile) if key.path[0] == "casa" and key.path[1] in changed}
