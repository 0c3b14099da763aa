"""A limit of running jobs per user, with real worker processes."""

from pathlib import Path

import psycopg

from jobhub.domain.users import User
from tests import factories
from tests.worker.processes import wait_for, wait_for_status, worker_process

DONE = "SELECT count(*) AS n FROM jobs WHERE status = 'completed'"
# One statement is one snapshot: what it counts did run at once.
MOST_RUNNING = "SELECT count(*) AS n FROM jobs WHERE status = 'running' GROUP BY owner_id ORDER BY n DESC LIMIT 1"


def test_two_workers_never_run_more_jobs_of_a_user_than_they_may_and_leave_none_behind(
    dsn: str, sql: psycopg.Connection, alice: User, bob: User, tmp_path: Path
) -> None:
    for n in range(120):
        factories.make_job(sql, alice if n < 80 else bob)
    seen: list[int] = []

    def all_are_done() -> bool:
        seen.extend(row.n for row in sql.execute(MOST_RUNNING))
        return bool(sql.execute(DONE).fetchone().n == 120)

    with (
        worker_process(dsn, tmp_path, JOBHUB_MAX_RUNNING_JOBS="2", JOBHUB_HANDLERS="tests.factories") as one,
        worker_process(dsn, tmp_path, JOBHUB_MAX_RUNNING_JOBS="2", JOBHUB_HANDLERS="tests.factories") as other,
    ):
        wait_for(all_are_done, seconds=60)
        assert "loop_failed" not in one.log + other.log

    assert 0 < max(seen) <= 2


def test_a_user_at_the_limit_leaves_the_slots_to_others_and_goes_on_when_a_job_ends(
    dsn: str, sql: psycopg.Connection, alice: User, bob: User, tmp_path: Path
) -> None:
    of_alice = [factories.make_job(sql, alice, job_type="test.sleep") for _ in range(30)]
    of_bob = factories.make_job(sql, bob)
    with worker_process(dsn, tmp_path, JOBHUB_MAX_RUNNING_JOBS="2", JOBHUB_CONCURRENCY="3", JOBHUB_HANDLERS="tests.factories"):
        wait_for_status(sql, of_bob, "completed", seconds=40)
        assert factories.job_row(sql, of_alice[0]).status == "running"

        sql.execute("UPDATE jobs SET cancel_requested_at = now() WHERE id = %s", [of_alice[0]])  # without a word to the worker

        wait_for_status(sql, of_alice[2], "running", seconds=40)


def test_a_worker_without_a_limit_takes_up_what_one_with_a_limit_has_held(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    job_id = factories.make_job(sql, alice)
    sql.execute("UPDATE procrastinate_jobs SET held = true")
    with worker_process(dsn, tmp_path, JOBHUB_HANDLERS="tests.factories"):
        wait_for_status(sql, job_id, "completed", seconds=40)
