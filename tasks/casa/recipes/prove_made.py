"""Prove a measurement set that something else restored (the pipeline), in a CASA child of its own.

``python -m tasks.casa.recipes.prove_made REQUEST.json``
"""

from __future__ import annotations

from pathlib import Path

import casatools

from tasks.casa.recipes.child import Steps, main
from tasks.casa.recipes.prove import prove
from tasks.casa.recipes.tables import require_rows
from tasks.casa.request import PIPELINE_FINAL, ProofRequest, RestoreResult

__all__ = ["prove_made"]


def prove_made(request_json: bytes, steps: Steps) -> RestoreResult:
    """Measure the measurement set that the request names, which lies in the current directory.

    Raises
    ------
    Failed
        It lacks rows.
    """
    request = ProofRequest.model_validate_json(request_json)
    with steps.step("prove"):
        require_rows(request.vis, request.rows_promised)
        proof = prove(request.vis, PIPELINE_FINAL, request.reference, Path(f"{request.vis}.png"))
    return RestoreResult(proof=proof, steps=tuple(steps.times), casa_version=casatools.version_string())


if __name__ == "__main__":
    main(prove_made)
