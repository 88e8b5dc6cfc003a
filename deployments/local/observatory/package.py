"""Writes the files of one execution block in the forms of the archive; runs inside a CASA child or outside.

Tars carry no times, owners or other traces of the build, so that the same seed gives the same products as far as
CASA's own files allow.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

__all__ = ["apply_file", "pack", "pack_flags"]

_EPOCH = 1_500_000_000
"""The time (s, July 2017) that all members of a tar carry."""


def pack(tar: Path, members: Mapping[str, Path | bytes]) -> Path:
    """Write a tar, compressed where its name ends in ``gz``.

    Parameters
    ----------
    members
        By name in the tar: a folder (with all that is in it), a file, or a file's content.
    """
    with tar.open("wb") as raw:
        if not tar.name.endswith("gz"):
            _write(raw, members)
        else:
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as packed:
                _write(packed, members)
    return tar


def pack_flags(tar: Path, vis: Path, version: str) -> Path:
    """Write one saved flag version of a measurement set as its ``.flagversions.tgz``."""
    folder = f"{vis.name}.flagversions"
    return pack(
        tar,
        {
            f"{folder}/flags.{version}": vis.parent / folder / f"flags.{version}",
            f"{folder}/FLAG_VERSION_LIST": f"{version} : Final pipeline flags (simulated)\n".encode(),
        },
    )


def apply_file(vis: str, commands: Iterable[Mapping[str, object]]) -> str:
    """Return the text of a ``.calapply.txt``: a line for each command, with applycal's arguments in order."""
    lines = (f"applycal({', '.join(f'{k}={v!r}' for k, v in command.items())})" for command in commands)
    return "\n".join((f"# Apply file for {vis} (simulated)", *lines)) + "\n"


def _write(stream: IO[bytes] | gzip.GzipFile, members: Mapping[str, Path | bytes]) -> None:
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content in sorted(members.items()):
            if isinstance(content, bytes):
                _add(tar, name, content)
                continue
            for path in sorted((content, *content.rglob("*"))):
                inside = PurePosixPath(name, path.relative_to(content))
                _add(tar, str(inside), path)


def _add(tar: tarfile.TarFile, name: str, content: Path | bytes) -> None:
    member = tarfile.TarInfo(name)
    member.mtime, member.mode = _EPOCH, 0o644
    if isinstance(content, bytes):
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    elif content.is_dir():
        member.type, member.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(member)
    else:
        member.size = content.stat().st_size
        with content.open("rb") as stream:
            tar.addfile(member, stream)
