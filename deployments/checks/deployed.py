"""Whether a profile's Prefect server has what `ppi deploy` would bring to it, from blocks to automations.

Slow to import, since Prefect is.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby

from blocks.profile import Profile
from deployments.checks.finding import Probe, Unknown
from deployments.deploy import deploy
from deployments.difference import Change
from tasks.errors import Missing, Transient

__all__ = ["probe"]

_MOST_PARTS = 4


def probe(what: str, profile: Profile) -> Probe:
    """Return what is to be looked at, under a name."""
    return Probe(what, partial(_deployed, profile))


def _deployed(profile: Profile) -> str:
    try:
        found = deploy(profile, dry_run=True)
    except Transient as error:
        raise Unknown(f"{error.what}: {error.why}", error.todo) from error
    if found.changes:
        raise Missing(
            f"what {profile.name} is on its server is not what it is here",
            "; ".join(_differing(found.changes)),
            f"ppi deploy {profile.name} (--dry-run shows the difference)",
        )
    if found.untold:
        todo = "make such a block in the pages of the Prefect server, or correct ppi.notify.blocks"
        raise Missing("who is told of failures", "; ".join(found.untold), todo)
    strangers = f"; PPI does not know {', '.join(found.strangers)}" if found.strangers else ""
    return f"as they should be{strangers}"


def _differing(changes: tuple[Change, ...]) -> list[str]:
    """Name each thing once, with the parts that differ if they are few."""
    parts = {what: [change.part for change in same] for what, same in groupby(changes, lambda change: change.what)}
    return [f"{what} ({', '.join(of)})" if len(of) <= _MOST_PARTS else what for what, of in parts.items()]
