"""Graphile Worker on Node.js: a finished job is deleted and nothing of it is kept. node/graphile.js has its settings."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime

import psycopg

from bench.peers import node_program

NAME = "graphile"
KEEPS = "nothing"
SLOW = 1
LEFT = "SELECT count(*) FROM graphile_worker._private_jobs"

# Its lower priority runs first. At most 10,000 a call, as its documentation says of add_jobs.
FILL = """
SELECT count(*) FROM graphile_worker.add_jobs(ARRAY(
    SELECT ROW(
        'nothing', json_build_object('n', n), NULL, %(first_at)s::timestamptz + n * make_interval(secs => %(every_seconds)s),
        NULL, NULL, - %(priority)s::integer, NULL
    )::graphile_worker.job_spec
    FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
))
"""
BATCH = 10_000


def missing() -> str | None:
    return node_program.missing("graphile-worker")


def version() -> str:
    return node_program.version("graphile-worker")


def prepare(dsn: str) -> None:
    node_program.run(dsn, "graphile.js", "prepare")


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for first in range(1, jobs + 1, BATCH):
            last = min(first + BATCH - 1, jobs)
            values = {"first": first, "last": last, "first_at": first_at, "every_seconds": every_seconds, "priority": priority}
            connection.execute(FILL, values)


def command(dsn: str) -> list[str]:
    return node_program.command("graphile.js", "work")


def environ(dsn: str) -> dict[str, str]:
    return node_program.environ(dsn)


def enqueuer(dsn: str) -> AbstractAsyncContextManager:
    return node_program.enqueuer(dsn, "graphile.js")
