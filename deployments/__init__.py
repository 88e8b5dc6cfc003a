"""Where flows run: one environment a file; what deploys, installs, activates and serves it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["resource"]


def resource(name: str) -> Path:
    """Return where a file or folder that PPI ships lies, in a checkout and in an installation alike.

    Parameters
    ----------
    name
        Its path below `deployments`, as in ``prefect.yaml``, ``dsoc-test.yaml`` or ``capo``. In a checkout
        `deployments/prefect.yaml` is a link to the one at the top; a wheel holds the file itself.
    """
    return Path(__file__).parent / name
