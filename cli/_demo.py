"""`ppi demo`: the whole way, from an observation's name to a proven result, on one machine."""

from __future__ import annotations

import sys

from cli._environment import adopt_prefect, entered

__all__ = ["run"]

_OBSERVATION = "uid://A001/X1284/X265f"
_EPILOGUE = """
Everything above is simulated, and was restored by real CASA from real ASDMs. To look around:
  {ppi} plan {mous} -P local        what a restore would do
  {ppi} status -P local             what was restored
"""


def run(as_json: bool) -> None:
    """Restore the embedded environment's observation anew, and say where the result is."""
    with entered("local") as profile:
        adopt_prefect(profile)
        from cli import _restore

        done = _restore.restore(profile, _OBSERVATION, again=True)
    _restore.report(done, as_json)
    if not as_json:
        sys.stdout.write(_EPILOGUE.format(ppi=sys.argv[0], mous=_OBSERVATION))
