"""Jobs that are stopped or overruled while a worker process runs them, and what the tables look like after a day's work."""

from pathlib import Path

import psycopg

from jobhub.domain.users import User
from jobhub.store import jobs
from jobhub.store.database import Database
from jobhub.store.reporting import list_reports, run_report
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


async def test_a_cancel_reaches_the_handler(db: Database, dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path):
        wait_for_lines(path)

        await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

        row = wait_for_status(sql, job_id, "cancelled")
        print(f"cancelled {(row.completed_at - row.cancel_requested_at).total_seconds():.2f} s after it was asked for")
    assert path.read_text().splitlines() == [path.read_text().splitlines()[0], "cancelled 1 True"]
    assert attempts(sql, job_id) == [(1, "cancelled")]


async def test_a_cancel_ends_a_process_handler_and_all_it_started(
    db: Database, dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold_in_process", path)
    with worker_process(dsn, tmp_path):
        pids = [int(pid) for pid in wait_for_lines(path)[0].split()]

        await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

        wait_for_status(sql, job_id, "cancelled")
        wait_for(lambda: not any(is_alive(pid) for pid in pids))
    assert path.read_text().splitlines()[1:] == ["told to stop"]


async def test_a_force_completed_job_is_told_to_stop_and_its_late_outcome_dropped(
    db: Database, dsn: str, sql: psycopg.Connection, alice: User, admin: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path):
        wait_for_lines(path)

        await jobs.force_complete_job(db, job_id, result={"by": "hand"}, act=jobs.Act(actor_id=admin.id))

        assert wait_for_lines(path, 2)[1] == "cancelled 1 False"
        after = make_file_job(sql, alice, "work.append", tmp_path / "after")
        wait_for_status(sql, after, "completed")
    row = factories.job_row(sql, job_id)
    assert (row.status, row.result) == ("completed", {"by": "hand"})
    assert attempts(sql, job_id) == [(1, "superseded")]


async def test_a_worker_deleted_from_the_list_lives_on_and_keeps_its_jobs_from_running_twice(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path):
        wait_for_lines(path)

        sql.execute("DELETE FROM workers")

        wait_for(lambda: worker_rows(sql))
        (tmp_path / "work.go").touch()
        wait_for_status(sql, job_id, "completed")


async def test_no_job_contradicts_another_table_after_all_kinds_of_work(
    db: Database, dsn: str, sql: psycopg.Connection, alice: User, admin: User, tmp_path: Path
) -> None:
    held = tmp_path / "held"
    with worker_process(dsn, tmp_path, JOBHUB_DEMO="1"):
        ids = [factories.make_job(sql, alice, job_type=job_type) for job_type in ("demo.fail", "demo.crash", "no.such.type")]
        ids += [factories.make_job(sql, alice, job_type="demo.fail", max_attempts=3)]
        ids += [factories.make_job(sql, alice, job_type="demo.steps", parameters='{"seconds_per_step": 0}')]
        cancelled, overruled = (make_file_job(sql, alice, "work.hold", held) for _ in range(2))
        wait_for_lines(held, 2)
        await jobs.cancel_job(db, cancelled, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))
        await jobs.force_complete_job(db, overruled, result=None, act=jobs.Act(actor_id=admin.id))
        wait_for_status(sql, cancelled, "cancelled")
        wait_for(lambda: not sql.execute("SELECT FROM jobs WHERE status = 'running'").rowcount)

        drift = [
            row
            async for _, rows in run_report(dsn, list_reports()["state_drift"], {"grace_seconds": 5}, timeout_seconds=10)
            for row in rows
        ]

    assert drift == []
    assert {factories.job_row(sql, job_id).status for job_id in ids} == {"failed", "pending", "completed"}
