"""A pool of connections to PostgreSQL, and running statements on them.

Everything that can go wrong because the server is away, starting, stopping or full becomes `DatabaseUnavailable` here, and only here.
Not here: how a connection is made (`store.connections`) and its answer waited for (`store.answers`), several statements on one of them
(`store.session`), what the statements are (`store.statements`, sql/queries/) and what their rows mean (the other modules of `store`).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from jobhub.domain.errors import DatabaseUnavailable, FilterTooBroad
from jobhub.store.answers import Answers, seconds_left, terminate
from jobhub.store.connections import AWAY, Connector, raise_unavailable
from jobhub.store.connections import Connection as PgConnection
from jobhub.store.patience import spending
from jobhub.store.refusals import REFUSED, raise_refusal
from jobhub.store.session import Runner, Session
from jobhub.store.statements import Statement

T = TypeVar("T")

# The API must answer within 3 s that the database is away; whoever waits longer for a free connection won't.
ACQUIRE_TIMEOUT_SECONDS = 2.0
# How long a statement may take, with the wait for its connection, unless its header grants it more or its pool does.
ANSWER_TIMEOUT_SECONDS = 2.5
LISTING_SECONDS = 5.0  # what indexes lead to takes some milliseconds; who asks for more had better narrow it

# A transaction that lost a race with another one may simply be tried again.
_LOST_RACE = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
_TRIES = 3
_log = structlog.get_logger("jobhub.store")


class PoolUse(msgspec.Struct, frozen=True, kw_only=True):
    """Connections of a pool: in use, open and free, and how many there may be."""

    busy: int
    idle: int
    limit: int


class Database(Runner):
    """A pool of connections and the means to run named statements on it.

    One statement is one transaction unless it runs inside `transaction()`. A statement that got no answer in time may have been committed
    or not: its connection is ended, and its caller told DatabaseUnavailable, which promises neither.
    """

    def __init__(self, pool: asyncpg.Pool, connector: Connector, dsn: str, *, answer_seconds: float) -> None:
        self._pool = pool
        self._connector = connector
        self._dsn = dsn
        self._answers = Answers(dsn, answer_seconds)
        self._lost_at: float | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        dsn: str,
        *,
        max_size: int,
        application_name: str,
        answer_seconds: float = ANSWER_TIMEOUT_SECONDS,
        settings: Mapping[str, str] | None = None,
    ) -> AsyncIterator["Database"]:
        """A database with up to `max_size` connections, made as they are needed: opening succeeds while the server is away.

        `settings` are the server's, for each of these connections.
        """
        connector = Connector(application_name, settings)
        options: dict[str, Any] = {"connect": connector, "connection_class": PgConnection, "reset": _nothing_to_reset}
        pool = asyncpg.create_pool(dsn, min_size=0, max_size=max_size, command_timeout=answer_seconds, **options)
        await pool
        try:
            yield cls(pool, connector, dsn, answer_seconds=answer_seconds)
        finally:
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except AWAY:
                pool.terminate()

    def pool_use(self) -> PoolUse:
        """How many connections there are now."""
        idle = self._pool.get_idle_size()
        return PoolUse(busy=self._pool.get_size() - idle, idle=idle, limit=self._pool.get_max_size())

    async def fetch_composed(self, sql: str, values: list[Any]) -> list[asyncpg.Record]:
        """All rows of a SELECT that `store.listing` composed. Raises FilterTooBroad: it was still searching after `LISTING_SECONDS`."""
        statement = Statement("composed", sql, (), LISTING_SECONDS)
        return await self._run(statement, lambda connection, seconds: self._search(connection, sql, values, seconds))

    async def _search(self, connection: Any, sql: str, values: list[Any], seconds: float) -> list[asyncpg.Record]:
        pid = connection.get_server_pid()
        try:
            # Prepared anew, because one that is kept gets a plan for any values after some time: a walk, where those of now are rare.
            prepared = await connection.prepare(sql, timeout=seconds)
            found: list[asyncpg.Record] = await prepared.fetch(*values, timeout=seconds)
        except TimeoutError as error:
            # Behind a migration's lock nothing is searched. The server's side notices the end of its connection after 2 s.
            row = await self.fetch_row("waits_for_lock", pid=pid)
            if row is None or row["waits"]:
                raise
            raise FilterTooBroad(seconds) from error
        return found

    async def _run(self, statement: Statement, call: Callable[[Any, float], Awaitable[T]]) -> T:
        async with self._noting_outages():
            for tries_left in reversed(range(_TRIES)):
                try:
                    with self._answers.waiting(statement) as until:
                        async with self._pool.acquire(timeout=seconds_left(until, ACQUIRE_TIMEOUT_SECONDS)) as connection:
                            return await self._answers.answer(connection, call, statement.limit_seconds or seconds_left(until))
                except _LOST_RACE:
                    if not tries_left:
                        raise
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """One connection with a transaction around the block."""
        async with self.session() as session, session.transaction():
            yield session

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Session]:
        """One connection on which all statements of the block see the same moment, and none can write."""
        async with self.session() as session, session.snapshot():
            yield session

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """One connection for several statements, each a transaction of its own."""
        async with self._noting_outages():
            with spending(self._answers.seconds) as until:
                acquiring = self._pool.acquire(timeout=seconds_left(until, ACQUIRE_TIMEOUT_SECONDS))
                connection = await acquiring.__aenter__()
            try:
                yield Session(connection, self._answers)
            finally:
                with suppress(*AWAY):  # it is dead, and what the block raised says so
                    await self._answers.answer(connection, lambda it, seconds: it.reset(timeout=seconds), ACQUIRE_TIMEOUT_SECONDS)
                await acquiring.__aexit__(None, None, None)

    @asynccontextmanager
    async def own_session(self) -> AsyncIterator[Session]:
        """A connection beside the pool, for what takes minutes; it ends with the block, and so does what its session has locked."""
        async with self._noting_outages():
            with spending(self._answers.seconds) as until:
                async with asyncio.timeout(seconds_left(until)):
                    connection = await self._connector(self._dsn)
            try:
                yield Session(connection, self._answers)
            finally:
                terminate(connection)

    @asynccontextmanager
    async def _noting_outages(self) -> AsyncIterator[None]:
        """Every failure that is an outage becomes DatabaseUnavailable, a refused value a Refusal.

        The log says when an outage begins and when it is over.
        """
        try:
            yield
        except _LOST_RACE as error:
            raise DatabaseUnavailable from error
        except REFUSED as error:
            raise_refusal(error)
        except AWAY as error:
            if self._lost_at is None and not isinstance(error, ValueError):
                self._lost_at = time.monotonic()
                _log.warning("database_lost", cause=repr(error))
            raise_unavailable(error)
        else:
            if self._lost_at is not None:
                _log.info("database_back", after_seconds=round(time.monotonic() - self._lost_at, 1))
                self._lost_at = None


Connection = Database | Session


async def _nothing_to_reset(_connection: asyncpg.Connection) -> None:
    """One statement leaves nothing behind on its connection, and asking the server to make sure would double its round trips."""
