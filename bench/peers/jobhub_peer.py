"""jobhub itself: a row in jobs with its result and a row in job_attempts are kept for each job."""

import sys

import psycopg

from jobhub.postgres.migrations import migrate

NAME = "jobhub"
KEEPS = "job, attempt, result"
LEFT = "SELECT count(*) FROM jobs WHERE status <> 'completed'"
ENVIRON = {"JOBHUB_DEMO": "1", "JOBHUB_CONCURRENCY": "100", "JOBHUB_HANDLERS": "bench.handlers"}


def missing() -> str | None:
    return None


def prepare(dsn: str) -> None:
    migrate(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO users (id, email, password_hash, role) VALUES (gen_random_uuid(), 'bench@example.org', '$argon2id$none', 'user')"
        )


def fill(dsn: str, jobs: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "WITH new AS (SELECT uuidv7() AS id FROM generate_series(1, %s))"
            " INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, delivery_id)"
            " SELECT id, (SELECT users.id FROM users), 'bench.nothing', 'default', 'bench', '{}', now(), deliver_job(id, 'bench.nothing', 'default', 0) FROM new",
            [jobs],
        )


def command(dsn: str) -> list[str]:
    return [sys.executable, "-m", "jobhub", "worker"]
