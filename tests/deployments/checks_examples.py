"""A profile that is well, and services that answer as they are told to."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from blocks.profile import Profile
from deployments.checks import Finding, check
from tasks.alma.tables import METADATA

GREETING = b"AMQP\x00\x00\x09\x01"
START = b"\x01\x00\x00\x00\x00\x00\x08\x00\x0a\x00\x0a\x00\x09AMQPLAIN"
"""What a broker of AMQP 0-9-1 says first: a frame of a method, on channel 0, the method connection.start."""

Answer = tuple[int, Any]
Handler = Callable[[str, str], Answer]
"""Answers a path and an Authorization header with a status and a body."""


def written(folder: Path, name: str = "site-test", **properties: str) -> Profile:
    """Write a profile whose services are all there, but for what is given, and load it."""
    database = folder / "metadata.sqlite"
    if not database.exists():
        METADATA.create_all(create_engine(f"sqlite:///{database}"))
    given = {
        "processing.rootDirectory": str(folder / name),
        "metadata.url": f"sqlite:///{database}",
        "ngas.servers": "127.0.0.1:1",
        "ngas.timeoutSeconds": "2",
    } | {key.replace("_", "."): value for key, value in properties.items()}
    capo = folder / "capo"
    capo.mkdir(exist_ok=True)
    lines = (f"ppi.{key} = {value}\n" for key, value in given.items())
    (capo / f"{name}.properties").write_text("".join(lines))
    return Profile.load(name, str(capo))


def found(profile: Profile, what: str, seconds: float = 20) -> Finding:
    """Return what a check finds of one thing."""
    (finding,) = [each for each in check(profile, seconds) if each.what == what]
    return finding


@contextmanager
def answering(handle: Handler) -> Iterator[str]:
    """Serve HTTP on loopback; yields `host:port`."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = handle(self.path, self.headers.get("Authorization", ""))
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - http.server's names

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def routed(routes: Mapping[str, Answer]) -> Handler:
    """Answer the paths that are given, and 404 to all others."""
    return lambda path, _: routes.get(path, (404, {"detail": "Not Found"}))


@contextmanager
def greeted(answer: bytes | None) -> Iterator[tuple[str, list[bytes]]]:
    """Listen on loopback, and answer the first bytes that come; None says nothing for as long as it is asked.

    Yields
    ------
    Its `host:port`, and what was said to it.
    """
    heard: list[bytes] = []
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                heard.append(connection.recv(64))
                if answer is None:
                    over.wait(60)
                else:
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}", heard
        over.set()
        thread.join(10)
