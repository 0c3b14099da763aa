"""The limit: one connection that claims and completes in batches of 100 with a history row each, and nothing around it."""

import asyncio
import sys

import asyncpg
import psycopg

NAME = "plain SQL, batches of 100"
KEEPS = "job, history row"
LEFT = "SELECT count(*) FROM plain_jobs WHERE status <> 'done'"
ENVIRON: dict[str, str] = {}

CLAIM = """
WITH due AS (SELECT id FROM plain_jobs WHERE status = 'todo' ORDER BY priority DESC, id LIMIT 100 FOR UPDATE SKIP LOCKED)
UPDATE plain_jobs SET status = 'doing', started_at = now() WHERE id = ANY(ARRAY(SELECT id FROM due)) RETURNING id, args
"""
FINISH = """
WITH finished AS (
    UPDATE plain_jobs SET status = 'done', result = '{"ok": true}', ended_at = now() WHERE id = ANY($1::bigint[])
    RETURNING id, started_at, ended_at
)
INSERT INTO plain_history SELECT id, started_at, ended_at FROM finished
"""


def missing() -> str | None:
    return None


def prepare(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "CREATE TABLE plain_jobs (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, status text NOT NULL DEFAULT 'todo',"
            " priority int NOT NULL DEFAULT 0, args jsonb NOT NULL DEFAULT '{}', result jsonb, started_at timestamptz, ended_at timestamptz);"
            " CREATE INDEX ON plain_jobs (priority DESC, id) WHERE status = 'todo';"
            " CREATE TABLE plain_history (job_id bigint, started_at timestamptz, ended_at timestamptz)"
        )


def fill(dsn: str, jobs: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("INSERT INTO plain_jobs (priority) SELECT 0 FROM generate_series(1, %s)", [jobs])


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "bench.peers.plain_sql_peer", dsn]


async def work(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    while rows := await connection.fetch(CLAIM):
        await connection.execute(FINISH, [row["id"] for row in rows])


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
