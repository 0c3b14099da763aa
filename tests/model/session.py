"""Running named statements on a connection of the test's own, which may have a transaction open: no time limits, no retries."""

from typing import Any

import asyncpg

from jobhub.store.statements import bind


class Session:
    """What the functions of `jobhub.store` need of a connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def fetch(self, name: str, **parameters: Any) -> list[asyncpg.Record]:
        statement, values = bind(name, parameters)
        return await self._connection.fetch(statement.sql, *values)

    async def fetch_row(self, name: str, **parameters: Any) -> asyncpg.Record | None:
        statement, values = bind(name, parameters)
        return await self._connection.fetchrow(statement.sql, *values)

    async def execute(self, name: str, **parameters: Any) -> None:
        statement, values = bind(name, parameters)
        await self._connection.execute(statement.sql, *values)
