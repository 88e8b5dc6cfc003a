"""A private PostgreSQL cluster: for a host that has the programs, and no server that its environments may use.

It listens on loopback alone and asks for passwords (SCRAM). Its superuser's password is made here, and kept beside
its data.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from tasks import disk
from tasks.errors import Failed, Missing

__all__ = ["Cluster", "Wanted", "account", "home_for", "initialise", "server_command"]

_SUPERUSER: Final = "ppi_superuser"
_PASSWORD: Final = "password"  # noqa: S105 - the name of its file
_CONNECT_SECONDS: Final = 5


@dataclass(frozen=True)
class Wanted:
    """A database, and who owns it."""

    database: str
    username: str
    password: str


def account() -> dict[str, Any]:
    """Return as whom to run the programs, as `subprocess` wants it: PostgreSQL refuses to be root's."""
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = known.get("postgres") or known["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def home_for(area: Path, port: int) -> Path:
    """Return where the cluster of an environment is: in its area, unless root's, which nobody else can reach.

    Raises
    ------
    Missing
        The account `postgres` has no home directory, which it would be in.
    """
    if not (own := account()):
        return area / f".postgresql-{port}"
    home = Path(pwd.getpwuid(own["user"]).pw_dir)
    if not home.is_dir():
        why = "it is needed to run PostgreSQL for root, and is not there"
        raise Missing(
            f"the home directory {home} of account postgres", why, "run PPI as another account than root"
        )
    return home / "ppi" / f"{area.name}-{port}-{sha256(str(area).encode()).hexdigest()[:12]}"


def server_command(data: Path, port: int, **settings: str) -> tuple[str, ...]:
    """Return the command that runs a cluster on loopback."""
    given = {"listen_addresses": "127.0.0.1", "port": str(port), "unix_socket_directories": ""} | settings
    options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
    return str(_programs() / "postgres"), "-D", str(data), *options


def initialise(home: Path, superuser: str, *options: str) -> str:
    """Make a cluster in `data` of a directory that its account can reach; return its superuser's password.

    Raises
    ------
    Missing
        PostgreSQL's programs are not on this host.
    Failed
        They could not make it.
    """
    own, draft = account(), home / ".data.draft"
    disk.remove(draft)
    given = secrets.token_urlsafe(24)
    _write_for(own, home / _PASSWORD, given)
    made = subprocess.run(
        [_programs() / "initdb", "--pgdata", draft, "--username", superuser, "--pwfile", home / _PASSWORD,
         "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", *options],
        cwd=home, check=False, capture_output=True, text=True, **own,
    )  # fmt: skip
    if made.returncode:
        why = " ".join(made.stderr.split())
        raise Failed(f"the PostgreSQL cluster in {home}", why, "mend that, then run again")
    draft.rename(home / "data")
    return given


class Cluster:
    """The private cluster of an environment.

    Parameters
    ----------
    home
        Its directory; made, with its parents, when it is needed.
    port
        On loopback.
    """

    def __init__(self, home: Path, port: int) -> None:
        self._home, self._port = home, port

    def command(self) -> tuple[str, ...]:
        """Make the cluster if it is not there; return the command that runs it."""
        _make_for(account(), self._home)
        if not (self._home / "data").exists():
            initialise(self._home, _SUPERUSER)
        return server_command(self._home / "data", self._port)

    def make(self, wanted: Iterable[Wanted]) -> None:
        """Make databases with their owners where they are not there, and give the owners their passwords.

        Raises
        ------
        psycopg.Error
            The cluster does not run, or not as this one.
        """
        with psycopg.connect(
            host="127.0.0.1",
            port=self._port,
            dbname="postgres",
            user=_SUPERUSER,
            password=(self._home / _PASSWORD).read_text(),
            autocommit=True,
            connect_timeout=_CONNECT_SECONDS,
        ) as connection:
            for each in wanted:
                _make_owner(connection, each)
                _make_database(connection, each)


def _make_owner(connection: psycopg.Connection[Any], wanted: Wanted) -> None:
    name, known = sql.Identifier(wanted.username), "SELECT FROM pg_roles WHERE rolname = %s"
    if connection.execute(known, (wanted.username,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    # Encrypted here, so that no log of the server's can hold it.
    hidden = connection.pgconn.encrypt_password(
        wanted.password.encode(), wanted.username.encode(), b"scram-sha-256"
    )
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(hidden.decode())))


def _make_database(connection: psycopg.Connection[Any], wanted: Wanted) -> None:
    name, owner = sql.Identifier(wanted.database), sql.Identifier(wanted.username)
    known = "SELECT FROM pg_database WHERE datname = %s"
    if connection.execute(known, (wanted.database,)).fetchone() is None:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))


def _programs() -> Path:
    """Return where the server's programs are: the newest version of Debian's, or those on PATH."""
    versions = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found = shutil.which("initdb")
    if not versions and not found:
        todo = "install the system's package `postgresql`, or name a server that runs in the profile"
        raise Missing("PostgreSQL's programs", "they are not on this host", todo)
    newest = max(versions, key=lambda path: float(path.parent.name), default=None)
    return newest or Path(found or "").resolve().parent


def _make_for(own: dict[str, Any], directory: Path) -> None:
    for path in (directory.parent, directory):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if own:
            os.chown(path, own["user"], own["group"])


def _write_for(own: dict[str, Any], path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    if own:
        os.chown(path, own["user"], own["group"])
