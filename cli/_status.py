"""`ppi status`: the processing area says what is running, what was interrupted and what is delivered."""

from __future__ import annotations

from rich.table import Column, Table

from blocks.profile import Profile
from cli._console import out, print_json
from tasks.workspace.layout import Area
from tasks.workspace.status import State, states

__all__ = ["show"]


def show(profile: Profile, as_json: bool) -> None:
    """Print a line for each observation in the environment's area."""
    found = states(Area(profile.processing.root_directory))
    if as_json:
        print_json([state.model_dump(mode="json") for state in found])
        return
    console = out()
    console.print(_table(found) if found else f"Nothing was restored yet in profile {profile.name}.")


def _table(found: tuple[State, ...]) -> Table:
    table = Table("observation", "project", "state", "execution blocks", Column("where", overflow="fold"))
    for state in found:
        blocks = f"{state.blocks_done} done" + (f", {state.step}" if state.step else "")
        table.add_row(state.observation, state.project, state.state, blocks, str(state.path))
    return table
