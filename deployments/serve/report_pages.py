"""The program that shows browsers the reports of deliveries, and the logs of jobs and of CASA.

Nothing but `<project>/MOUS_*/qa/<file>` of the deliveries, `<crew>/<job>.{err,out,log}` of the logs and what CASA
said in attempts can be read, and nothing is listed. Names are opened one folder after another, each below the last
and never through a link, so that no name leads elsewhere.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from base64 import b64encode
from collections.abc import Callable
from mimetypes import guess_type
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deployments.serve.reports import LOGIN, greeting
from tasks.cluster.logs import JOBS, LOGS
from tasks.workspace.casalogs import ATTEMPTS, is_log

__all__ = ["application", "main"]

_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""A report is made of names from archives: whatever one of them holds, no script of it runs."""
_MOST_OF_A_LOG: Final = 1 << 24
"""Bytes: of a longer log its end is shown, where it says why it ended."""


def application(profile: str, deliveries: Path, logs: Path, base: str = "", login: str = "") -> Starlette:
    """Return the application.

    Parameters
    ----------
    profile
        The profile's name, which is told to who asks for `/health`.
    deliveries
        Where deliveries are, in the area in which attempts are.
    logs
        Where each crew has a directory with the logs of its jobs.
    base
        The path below which it answers.
    login
        ``username:password`` that every request for a report or a log must show; empty: none.
    """

    def health(_: Request) -> Response:
        return PlainTextResponse(greeting(profile))

    def report(request: Request) -> Response:
        names = [request.path_params[name] for name in ("project", "mous", "file")]
        kind = guess_type(names[-1])[0] or "application/octet-stream"
        return shown(request, "report", lambda: _report(deliveries, *names), kind)

    def log(request: Request) -> Response:
        names = [request.path_params[name] for name in ("crew", "file")]
        return shown(request, "log", lambda: _log(logs, *names), "text/plain")

    def attempt(request: Request) -> Response:
        path = str(request.path_params["path"])
        return shown(request, "log", lambda: _of_attempt(deliveries.parent, path), "text/plain")

    def shown(request: Request, what: str, read: Callable[[], bytes | None], kind: str) -> Response:
        if login and not _shows(request, login):
            return PlainTextResponse("who are you?", 401, {"WWW-Authenticate": 'Basic realm="PPI reports"'})
        if (content := read()) is None:
            return PlainTextResponse(f"there is no such {what}", 404)
        return Response(content, headers=_HEADERS, media_type=kind)

    return Starlette(
        routes=[
            Route(f"{base}/health", health, methods=["GET"]),
            Route(f"{base}/{JOBS}/{{crew}}/{{file}}", log, methods=["GET"]),
            Route(f"{base}/{ATTEMPTS}/{{path:path}}", attempt, methods=["GET"]),
            Route(f"{base}/{{project}}/{{mous}}/qa/{{file}}", report, methods=["GET"]),
        ]
    )


def main(profile: str, deliveries: str, logs: str, host: str, port: str, base: str) -> None:
    """Serve reports and logs until a signal ends it."""
    made = application(profile, Path(deliveries), Path(logs), base, os.environ.pop(LOGIN, ""))
    uvicorn.run(made, host=host, port=int(port), log_level="warning", server_header=False)


def _shows(request: Request, login: str) -> bool:
    wanted = f"Basic {b64encode(login.encode()).decode()}"
    return secrets.compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode())


def _report(deliveries: Path, project: str, mous: str, name: str) -> bytes | None:
    return _read(deliveries, (project, mous, "qa"), name) if mous.startswith("MOUS_") else None


def _log(logs: Path, crew: str, name: str) -> bytes | None:
    return _read(logs, (crew,), name, _MOST_OF_A_LOG) if name.endswith(LOGS) else None


def _of_attempt(area: Path, path: str) -> bytes | None:
    *folders, name = path.split("/")
    return _read(area, tuple(folders), name, _MOST_OF_A_LOG) if is_log(path) else None


def _read(root: Path, folders: tuple[str, ...], name: str, most: int | None = None) -> bytes | None:
    if any(part.startswith(".") for part in (*folders, name)):
        return None
    try:
        return _content(root, folders, name, most)
    except (OSError, ValueError):  # a name with a zero byte in it is a ValueError
        return None


def _content(root: Path, folders: tuple[str, ...], name: str, most: int | None) -> bytes:
    """Read a file, or its last so many bytes, through folders that are each opened within the one before."""
    held = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for folder in folders:
            held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held[-1])
        held.append(file)
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise IsADirectoryError(name)
        with os.fdopen(os.dup(file), "rb") as stream:
            stream.seek(max(status.st_size - most, 0) if most else 0)
            return stream.read(-1 if most is None else most)
    finally:
        for descriptor in held:
            os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
