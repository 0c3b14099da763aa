"""Submits one job at a time with one SQL statement that commits by itself."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def sql_enqueuer(dsn: str, sql: str) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
    """`sql` takes the job's number as $1."""
    import asyncpg

    connection = await asyncpg.connect(dsn)

    async def submit(number: int) -> int:
        await connection.execute(sql, number)
        return time.time_ns()

    try:
        yield submit
    finally:
        await connection.close()
