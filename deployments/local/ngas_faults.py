"""Faulty answers that the embedded archive can be told to give, each seen on real servers or proxies before them.

A fault is a callable that gets the request before anything is answered, and returns whether it answered it. Faults
are given to a server by command and file id; `deployments.local.named_faults` puts them there by name.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import socket
import struct
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from deployments.local.ngas_commands import COPY_PLUGIN
from deployments.local.ngas_documents import status_document
from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_refusal import BUSY, Refusal, improper_state, unavailable_file

__all__ = [
    "answer", "busy", "copy", "cut", "die", "failure", "first", "flip", "hang_up", "in_turn", "internal_error",
    "negative_length", "newer_version", "offline", "page", "redirect", "reset", "stall", "trickle", "trickle_head",
    "unavailable", "unwritable", "whole_again", "wrong_start",
]  # fmt: skip

_PATIENCE_SECONDS = 60.0


def first(count: int, fault: Fault) -> Fault:
    """Have a fault at the first `count` requests only."""
    return in_turn(*[fault] * count)


def in_turn(*faults: Fault) -> Fault:
    """Have one fault after the other, one at each request, and none when they are used up."""
    rest, lock = iter(faults), threading.Lock()

    def fault(handler: Handler) -> bool:
        with lock:
            current = next(rest, None)
        return current is not None and current(handler)

    return fault


def cut(after: int | None = None) -> Fault:
    """Close the connection after so many bytes of the body; by default after half of it."""
    return stall(after, 0)


def stall(after: int | None = None, seconds: float = _PATIENCE_SECONDS) -> Fault:
    """Send so many bytes of the body, then nothing while the client waits, but not for ever; then close."""

    def fault(handler: Handler) -> bool:
        _send_part(handler, after)
        handler.linger(seconds)
        return True

    return fault


def _send_part(handler: Handler, after: int | None) -> None:
    delivery = handler.delivery()
    count = (delivery.size - delivery.start) // 2 if after is None else after
    handler.head(200, delivery.headers)
    handler.send_bytes(delivery, delivery.start, min(delivery.start + count, delivery.size))


def die(after: int | None = None) -> Fault:
    """Send so many bytes of the body, then be gone for ever, as a server that is killed."""

    def fault(handler: Handler) -> bool:
        _send_part(handler, after)
        handler.server.die()
        return True

    return fault


def trickle(pause: float, piece: int = 1) -> Fault:
    """Send the body in small pieces with pauses, each shorter than any time-out."""

    def fault(handler: Handler) -> bool:
        delivery = handler.delivery()
        handler.head(200, delivery.headers)
        for at in range(delivery.start, delivery.size, piece):
            handler.send_bytes(delivery, at, min(at + piece, delivery.size))
            if not handler.linger(pause):
                break
        return True

    return fault


def trickle_head(pause: float) -> Fault:
    """Send headers without end, byte by byte."""

    def fault(handler: Handler) -> bool:
        for byte in itertools.chain(b"HTTP/1.0 200 OK\r\n", itertools.cycle(b"X-Filler: x\r\n")):
            handler.wfile.write(bytes([byte]))
            if not handler.linger(pause):
                break
        return True

    return fault


def flip(position: int) -> Fault:
    """Send one byte of the file altered, all else as it should be."""

    def fault(handler: Handler) -> bool:
        delivery = handler.delivery()
        if not delivery.start <= position < delivery.size:
            return False
        with delivery.path.open("rb") as stream:
            stream.seek(position)
            altered = bytes([stream.read(1)[0] ^ 0xFF])
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, delivery.start, position)
        handler.send(altered)
        handler.send_bytes(delivery, position + 1, delivery.size)
        return True

    return fault


def hang_up(seconds: float = 0) -> Fault:
    """Say nothing while the client waits, but not for ever; then close."""

    def fault(handler: Handler) -> bool:
        handler.linger(seconds)
        return True

    return fault


def reset() -> Fault:
    """Reset the connection, as the kernel does for a server that turns a request away unheard."""

    def fault(handler: Handler) -> bool:
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(handler.connection.detach())
        return True

    return fault


def busy() -> Fault:
    """Answer a bare 503 line, as a server does that has too many requests."""

    def fault(handler: Handler) -> bool:
        handler.status = 503
        handler.wfile.write(BUSY)
        return True

    return fault


def internal_error() -> Fault:
    """Answer 500 with a status document."""

    def fault(handler: Handler) -> bool:
        raise Refusal("Exception while handling request: database is locked", status=500)

    return fault


def unavailable() -> Fault:
    """Answer error 4019 though the file is there, as when its volume is unmounted."""

    def fault(handler: Handler) -> bool:
        raise unavailable_file(handler.subject)

    return fault


def offline() -> Fault:
    """Answer error 4015, as a server that is OFFLINE."""

    def fault(handler: Handler) -> bool:
        raise improper_state(handler.ngas_command, "OFFLINE")

    return fault


def redirect(address: str = "") -> Fault:
    """Redirect to another server; by default to itself."""

    def fault(handler: Handler) -> bool:
        target = f"http://{address or handler.server.address}{handler.path}"
        handler.answer(303, b"", {"Location": target})
        return True

    return fault


def whole_again() -> Fault:
    """Answer a request for the rest with the whole file."""

    def fault(handler: Handler) -> bool:
        delivery = replace(handler.delivery(), start=0)
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, 0, delivery.size)
        return True

    return fault


def wrong_start(by: int = 7) -> Fault:
    """Answer with the bytes from so many further on, and say so."""

    def fault(handler: Handler) -> bool:
        asked = handler.delivery()
        delivery = replace(asked, start=min(asked.start + by, asked.size - 1))
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, delivery.start, delivery.size)
        return True

    return fault


def negative_length() -> Fault:
    """Answer as NGAS answers a range beyond the end of what is on its disk."""
    return answer(200, b"", {"Content-Length": "-7", "Content-Range": "bytes 17-9/10"})


def page(status: int = 200) -> Fault:
    """Answer a page of markup, as proxies do."""
    return answer(status, b"<html><body>please wait</body></html>", {"Content-Type": "text/html"})


def failure(message: str = "NGAMS_ER_COM:4000:ERROR: node x cannot be reached") -> Fault:
    """Answer 200 with a status document of failure."""

    def fault(handler: Handler) -> bool:
        document = status_document(handler.server.address, message, succeeded=False)
        handler.answer(200, document, {"Content-Type": "text/xml"})
        return True

    return fault


def newer_version() -> Fault:
    """Have a newer version of the file, of other bytes, before what was asked for is answered."""

    def fault(handler: Handler) -> bool:
        index, entry = handler.server.index, handler.located().entry
        staged = index.staging / secrets.token_hex(8)
        staged.write_bytes(b"newer")
        index.add(staged, entry.file_id, entry.format, "None", "None", entry.disk_id)
        return False

    return fault


def copy(part: float) -> Fault:
    """Say that the file was written where it was wanted, though it was only in part; 0 writes none at all."""

    def fault(handler: Handler) -> bool:
        path = handler.delivery().path
        if part:
            shutil.copyfile(path, _outfile(handler))
            os.truncate(_outfile(handler), int(path.stat().st_size * part))
        handler.document("Successfully handled command RETRIEVE")
        return True

    return _where_copied(fault)


def unwritable() -> Fault:
    """Refuse to write the file where it is wanted, as where NGAS's user may not."""

    def fault(handler: Handler) -> bool:
        raise Refusal(f"{COPY_PLUGIN}: [Errno 13] Permission denied: '{_outfile(handler)}'")

    return _where_copied(fault)


def _where_copied(fault: Fault) -> Fault:
    return lambda handler: "processing" in handler.parameters and fault(handler)


def _outfile(handler: Handler) -> Path:
    return Path(handler.parameters.get("processingPars", "").partition("outfile=")[2])


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    """Answer anything."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, body, headers or {})
        return True

    return fault
