"""The small text products of a calibration: scripts, the log of commands, and the weblog's page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

__all__ = [
    "SIMULATED",
    "bare_fits",
    "commands_log",
    "hand_script",
    "pipeline_script",
    "restore_script",
    "weblog_page",
]

SIMULATED = "Simulated by PPI's small observatory: nothing of this was observed."
_TAKES_DATA = ("_importdata", "_restoredata")
_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Weblog of {mous} (simulated)</title></head>
<body>
<h1>{mous}</h1>
<p><strong>{note}</strong></p>
<table>
<tr><th>Execution block</th><th>Session</th><th>Phase calibrator (Jy)</th></tr>
{rows}
</table>
</body>
</html>
"""


def pipeline_script(commands: Iterable[tuple[str, Mapping[str, object]]], blocks: Mapping[str, str]) -> str:
    """Return a ``casa_pipescript.py``: the pipeline's tasks in order.

    Parameters
    ----------
    commands
        Tasks with their parameters.
    blocks
        Session (``session_1``) by execution block.
    """
    return _script(_call(task, parameters, blocks) for task, parameters in commands)


def restore_script(blocks: Mapping[str, str]) -> str:
    """Return a ``casa_piperestorescript.py``, which puts the calibration back on the raw data."""
    return _script([_call("hifa_restoredata", {"ocorr_mode": "ca"}, blocks)])


def hand_script(block: str) -> str:
    """Return a ``scriptForCalibration.py`` that says what it is, and calibrates nothing."""
    return f'# {SIMULATED}\nprint("{block} is simulated: this script stands for a calibration by hand")\n'


def commands_log(commands: Sequence[str]) -> str:
    """Return a ``casa_commands.log``."""
    return "\n".join((f"# {SIMULATED}", *commands)) + "\n"


def bare_fits() -> bytes:
    """Return a FITS file of a header that says what it is, and no data."""
    values = {"SIMPLE": "T", "BITPIX": "8", "NAXIS": "0"}
    cards = [f"{name:8}= {value:>20}" for name, value in values.items()]
    return b"".join(card.ljust(80).encode() for card in (*cards, f"COMMENT {SIMULATED}", "END")).ljust(2880)


def weblog_page(mous: str, rows: Iterable[tuple[str, str, float]]) -> str:
    """Return the weblog's page, with a row for each execution block, its session and a flux density."""
    cells = "\n".join(
        f"<tr><td>{escape(block)}</td><td>{escape(session)}</td><td>{flux:.4f}</td></tr>"
        for block, session, flux in rows
    )
    return _PAGE.format(mous=escape(mous), note=SIMULATED, rows=cells)


def _script(calls: Iterable[str]) -> str:
    body = "\n".join(f"    {call}" for call in calls)
    return f"# {SIMULATED}\nh_init()\ntry:\n{body}\nfinally:\n    h_save()\n"


def _call(task: str, parameters: Mapping[str, object], blocks: Mapping[str, str]) -> str:
    places = {"vis": list(blocks), "session": list(blocks.values())} if task.endswith(_TAKES_DATA) else {}
    return f"{task}({', '.join(f'{name}={value!r}' for name, value in {**places, **parameters}.items())})"
