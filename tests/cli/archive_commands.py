"""An archive, a profile that names it, and the commands as processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deployments.local.ngas_server import Entry, archive, requests_of

PROFILE = "site-test"


@dataclass(frozen=True)
class Site:
    """A folder with an archive, its address, and an environment that uses it."""

    folder: Path
    address: str

    @property
    def root(self) -> Path:
        return self.folder / "archive"

    def put(self, name: str, data: bytes) -> Entry:
        source = self.folder / f"source-{name.replace('/', '_')}-{len(data)}"
        source.write_bytes(data)
        return archive(self.root, source, name)

    def write_profile(self, **more: str) -> None:
        given = {
            "processing.rootDirectory": str(self.folder / "area"),
            "metadata.url": "sqlite:////no-such-file",
            "ngas.servers": self.address,
            "ngas.timeoutSeconds": "5",
            **{key.replace("_", "."): value for key, value in more.items()},
        }
        capo = self.folder / "capo"
        capo.mkdir(exist_ok=True)
        text = "".join(f"ppi.{key} = {value}\n" for key, value in given.items())
        (capo / f"{PROFILE}.properties").write_text(text)

    def ppi(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            env=self.variables,
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def told(self, *arguments: str, code: int = 0, stdin: str = "") -> Any:
        """Run a command with --json and return what it says."""
        ran = self.ppi(*arguments, "--json", stdin=stdin)
        assert ran.returncode == code, ran.stderr
        return json.loads(ran.stdout)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "cli", *arguments, "-P", PROFILE]

    @property
    def variables(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CAPO_PATH": str(self.folder / "capo"),
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }

    def retrieved(self) -> list[str]:
        return sorted(request["file_id"] for request in requests_of(self.root, "RETRIEVE"))


@contextmanager
def locating(reports: dict[str, bytes]) -> Iterator[str]:
    """Run a locator service that knows some products; yields its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (locator,) = parse_qs(urlsplit(self.path).query)["locator"]
            body = reports.get(locator)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"<html>not found</html>")

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/location"
        finally:
            server.shutdown()
            thread.join()
