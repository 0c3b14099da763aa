"""jobhub itself, by its command, its settings and its tables: a row in jobs with its result and a row in job_attempts are kept."""

import sys
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import psycopg

from bench.peers.sql_enqueuer import sql_enqueuer
from jobhub import __version__
from jobhub.postgres.migrations import migrate

NAME = "jobhub"
KEEPS = "job, attempt, result"
SLOW = 1
LEFT = "SELECT count(*) FROM jobs WHERE status <> 'completed'"

# What the API writes for a submit, without its idempotency key.
DUE = """
WITH new AS MATERIALIZED (
    SELECT uuidv7() AS id, n, clock_timestamp() AS at FROM generate_series(%(first)s::integer, %(last)s::integer) AS n
),
given AS (SELECT array_agg(id) AS ids, array_agg('bench.nothing'::text) AS types, array_agg('default'::text) AS queues, array_agg(%(priority)s::integer) AS priorities FROM new),
delivery AS (SELECT its.job_id, its.delivery_id FROM given, deliver_jobs(given.ids, given.types, given.queues, given.priorities) AS its)
INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, priority, due_at, delivery_id)
SELECT id, '00000000-0000-7000-8000-000000000001', 'bench.nothing', 'default', 'bench', jsonb_build_object('n', n), %(priority)s, at,
    delivery.delivery_id
FROM new INNER JOIN delivery ON delivery.job_id = new.id
"""
BATCH = 10_000
LATER = """
INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, priority, scheduled_for, due_at, deliver_at)
SELECT uuidv7(), '00000000-0000-7000-8000-000000000001', 'bench.nothing', 'default', 'bench', jsonb_build_object('n', n), %(priority)s, at, at, at
FROM generate_series(1, %(jobs)s) AS n, LATERAL (SELECT %(first_at)s::timestamptz + n * make_interval(secs => %(every_seconds)s) AS at) AS its
"""
ONE = """
WITH new AS (SELECT uuidv7() AS id)
INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, delivery_id)
SELECT id, '00000000-0000-7000-8000-000000000001', 'bench.nothing', 'default', 'bench', jsonb_build_object('n', $1::integer), now(),
    deliver_job(id, 'bench.nothing', 'default', 0)
FROM new
"""


def missing() -> str | None:
    return None


def version() -> str:
    return __version__


def prepare(dsn: str) -> None:
    migrate(dsn)


def fill(dsn: str, jobs: int, *, first_at: datetime | None = None, every_seconds: float = 0.0, priority: int = 0) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        if first_at:
            connection.execute(LATER, {"jobs": jobs, "priority": priority, "first_at": first_at, "every_seconds": every_seconds})
            return
        for first in range(1, jobs + 1, BATCH):
            connection.execute(DUE, {"first": first, "last": min(first + BATCH - 1, jobs), "priority": priority})


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "jobhub", "worker"]


def environ(dsn: str) -> dict[str, str]:
    return {"JOBHUB_DATABASE_URL": dsn, "JOBHUB_CONCURRENCY": "500", "JOBHUB_HANDLERS": "bench.handlers", "JOBHUB_LOG_LEVEL": "WARNING"}


def enqueuer(dsn: str) -> AbstractAsyncContextManager:
    return sql_enqueuer(dsn, ONE)
