"""Load casatasks a task at a time: its package imports all of its 120 tasks, a recipe needs three.

That costs 1.2 CPU seconds a process, as much as restoring a small execution block. `load` puts a module into the
package's place that imports a task when it is first asked for; the tasks themselves are the package's own,
and so are the log and the version that they see.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from types import ModuleType
from typing import Any

from casaconfig import config
from casatools import logsink

__all__ = ["load"]

_PACKAGE = "casatasks"


class _Lazy(ModuleType):
    """The package, with tasks that are imported when they are first asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        task = getattr(importlib.import_module(f"{_PACKAGE}.{name}"), name)
        setattr(self, name, task)
        return task


def load() -> Any:
    """Return casatasks; call it before anything imports the package."""
    if _PACKAGE in sys.modules:
        return sys.modules[_PACKAGE]
    specification = importlib.util.find_spec(_PACKAGE)
    if specification is None or specification.submodule_search_locations is None:
        raise ImportError(f"{_PACKAGE} is not installed")
    package = _Lazy(_PACKAGE)
    package.__path__ = list(specification.submodule_search_locations)
    package.__spec__ = specification
    version = importlib.metadata.version(_PACKAGE)
    package.__dict__.update(
        casalog=logsink(config.logfile),
        version=lambda: [int(number) for number in version.split(".")],
        version_string=lambda: version,
    )
    sys.modules[_PACKAGE] = package
    package.casalog.setglobal(True)
    package.casalog.post(f"CASA Version MODULAR {version}")
    return package
