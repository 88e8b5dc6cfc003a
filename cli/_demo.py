"""`ppi demo`: the whole way, from an observation's name to a proven result, on one machine, faults and all."""

from __future__ import annotations

import difflib
import sys

import typer
from rich.table import Column, Table

from cli._console import out, print_json
from cli._environment import EMBEDDED, adopt_prefect, clustered, entered
from deployments.local.named_faults import FAULTS, NamedFault

__all__ = ["fault_named", "run", "run_with", "show_faults"]

_OBSERVATION = "uid://A001/X1284/X265f"
_EPILOGUE = """
Everything above is simulated, and was restored by real CASA from real ASDMs. To look around:
  {ppi} plan {mous} -P local        what a restore would do
  {ppi} status -P local             what was restored
"""


def run(as_json: bool, on_cluster: bool) -> None:
    """Restore the embedded environment's observation anew, and say where the result is.

    Parameters
    ----------
    on_cluster
        Whether jobs of an HTCondor pool do the work.
    """
    with clustered() if on_cluster else entered(EMBEDDED) as profile:
        adopt_prefect(profile)
        from cli import _restore

        done = _restore.restore(profile, _OBSERVATION, again=True)
    _restore.report(done, as_json)
    if not as_json:
        sys.stdout.write(_EPILOGUE.format(ppi=sys.argv[0], mous=_OBSERVATION))


def run_with(fault: NamedFault, as_json: bool) -> None:
    """Show what becomes of a fetch from an archive that has a fault; see `cli._fault_trial`."""
    from cli import _fault_trial

    _fault_trial.run(fault, _OBSERVATION, as_json)


def fault_named(name: str) -> NamedFault:
    """Return a fault.

    Raises
    ------
    typer.BadParameter
        None is called so; names those that are nearly.
    """
    if name in FAULTS:
        return FAULTS[name]
    near = difflib.get_close_matches(name, FAULTS, n=3, cutoff=0.5)
    instead = f"did you mean {' or '.join(near)}?" if near else "see `--fault list`"
    raise typer.BadParameter(f"no fault is called {name!r}; {instead}", param_hint="--fault")


def show_faults(as_json: bool) -> None:
    """Print all faults: what the archive does, and what becomes of it."""
    if as_json:
        keys = ("name", "row", "description", "ending")
        print_json([{key: getattr(fault, key) for key in keys} for fault in FAULTS.values()])
        return
    table = Table(Column("row", justify="right"), "name", Column("the archive", overflow="fold"), "the restore")
    for fault in FAULTS.values():
        table.add_row(str(fault.row), fault.name, fault.description, fault.ending)
    out().print(table)
