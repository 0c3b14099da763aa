"""PgQueuer over an asyncpg pool on uvloop, in batches of 500: the row is deleted, a log row per transition is kept."""

import asyncio
import importlib.util
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as installed

from bench.starts import StartWriter

NAME = "pgqueuer"
KEEPS = "3 log rows"
SLOW = 1
LEFT = "SELECT count(*) FROM pgqueuer"
BATCH = 10_000


def missing() -> str | None:
    return None if importlib.util.find_spec("pgqueuer") else "the extra `bench` is not installed"


def version() -> str:
    return installed("pgqueuer")


def prepare(dsn: str) -> None:
    asyncio.run(_prepare(dsn))


async def _prepare(dsn: str) -> None:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    asyncio.run(_fill(dsn, jobs, first_at, every_seconds, priority))


async def _fill(dsn: str, jobs: int, first_at: datetime | None, every_seconds: float, priority: int) -> None:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    for first in range(1, jobs + 1, BATCH):
        numbers = range(first, min(first + BATCH, jobs + 1))
        ahead = first_at - datetime.now(UTC) if first_at else None
        delays = [ahead + timedelta(seconds=n * every_seconds) for n in numbers] if ahead is not None else None
        await queries.enqueue(["nothing"] * len(numbers), [_payload(n) for n in numbers], [priority] * len(numbers), delays)
    await connection.close()


def _payload(number: int) -> bytes:
    return json.dumps({"n": number}).encode()


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.pgqueuer_peer", dsn]


def environ(dsn: str) -> dict[str, str]:
    return {}


@asynccontextmanager
async def enqueuer(dsn: str) -> AsyncIterator[Callable[[int], Awaitable[int]]]:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))

    async def submit(number: int) -> int:
        await queries.enqueue("nothing", _payload(number))
        return time.time_ns()

    try:
        yield submit
    finally:
        await connection.close()


async def work(dsn: str) -> None:
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgPoolDriver
    from pgqueuer.models import Job

    starts = StartWriter(dict(os.environ))
    async with asyncpg.create_pool(dsn, min_size=2, max_size=10) as pool:
        queue = PgQueuer(AsyncpgPoolDriver(pool))

        @queue.entrypoint("nothing")
        async def nothing(job: Job) -> None:
            starts.record(json.loads(job.payload or b"{}")["n"])

        await queue.run(batch_size=500)


if __name__ == "__main__":
    import uvloop

    uvloop.run(work(sys.argv[1]))
