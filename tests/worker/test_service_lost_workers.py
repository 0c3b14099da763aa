"""Workers that die with jobs: somebody else runs those, and no job is lost or run for ever."""

import signal
import time
from pathlib import Path

import psycopg

from jobhub.domain.users import User
from tests import factories
from tests.worker.processes import (
    attempts,
    is_alive,
    make_file_job,
    wait_for,
    wait_for_lines,
    wait_for_status,
    worker_process,
    worker_rows,
)


def test_the_job_of_a_killed_worker_is_finished_by_another_within_20_seconds(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path) as first:
        wait_for_lines(path)
        with worker_process(dsn, tmp_path) as second:
            wait_for(lambda: len(worker_rows(sql)) == 2)
            worker_rows_by_pid = {row.pid: row.id for row in worker_rows(sql)}
            killed_at = time.monotonic()
            first.signal(signal.SIGKILL)
            (tmp_path / "work.go").touch()
            row = wait_for_status(sql, job_id, "completed", seconds=20)
            print(f"rescued and finished {time.monotonic() - killed_at:.1f} s after SIGKILL")

    assert row.worker_id == worker_rows_by_pid[second.pid]
    assert row.result["attempt"] == 2
    assert attempts(sql, job_id) == [(1, "worker_lost"), (2, "completed")]
    assert row.failed_attempts == 0


def test_a_job_that_was_lost_with_three_workers_fails(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    dead = factories.make_worker(sql, lease_seconds=-1)
    job_id = factories.make_job(sql, alice, status="running", worker_id=dead, job_type="work.kill_worker", attempt=3, lost_attempts=2)

    with worker_process(dsn, tmp_path):
        row = wait_for_status(sql, job_id, "failed")

    assert row.error_code == "worker_lost"
    assert row.lost_attempts == 3
    assert attempts(sql, job_id) == [(3, "worker_lost")]


def test_a_cancelled_job_of_a_killed_worker_is_not_started_again(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path) as victim:
        wait_for_lines(path)
        victim.signal(signal.SIGKILL)
        victim.wait()
    sql.execute("UPDATE jobs SET cancel_requested_at = now()")
    sql.execute("UPDATE workers SET lease_until = now()")

    with worker_process(dsn, tmp_path):
        row = wait_for_status(sql, job_id, "cancelled")

    assert row.attempt == 1
    assert attempts(sql, job_id) == [(1, "worker_lost")]


def test_a_process_handler_dies_with_its_killed_worker_and_so_does_what_it_started(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    # Two of them: neither may hold open what tells the other that the worker is gone.
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        make_file_job(sql, alice, "work.hold_in_process", path)
    with worker_process(dsn, tmp_path) as victim:
        pids = [int(pid) for path in paths for pid in wait_for_lines(path)[0].split()]
        assert all(is_alive(pid) for pid in pids)

        victim.signal(signal.SIGKILL)

        wait_for(lambda: not any(is_alive(pid) for pid in pids), seconds=5)
