"""The named statements of sql/queries/, ready for asyncpg. Not here: running them (`store.database`)."""

import re
from functools import cache
from typing import Any

import msgspec

from jobhub.postgres.files import sql_directory

_BLOCK = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<![:\w]):([a-z][a-z0-9_]*)")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_LIMIT = re.compile(r"^-- limit: +(\d+) s\b", re.MULTILINE)


class Statement(msgspec.Struct, frozen=True):
    """One statement: its name, its text with `$1` …, and the names of its parameters in that order.

    `limit_seconds` is how long it may take where its header grants it more than usual.
    """

    name: str
    sql: str
    parameters: tuple[str, ...]
    limit_seconds: float | None = None


@cache
def statements() -> dict[str, Statement]:
    """All statements by name, read once per process.

    Raises:
        ValueError: two blocks have the same name.
    """
    found: dict[str, Statement] = {}
    for path in sorted((sql_directory() / "queries").glob("*.sql")):
        parts = _BLOCK.split(path.read_text(encoding="utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise ValueError(f"{path.name}: there is a statement {name!r} already")
            found[name] = parse(name, text)
    return found


def parse(name: str, text: str) -> Statement:
    """Make a statement of one block: comments go, `:name` becomes `$n`; a name used twice is one parameter."""
    order: dict[str, int] = {}

    def number(match: re.Match[str]) -> str:
        return f"${order.setdefault(match[1], len(order) + 1)}"

    sql = _PARAMETER.sub(number, _COMMENT.sub("", text)).strip().rstrip(";")
    limit = _LIMIT.search(text)
    return Statement(name, f"/* {name} */ {sql}", tuple(order), float(limit[1]) if limit else None)


def bind(name: str, parameters: dict[str, Any]) -> tuple[Statement, list[Any]]:
    """The statement called `name` and the values of its parameters in order; a missing or surplus one is a KeyError."""
    statement = statements()[name]
    if len(parameters) != len(statement.parameters):
        raise KeyError(f"{name} takes {statement.parameters}, not {tuple(parameters)}")
    return statement, [parameters[parameter] for parameter in statement.parameters]
