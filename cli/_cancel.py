"""`ppi cancel`: one run is told to end, and waited for until nothing is left of it."""

from __future__ import annotations

from rich.console import Console

from blocks.profile import Profile
from cli._console import out, print_json
from cli._environment import visiting_prefect

__all__ = ["run"]


def run(profile: Profile, named: str, wait: bool, as_json: bool) -> None:
    """Cancel a run, and print who was told.

    Parameters
    ----------
    named
        The id or the name of the run, or its MOUS.
    wait
        Whether to wait until it is gone.
    """
    with visiting_prefect(profile):
        from deployments.cancel import cancelling

        with cancelling(profile, named) as ending:
            target, told = ending.target, ending.tell()
            if not as_json:
                out().print(f"{target.name}: told {' and '.join(told)} to end it")
            if wait:
                with Console(stderr=True).status(f"waiting for the end of {target.name}"):
                    ending.wait()
    if as_json:
        flow_run = str(target.run) if target.run else None
        print_json({"run": target.name, "flow_run": flow_run, "told": told, "is_gone": wait})
    elif wait:
        out().print(f"{target.name}: nothing of it is left; run it again and it goes on where it was")
