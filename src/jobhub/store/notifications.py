"""LISTEN on a connection of its own that heals by itself. A notification is only a hint: who missed one finds out by looking.

Not here: what a notification means (`worker.service`).
"""

import asyncio
import random
from collections.abc import Callable, Iterable

import asyncpg
import structlog

from jobhub.store.connections import AWAY, connect

ANSWER_TIMEOUT_SECONDS = 3.0
CHECK_SECONDS = 5.0  # how long a silently dead connection can go unnoticed
_log = structlog.get_logger("jobhub.store")


async def listen(
    dsn: str, channels: Iterable[str], *, on_notification: Callable[[str, str], None], on_connected: Callable[[], None]
) -> None:
    """Call `on_notification(channel, payload)` for ever; `on_connected()` after each (re)connect, when something may have been missed."""
    while True:
        try:
            connection = await connect(dsn, application_name="jobhub listener", command_timeout=ANSWER_TIMEOUT_SECONDS)
            try:
                await _listen_on(connection, channels, on_notification, on_connected)
            finally:
                connection.terminate()
        except AWAY as error:
            _log.warning("listener_lost", cause=repr(error))
        except Exception as error:
            # Nobody waits for this loop to end; whatever it is, trying again is better than never hearing anything any more.
            _log.error("listener_failed", exc_info=error)
        await asyncio.sleep(random.uniform(0.3, 1.0))  # noqa: S311 - spreads reconnects


async def _listen_on(
    connection: asyncpg.Connection,
    channels: Iterable[str],
    on_notification: Callable[[str, str], None],
    on_connected: Callable[[], None],
) -> None:
    closed = asyncio.Event()
    connection.add_termination_listener(lambda _connection: closed.set())
    for channel in channels:
        await connection.add_listener(channel, lambda _connection, _pid, channel, payload: on_notification(channel, str(payload)))
    on_connected()
    while not closed.is_set():
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await closed.wait()
        except TimeoutError:
            await connection.fetchval("SELECT 1")  # proof of life; asyncpg fails on the answer to an empty query
