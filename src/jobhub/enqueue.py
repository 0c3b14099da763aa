"""Submitting a job in one's own transaction: `jobhub.submit(connection, …)`. Committed with it, gone with its rollback.

It calls the SQL function `jobhub.submit_job` (sql/migrations/0018_submit_job.sql) over whatever driver the connection is of, and imports
none of them. Not here: submitting over HTTP (`client`).
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Protocol, overload
from uuid import UUID

import msgspec

from jobhub.domain.job_types import declared_job_type
from jobhub.domain.validation import convert

_NAMES = ("owner", "job_type", "parameters", "title", "description", "priority", "scheduled_for", "tags", "queue", "max_attempts")
_TYPES = ("text", "text", "jsonb", "text", "text", "integer", "timestamptz", "text[]", "text", "integer")


class AwaitedConnection(Protocol):
    """asyncpg's Connection, psycopg's AsyncConnection, SQLAlchemy's AsyncConnection or AsyncSession."""

    def execute(self, *args: Any, **kwargs: Any) -> Awaitable[Any]:
        """Run a statement."""


class BlockingConnection(Protocol):
    """psycopg's Connection, SQLAlchemy's Connection or Session."""

    def execute(self, *args: Any, **kwargs: Any) -> Any:
        """Run a statement."""


@overload
def submit(
    connection: AwaitedConnection,
    job_type: str | Callable[..., Any],
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    owner: UUID | str,
    title: str | None = None,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Iterable[str] = (),
    queue: str | None = None,
    max_attempts: int | None = None,
) -> Awaitable[UUID]: ...


@overload
def submit(
    connection: BlockingConnection,
    job_type: str | Callable[..., Any],
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    owner: UUID | str,
    title: str | None = None,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Iterable[str] = (),
    queue: str | None = None,
    max_attempts: int | None = None,
) -> UUID: ...


def submit(
    connection: Any,
    job_type: str | Callable[..., Any],
    parameters: Mapping[str, Any] | msgspec.Struct | None = None,
    *,
    owner: UUID | str,
    title: str | None = None,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Iterable[str] = (),
    queue: str | None = None,
    max_attempts: int | None = None,
) -> Any:
    """Submit a job in the connection's transaction, for the account with this id or e-mail address; its id.

    To be awaited if the connection is.

    `job_type` is best the handler itself: then its parameters are checked here, and its queue and retry policy count. With a name,
    `queue` is `default` and `max_attempts` 1 unless they are given, and parameters that don't fit fail the job when it runs.

    Raises:
        InvalidInput: the parameters don't fit the handler's.
        TypeError: a connection of some other kind.
        The driver's error: there is no such account, or a value is out of bounds; the transaction has failed then.
    """
    plain = msgspec.json.decode(msgspec.json.encode(parameters or {}))
    name, policies = (job_type, {}) if isinstance(job_type, str) else _of_handler(job_type, plain)
    values = {
        "owner": str(owner),
        "job_type": name,
        "parameters": msgspec.json.encode(plain).decode(),
        "title": title,
        "description": description,
        "priority": priority,
        "scheduled_for": scheduled_for,
        "tags": list(tags),
        "queue": queue or policies.get("queue", "default"),
        "max_attempts": max_attempts or policies.get("max_attempts", 1),
    }
    return _way_of(connection)(connection, values)


def _of_handler(handler: Callable[..., Any], parameters: Any) -> tuple[str, dict[str, Any]]:
    declared = declared_job_type(handler)
    convert(parameters, declared.parameters, pointer="/parameters")
    return declared.name, {"queue": declared.queue, "max_attempts": declared.retry.max_attempts}


def _call(placeholder: Callable[[int, str], str]) -> str:
    """The statement, each argument by its name."""
    arguments = (
        f"{name} => {placeholder(number, name)}::{kind}" for number, (name, kind) in enumerate(zip(_NAMES, _TYPES, strict=True), 1)
    )
    return f"SELECT jobhub.submit_job({', '.join(arguments)})"


Values = dict[str, Any]


def _way_of(connection: Any) -> Callable[[Any, Values], Any]:
    """By the library the connection's class, or one it is derived from, comes from."""
    libraries = {cls.__module__.partition(".")[0] for cls in type(connection).__mro__}
    is_awaited = inspect.iscoroutinefunction(getattr(connection, "execute", None))
    for library, awaited, blocking in _WAYS:
        if library in libraries:
            return awaited if is_awaited else blocking
    raise TypeError(f"jobhub.submit takes a connection of asyncpg, psycopg or SQLAlchemy, not {type(connection).__qualname__}.")


async def _asyncpg(connection: Any, values: Values) -> UUID:
    return UUID(str(await connection.fetchval(_call(lambda number, _name: f"${number}"), *(values[name] for name in _NAMES))))


def _psycopg(connection: Any, values: Values) -> UUID:
    with connection.cursor(row_factory=lambda _cursor: tuple) as cursor:
        cursor.execute(_call(lambda _number, name: f"%({name})s"), values)
        return UUID(str(cursor.fetchone()[0]))


async def _psycopg_awaited(connection: Any, values: Values) -> UUID:
    async with connection.cursor(row_factory=lambda _cursor: tuple) as cursor:
        await cursor.execute(_call(lambda _number, name: f"%({name})s"), values)
        return UUID(str((await cursor.fetchone())[0]))


def _sqlalchemy(connection: Any, values: Values) -> UUID:
    return UUID(str(connection.execute(_sqlalchemy_statement(), values).scalar_one()))


async def _sqlalchemy_awaited(connection: Any, values: Values) -> UUID:
    return UUID(str((await connection.execute(_sqlalchemy_statement(), values)).scalar_one()))


def _sqlalchemy_statement() -> Any:
    # The connection is SQLAlchemy's, so it is loaded; importing it here would make it a dependency of every `import jobhub`.
    return sys.modules["sqlalchemy"].text(_call(lambda _number, name: f"CAST(:{name} AS {dict(zip(_NAMES, _TYPES, strict=True))[name]})"))


_WAYS: tuple[tuple[str, Callable[[Any, Values], Any], Callable[[Any, Values], Any]], ...] = (
    ("asyncpg", _asyncpg, _asyncpg),
    ("psycopg", _psycopg_awaited, _psycopg),
    ("sqlalchemy", _sqlalchemy_awaited, _sqlalchemy),
)
