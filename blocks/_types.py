"""The types of a profile's values that pydantic does not have, each with a message that an operator can act on.

URLs may hold passwords, so no message shows any part of one.
"""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, ByteSize, Field, TypeAdapter

__all__ = [
    "AbsolutePath",
    "AccountingGroup",
    "BrokerUrl",
    "ConcurrencyLimits",
    "DatabaseUrl",
    "Expression",
    "HttpUrl",
    "Interface",
    "Names",
    "Projects",
    "Servers",
    "Size",
    "Walltime",
    "number_of",
    "split_login",
]

_LOGIN = re.compile(r"(?P<scheme>[\w+.-]+://)(?P<user>[^:/@]*)(?::(?P<password>[^@?]*))?@(?P<rest>[^@]*)")
_SECRET_IN_QUERY = re.compile(r"[?&][^=&]*(password|passwd|pwd|secret|token)[^=&]*=", re.IGNORECASE)
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])"
_SERVER = re.compile(rf"({_HOST}):(\d{{1,5}})")
_SIZE = re.compile(r"(?=.*[1-9])\d+(\.\d+)? ?[KMGT](i?B)?", re.IGNORECASE)
_WALLTIME = re.compile(r"\d+:[0-5]\d:[0-5]\d")
_LIMIT = re.compile(r"[A-Za-z_]\w*(:(?=[\d.]*[1-9])\d+(\.\d+)?)?", re.ASCII)
_GROUP = re.compile(r"[\w-]+(\.[\w-]+)*", re.ASCII)
_INTERFACE = re.compile(r"(?![\d.]+$)(?!.*:.*:)[\w.:@-]{1,15}", re.ASCII)
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")
_SIZES: TypeAdapter[ByteSize] = TypeAdapter(ByteSize)
_DATABASES = ("sqlite", "postgresql+psycopg", "oracle+oracledb")


def split_login(values: Any) -> Any:
    """Move the name and password that a URL holds into `username` and `password`; where those are given, they win.

    So a URL can be shown and logged as it is, and there is one place to take a password from.
    """
    if not isinstance(values, dict) or not isinstance(values.get("url"), str):
        return values
    match = _LOGIN.fullmatch(values["url"].strip())
    if match is None:
        return values
    login = {"username": unquote(match["user"]), "password": unquote(match["password"] or "")}
    given = {name: value for name, value in login.items() if value}
    return {**given, **values, "url": match["scheme"] + match["rest"]}


def _url(url: str, schemes: tuple[str, ...]) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme not in schemes:
        raise ValueError(f"a URL begins with {' or '.join(f'{known}://' for known in schemes)} here")
    if _SECRET_IN_QUERY.search(rest):
        raise ValueError("it holds a secret behind its '?', where it could not be hidden")
    if "@" in rest and not url.startswith("sqlite:///"):
        raise ValueError("where its password ends cannot be told: write '@' and '?' within as %40 and %3F")
    return url


def _broker(url: str) -> str:
    return _with_host(_url(url, ("amqp", "amqps")))


def _database(url: str) -> str:
    _url(url, _DATABASES)
    path = url.removeprefix("sqlite:///")
    if url.startswith("sqlite:") and not (path != url and path.startswith(("/", "file:"))):
        raise ValueError("an SQLite file is named by its full path: sqlite:// and /, then the path with its own /")
    return url


def _http(url: str) -> str:
    if "@" in url:
        raise ValueError("it holds a name or password, and PPI has no use for one here")
    return _with_host(_url(url, ("http", "https")))


def _with_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        raise ValueError("the URL has no host, or a port that is not a number from 1 to 65535")
    return url


def _absolute(path: Path) -> Path:
    if "\0" in str(path):
        raise ValueError("it has a NUL character in it, which no path can have")
    if not path.is_absolute():
        raise ValueError(f"'{path}' is not a full path, so it would depend on where PPI is started")
    return path


def _size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        raise ValueError(f"'{text}' is not a size with its unit, such as 512 MiB or 4 GB")
    return text


def number_of(size: str) -> int:
    """Return the bytes of a `Size`; K, M, G and T are decimal, and KiB and its like are not."""
    return int(_SIZES.validate_python(size))


def _blocks(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _BLOCK.fullmatch(name):
            raise ValueError(f"'{name}' is no block's type and name, such as slack-webhook/operators")
    return names


def _duration(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if not _WALLTIME.fullmatch(value):
        raise ValueError(f"'{value}' is not hours:minutes:seconds")
    hours, minutes, seconds = map(int, value.split(":"))
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _elements(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(element.strip() for element in value.split(",") if element.strip())


def _servers(servers: tuple[str, ...]) -> tuple[str, ...]:
    if any("@" in server for server in servers):
        raise ValueError("a name or password has no place in it: each server is host:port")
    for server in servers:
        match = _SERVER.fullmatch(server)
        if match is None or not 0 < int(match[2]) <= 65535:
            raise ValueError(f"'{server}' is not host:port (without http://, the port from 1 to 65535)")
    if not servers:
        raise ValueError("it names no server")
    return tuple(dict.fromkeys(servers))


def _expression(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it is more than one line, or has a control character in it, which no expression needs")
    return text


def _limits(text: str) -> str:
    limits = _elements(text)
    if not limits:
        raise ValueError("it names no limit")
    for limit in limits:
        if not _LIMIT.fullmatch(limit):
            raise ValueError(f"'{limit}' is not the name of a limit, nor NAME:number with a number above 0")
    return ",".join(limits)


def _group(name: str) -> str:
    if not _GROUP.fullmatch(name):
        raise ValueError(
            f"'{name}' is not the name of an accounting group: letters, digits, _ and -, parted by dots"
        )
    return name


def _interface(name: str) -> str:
    if not _INTERFACE.fullmatch(name):
        raise ValueError(f"'{name}' is not the name of a network interface: an address has no place here")
    return name


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
BrokerUrl = Annotated[str, AfterValidator(_broker)]
HttpUrl = Annotated[str, AfterValidator(_http)]
Servers = Annotated[tuple[str, ...], BeforeValidator(_elements), AfterValidator(_servers)]
Projects = Annotated[frozenset[str], BeforeValidator(_elements)]
Names = Annotated[tuple[str, ...], BeforeValidator(_elements), AfterValidator(_blocks)]
Size = Annotated[str, AfterValidator(_size)]
Walltime = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Expression = Annotated[str, AfterValidator(_expression)]
ConcurrencyLimits = Annotated[str, AfterValidator(_limits)]
AccountingGroup = Annotated[str, AfterValidator(_group)]
Interface = Annotated[str, AfterValidator(_interface)]
