"""The report beside the product, `qa/report.html`: what an analyst opens first, and often all they open.

It is one file that needs no network, no script and no other file, because it is mailed around and opened years
later. The names in it come from archives, so everything is escaped and the page forbids itself to load anything.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from tasks.casa.verdict import Outcome
from tasks.report import findings, units
from tasks.workspace.provenance import Provenance

__all__ = ["render"]

_MARKS: Final = {Outcome.SUCCESS: ("good", "✓"), Outcome.CAVEATS: ("warn", "!"), Outcome.FAILED: ("bad", "✕")}
"""Style and sign of each outcome, so that none is told by its colour alone."""


def render(provenance: Provenance, pictures: Mapping[str, bytes]) -> str:
    """Render the report.

    Parameters
    ----------
    provenance
        The record of the delivery, or of an attempt that failed.
    pictures
        PNG files by their names in `Proof.figures`; one that is not given is named as missing on the page.

    Returns
    -------
    The whole HTML document.
    """
    return _ENVIRONMENT.get_template("page.html.j2").render(
        record=provenance, images={name: _data_uri(content) for name, content in pictures.items()}
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("tasks.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module in (units, findings):
        environment.filters.update({name: getattr(module, name) for name in module.__all__})
    environment.globals.update(marks=_MARKS)
    return environment


_ENVIRONMENT: Final = _environment()
