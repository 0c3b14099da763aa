"""PgQueuer over an asyncpg pool in batches of 100: the row is deleted, a log row per transition is kept."""

import asyncio
import importlib.util
import sys

NAME = "pgqueuer"
KEEPS = "log rows"
LEFT = "SELECT count(*) FROM pgqueuer"
ENVIRON: dict[str, str] = {}


def missing() -> str | None:
    return None if importlib.util.find_spec("pgqueuer") else "the extra `bench` is not installed"


def prepare(dsn: str) -> None:
    asyncio.run(_prepare(dsn))


async def _prepare(dsn: str) -> None:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    await Queries(AsyncpgDriver(connection)).install()
    await connection.close()


def fill(dsn: str, jobs: int) -> None:
    asyncio.run(_fill(dsn, jobs))


async def _fill(dsn: str, jobs: int) -> None:
    import asyncpg
    from pgqueuer.db import AsyncpgDriver
    from pgqueuer.queries import Queries

    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    for _ in range(jobs // 1000):
        await queries.enqueue(["nothing"] * 1000, [None] * 1000, [0] * 1000)
    await connection.close()


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.pgqueuer_peer", dsn]


async def work(dsn: str) -> None:
    import asyncpg
    from pgqueuer import PgQueuer
    from pgqueuer.db import AsyncpgPoolDriver
    from pgqueuer.models import Job

    async with asyncpg.create_pool(dsn, min_size=2, max_size=10) as pool:
        queue = PgQueuer(AsyncpgPoolDriver(pool))

        @queue.entrypoint("nothing")
        async def nothing(job: Job) -> None:
            pass

        await queue.run(batch_size=100)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
