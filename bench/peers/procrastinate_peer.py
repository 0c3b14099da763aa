"""Plain Procrastinate, as its documentation shows it: PsycopgConnector, concurrency 10; finished jobs and their events are kept.

More concurrency makes it slower: each job is fetched alone, and only finishing runs side by side.
"""

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from importlib.metadata import version as installed

from bench.peers.sql_enqueuer import sql_enqueuer
from bench.starts import StartWriter

NAME = "procrastinate"
KEEPS = "job, 3 events"
SLOW = 10
LEFT = "SELECT count(*) FROM procrastinate_jobs WHERE status <> 'succeeded'"

ONE = """
SELECT procrastinate_defer_jobs_v1(ARRAY[
    ROW('default', 'nothing', 0, NULL, NULL, jsonb_build_object('n', $1::integer), NULL)::procrastinate_job_to_defer_v1
])
"""
# The library's own way fires its triggers row by row, 12,000 a second; these are the same rows.
FILL = """
WITH job AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, args, scheduled_at)
    SELECT 'default', 'nothing', %(priority)s, jsonb_build_object('n', n), %(first_at)s::timestamptz + n * make_interval(secs => %(every_seconds)s)
    FROM generate_series(1, %(jobs)s) AS n
    RETURNING id, scheduled_at
)
INSERT INTO procrastinate_events (job_id, type, at)
SELECT id, kind.type::procrastinate_job_event_type, coalesce(kind.at, now())
FROM job, LATERAL (VALUES ('deferred', NULL), ('scheduled', job.scheduled_at)) AS kind (type, at)
WHERE kind.type = 'deferred' OR job.scheduled_at IS NOT NULL
"""


def missing() -> str | None:
    return None


def version() -> str:
    return installed("procrastinate")


def prepare(dsn: str) -> None:
    import procrastinate
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(procrastinate.schema.SchemaManager.get_schema())


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    import psycopg

    values = {"jobs": jobs, "priority": priority, "first_at": first_at, "every_seconds": every_seconds}
    with psycopg.connect(dsn) as connection:
        connection.execute("SET LOCAL session_replication_role = replica")
        connection.execute(FILL, values)


def finish_waiting(dsn: str) -> None:
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing' WHERE status = 'todo' AND scheduled_at IS NULL")
        connection.execute("UPDATE procrastinate_jobs SET status = 'succeeded', attempts = attempts + 1 WHERE status = 'doing'")


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.procrastinate_peer", dsn]


def environ(dsn: str) -> dict[str, str]:
    return {}


def enqueuer(dsn: str) -> AbstractAsyncContextManager:
    return sql_enqueuer(dsn, ONE)


async def work(dsn: str) -> None:
    import procrastinate

    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=dsn, max_size=12))
    starts = StartWriter(dict(os.environ))

    @app.task(name="nothing")
    async def nothing(n: int) -> None:
        starts.record(n)

    async with app.open_async():
        await app.run_worker_async(concurrency=10)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
