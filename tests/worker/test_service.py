"""Worker processes as operators meet them: stopping, sharing work, and a database that comes and goes."""

import asyncio
import signal
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from jobhub.domain.users import User
from jobhub.worker import loops
from tests import factories
from tests.worker.processes import (
    attempts,
    make_file_job,
    wait_for,
    wait_for_lines,
    wait_for_status,
    worker_process,
    worker_rows,
)


def test_a_stopping_worker_lets_a_job_finish(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path) as worker:
        wait_for_lines(path)
        waiting = make_file_job(sql, alice, "work.append", path, queue="elsewhere")

        worker.signal(signal.SIGTERM)
        wait_for(lambda: worker_rows(sql)[0].stopping)
        late = make_file_job(sql, alice, "work.append", tmp_path / "late")
        (tmp_path / "work.go").touch()

        assert worker.wait() == 0
    assert attempts(sql, job_id) == [(1, "completed")]
    assert factories.job_row(sql, late).status == factories.job_row(sql, waiting).status == "pending"
    assert worker_rows(sql) == []


def test_a_job_that_outlasts_the_grace_time_is_released_to_another_worker(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path, JOBHUB_SHUTDOWN_GRACE_SECONDS="0.3") as first:
        wait_for_lines(path)
        with worker_process(dsn, tmp_path) as second:
            wait_for(lambda: len(worker_rows(sql)) == 2)

            first.signal(signal.SIGTERM)
            assert first.wait() == 0
            wait_for_lines(path, 3)
            (tmp_path / "work.go").touch()
            row = wait_for_status(sql, job_id, "completed")

    assert row.result == {"attempt": 2, "pid": second.pid}
    assert (row.failed_attempts, row.lost_attempts) == (0, 0)
    assert attempts(sql, job_id) == [(1, "released"), (2, "completed")]
    assert path.read_text().splitlines()[1] == "cancelled 1 False"


