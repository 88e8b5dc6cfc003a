"""Stands in for monolithic CASA: what of ``casa --pipeline -c runpipeline.py PPR`` can be seen from outside.

Installed as ``bin/casa`` of a directory in which `behaviour.json` says how it is to behave, and where the
measurement sets lie that a real restore has made. It takes the command line and the directories that the
observatory's pipeline takes and no others, and writes down in `seen.jsonl` what it was given. Where the PPR asks
for it, it exports images as the pipeline does, and, as that of Cycle 5, the calibration over what is there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

INSTALLATION = Path(__file__).resolve().parents[1]
BEHAVIOUR = json.loads((INSTALLATION / "behaviour.json").read_text())
ACT = BEHAVIOUR["act"]
IMAGES = ("cont", "cube")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="casa", allow_abbrev=False)
    for flag in ("--nogui", "--nologger", "--agg", "--pipeline"):
        parser.add_argument(flag, action="store_true", required=True)
    parser.add_argument("--logfile", type=Path, required=True)
    parser.add_argument("-c", nargs=argparse.REMAINDER, required=True, dest="script")
    return parser.parse_args()


def note(options: argparse.Namespace) -> None:
    seen = {"cwd": str(Path.cwd()), "environment": dict(os.environ), "script": options.script}
    with (INSTALLATION / "seen.jsonl").open("a") as file:
        file.write(json.dumps(seen) + "\n")


def log(path: Path, priority: str, text: str, origin: str = "hifa_restoredata::::") -> None:
    with path.open("a") as file:
        file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())}\t{priority}\t{origin}\t{text}\n")


def give_up(working: Path, logfile: Path, why: str) -> None:
    """End as executeppr does where a PPR or its data cannot be used: a file, a line in the log, and status 0."""
    (working / time.strftime("errorexit-%Y%m%dT%H%M%S.txt", time.gmtime())).touch()
    log(logfile, "WARN", why)
    sys.exit(0)


def restore(blocks: list[str], mous: Path, logfile: Path) -> None:
    working, products = mous / "working", mous / "products"
    if len(list(products.glob("*pipeline_manifest.xml"))) != 1:
        give_up(working, logfile, "there is not one manifest")
    for block in blocks:
        if not (mous / "rawdata" / block / "ASDM.xml").is_file() or (working / f"{block}.ms").exists():
            give_up(working, logfile, f"{block} cannot be imported")
        for name in (f"{block}.ms", f"{block}.ms.flagversions"):
            source = Path(BEHAVIOUR["made"], name)
            if source.exists():
                shutil.copytree(source, working / name)


def export(commands: list[str], mous: Path) -> None:
    products, stem = mous / "products", f"{mous.name.removeprefix('MOUS_')}"
    for path in products.glob("*.caltables.tgz"):
        path.write_bytes(b"exported anew")
    images = [] if ACT == "no image" else [f"{stem}.target_sci.spw16.{kind}.I.pbcor.fits" for kind in IMAGES]
    for number, name in enumerate(images):
        (products / name).write_bytes(fits(number))
        if ACT == "hang in an image":
            os.truncate(products / name, 3000)
            misbehave(mous, Path())
    if ACT == "half an image":
        os.truncate(products / images[-1], 3000)
    if ACT == "an image less":
        (products / images[-1]).unlink()
    listed = "".join(f'<image name="{name}" imtype="target"/>' for name in images)
    written = f'<piperesults name="{stem}"><ous name="{stem}">{listed}</ous></piperesults>'
    (products / f"{stem}.hifa_image.pipeline_manifest.xml").write_text(written)
    (products / f"{stem}.hifa_image.weblog.tgz").write_text(" ".join(commands))


def fits(number: int) -> bytes:
    cards = {"SIMPLE": "T", "BITPIX": -32, "NAXIS": 2, "NAXIS1": 40, "NAXIS2": 30}
    header = "".join(f"{name:8}= {value:>20}".ljust(80) for name, value in cards.items()) + "END".ljust(80)
    return header.ljust(2880).encode() + (bytes([number]) * 4800).ljust(5760, b"\0")


def misbehave(mous: Path, logfile: Path) -> None:
    name = time.strftime("errorexit-%Y%m%dT%H%M%S.txt", time.gmtime())
    if ACT in ("working", "products"):
        (mous / ACT / name).touch()
    elif ACT == "severe":
        log(logfile, "SEVERE", "Task applycal raised an exception of class RuntimeError", "applycal::::casa")
    elif ACT == "lost data":
        log(logfile, "INFO", "SDMDataObjectStreamReaderException:could not open 'X1a'", "::sdm ")
    elif ACT == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif ACT == "status":
        sys.exit(1)
    elif ACT in ("hang", "hang in an image"):
        subprocess.Popen(["sleep", "4719"], start_new_session=True)
        time.sleep(4719)
    elif ACT == "no log":
        logfile.unlink()


def main() -> None:
    options = arguments()
    note(options)
    script, request = (Path(each) for each in options.script)
    if not script.is_file():
        sys.exit(1)
    logfile = Path.cwd() / "casa-20261120-184000.log" if BEHAVIOUR.get("own_log") else options.logfile
    log(logfile, "INFO", "CASA Version PIPELINE (simulated)", "::casa")
    ppr = ElementTree.parse(request)  # noqa: S314 - written by PPI itself
    relative = ppr.findtext(".//RelativePath")
    assert relative
    mous = Path(os.environ["SCIPIPE_ROOTDIR"], relative)
    os.chdir(mous / "working")
    restore([str(element.text) for element in ppr.iter("AsdmDiskName")], mous, logfile)
    commands = [str(element.text) for element in ppr.iter("Command")]
    if "hifa_exportdata" in commands:
        export(commands, mous)
    misbehave(mous, logfile)


if __name__ == "__main__":
    main()
