"""Lists of any length in one statement with one parameter, in whichever database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import JSON, ColumnElement, FromClause, String, cast, func, literal
from sqlmodel import Session

__all__ = ["field", "rows_of", "words_of"]


def words_of(session: Session, words: Iterable[str]) -> FromClause:
    """Return words as a table with the column ``value``."""
    on_server = session.get_bind().dialect.name == "postgresql"
    function = func.json_array_elements_text if on_server else func.json_each
    return function(literal(list(words), JSON)).table_valued("value").alias("word")


def rows_of(session: Session, rows: Iterable[Mapping[str, Any]]) -> FromClause:
    """Return mappings as a table whose column ``value`` holds each; see `field`."""
    on_server = session.get_bind().dialect.name == "postgresql"
    function = func.json_array_elements if on_server else func.json_each
    return function(literal(list(rows), JSON)).table_valued("value").alias("listed")


def field(table: FromClause, name: str, kind: Any = None) -> ColumnElement[Any]:
    """Return one thing of each of `rows_of`, as text or of a type."""
    text = table.c.value.op("->>", return_type=String())(name)
    return cast(text, kind) if kind is not None else text
