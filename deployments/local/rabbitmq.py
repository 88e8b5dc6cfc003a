"""A private RabbitMQ: a real broker for tests and trials, on loopback, with a password, whoever runs it.

All of it is in a directory of its own, and it ends with the process that started it, however that ends. It may be
stopped, killed and started again meanwhile; what is durable in it stays.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from deployments.lifeline import Command, Kept, keep
from tasks import disk
from tasks.errors import Failed, Missing, Transient

__all__ = ["LocalBroker", "running"]

_USER: Final = "ppi"
_SERVER: Final = "lib/rabbitmq/bin/rabbitmq-server"
"""The program itself: the one on PATH of some systems refuses everybody but root and its own account."""
_UP_SECONDS, _LOOK_SECONDS, _ANSWER_SECONDS = 180.0, 0.05, 5.0
_STOP: Final = (("SIGTERM", 60.0),)
_GREETING: Final = b"AMQP\x00\x00\x09\x01"
_LINES: Final = 5
_CONFIGURATION: Final = """\
listeners.tcp.1 = 127.0.0.1:{port}
default_user = {user}
default_pass = {password}
log.console = false
"""


class LocalBroker:
    """A broker that ends with us.

    Parameters
    ----------
    home
        Its directory, which only it uses.

    Attributes
    ----------
    port
        On loopback; the same after each start.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port, self._names, self._distribution = _free_ports(3)
        self._password = secrets.token_urlsafe(24)
        self._kept: Kept | None = None
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = _CONFIGURATION.format(port=self.port, user=_USER, password=self._password)
        disk.write_whole(home / "rabbitmq.conf", text.encode(), 0o600)
        disk.write_whole(home / ".erlang.cookie", secrets.token_urlsafe(24).encode(), 0o400)
        (home / "plugins").touch()

    @property
    def url(self) -> str:
        """Where it is, with its login."""
        return f"amqp://{_USER}:{self._password}@127.0.0.1:{self.port}/"

    @property
    def properties(self) -> Mapping[str, str]:
        """The keys of a profile that has it for its broker."""
        return {
            "ppi.broker.url": f"amqp://127.0.0.1:{self.port}/",
            "ppi.broker.username": _USER,
            "ppi.broker.password": self._password,
        }

    def start(self) -> None:
        """Start it, and wait until it takes connections.

        Raises
        ------
        Missing
            RabbitMQ is not on this host.
        Failed, Transient
            It did not come up.
        """
        kept = self._kept = keep(self._command(), self.home / "out")
        ends = time.monotonic() + _UP_SECONDS
        while not self._is_up():
            if (code := kept.status()) is not None:
                self._kept = None
                raise Failed(str(self), f"it ended with status {code}: {self._last()}", f"see {self.home}")
            if time.monotonic() > ends:
                self.stop()
                why = f"it was not up within {_UP_SECONDS:.0f} s: {self._last()}"
                raise Transient(str(self), why, f"see {self.home}, then run again")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """Stop it in good order."""
        if self._kept:
            self._kept.end()
        self._kept = None

    def kill(self) -> None:
        """Kill it, as a host does that goes down."""
        with suppress(psutil.NoSuchProcess):
            self._process().send_signal(signal.SIGKILL)
        self.stop()

    def _process(self) -> psutil.Process:
        return psutil.Process(int((self.home / "pid").read_text()))

    def _command(self) -> Command:
        (self.home / "pid").unlink(missing_ok=True)
        return Command((str(_program()),), self._environment(), self.home, _STOP)

    def _environment(self) -> dict[str, str]:
        """Return its whole environment: nothing of another broker on this host, and nothing of an operator's."""
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": str(self.home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
            "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server, and no shell is in between
            "RABBITMQ_CONF_ENV_FILE": str(self.home / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.home / "rabbitmq.conf"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.home / "plugins"),
            "RABBITMQ_LOG_BASE": str(self.home / "log"),
            "RABBITMQ_MNESIA_BASE": str(self.home / "data"),
            "RABBITMQ_NODENAME": "ppi@localhost",
            "RABBITMQ_PID_FILE": str(self.home / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        }

    def _is_up(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), _ANSWER_SECONDS) as server:
            server.sendall(_GREETING)
            return bool(server.recv(1))
        return False

    def _last(self) -> str:
        lines: list[str] = []
        for path in (self.home / "out", *sorted((self.home / "log").glob("*.log"))):
            lines += path.read_text(errors="replace").split("\n")[-_LINES:]
        return "; ".join(filter(None, lines))

    def __str__(self) -> str:
        return f"the RabbitMQ in {self.home}"


@contextmanager
def running(home: Path) -> Iterator[LocalBroker]:
    """Run a broker for as long as the block lasts.

    Parameters
    ----------
    home
        Its directory; made if it is not there.

    Raises
    ------
    PpiError
        It could not be; see `LocalBroker.start`.
    """
    broker = LocalBroker(home)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


def _program() -> Path:
    for root in (Path("/usr"), Path("/usr/local"), Path("/opt")):
        if (program := root / _SERVER).exists():
            return program
    todo = "install the system's package `rabbitmq-server`"
    raise Missing("RabbitMQ", f"there is no {_SERVER} on this host", todo)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
