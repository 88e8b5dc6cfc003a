"""`ppi`: the operator's commands. Each imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from cli import ending, ingesting, keeping, messaging, pools, profiles, queues, stores, sweeping
from tasks.catalog.states import State

__all__ = ["Part", "app", "main"]

_INTERRUPTED, _UNWIND_SECONDS = 130, 15.0
_MOST = 2**31 - 1
"""The largest whole number that every database takes."""
_MOMENTS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"]


class Part(StrEnum):
    """What `ppi serve` may be told to start; the words are `deployments.serve.Kind`'s."""

    DATABASE = "database"
    SERVER = "server"
    REPORTS = "reports"
    WORKER = "worker"
    LISTENER = "listener"


app = typer.Typer(
    name="ppi",
    help="Run an observatory archive's processing: an observation's name goes in, a proven product comes out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

app.add_typer(pools.app)
app.add_typer(profiles.app)
app.add_typer(queues.app)
app.add_typer(stores.app)

Mous = Annotated[str, typer.Argument(help="The MOUS: uid://A001/X1284/X265f or uid___A001_X1284_X265f.")]
ProfileName = Annotated[
    str | None,
    typer.Option(
        "--profile",
        "-P",
        help="The environment; else CAPO_PROFILE, or the installation's. `local` is the embedded one.",
    ),
]
Procedure = Annotated[
    str,
    typer.Option(
        help="hifa_restore: calibrated measurement sets. hifa_image: images of them as well, with monolithic CASA."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


@app.command()
def plan(
    mous: Mous, profile: ProfileName = None, procedure: Procedure = "hifa_restore", json: Json = False
) -> None:
    """Show what a restore would do, fetch and cost; touches nothing."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _plan

        _plan.show(environment, mous, procedure, json)


@app.command()
def restore(
    mous: Mous,
    profile: ProfileName = None,
    procedure: Procedure = "hifa_restore",
    again: Annotated[
        bool, typer.Option(help="Do it anew although it is delivered; replace that when done.")
    ] = False,
    json: Json = False,
) -> None:
    """Restore an observation: fetch, calibrate with CASA, prove, deliver. Interrupted, it goes on where it was."""
    from cli._environment import adopt_prefect, entered

    with entered(profile) as environment:
        from flows._environment import require_installation

        require_installation(environment, "restore")
        adopt_prefect(environment)
        from cli import _restore

        _restore.run(environment, mous, again, procedure, json)


@app.command()
def status(
    mous: Annotated[str | None, typer.Argument(help="Of this MOUS only.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Keep looking, or reading, until Ctrl-C; on a terminal.")
    ] = False,
    log: Annotated[
        str | None,
        typer.Option(
            metavar="JOB",
            help="The end of CASA's log of this job (17.0) or execution block (its uid, or the end of it: X2dfe).",
        ),
    ] = None,
    lines: Annotated[int, typer.Option(min=1, max=_MOST, help="So many lines of that log.")] = 20,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Show what runs, with its stages and jobs, what was interrupted, and what is delivered."""
    from cli._environment import entered

    if watch and json:
        raise typer.BadParameter("it never ends, and JSON does; leave one of them away", param_hint="--watch")
    with entered(profile) as environment:
        from cli import _joblog, _status

        if log is not None and watch:
            _joblog.follow(environment, log, mous, lines)
        elif log is not None:
            _joblog.show(environment, log, mous, lines, json)
        elif watch:
            _status.watch(environment, mous)
        else:
            _status.show(environment, mous, json)


@app.command()
def history(
    observation: Annotated[str | None, typer.Argument(help="Of this MOUS only.")] = None,
    state: Annotated[list[State] | None, typer.Option(help="In this state only; may be given again.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, metavar="TIME", help="Started then or later, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_MOMENTS, metavar="TIME", help="Started before, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=_MOST, help="The newest so many.")] = 20,
    number: Annotated[
        int | None,
        typer.Option("--id", min=1, max=_MOST, help="All of this one: its stages, steps and products."),
    ] = None,
    profile: ProfileName = None,
    json: Json = False,
) -> None:
    """Show what was run, newest first, and what became of it."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _history

        if number is not None:
            _history.show_one(environment, number, json)
        else:
            _history.show(environment, observation, state or (), since, until, limit, json)


app.command()(ending.cancel)
app.command()(ending.reconcile)
app.command()(sweeping.sweep)
app.command()(messaging.listen)
app.command()(messaging.messages)
app.command()(keeping.housekeeping)


@app.command()
def deploy(
    profile: Annotated[str | None, typer.Argument(help="The environment; as with -P.")] = None,
    named: ProfileName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Change nothing; show what would change.")] = False,
    json: Json = False,
) -> None:
    """Bring an environment to its Prefect server: its profile as blocks, its work pool, its deployments."""
    from cli._environment import entered

    if profile and named and profile != named:
        raise typer.BadParameter(f"{profile} and {named} are two profiles: name one")
    with entered(profile or named) as environment:
        from cli import _deploy

        _deploy.run(environment, dry_run, json)


@app.command()
def serve(
    parts: Annotated[
        list[Part] | None, typer.Argument(help="What to start; by default all that belongs on this host.")
    ] = None,
    profile: ProfileName = None,
    port: Annotated[
        int | None, typer.Option(help="Of `-P local` alone: its Prefect server's port, 4200; reports at the next.")
    ] = None,
    json: Json = False,
) -> None:
    """Start what an environment needs on this host, say where its pages are, and watch over it until Ctrl-C."""
    from cli._environment import served

    with served(profile, port) as (environment, once_up):
        from cli import _serve

        _serve.run(environment, [part.value for part in parts or ()], json, once_up)


@app.command()
def fetch(
    file_ids: Annotated[list[str] | None, typer.Argument(metavar="FILE_ID", help="Files of the archive.")] = None,
    version: Annotated[
        int | None, typer.Option(min=1, max=_MOST, help="This version of each; else the latest.")
    ] = None,
    locator: Annotated[
        str | None, typer.Option(metavar="URI", help="The files of this product, as the locator service says.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="The files of this locations report; - is standard input.")
    ] = None,
    to: Annotated[Path, typer.Option(metavar="DIR", help="Where they are to lie.")] = Path(),
    profile: ProfileName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fetch nothing; show what would be fetched.")] = False,
    json: Json = False,
) -> None:
    """Fetch files of the archive through the shared store, every byte checked; asked again, it goes on."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _fetch

        _fetch.run(environment, file_ids or (), version, locator, report, to, dry_run, json)


@app.command()
def archive(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="What to archive.")],
    file_id: Annotated[
        str | None, typer.Option("--id", help="The archive's name for it, if it is only one; else its own.")
    ] = None,
    media_type: Annotated[
        str | None, typer.Option(metavar="TYPE", help="What it is, as image/fits; else guessed from its name.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Use QARCHIVE, which does less afterwards.")] = False,
    profile: ProfileName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; show what would be sent.")] = False,
    json: Json = False,
) -> None:
    """Put files into the archive, each once: what it has already, just so, is not sent again."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _archive

        _archive.run(environment, files, file_id, media_type, quick, dry_run, json)


app.command()(ingesting.ingest)


@app.command()
def demo(
    fault: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Have this fault in the archive meanwhile; `list` shows all of them."),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Have jobs of a private HTCondor pool do the work; installs it once.")
    ] = False,
    json: Json = False,
) -> None:
    """Simulate an observatory, then restore one of its observations with real CASA; all of it on this machine."""
    from cli import _demo

    if fault is not None and cluster:
        raise typer.BadParameter(
            "a fault is shown without a cluster; leave one of them away", param_hint="--fault"
        )
    if fault == "list":
        _demo.show_faults(json)
    elif fault is not None:
        _demo.run_with(_demo.fault_named(fault), json)
    else:
        _demo.run(json, cluster)


@app.command()
def doctor(
    profile: ProfileName = None,
    trial: Annotated[
        bool, typer.Option(help="Also restore the embedded environment's observation from end to end.")
    ] = True,
    json: Json = False,
) -> None:
    """Check a profile as `ppi profile check` does, show versions, and try a restore from end to end."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _doctor

        code = _doctor.run(environment, trial, json)
    raise typer.Exit(code)


@app.command()
def install(
    profile: Annotated[str, typer.Argument(help="The environment that it shall be of, such as dsoc-test.")],
    prefix: Annotated[
        Path, typer.Option(help="The directory to make; named as the profile, activate_profile finds it.")
    ],
    json: Json = False,
) -> None:
    """Make a profile's own installation: a virtual environment that knows its profile, with what activates it."""
    from cli._environment import entered

    with entered(profile) as environment:
        from cli import _install

        _install.run(environment, prefix, json)


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
        why = f"{type(error).__name__} {error}".removesuffix(" None").strip()
        return _told(f"the Prefect server: {why}. Next: see that it runs, then run again", Transient.exit_code)
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
