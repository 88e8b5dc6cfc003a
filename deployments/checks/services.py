"""Reaching the services that a profile names, other than Prefect: each is asked a real question, and only read."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Final
from urllib.parse import urlsplit

import requests
from sqlalchemy import select

from blocks.profile import Broker, Metadata, Ngas, Profile
from deployments.checks.finding import Probe, Unknown
from tasks.alma.connection import Database
from tasks.alma.tables import METADATA
from tasks.catalog.schema import REVISION, require_own, revision
from tasks.catalog.tasks import database_of
from tasks.errors import Refused, Transient
from tasks.ngas.client import NgasClient

__all__ = ["probes"]

_SECONDS: Final = 3.0
_PORTS: Final = {"amqp": 5672, "amqps": 5671}
_GREETING: Final = b"AMQP\x00\x00\x09\x01"
"""With which a client of AMQP 0-9-1 begins."""
_START: Final = b"\x00\x0a\x00\x0a"
"""The method with which a broker answers: its class (connection) and number (start)."""
_HEADER_OF_FRAME: Final = 7
_METHOD: Final = 1


def probes(profile: Profile) -> Iterator[Probe]:
    """Return what is to be looked at."""
    yield Probe("metadata database", partial(_metadata, profile.metadata))
    yield Probe("catalog", partial(_catalog, profile))
    for server in profile.ngas.servers:
        yield Probe(f"NGAS {server}", partial(_ngas, profile.ngas, server))
    yield Probe("locator service", partial(_locator, profile.ngas))
    yield Probe("broker", partial(_broker, profile.broker))


def _metadata(named: Metadata) -> str:
    """Read a row of each table that a restore reads, with all the columns that it reads."""
    password = named.password.get_secret_value()
    tables = METADATA.sorted_tables
    with Database(named.url, named.schema_name, named.username, password).reading() as reader:
        rows = [reader.first(select(*table.columns).limit(1)) for table in tables]
    empty = [table.name for table, row in zip(tables, rows, strict=True) if row is None]
    return f"{len(tables)} tables can be read" + (f"; empty: {', '.join(empty)}" if empty else "")


def _catalog(profile: Profile) -> str:
    """See whose it is and of which revision; one that is not there yet is left for the first run to make."""
    database = database_of(profile)
    where = database.location.where
    if not database.exists:
        return f"{where}, made when it is needed"
    with database.reading() as connection:
        found = revision(connection, where)
        if found is None:
            return f"{where} is empty; its tables are made when they are needed"
        require_own(connection, database, profile.name)
    if found != REVISION:
        why = f"it is of revision {found}, and this PPI works with {REVISION}"
        raise Refused(f"the catalog {where}", why, f"ppi deploy {profile.name}, or a newer PPI if it is newer")
    return f"{where}, revision {found}"


def _ngas(named: Ngas, server: str) -> str:
    password, timeout = named.password.get_secret_value(), min(_SECONDS, named.timeout_seconds)
    reply = NgasClient([server], username=named.username, password=password, timeout=timeout).state(server)
    if not reply.succeeded or reply.state not in ("ONLINE", ""):
        why = f"it is {reply.state or 'not well'}: {reply.message}"
        raise Transient(f"server {server}", why, "ask the archive's operators when it is back")
    return f"{reply.state or 'answers'}, NGAS {reply.version or 'of an unknown version'}"


def _locator(named: Ngas) -> str | None:
    """Ask for no report in particular: that it answers at all is what can be told without knowing a product."""
    url = named.locator_service_url_prefix
    if url is None:
        return None
    with requests.Session() as session:
        session.trust_env = False
        try:
            status = session.get(url, timeout=_SECONDS, stream=True).status_code
        except requests.RequestException as error:
            why = f"it cannot be reached ({type(error).__name__})"
            raise Transient(url, why, "see that it runs, or correct ppi.ngas.locatorServiceUrlPrefix") from error
    if status >= requests.codes.server_error:
        raise Transient(url, f"it answers HTTP {status}", "ask the archive's operators")
    return f"answers (HTTP {status}); no report was asked for"


def _broker(named: Broker) -> str | None:
    """Greet it as a client would, and go no further: it is not logged in to."""
    if named.url is None:
        return None
    parts = urlsplit(named.url)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    what = f"the broker at {host}:{port}"
    try:
        answer = _greeted(host, port, encrypted=parts.scheme == "amqps")
    except ssl.SSLError as error:
        raise Refused(what, f"no encrypted connection ({error.reason})", "correct ppi.broker.url") from error
    except OSError as error:
        why = error.strerror or str(error)
        raise Transient(what, why, "see that it runs, or correct ppi.broker.url") from error
    return _understood(answer)


def _greeted(host: str, port: int, *, encrypted: bool) -> bytes:
    with socket.create_connection((host, port), timeout=_SECONDS) as plain:
        if not encrypted:
            return _answer(plain)
        with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as wrapped:
            return _answer(wrapped)


def _answer(connection: socket.socket) -> bytes:
    connection.sendall(_GREETING)
    answer = b""
    while len(answer) < _HEADER_OF_FRAME + len(_START) and (part := connection.recv(64)):
        answer += part
    return answer


def _understood(answer: bytes) -> str:
    if answer[:1] == bytes([_METHOD]) and answer[_HEADER_OF_FRAME:].startswith(_START):
        return "speaks AMQP 0-9-1; the login was not tried"
    if answer.startswith(b"AMQP"):
        raise Refused(
            "the broker", f"it speaks AMQP {answer[5:8].hex('.')}, not 0-9-1", "name another in ppi.broker.url"
        )
    raise Unknown("something answers there, but not as a broker would", "see what listens at ppi.broker.url")
