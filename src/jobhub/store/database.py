"""Connections to PostgreSQL, and running statements on them.

Everything that can go wrong because the server is away, starting, stopping or full becomes `DatabaseUnavailable` here, and only here.
Not here: what the statements are (`store.statements`, sql/queries/) and what their rows mean (the other modules of `store`).
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

import asyncpg
import msgspec

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store.statements import Statement, statements

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 5.0
# The API must answer within 3 s that the database is away; whoever waits longer for a free connection won't.
ACQUIRE_TIMEOUT_SECONDS = 2.0
# No statement of the program takes this long; one that does hangs on a dead connection.
COMMAND_TIMEOUT_SECONDS = 30.0

AWAY = (
    OSError,
    ssl.SSLError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # 57: shutting down, starting up, cancelled
    asyncpg.InsufficientResourcesError,  # 53: disk full, too many connections
    asyncpg.ReadOnlySQLTransactionError,  # half of a failover
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: refused for now, an operator's business
    asyncpg.InvalidCatalogNameError,  # 3D: the database is not there yet
    asyncpg.UndefinedTableError,  # 42P01: nobody has run `jobhub migrate` yet; tests/store/test_statements.py finds a wrong name
    asyncpg.InterfaceError,  # the connection was closed under our feet
    asyncpg.InternalClientError,
)
# A transaction that lost a race with another one may simply be tried again.
_LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_TRIES = 3

NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_JSONB_VERSION = b"\x01"  # first byte of the binary format, jsonb_send


class Database:
    """A pool of connections and the means to run named statements on it.

    One statement is one transaction unless it runs inside `transaction()`.
    """

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    @asynccontextmanager
    async def open(
        cls, dsn: str, *, max_size: int, application_name: str, settings: Mapping[str, str] = NO_SETTINGS
    ) -> AsyncIterator["Database"]:
        """A database with up to `max_size` connections, made as they are needed: opening succeeds while the server is away.

        `settings` are those of the server for each of them.
        """
        pool = asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=max_size,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=COMMAND_TIMEOUT_SECONDS,
            init=prepare_connection,
            reset=_nothing_to_reset,
            server_settings=server_settings(application_name) | dict(settings),
        )
        await pool
        try:
            yield cls(pool)
        finally:
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except AWAY:
                pool.terminate()

    async def fetch(self, name: str, **parameters: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        statement, values = bind(name, parameters)
        return await self._run(lambda connection: connection.fetch(statement.sql, *values))

    async def fetch_row(self, name: str, **parameters: Any) -> asyncpg.Record | None:
        """The first row of a statement, or None."""
        statement, values = bind(name, parameters)
        return await self._run(lambda connection: connection.fetchrow(statement.sql, *values))

    async def execute(self, name: str, **parameters: Any) -> None:
        """Run a statement for its effect."""
        statement, values = bind(name, parameters)
        await self._run(lambda connection: connection.execute(statement.sql, *values))

    async def fetch_composed(self, sql: str, values: list[Any]) -> list[asyncpg.Record]:
        """All rows of a SELECT that `store.listing` composed."""
        return await self._run(lambda connection: connection.fetch(sql, *values))

    async def _run(self, call: Callable[[Any], Awaitable[T]]) -> T:
        for tries_left in reversed(range(_TRIES)):
            try:
                async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
                    return await _or_terminate(connection, call)
            except _LOST_RACE as error:
                if not tries_left:
                    raise DatabaseUnavailable from error
            except AWAY as error:
                raise_unavailable(error)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Session"]:
        """One connection with a transaction around the block."""
        async with self.session() as session, session.transaction():
            yield session

    @asynccontextmanager
    async def session(self) -> AsyncIterator["Session"]:
        """One connection for several statements, each a transaction of its own."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as connection:
                try:
                    yield Session(connection)
                finally:
                    await connection.reset()
        except _LOST_RACE as error:
            raise DatabaseUnavailable from error
        except AWAY as error:
            raise_unavailable(error)


class Session:
    """One connection held by one caller."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def transaction(self) -> Any:
        return self._connection.transaction()

    async def fetch(self, name: str, **parameters: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        statement, values = bind(name, parameters)
        rows: list[asyncpg.Record] = await self._connection.fetch(statement.sql, *values)
        return rows

    async def fetch_row(self, name: str, **parameters: Any) -> asyncpg.Record | None:
        """The first row of a statement, or None."""
        statement, values = bind(name, parameters)
        row: asyncpg.Record | None = await self._connection.fetchrow(statement.sql, *values)
        return row

    async def execute(self, name: str, **parameters: Any) -> None:
        """Run a statement for its effect."""
        statement, values = bind(name, parameters)
        await self._connection.execute(statement.sql, *values)


Connection = Database | Session


def bind(name: str, parameters: dict[str, Any]) -> tuple[Statement, list[Any]]:
    """The statement called `name` and the values of its parameters in order; a missing or surplus one is a KeyError."""
    statement = statements()[name]
    if len(parameters) != len(statement.parameters):
        raise KeyError(f"{name} takes {statement.parameters}, not {tuple(parameters)}")
    return statement, [parameters[parameter] for parameter in statement.parameters]


async def _or_terminate(connection: Any, call: Callable[[Any], Awaitable[T]]) -> T:
    """Call, and never give a connection that failed underneath us back to the pool: it may not know yet that it is dead."""
    try:
        return await call(connection)
    except AWAY:
        with suppress(asyncpg.InterfaceError):  # the pool has noticed and taken it back already
            connection.terminate()
        raise


def raise_unavailable(error: Exception) -> NoReturn:
    """Raise DatabaseUnavailable, unless it is a value asyncpg could not encode: that is an InterfaceError too, and no outage."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        raise error
    raise DatabaseUnavailable from error


def server_settings(application_name: str) -> dict[str, str]:
    """What every connection of jobhub asks of the server. JIT costs more than it saves on short statements."""
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "jit": "off",
        "tcp_user_timeout": "10000",
        "idle_in_transaction_session_timeout": "30000",
    }


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """One statement leaves nothing behind on its connection, and asking the server to make sure would double its round trips."""


async def prepare_connection(connection: asyncpg.Connection) -> None:
    """Let jsonb travel as decoded JSON. Binary, because a text codec can't be used inside an array."""
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=_decode_json, schema="pg_catalog", format="binary")


def _encode_json(value: Any) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode_json(value: bytes) -> Any:
    return msgspec.json.decode(value[1:])
