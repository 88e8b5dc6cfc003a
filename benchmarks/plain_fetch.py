"""What else one would fetch with: curl, a bare socket, and a fetcher of small chunks that checks the size only.

The last is NRAO's fetcher as it is described in public: requests, 8 KiB at a time, the size compared in the end.
None of them knows whether the bytes are right.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import requests

__all__ = ["bare_socket", "curl", "curl_at_once", "small_chunks", "sync", "url_of"]

_SMALL, _LARGE = 8192, 1 << 20


def url_of(server: str, file_id: str) -> str:
    """Return where a file is."""
    return f"http://{server}/RETRIEVE?file_id={file_id}"


def curl(url: str, path: Path) -> float:
    """Fetch with curl; return the seconds by its own clock, which leaves out its start and its end."""
    command = ["curl", "--silent", "--fail", "--output", str(path), "--write-out", "%{time_total}", url]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


def curl_at_once(urls: Sequence[str], folder: Path, streams: int) -> float:
    """Fetch with one curl, so many at once; return the seconds."""
    outputs = [word for number, url in enumerate(urls) for word in ("--output", str(folder / str(number)), url)]
    options = ["--silent", "--fail", "--parallel", "--parallel-immediate", "--parallel-max", str(streams)]
    began = time.monotonic()
    subprocess.run(["curl", *options, *outputs], check=True, capture_output=True)
    return time.monotonic() - began


def bare_socket(server: str, file_id: str) -> float:
    """Receive into one buffer and look at nothing; return the seconds."""
    host, _, port = server.rpartition(":")
    buffer = memoryview(bytearray(_LARGE))
    began = time.monotonic()
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET /RETRIEVE?file_id={file_id} HTTP/1.0\r\n\r\n".encode())
        while connection.recv_into(buffer):
            pass
    return time.monotonic() - began


def small_chunks(url: str, path: Path, size: int) -> float:
    """Fetch 8 KiB at a time and compare the size; return the seconds."""
    began, count = time.monotonic(), 0
    with requests.get(url, stream=True, timeout=60) as response, path.open("wb") as stream:
        response.raise_for_status()
        for chunk in response.iter_content(_SMALL):
            count += stream.write(chunk)
    if count != size:
        raise OSError(f"{path} has {count} bytes instead of {size}")
    return time.monotonic() - began


def sync(paths: Sequence[Path]) -> float:
    """Bring files to disk; return the seconds."""
    began = time.monotonic()
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return time.monotonic() - began
