"""Sweeps: what can be processed is found in the archive's metadata, asked for once, and launched as limits allow.

A `sweep` settles what was left open, looks (`look`), writes down what it found (`record`) and launches (`launch`).
It may be killed anywhere, or overlap with another: what it has written holds, and the next one does the rest.
"""

from __future__ import annotations

from tasks.sweep.account import Swept
from tasks.sweep.launch import launch
from tasks.sweep.look import Found, backfilled, look, record
from tasks.sweep.model import Launched, Launcher, RunEnd, Terms
from tasks.sweep.settle import settle
from tasks.sweep.sweep import backfill, sweep

__all__ = [
    "Found",
    "Launched",
    "Launcher",
    "RunEnd",
    "Swept",
    "Terms",
    "backfill",
    "backfilled",
    "launch",
    "look",
    "record",
    "settle",
    "sweep",
]
