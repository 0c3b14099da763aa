"""A long history, made by the server itself. Not here: what is measured on it (`bench.history`).

A tenth of all jobs are those of the largest user; the others' share falls with the square of their number.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg

from bench.peers import jobhub_peer
from bench.run import say
from bench.server import Server
from jobhub.store.statements import statements

LARGEST, SMALL = "largest", "small"
USERS = 1000
_PART = 500_000  # rows of a statement

_USERS = """
    INSERT INTO users (id, email, password_hash, role)
    SELECT ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        CASE n WHEN 0 THEN 'largest' WHEN 999 THEN 'small' WHEN 1000 THEN 'admin' ELSE 'user' || n END || '@example.org',
        '$argon2id$no-password-fits', CASE n WHEN 1000 THEN 'admin' ELSE 'user' END::user_role
    FROM generate_series(0, 1000) AS n
"""
_JOBS = """
    INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, tags, status, due_at, attempt, failed_attempts, created_at,
        updated_at, started_at, completed_at, worker_id, error_code, error_message, progress_percentage, version)
    SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
        ('00000000-0000-7000-8000-' || lpad(to_hex(owner), 12, '0'))::uuid, 'bench.type' || (n / 10) %% 20, 'default',
        CASE WHEN n %% 1000003 = 7 THEN 'A needle' ELSE 'Report ' || n END, jsonb_build_object('n', n),
        CASE WHEN n %% 200003 = 10 THEN ARRAY['rare'] WHEN n %% 7 = 0 THEN ARRAY['nightly', 'team' || n %% 50] ELSE ARRAY[]::text[] END,
        status::job_status, at, 1, (status = 'failed')::int, at, at, at, at + interval '1 second', gen_random_uuid(),
        CASE status WHEN 'failed' THEN 'boom' END, CASE status WHEN 'failed' THEN 'It went boom.' END, 100, 3
    FROM (
        SELECT n, now() - make_interval(secs => (%(rows)s - n) * 2.592e6 / %(rows)s) AS at,
            CASE WHEN n %% 10 = 0 THEN 0 WHEN n %% 9973 = 1 THEN 999 ELSE 1 + floor(997 * power(random(), 2))::int END AS owner,
            CASE WHEN n %% 50021 = 20 THEN 'cancelled' WHEN n %% 49 = 3 THEN 'failed' ELSE 'completed' END AS status
        FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
    ) AS made
"""
_ATTEMPTS = """
    INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)
    SELECT id, 1, worker_id, due_at, started_at, completed_at, status::text::attempt_outcome, error_code, error_message
    FROM jobs
    WHERE id >= ('01900000-0000-7000-8000-' || lpad(to_hex(%(first_number)s::bigint), 12, '0'))::uuid
        AND id <= ('01900000-0000-7000-8000-' || lpad(to_hex(%(last_number)s::bigint), 12, '0'))::uuid
"""


@contextmanager
def history(server: Server, rows: int, data_dir: Path | None) -> Iterator[str]:
    """A filled database, for the time of the block; the one that is kept there, if there is a directory for that."""
    empty = server.template("jobhub-empty", jobhub_peer.prepare)
    if data_dir:
        with server.kept(f"history of {rows}", empty, partial(fill, rows=rows)) as dsn:
            jobhub_peer.prepare(dsn)  # it may have been made by an older version
            yield dsn
    else:
        with server.database(empty) as dsn:
            fill(dsn, rows)
            yield dsn


def fill(dsn: str, rows: int) -> None:
    """Users, and so many finished jobs over thirty days with an attempt each; counted in the rollups, vacuumed and analysed."""
    began_at = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute(_USERS)
        with _indexes_made_afterwards(connection):
            for first in range(1, rows + 1, _PART):
                last = min(rows, first + _PART - 1)
                connection.execute(_JOBS, {"rows": rows, "first": first, "last": last})
                connection.execute(_ATTEMPTS, {"first_number": first, "last_number": last})
                say(f"filled {last:,} of {rows:,}: {time.monotonic() - began_at:.0f} s")
        connection.execute("SELECT count_history_into_stats()")
        while connection.execute(statements()["fold_job_stats"].sql.encode()).fetchone() != (0,):
            pass
        say(f"counted into the rollups: {time.monotonic() - began_at:.0f} s")
        connection.execute("VACUUM ANALYZE")
        say(f"vacuumed and analysed: {time.monotonic() - began_at:.0f} s")


@contextmanager
def _indexes_made_afterwards(connection: psycopg.Connection) -> Iterator[None]:
    """All but those of primary keys: made at once they cost a fraction of so many single entries."""
    found = connection.execute(
        """
        SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
        FROM pg_index
        WHERE indrelid IN ('jobs'::regclass, 'job_attempts'::regclass, 'tagged_jobs'::regclass) AND NOT indisprimary
        """
    ).fetchall()
    for name, _ in found:
        connection.execute(f"DROP INDEX {name}")
    yield
    for _, definition in found:
        connection.execute(definition)
