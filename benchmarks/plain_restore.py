"""What an analyst would run instead: wget, tar, and the same casatasks steps; it checks nothing.

``plain_restore.py SERVER MOUS SESSION EB [SESSION EB …]`` in a directory that it may fill.
"""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
import tarfile
from typing import Any

from casatasks import applycal, flagmanager, importasdm

INTENTS = {
    "BANDPASS": "*CALIBRATE_BANDPASS*",
    "AMPLITUDE": "*CALIBRATE_FLUX*",
    "PHASE": "*CALIBRATE_PHASE*",
    "TARGET": "*OBSERVE_TARGET*",
}


def fetch(server: str, file_id: str) -> str:
    url = f"http://{server}/RETRIEVE?file_id={file_id}"
    subprocess.run(["wget", "-q", "-O", file_id, url], check=True)
    return file_id


def unpack(name: str) -> None:
    subprocess.run(["tar", "xf", name], check=True)


def apply(vis: str, **command: Any) -> None:
    command["gaintable"] = [os.path.basename(table) for table in command["gaintable"]]
    command["intent"] = ",".join(INTENTS[word] for word in command["intent"].split(","))
    applycal(**command | {"vis": os.path.basename(vis)}, applymode="calflagstrict", flagbackup=False)


def restore(server: str, mous: str, session: str, block: str) -> None:
    vis = f"{block}.ms"
    unpack(fetch(server, f"{block}.asdm.sdm.tar"))
    importasdm(
        asdm=f"{block}.asdm.sdm", vis=vis, createmms=False, ocorr_mode="ca", lazy=False, bdfflags=True,
        process_caldevice=False, savecmds=True, outfile=f"{block}.flagonline.txt", with_pointing_correction=True,
        asis="SBSummary ExecBlock Antenna Annotation Station Receiver Source CalAtmosphere CalWVR CalPointing",
    )  # fmt: skip
    shutil.rmtree(f"{vis}.flagversions")
    unpack(fetch(server, f"member.{vis}.flagversions.tgz"))
    flagmanager(vis=vis, mode="restore", versionname="Pipeline_Final")
    tables = f"member.{mous}.{session}.caltables.tgz"
    if not glob.glob(tables):
        tarfile.open(fetch(server, tables)).extractall(filter="data")
    for line in open(fetch(server, f"member.{vis}.calapply.txt")):
        if line.startswith("applycal"):
            eval(line, {"applycal": apply})


if __name__ == "__main__":
    server, mous, *pairs = sys.argv[1:]
    for session, block in zip(pairs[::2], pairs[1::2], strict=True):
        restore(server, mous, session, block)
