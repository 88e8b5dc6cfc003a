"""Showing on a run's own page why it failed, with links to what CASA said."""

from __future__ import annotations

from datetime import datetime

from prefect import get_run_logger

from blocks.profile import Profile
from tasks._task_page import Shown
from tasks.alma.ids import EntityId
from tasks.errors import PpiError
from tasks.report import failure
from tasks.workspace.layout import Tree

__all__ = ["show_failure"]


def show_failure(
    profile: Profile, observation: EntityId, error: BaseException, tree: Tree | None, begun: datetime
) -> None:
    """Show why the run at hand failed, as well as that goes: what goes wrong here hides no other error.

    Parameters
    ----------
    error
        What ended it; an interruption explains itself.
    tree, begun
        See `tasks.report.failure.markdown`.
    """
    if not isinstance(error, Exception):
        return
    try:
        text = failure.markdown(observation, error, tree, begun, profile.reports.url)
    except OSError as unread:
        get_run_logger().warning("what CASA said cannot be looked for: %s", unread)
        return
    Shown("markdown", "failure").write(text, error.why if isinstance(error, PpiError) else type(error).__name__)
