"""A worker that was told to stop and still has jobs to finish, and one that breaks inside."""

import asyncio
import signal
from pathlib import Path

import psycopg
import pytest

from jobhub.domain.users import User
from jobhub.store import jobs
from jobhub.store.database import Database
from tests import factories
from tests.worker import attempts as in_process
from tests.worker.processes import attempts, make_file_job, worker_process, worker_rows


async def test_a_draining_worker_keeps_its_lease_and_hears_of_cancels(
    db: Database, dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    with worker_process(dsn, tmp_path, JOBHUB_SHUTDOWN_GRACE_SECONDS="60") as worker:
        await in_process.until(path.exists, seconds=40)
        await in_process.until(lambda: path.read_text().splitlines(), seconds=40)
        worker.signal(signal.SIGTERM)
        await in_process.until(lambda: worker_rows(sql)[0].stopping, seconds=40)
        lease = worker_rows(sql)[0].lease_until

        await in_process.until(lambda: worker_rows(sql)[0].lease_until > lease, seconds=40)
        await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

        await in_process.until(lambda: factories.job_row(sql, job_id).status == "cancelled", seconds=40)
        assert await asyncio.to_thread(worker.wait, 40) == 0
    assert attempts(sql, job_id) == [(1, "cancelled")]


@pytest.mark.parametrize("broken", ["loops._rescue", "service.listen"])
async def test_a_worker_that_lost_one_of_its_loops_does_not_limp_on(dsn: str, tmp_path: Path, broken: str) -> None:
    """A CancelledError out of a library passes by whoever catches exceptions, and ends a task without a word."""
    code = f"""
import asyncio
from jobhub.worker import loops, service
async def broken(*_, **__):
    raise asyncio.CancelledError
{broken} = broken
from jobhub.__main__ import main
main()
"""
    with worker_process(dsn, tmp_path, "worker", command=("-c", code)) as worker:
        assert await asyncio.to_thread(worker.wait, 40) == 70
        assert "worker_broke" in worker.log
