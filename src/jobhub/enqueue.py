"""Submitting a job over a connection of the caller's own, in the caller's own transaction: `jobhub.submit`.

Knows the connections of asyncpg, psycopg and SQLAlchemy by what they are called, so that none of the three has to be there: who gives one
has loaded its module. Not here: the rules, which are the SQL function `jobhub.submit_job` (sql/migrations/0018_submit_job.sql).
"""

import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from jobhub.domain.job_types import declared_job_type
from jobhub.domain.validation import convert

# How each value is given to SQL: as text where a driver might have a codec of its own for the type.
_CASTS = {
    "owner": "CAST({} AS text)",
    "job_type": "CAST({} AS text)",
    "title": "CAST({} AS text)",
    "parameters": "CAST(CAST({} AS text) AS jsonb)",
    "description": "CAST({} AS text)",
    "priority": "CAST({} AS integer)",
    "scheduled_for": "CAST({} AS timestamptz)",
    "tags": "CAST({} AS text [])",
    "idempotency_key": "CAST({} AS text)",
}


async def submit(
    connection: Any,
    job_type: str | Callable[..., Any],
    parameters: msgspec.Struct | dict[str, Any] | None = None,
    *,
    owner: str | UUID,
    title: str,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
) -> UUID:
    """Submit a job for `owner`, an id or e-mail address, in the transaction `connection` is in; the job's id.

    The job is there once that transaction commits, and never was if it doesn't. `connection` is an asyncpg connection, a psycopg
    `AsyncConnection`, or an `AsyncConnection` or `AsyncSession` of SQLAlchemy. `job_type` is a name, or the handler itself, whose
    parameters are then checked here; those of a name are checked by the worker, which fails the job with `invalid_parameters`.

    Raises:
        InvalidInput: the parameters don't fit the handler.
        TypeError: not one of those connections.
        Exception: whatever the driver raises for SQLSTATE 22023 (refused; the message says why), 23505 (the key stands for another
            job) and for a database that is away.
    """
    values = _values(job_type, parameters, owner, title, description, priority, scheduled_for, tags, idempotency_key)
    match _kind(connection):
        case "asyncpg":
            found = await connection.fetchval(_statement("${number}"), *values.values())
        case "psycopg async":
            cursor = await connection.cursor(row_factory=_tuple_row()).execute(_statement("%({name})s"), values)
            (found,) = await cursor.fetchone()
        case "sqlalchemy async":
            found = (await connection.execute(_text(), values)).scalar_one()
        case _:
            raise TypeError(f"jobhub.submit takes an asynchronous connection, not {type(connection).__qualname__}: see jobhub.submit_sync")
    return UUID(str(found))  # an ordinary one, whatever the driver has


def submit_sync(
    connection: Any,
    job_type: str | Callable[..., Any],
    parameters: msgspec.Struct | dict[str, Any] | None = None,
    *,
    owner: str | UUID,
    title: str,
    description: str | None = None,
    priority: int = 0,
    scheduled_for: datetime | None = None,
    tags: Sequence[str] = (),
    idempotency_key: str | None = None,
) -> UUID:
    """`submit` for a psycopg `Connection`, or a `Connection` or `Session` of SQLAlchemy."""
    values = _values(job_type, parameters, owner, title, description, priority, scheduled_for, tags, idempotency_key)
    match _kind(connection):
        case "psycopg":
            (found,) = connection.cursor(row_factory=_tuple_row()).execute(_statement("%({name})s"), values).fetchone()
        case "sqlalchemy":
            found = connection.execute(_text(), values).scalar_one()
        case _:
            raise TypeError(f"jobhub.submit_sync takes a blocking connection, not {type(connection).__qualname__}: see jobhub.submit")
    return UUID(str(found))  # an ordinary one, whatever the driver has


def _values(
    job_type: str | Callable[..., Any],
    parameters: msgspec.Struct | dict[str, Any] | None,
    owner: str | UUID,
    title: str,
    description: str | None,
    priority: int,
    scheduled_for: datetime | None,
    tags: Sequence[str],
    idempotency_key: str | None,
) -> dict[str, Any]:
    if scheduled_for is not None and scheduled_for.tzinfo is None:
        raise ValueError("scheduled_for needs a time zone, as in datetime.now(UTC)")
    plain = {} if parameters is None else msgspec.to_builtins(parameters)
    if isinstance(job_type, str):
        name = job_type
    else:
        declared = declared_job_type(job_type)
        name = declared.name
        convert(plain, declared.parameters, pointer="/parameters")
    return {
        "owner": str(owner),
        "job_type": name,
        "title": title,
        "parameters": msgspec.json.encode(plain).decode(),
        "description": description,
        "priority": priority,
        "scheduled_for": scheduled_for,
        "tags": list(tags),
        "idempotency_key": idempotency_key,
    }


def _statement(placeholder: str) -> str:
    places = (cast.format(placeholder.format(number=number, name=name)) for number, (name, cast) in enumerate(_CASTS.items(), start=1))
    return f"SELECT jobhub.submit_job({', '.join(places)})"


def _tuple_row() -> Any:
    """The connection's own rows may have any shape."""
    return sys.modules["psycopg.rows"].tuple_row


def _text() -> Any:
    return sys.modules["sqlalchemy"].text(_statement(":{name}"))


def _kind(connection: Any) -> str | None:
    """Which driver's it is. An asyncpg pool lends a proxy; sessions may be scoped or subclassed."""
    for base in type(connection).__mro__:
        match base.__module__.partition(".")[0], base.__name__:
            case "asyncpg", "Connection" | "PoolConnectionProxy":
                return "asyncpg"
            case "psycopg", "AsyncConnection":
                return "psycopg async"
            case "psycopg", "Connection":
                return "psycopg"
            case "sqlalchemy", "AsyncConnection" | "AsyncSession" | "async_scoped_session":
                return "sqlalchemy async"
            case "sqlalchemy", "Connection" | "Session" | "scoped_session":
                return "sqlalchemy"
    return None
