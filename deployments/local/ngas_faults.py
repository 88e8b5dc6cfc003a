"""Faults that the embedded archive can be told to have, each seen on real servers or on proxies before them.

A fault is a callable that gets the request before anything is answered, and returns whether it answered it.
Faults are given to the server by command and file id.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from deployments.local.ngas_handler import Fault, Handler
from deployments.local.ngas_refusal import Refusal, unavailable_file

__all__ = ["answer", "busy", "cut", "first", "flip", "internal_error", "stall", "unavailable"]


def first(count: int, fault: Fault) -> Fault:
    """Have a fault at the first `count` requests only."""
    numbers = itertools.count()
    return lambda handler: next(numbers) < count and fault(handler)


def cut(after: int) -> Fault:
    """Close the connection after so many bytes of the body."""
    return stall(after, 0)


def stall(after: int, seconds: float) -> Fault:
    """Send so many bytes of the body, then nothing for a while, then close; shorter when the server stops."""

    def fault(handler: Handler) -> bool:
        delivery = handler.delivery()
        handler.head(200, delivery.headers)
        handler.send_bytes(delivery, delivery.start, min(delivery.start + after, delivery.size))
        handler.server.stopping.wait(seconds)
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
        handler.wfile.write(altered)
        handler.send_bytes(delivery, position + 1, delivery.size)
        return True

    return fault


def busy() -> Fault:
    """Answer a bare 503 line, as a server does that has too many requests."""

    def fault(handler: Handler) -> bool:
        handler.status = 503
        handler.wfile.write(b"HTTP/1.0 503 Service Unavailable\r\n")
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


def answer(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Fault:
    """Answer anything."""

    def fault(handler: Handler) -> bool:
        handler.answer(status, body, headers or {})
        return True

    return fault