def test_two_workers_run_each_of_300_jobs_exactly_once(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "effects"
    with worker_process(dsn, tmp_path), worker_process(dsn, tmp_path):
        wait_for(lambda: len(worker_rows(sql)) == 2)
        with sql.transaction():
            ids = [make_file_job(sql, alice, "work.append", path) for _ in range(300)]

        wait_for(lambda: sql.execute("SELECT count(*) AS n FROM jobs WHERE status = 'completed'").fetchone().n == 300)

    assert sorted(path.read_text().split()) == sorted(str(job_id) for job_id in ids)
    assert sql.execute("SELECT count(*) AS n FROM job_attempts WHERE number = 1 AND outcome = 'completed'").fetchone().n == 300
    assert sql.execute("SELECT count(*) AS n FROM procrastinate_jobs").fetchone().n == 0


def test_a_worker_forgets_claims_of_which_nothing_runs_any_more(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    def jobs_in_claims() -> list[list[uuid.UUID]]:
        return [row.job_ids for row in sql.execute("SELECT job_ids FROM claims").fetchall()]

    with worker_process(dsn, tmp_path):
        held = make_file_job(sql, alice, "work.hold", tmp_path / "held")
        wait_for_status(sql, held, "running")
        wait_for_status(sql, make_file_job(sql, alice, "work.append", tmp_path / "work"), "completed")

        wait_for(lambda: jobs_in_claims() == [[held]])
        (tmp_path / "held.go").touch()
        wait_for(lambda: jobs_in_claims() == [])


def test_a_scheduled_job_is_promoted_when_its_time_comes(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path):
        wait_for(lambda: worker_rows(sql))
        due = datetime.now(UTC) + timedelta(seconds=1)
        job_id = make_file_job(sql, alice, "work.append", tmp_path / "work", scheduled_for=due)

        row = wait_for_status(sql, job_id, "completed", seconds=10)

    assert row.started_at >= row.due_at
    print(f"started {(row.started_at - row.due_at).total_seconds():.2f} s after its time")


def test_a_job_whose_notification_was_lost_is_found_by_looking(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path):
        wait_for_status(sql, make_file_job(sql, alice, "work.append", tmp_path / "first"), "completed")
        wait_for(
            lambda: sql.execute("SELECT FROM pg_stat_activity WHERE application_name = 'jobhub listener' AND query ~ 'LISTEN'").rowcount
        )
        with sql.transaction():
            sql.execute("ALTER TABLE procrastinate_jobs DISABLE TRIGGER USER")
            job_id = make_file_job(sql, alice, "work.append", tmp_path / "work")
            sql.execute("ALTER TABLE procrastinate_jobs ENABLE TRIGGER USER")

        row = wait_for_status(sql, job_id, "completed", seconds=10)

    print(f"found {(row.started_at - row.due_at).total_seconds():.2f} s after its time")


def test_terminated_connections_under_load_lose_nothing(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    path = tmp_path / "effects"
    with worker_process(dsn, tmp_path, "--concurrency", "5") as worker:
        wait_for(lambda: worker_rows(sql))
        ids = []
        for _ in range(20):
            ids += [make_file_job(sql, alice, "work.append", path) for _ in range(10)]
            sql.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'jobhub %'")

        wait_for(lambda: sql.execute("SELECT count(*) AS n FROM jobs WHERE status = 'completed'").fetchone().n == 200, seconds=30)

        assert worker.process.poll() is None
        assert len(worker_rows(sql)) == 1
    # At least once: an attempt whose claim or outcome was cut off runs again and says so.
    assert set(path.read_text().split()) == {str(job_id) for job_id in ids}
    assert {row.outcome for row in sql.execute("SELECT DISTINCT outcome FROM job_attempts")} <= {"completed", "released"}


def test_a_worker_whose_event_loop_is_taken_down_ends_with_70(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    factories.make_job(sql, alice, job_type="work.exit_from_a_task")

    with worker_process(dsn, tmp_path) as worker:
        status = worker.wait()

    assert status == 70


def test_the_dispatcher_ending_unasked_ends_the_worker_with_70(dsn: str, sql: psycopg.Connection, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path) as worker:
        wait_for(lambda: worker_rows(sql))
        sql.execute("ALTER TABLE procrastinate_jobs RENAME COLUMN args TO gone")

        assert worker.wait() == 70


@pytest.mark.parametrize("steps", range(4))
async def test_a_loop_that_is_woken_while_it_is_cancelled_ends(steps: int) -> None:
    """In whichever step of the event loop: a loop that missed its cancellation would keep the worker from ever ending."""
    at_once = asyncio.Event()
    loop = asyncio.create_task(loops.every(60, "test", lambda: asyncio.sleep(0), at_once=at_once))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    at_once.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    loop.cancel()
    await asyncio.wait({loop}, timeout=5)

    was_cancelled = loop.cancelled()
    loop.cancel()
    await asyncio.wait({loop})
    assert was_cancelled


def test_a_worker_starts_before_its_database_and_registers_when_that_comes(
    databases, template: str, empty_dsn: str, tmp_path: Path
) -> None:
    with worker_process(empty_dsn, tmp_path) as worker:
        wait_for(lambda: "lease_not_renewed" in worker.log)
        from jobhub.postgres.migrations import migrate

        migrate(empty_dsn)

        with psycopg.connect(empty_dsn, autocommit=True) as connection:
            wait_for(lambda: connection.execute("SELECT id FROM workers").fetchall())


def test_a_worker_that_waits_for_its_database_still_ends_on_sigterm(tmp_path: Path) -> None:
    with worker_process("postgresql://nobody@127.0.0.1:1/nothing", tmp_path) as worker:
        wait_for(lambda: "lease_not_renewed" in worker.log)

        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0


def test_a_worker_that_waits_for_its_schema_still_ends_on_sigterm(empty_dsn: str, tmp_path: Path) -> None:
    with worker_process(empty_dsn, tmp_path) as worker:
        wait_for(lambda: "lease_not_renewed" in worker.log)

        worker.signal(signal.SIGTERM)

        assert worker.wait() == 0


def test_start_to_first_claim(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    job_id = make_file_job(sql, alice, "work.append", tmp_path / "work")

    started_at = time.monotonic()
    with worker_process(dsn, tmp_path):
        wait_for_lines(tmp_path / "work")
        print(f"\nfrom the start of the process to its first job: {time.monotonic() - started_at:.2f} s")

    assert factories.job_row(sql, job_id).attempt == 1


def test_the_lease_of_a_worker_whose_loop_is_blocked_is_renewed_and_its_lag_reported(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    with worker_process(dsn, tmp_path):
        wait_for(lambda: worker_rows(sql))
        job_id = factories.make_job(sql, alice, job_type="work.block", parameters='{"seconds": 7}')
        wait_for_status(sql, job_id, "running")
        before = worker_rows(sql)[0].lease_until

        row = wait_for(lambda: next((row for row in worker_rows(sql) if row.loop_lag_ms > 1000), None))
        lag_by_database_clock = (row.lease_until - timedelta(seconds=15) - factories.job_row(sql, job_id).started_at).total_seconds()

        assert row.lease_until > before
        assert row.loop_lag_ms / 1000 <= lag_by_database_clock + 0.5
        wait_for_status(sql, job_id, "completed")
        wait_for(lambda: worker_rows(sql)[0].loop_lag_ms < 1000)


def test_a_worker_says_which_job_types_it_knows(dsn: str, sql: psycopg.Connection, tmp_path: Path) -> None:
    sql.execute("INSERT INTO job_types VALUES ('work.append', 'old', 'admin', 9, 1, 'As an older worker knew it', '{}', '2026-01-01Z')")

    with worker_process(dsn, tmp_path) as worker:
        row = wait_for(lambda: sql.execute("SELECT * FROM job_types WHERE name = 'work.append' AND seen_at > '2026-01-02Z'").fetchone())
        worker.signal(signal.SIGTERM)
        worker.wait()

    assert (row.queue, row.audience, row.max_attempts, row.parameters_schema["$defs"].keys()) == ("default", "user", 1, {"File"})
    assert {"work.append", "work.hold"} <= {known.name for known in sql.execute("SELECT name FROM job_types")}


def test_a_worker_folds_what_its_jobs_were_counted_as(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path):
        for _ in range(3):
            make_file_job(sql, alice, "work.append", tmp_path / "work")

        wait_for(lambda: sql.execute("SELECT FROM job_stats WHERE resolution = 'day' AND completed = 3").fetchall())

    assert sql.execute("SELECT FROM job_stat_changes").fetchall() == []
