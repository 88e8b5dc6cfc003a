"""The program that shows the reports of deliveries to browsers.

Nothing but `<project>/MOUS_*/qa/<file>` can be read, and nothing is listed. Names are opened one folder after
another, each below the last and never through a link, so that no name leads elsewhere.
"""

from __future__ import annotations

import os
import secrets
import stat
import sys
from base64 import b64encode
from mimetypes import guess_type
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from deployments.serve.reports import LOGIN, greeting

__all__ = ["application", "main"]

_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""A report is made of names from archives: whatever one of them holds, no script of it runs."""


def application(profile: str, deliveries: Path, base: str = "", login: str = "") -> Starlette:
    """Return the application.

    Parameters
    ----------
    profile
        The profile's name, which is told to who asks for `/health`.
    deliveries
        Where deliveries are.
    base
        The path below which it answers.
    login
        ``username:password`` that every request for a report must show; empty: none.
    """

    def health(_: Request) -> Response:
        return PlainTextResponse(greeting(profile))

    def report(request: Request) -> Response:
        if login and not _shows(request, login):
            return PlainTextResponse("who are you?", 401, {"WWW-Authenticate": 'Basic realm="PPI reports"'})
        names = [request.path_params[name] for name in ("project", "mous", "file")]
        content = _read(deliveries, *names)
        if content is None:
            return PlainTextResponse("there is no such report", 404)
        return Response(
            content, headers=_HEADERS, media_type=guess_type(names[-1])[0] or "application/octet-stream"
        )

    return Starlette(
        routes=[
            Route(f"{base}/health", health, methods=["GET"]),
            Route(f"{base}/{{project}}/{{mous}}/qa/{{file}}", report, methods=["GET"]),
        ]
    )


def main(profile: str, deliveries: str, host: str, port: str, base: str) -> None:
    """Serve reports until a signal ends it."""
    made = application(profile, Path(deliveries), base, os.environ.pop(LOGIN, ""))
    uvicorn.run(made, host=host, port=int(port), log_level="warning", server_header=False)


def _shows(request: Request, login: str) -> bool:
    wanted = f"Basic {b64encode(login.encode()).decode()}"
    return secrets.compare_digest(request.headers.get("Authorization", "").encode(), wanted.encode())


def _read(deliveries: Path, project: str, mous: str, name: str) -> bytes | None:
    if not mous.startswith("MOUS_") or any(part.startswith(".") for part in (project, mous, name)):
        return None
    try:
        return _content(deliveries, (project, mous, "qa"), name)
    except (OSError, ValueError):  # a name with a zero byte in it is a ValueError
        return None


def _content(root: Path, folders: tuple[str, ...], name: str) -> bytes:
    """Read a file through folders that are each opened within the one before."""
    held = [os.open(root, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for folder in folders:
            held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=held[-1])
        held.append(file)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise IsADirectoryError(name)
        with os.fdopen(os.dup(file), "rb") as stream:
            return stream.read()
    finally:
        for descriptor in held:
            os.close(descriptor)


if __name__ == "__main__":
    main(*sys.argv[1:])
