"""Running named statements, and one connection held by one caller for several of them. Not here: the pool (`store.database`)."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from functools import partial
from typing import Any, TypeVar

import asyncpg

from jobhub.store.answers import Answers, seconds_left
from jobhub.store.connections import AWAY
from jobhub.store.statements import Statement, bind

T = TypeVar("T")
_Call = Callable[[], Awaitable[object]]

# Plans for any values are made once. Statistics would be planned anew each time, which is a tenth of the time they take.
_BEGIN_SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL plan_cache_mode = force_generic_plan"


class Runner(ABC):
    """What named statements can be run on."""

    async def fetch(self, name: str, **parameters: Any) -> list[asyncpg.Record]:
        """All rows of a statement."""
        statement, values = bind(name, parameters)
        return await self._run(statement, lambda connection, seconds: connection.fetch(statement.sql, *values, timeout=seconds))

    async def fetch_row(self, name: str, **parameters: Any) -> asyncpg.Record | None:
        """The first row of a statement, or None."""
        statement, values = bind(name, parameters)
        return await self._run(statement, lambda connection, seconds: connection.fetchrow(statement.sql, *values, timeout=seconds))

    async def execute(self, name: str, **parameters: Any) -> None:
        """Run a statement for its effect."""
        statement, values = bind(name, parameters)
        await self._run(statement, lambda connection, seconds: connection.execute(statement.sql, *values, timeout=seconds))

    @abstractmethod
    async def _run(self, statement: Statement, call: Callable[[Any, float], Awaitable[T]]) -> T:
        """What the call returns, given a connection and how many seconds it may take."""


class Session(Runner):
    """One connection held by one caller."""

    def __init__(self, connection: Any, answers: Answers) -> None:
        self._connection = connection
        self._answers = answers

    def transaction(self) -> AbstractAsyncContextManager[None]:
        """A transaction around the block."""
        transaction = self._connection.transaction()
        return self._within(transaction.start, transaction.commit, transaction.rollback)

    def snapshot(self) -> AbstractAsyncContextManager[None]:
        """The same for reading alone, with one snapshot for all of it."""
        execute = self._connection.execute
        return self._within(partial(execute, _BEGIN_SNAPSHOT), partial(execute, "COMMIT"), partial(execute, "ROLLBACK"))

    @asynccontextmanager
    async def _within(self, begin: _Call, commit: _Call, roll_back: _Call) -> AsyncIterator[None]:
        """asyncpg's own block hides why it ended behind a ROLLBACK that has no connection any more."""
        await self._call(begin)
        try:
            yield
        except BaseException:
            with suppress(*AWAY):
                await self._call(roll_back)
            raise
        await self._call(commit)

    async def _call(self, act: _Call) -> None:
        await self._answers.answer(self._connection, lambda _connection, _seconds: act(), self._answers.seconds)

    async def run_command(self, sql: str, *, limit_seconds: float) -> None:
        """Run a command that takes neither parameters nor a transaction, such as REINDEX CONCURRENTLY.

        For an `own_session`, which ends with its block whatever comes: nobody looks meanwhile whether the server still answers others.
        """
        await self._connection.execute(sql, timeout=limit_seconds)

    async def _run(self, statement: Statement, call: Callable[[Any, float], Awaitable[T]]) -> T:
        with self._answers.waiting(statement) as until:
            return await self._answers.answer(self._connection, call, statement.limit_seconds or seconds_left(until))
