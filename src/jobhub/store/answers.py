"""Waiting for a connection's answer, and for how long. A connection that gave none is ended: nobody knows what it still does.

Not here: what is asked (`store.statements`), and what an outage means to callers (`store.database`).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

import asyncpg

from jobhub.store.connections import AWAY, connect
from jobhub.store.patience import spending
from jobhub.store.statements import Statement

T = TypeVar("T")

# A statement that may take longer is given up all the same once the server answers nobody: asked so often, and so long.
_WATCH_SECONDS = 1.5
_SIGN_OF_LIFE_SECONDS = 1.0


class Answers:
    """How long answers of one database are waited for: `seconds`, unless a statement's header grants it more."""

    def __init__(self, dsn: str, seconds: float) -> None:
        self._dsn = dsn
        self.seconds = seconds

    def waiting(self, statement: Statement) -> AbstractContextManager[float]:
        """When a wait for it ends. What may take long costs no patience: it would leave none for what follows."""
        return spending(self.seconds) if statement.limit_seconds is None else nullcontext(time.monotonic() + self.seconds)

    async def answer(self, connection: Any, call: Callable[[Any, float], Awaitable[T]], seconds: float) -> T:
        """What the call returns within so many seconds. A connection that failed is ended: it may not know yet that it is dead."""
        watch = asyncio.create_task(self._watch(connection)) if seconds > self.seconds else None
        try:
            found = await call(connection, seconds)
        except (*AWAY, asyncio.CancelledError):
            terminate(connection)
            raise
        finally:
            if watch is not None:
                watch.cancel()
        _check_confirmed(connection)
        return found

    async def _watch(self, connection: Any) -> None:
        """End a connection on which something long is running when the server does not even talk to newcomers any more."""
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            try:
                async with asyncio.timeout(_SIGN_OF_LIFE_SECONDS):
                    newcomer = await connect(self._dsn, application_name="jobhub looks")
                    newcomer.terminate()
            except asyncpg.PostgresError:
                pass  # refused, and so alive
            except AWAY:
                terminate(connection)
                return


def seconds_left(until: float, limit_seconds: float = float("inf")) -> float:
    """Seconds until then, at most so many. Raises TimeoutError when there are none."""
    if (seconds := until - time.monotonic()) <= 0:
        raise TimeoutError("no time is left to wait for the database")
    return min(limit_seconds, seconds)


def terminate(connection: Any) -> None:
    """End it without a word."""
    with suppress(asyncpg.InterfaceError):  # the pool has noticed and taken it back already
        connection.terminate()


def _check_confirmed(connection: Any) -> None:
    """Raise if the server has said that what it committed may not survive it."""
    if connection.is_unconfirmed:
        terminate(connection)
        raise asyncpg.ConnectionDoesNotExistError("the commit was not confirmed by the standby it has to wait for")
