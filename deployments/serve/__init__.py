"""What `ppi serve` starts of an environment: database, server, reports, worker, listener.

Each part of this host is started in its turn when it is not up, and runs under a keeper, which ends it when we are
gone; a part of another host must only answer.
"""

from __future__ import annotations

from deployments.serve.part import Kind, Part
from deployments.serve.serving import Serving, State, serving

__all__ = ["Kind", "Part", "Serving", "State", "serving"]
