"""A server that answers every request with whatever a test wants, byte by byte if it likes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

STOPPING = 0.02


@dataclass
class Raw:
    """What it was asked, and how it can go on."""

    address: str
    heads: list[str] = field(default_factory=list)
    """The requests' lines and headers."""
    over: threading.Event = field(default_factory=threading.Event)

    def trickle(self, connection: socket.socket, data: bytes, pause: float) -> None:
        """Send a byte at a time until all is sent, the client goes away, or the test is over."""
        for byte in data:
            if self.over.wait(pause):
                return
            connection.sendall(bytes([byte]))


@contextmanager
def answering(answer: Callable[[Raw, socket.socket], None]) -> Iterator[Raw]:
    """Serve on loopback; each request has a thread of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(STOPPING)
        raw = Raw(f"127.0.0.1:{listener.getsockname()[1]}")
        threads = [threading.Thread(target=_serve, args=(raw, listener, answer))]
        threads[0].start()
        try:
            yield raw
        finally:
            raw.over.set()
            threads[0].join()


def _serve(raw: Raw, listener: socket.socket, answer: Callable[[Raw, socket.socket], None]) -> None:
    threads = []
    while not raw.over.is_set():
        with contextlib.suppress(TimeoutError):
            connection, _ = listener.accept()
            threads.append(threading.Thread(target=_answer, args=(raw, connection, answer)))
            threads[-1].start()
    for thread in threads:
        thread.join()


def _answer(raw: Raw, connection: socket.socket, answer: Callable[[Raw, socket.socket], None]) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(10)
        head = b""
        while b"\r\n\r\n" not in head and (more := connection.recv(4096)):
            head += more
        raw.heads.append(head.decode("latin-1"))
        answer(raw, connection)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(4096):
            pass
