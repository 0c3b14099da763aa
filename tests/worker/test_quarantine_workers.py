"""A job that brings its worker down does so once: after that only the process it has to itself dies. Its neighbours complete."""

import json
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from jobhub.domain.users import User
from tests import factories
from tests.worker.processes import attempts, wait_for, wait_for_lines, worker_process

HANDLERS = "tests.worker.handlers,tests.worker.harm_handlers"
CONCURRENCY = 8


def count(sql: psycopg.Connection, where: str) -> int:
    return sql.execute(f"SELECT count(*) AS found FROM jobs WHERE {where}").fetchone().found


def work_until_all_have_finished(dsn: str, sql: psycopg.Connection, directory: Path) -> int:
    """One worker, started again whenever it dies; how often it did."""
    deaths = 0
    while count(sql, "status IN ('pending', 'running')"):
        with worker_process(dsn, directory, JOBHUB_HANDLERS=HANDLERS, JOBHUB_CONCURRENCY=str(CONCURRENCY)) as worker:
            if not deaths:
                wait_for_lines(directory / "work", CONCURRENCY - 1, seconds=30)
                (directory / "work.go").touch()
            wait_for(
                lambda worker=worker: worker.process.poll() is not None or not count(sql, "status IN ('pending', 'running')"), seconds=90
            )
            deaths += worker.process.poll() is not None
            assert deaths < 5
        sql.execute("UPDATE workers SET lease_until = now() - interval '1 s'")
    return deaths


def make_job(sql: psycopg.Connection, owner: User, job_type: str, act: str, path: Path) -> UUID:
    return factories.make_job(sql, owner, job_type=job_type, parameters=json.dumps({"act": act, "path": str(path)}))


@pytest.mark.parametrize("act", ["exit_at_once", "crash", "kill_itself", "close_all_files"])
def test_a_poison_job_costs_one_worker_and_its_50_neighbours_complete(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path, act: str
) -> None:
    poison = make_job(sql, alice, "harm.poison", act, tmp_path / "work")
    for _ in range(50):
        make_job(sql, alice, "harm.neighbour", "", tmp_path / "work")

    deaths = work_until_all_have_finished(dsn, sql, tmp_path)

    assert deaths == 1
    assert count(sql, "job_type = 'harm.neighbour' AND status = 'completed' AND result = '\"well\"'") == 50
    assert count(sql, "job_type = 'harm.neighbour' AND lost_attempts = 1") == CONCURRENCY - 1
    row = factories.job_row(sql, poison)
    assert (row.status, row.error_code, row.lost_attempts, row.failed_attempts) == ("failed", "worker_lost", 3, 0)
    assert row.error_message == "Three workers disappeared while they ran this job; it may be what brings them down."
    assert attempts(sql, poison) == [(1, "worker_lost"), (2, "worker_lost"), (3, "worker_lost")]
