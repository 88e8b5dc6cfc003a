"""As whom this process works."""

from __future__ import annotations

import getpass
import os

__all__ = ["account"]


def account() -> str:
    """Return the name of this process's account; its number, if it has none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
