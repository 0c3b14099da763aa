"""Plain Procrastinate, as its documentation shows it: PsycopgConnector, concurrency 10; finished jobs and their events are kept."""

import asyncio
import sys

import procrastinate
import psycopg

NAME = "procrastinate"
KEEPS = "job, events"
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"
ENVIRON: dict[str, str] = {}


def app(dsn: str) -> procrastinate.App:
    built = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=12))

    @built.task(name="nothing")
    async def nothing() -> None:
        pass

    return built


def missing() -> str | None:
    return None


def prepare(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(procrastinate.schema.SchemaManager.get_schema())


def fill(dsn: str, jobs: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO procrastinate_jobs (queue_name, task_name) SELECT 'default', 'nothing' FROM generate_series(1, %s)", [jobs]
        )


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.procrastinate_peer", dsn]


async def work(dsn: str) -> None:
    built = app(dsn)
    async with built.open_async():
        await built.run_worker_async(concurrency=10)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
