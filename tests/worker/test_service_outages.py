"""Worker processes whose database is cut off, silent, or loses their answers: they live, and every job ends once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobhub.domain.users import User
from tests import factories
from tests.worker import attempts as in_process
from tests.worker.processes import attempts, make_file_job, worker_process, worker_rows
from tests.worker.relay import relay_to


async def until(look: Any) -> Any:
    """Processes start slowly on a busy machine; nothing here is about time."""
    return await in_process.until(look, seconds=40)


def status_of(sql: psycopg.Connection, job_id: object) -> str:
    return factories.job_row(sql, job_id).status


def events(log: str) -> list[str]:
    return [json.loads(line)["event"] for line in log.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("fault", ["cut", "freeze"])
async def test_a_job_that_ends_while_the_database_is_away_is_recorded_when_it_is_back(
    dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "work"
    job_id = make_file_job(sql, alice, "work.hold", path)
    async with relay_to(dsn) as relay:
        with worker_process(relay.dsn, tmp_path) as worker:
            await until(path.exists)
            await until(lambda: path.read_text().splitlines())
            getattr(relay, fault)()
            (tmp_path / "work.go").touch()
            await asyncio.sleep(2)  # the fault itself, not a wait for something
            waiting = make_file_job(sql, alice, "work.append", tmp_path / "after")
            assert status_of(sql, job_id) == "running"
            assert worker.process.poll() is None
            relay.restore()

            await until(lambda: status_of(sql, job_id) == "completed")
            await until(lambda: status_of(sql, waiting) == "completed")
            assert worker.process.poll() is None
    assert attempts(sql, job_id) == [(1, "completed")]
    assert attempts(sql, waiting) == [(1, "completed")]


async def test_no_more_outcomes_wait_than_there_are_slots(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    """A worker that can claim but not record stops claiming."""
    sql.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION USING ERRCODE = '53100'; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON job_attempts FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    with worker_process(dsn, tmp_path, "--concurrency", "2") as worker:
        ids = [make_file_job(sql, alice, "work.append", tmp_path / "work") for _ in range(6)]
        await until(lambda: "outcomes_wait" in worker.log and [status_of(sql, job_id) for job_id in ids].count("running") == 4)
        await asyncio.sleep(1.5)  # longer than it takes to look for more

        assert [status_of(sql, job_id) for job_id in ids].count("pending") == 2
        sql.execute("DROP TRIGGER refuse ON job_attempts")
        await until(lambda: all(status_of(sql, job_id) == "completed" for job_id in ids))


async def test_answers_that_are_lost_cost_no_job(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    """Of claims, outcomes and whatever else the worker says, at random: the server has done it, and the worker does not know."""
    async with relay_to(dsn) as relay:
        with worker_process(relay.dsn, tmp_path, "--concurrency", "4") as worker:
            await until(lambda: worker_rows(sql))
            ids = []
            for _ in range(12):
                ids += [make_file_job(sql, alice, "work.append", tmp_path / "work") for _ in range(5)]
                relay.lose_answers(2)
                await until(lambda: relay.lost_all_answers)
            await until(lambda: all(status_of(sql, job_id) == "completed" for job_id in ids))
            assert worker.process.poll() is None
    for job_id in ids:
        outcomes = [outcome for _, outcome in attempts(sql, job_id)]
        assert outcomes[-1] == "completed"
        assert set(outcomes[:-1]) <= {"released"}


async def test_an_outage_is_told_in_a_few_lines(dsn: str, tmp_path: Path) -> None:
    async with relay_to(dsn) as relay:
        with worker_process(relay.dsn, tmp_path) as worker:
            await until(lambda: "worker_started" in worker.log)  # its row is there before it knows
            relay.cut()
            await until(lambda: "database_lost" in worker.log)
            await asyncio.sleep(4)
            relay.restore()
            await until(lambda: "database_back" in worker.log)

            told = events(worker.log)
    assert len(told) <= 12, told


async def test_deliveries_somebody_deleted_are_made_anew(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    code = "import jobhub.worker.loops as loops; loops.REPAIR_SECONDS = 0.5; from jobhub.__main__ import main; main()"
    job_id = make_file_job(sql, alice, "work.append", tmp_path / "work")
    sql.execute("TRUNCATE procrastinate_jobs CASCADE")
    with worker_process(dsn, tmp_path, "worker", command=("-c", code)):
        await until(lambda: status_of(sql, job_id) == "completed")

    assert attempts(sql, job_id) == [(1, "completed")]


def test_an_address_nobody_understands_ends_the_worker_with_one_sentence(tmp_path: Path) -> None:
    with worker_process("postgresql://u:secret@localhost:port/x", tmp_path) as worker:
        assert worker.wait() == 1

    assert len(worker.log.splitlines()) == 1
    assert "JOBHUB_DATABASE_URL" in worker.log
    assert "secret" not in worker.log


def test_a_queue_nobody_knows_ends_the_worker_with_one_sentence(dsn: str, tmp_path: Path) -> None:
    with worker_process(dsn, tmp_path, JOBHUB_QUEUES="defualt") as worker:
        assert worker.wait() == 1

    assert "defualt" in worker.log
    assert "can name" in worker.log


async def test_a_queue_nobody_knows_beside_a_known_one_is_a_warning(dsn: str, sql: psycopg.Connection, alice: User, tmp_path: Path) -> None:
    job_id = make_file_job(sql, alice, "work.append", tmp_path / "work")
    with worker_process(dsn, tmp_path, JOBHUB_QUEUES="default,mial") as worker:
        await until(lambda: status_of(sql, job_id) == "completed")
        assert "unknown_queues" in events(worker.log)
