"""`ppi archive`: files into the archive, each once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer

from blocks.profile import Profile
from cli._console import out, print_json
from cli._files import described, end
from tasks.ngas.sending import Sent, found, parcels, send
from tasks.ngas.tasks import archive_client
from tasks.report.units import size

__all__ = ["run"]


def run(
    profile: Profile,
    paths: Sequence[Path],
    file_id: str | None,
    media_type: str | None,
    quick: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Archive files and say what the archive has then; in a dry run, what it has now."""
    if file_id is not None and len(paths) > 1:
        raise typer.BadParameter(f"--id names one file, and there are {len(paths)}")
    client, todo = archive_client(profile), parcels(paths, file_id)
    sent = (found(client, each) for each in todo) if dry_run else send(client, todo, media_type, quick)
    tell = _foretold if dry_run else _told
    done = []
    for each in sent:
        done.append(each)
        if not (as_json or each.error):
            out().print(tell(each))
    if as_json:
        print_json({"files": [_as_json(each) for each in done]})
    end(each.error for each in done)


def _told(sent: Sent) -> str:
    stored = sent.stored
    if stored is None:
        return ""
    how = "was there already" if sent.was_there else "archived"
    proof = stored.checksum or "no checksum: only its size could be compared"
    return f"{stored}  {size(stored.size)}  {proof}  on {stored.server}  {how}"


def _foretold(sent: Sent) -> str:
    if sent.stored and sent.was_there:
        return _told(sent)
    version = f"version {sent.stored.version + 1}" if sent.stored else "version 1"
    return f"{sent.parcel.file_id} {version}  {size(sent.parcel.size)}  would be archived from {sent.parcel.path}"


def _as_json(sent: Sent) -> dict[str, object]:
    return {
        "path": str(sent.parcel.path),
        "id": sent.parcel.file_id,
        "stored": described(sent.stored) if sent.stored else None,
        "was_there": sent.was_there,
        "error": str(sent.error) if sent.error else None,
    }
