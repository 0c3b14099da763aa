"""The limit: one connection that claims and completes in batches of 100 with a history row each, and nothing around it."""

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from bench.peers.sql_enqueuer import sql_enqueuer
from bench.starts import StartWriter

NAME = "plain-sql"
KEEPS = "job, history row, result"
SLOW = 1
LEFT = "SELECT count(*) FROM plain_jobs WHERE status <> 'done'"

SCHEMA = """
CREATE TABLE plain_jobs (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, status text NOT NULL DEFAULT 'todo', priority int NOT NULL DEFAULT 0,
    args jsonb NOT NULL, result jsonb, run_at timestamptz, started_at timestamptz, ended_at timestamptz
);
CREATE INDEX ON plain_jobs (priority DESC, id) WHERE status = 'todo';
CREATE INDEX ON plain_jobs (run_at) WHERE status = 'later';
CREATE TABLE plain_history (job_id bigint, started_at timestamptz, ended_at timestamptz);
"""
FILL = """
INSERT INTO plain_jobs (priority, args, run_at, status)
SELECT %(priority)s, jsonb_build_object('n', n), %(first_at)s::timestamptz + n * make_interval(secs => %(every_seconds)s),
    CASE WHEN %(first_at)s::timestamptz IS NULL THEN 'todo' ELSE 'later' END
FROM generate_series(1, %(jobs)s) AS n
"""
ONE = """
WITH job AS (INSERT INTO plain_jobs (args) VALUES (jsonb_build_object('n', $1::integer)))
SELECT pg_notify('plain', '')
"""
CLAIM = """
WITH due AS (SELECT id FROM plain_jobs WHERE status = 'todo' ORDER BY priority DESC, id LIMIT 100 FOR UPDATE SKIP LOCKED)
UPDATE plain_jobs SET status = 'doing', started_at = now() WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING id, (args ->> 'n')::int AS n
"""
FINISH = """
WITH finished AS (
    UPDATE plain_jobs SET status = 'done', result = '{"ok": true}', ended_at = now() WHERE id = ANY($1::bigint[])
    RETURNING id, started_at, ended_at
)
INSERT INTO plain_history SELECT id, started_at, ended_at FROM finished
"""
PROMOTE = """
UPDATE plain_jobs SET status = 'todo'
WHERE id = ANY(ARRAY(SELECT id FROM plain_jobs WHERE status = 'later' AND run_at <= now() ORDER BY run_at LIMIT 1000 FOR UPDATE SKIP LOCKED))
"""
PROMOTE_SECONDS = 0.5


def missing() -> str | None:
    return None


def version() -> str:
    return "claim and complete by hand"


def prepare(dsn: str) -> None:
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(SCHEMA)


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    import psycopg

    values = {"jobs": jobs, "priority": priority, "first_at": first_at, "every_seconds": every_seconds}
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(FILL, values)


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.plain_sql_peer", dsn]


def environ(dsn: str) -> dict[str, str]:
    return {}


def enqueuer(dsn: str) -> AbstractAsyncContextManager:
    return sql_enqueuer(dsn, ONE)


async def work(dsn: str) -> None:
    import asyncpg

    starts = StartWriter(dict(os.environ))
    connection = await asyncpg.connect(dsn)
    submitted = asyncio.Event()
    await connection.add_listener("plain", lambda *_: submitted.set())
    loop = asyncio.get_running_loop()
    promoted_at = 0.0
    while True:
        submitted.clear()
        if loop.time() - promoted_at >= PROMOTE_SECONDS:
            promoted_at = loop.time()
            await connection.execute(PROMOTE)
        while rows := await connection.fetch(CLAIM):
            for row in rows:
                starts.record(row["n"])
            await connection.execute(FINISH, [row["id"] for row in rows])
        try:
            async with asyncio.timeout(PROMOTE_SECONDS):
                await submitted.wait()
        except TimeoutError:
            continue


if __name__ == "__main__":
    import uvloop

    uvloop.run(work(sys.argv[1]))
