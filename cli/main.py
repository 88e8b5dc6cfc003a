"""`ppi`: the operator's commands. Each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from types import FrameType
from typing import Annotated

import typer

__all__ = ["app", "main"]

_INTERRUPTED, _UNWIND_SECONDS = 130, 15.0

app = typer.Typer(
    name="ppi",
    help="Run an observatory archive's processing: an observation's name goes in, a proven product comes out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Mous = Annotated[str, typer.Argument(help="The MOUS: uid://A001/X1284/X265f or uid___A001_X1284_X265f.")]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", "-P", help="The environment; else CAPO_PROFILE. `local` is the embedded one."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def plan(mous: Mous, profile: ProfileName = None, json: Json = False) -> None:
    """Show what a restore would do, fetch and cost; touches nothing."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _plan

        _plan.show(environment, mous, json)


@app.command()
def restore(
    mous: Mous,
    profile: ProfileName = None,
    again: Annotated[
        bool, typer.Option(help="Do it anew although it is delivered; replace that when done.")
    ] = False,
    json: Json = False,
) -> None:
    """Restore an observation: fetch, calibrate with CASA, prove, deliver. Interrupted, it goes on where it was."""
    from cli._environment import adopt_prefect, entered

    with entered(profile) as environment:
        adopt_prefect(environment)
        from cli import _restore

        _restore.run(environment, mous, again, json)


@app.command()
def status(profile: ProfileName = None, json: Json = False) -> None:
    """Show what is being restored, what was interrupted, and what is delivered."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _status

        _status.show(environment, json)


@app.command()
def demo(json: Json = False) -> None:
    """Simulate an observatory, then restore one of its observations with real CASA; all of it on this machine."""
    from cli import _demo

    _demo.run(json)


def main() -> None:
    """Run a command; what PPI can explain ends in one line on standard error and the exit code of its kind."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupted)
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last stop before the user
        sys.exit(_explained(error))


def _explained(error: Exception) -> int:
    """Tell why a command failed; return its exit code."""
    from blocks.errors import ProfileError
    from tasks.errors import Failed, PpiError, Transient

    if isinstance(error, ProfileError):
        return _told(str(error), 2)
    if isinstance(error, PpiError):
        return _told(str(error), error.exit_code)
    if isinstance(error, OSError):
        place = f" at {error.filename}" if error.filename else ""
        todo = "check that place, then run again"
        return _told(f"{error.strerror or error}{place}. Next: {todo}", Failed.exit_code)
    if type(error).__module__.startswith(("httpx", "prefect")):
        return _told(f"the Prefect server: {error}. Next: see that it runs, then run again", Transient.exit_code)
    traceback.print_exception(error)
    return _told("this is a defect of PPI; please report the lines above", Failed.exit_code)


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    """Unwind; leave anyway if that does not come to an end, since whatever is cut off is taken up again."""
    _told("interrupted; run the same command again and it goes on where it was", _INTERRUPTED)
    leave = threading.Timer(_UNWIND_SECONDS, os._exit, (_INTERRUPTED,))
    leave.daemon = True
    leave.start()
    raise KeyboardInterrupt


def _told(message: str, code: int) -> int:
    sys.stderr.write(f"ppi: {message}\n")
    return code
