"""What differs between two profiles, in words that can be shown: no secret is among them."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import SecretStr

from blocks.keys import Key, keys_of, shown
from blocks.profile import Profile

__all__ = ["Difference", "differences"]


class Difference(NamedTuple):
    """One key with its value in each of two profiles, as a profile's description shows it."""

    key: str
    here: str
    there: str


def differences(a: Profile, b: Profile, secrets: bool = True) -> tuple[Difference, ...]:
    """Return the keys in which two profiles differ.

    A key that one of them does not carry, because it is not saved in blocks, is passed over.

    Parameters
    ----------
    a, b
        The profiles.
    secrets
        Whether secrets are compared too; where they differ, this is said, and neither is shown.
    """
    keys = (key for key in keys_of(Profile) if secrets or not key.is_secret)
    compared = (key for key in keys if key.name not in a.left_out | b.left_out)
    return tuple(_difference(key, a, b) for key in compared if key.value_in(a) != key.value_in(b))


def _difference(key: Key, a: Profile, b: Profile) -> Difference:
    here, there = key.value_in(a), key.value_in(b)
    another = " (another)" if isinstance(there, SecretStr) and here and there else ""
    return Difference(key.name, shown(here), shown(there) + another)
