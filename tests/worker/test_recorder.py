"""Outcomes on their way into the database: together, past their bad neighbours, and through an outage."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.domain.users import User
from jobhub.store import dispatch
from jobhub.store.database import Database
from jobhub.worker import recorder
from jobhub.worker.recorder import Recorder
from tests import factories
from tests.worker import attempts
from tests.worker.relay import relay_to


def completed(job_id: UUID, **fields: Any) -> Outcome:
    return Outcome(**{"job_id": job_id, "attempt": 1, "outcome": AttemptOutcome.COMPLETED, "status": JobStatus.COMPLETED} | fields)


def statuses(sql: psycopg.Connection, ids: list[UUID]) -> list[str]:
    return [factories.job_row(sql, job_id).status for job_id in ids]


@pytest.fixture
def ids(sql: psycopg.Connection, alice: User) -> list[UUID]:
    """Three running jobs."""
    return [factories.make_job(sql, alice, status="running") for _ in range(3)]


@pytest.fixture
def carried(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many outcomes each statement carried."""
    counts: list[int] = []
    real = dispatch.finish_jobs

    async def finish_jobs(db: Database, outcomes: list[Outcome]) -> Any:
        counts.append(len(outcomes))
        return await real(db, outcomes)

    monkeypatch.setattr(dispatch, "finish_jobs", finish_jobs)
    return counts


def always() -> bool:
    return True


async def test_outcomes_that_arrive_together_share_a_statement(
    db: Database, sql: psycopg.Connection, ids: list[UUID], carried: list[int]
) -> None:
    recording = Recorder(db, lease_is_held=always)

    await asyncio.gather(*(recording.record(completed(job_id)) for job_id in ids))

    assert carried == [3]
    assert statuses(sql, ids) == ["completed"] * 3


async def test_what_arrives_while_a_statement_is_on_its_way_shares_the_next(
    db: Database, sql: psycopg.Connection, ids: list[UUID], carried: list[int]
) -> None:
    recording = Recorder(db, lease_is_held=always)

    first = asyncio.create_task(recording.record(completed(ids[0])))
    await attempts.until(lambda: carried)
    await asyncio.gather(first, *(recording.record(completed(job_id)) for job_id in ids[1:]))

    assert carried == [1, 2]


async def test_a_batch_has_a_limit(db: Database, ids: list[UUID], carried: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_BATCH", 2)
    recording = Recorder(db, lease_is_held=always)

    await asyncio.gather(*(recording.record(completed(job_id)) for job_id in ids))

    assert carried == [2, 1]


async def test_an_outcome_that_can_not_be_stored_harms_only_its_own_job(db: Database, sql: psycopg.Connection, ids: list[UUID]) -> None:
    recording = Recorder(db, lease_is_held=always)
    bad = completed(ids[1], result={"nul": "\x00"})

    await asyncio.gather(recording.record(completed(ids[0])), recording.record(bad), recording.record(completed(ids[2])))

    assert statuses(sql, ids) == ["completed", "failed", "completed"]
    assert factories.job_row(sql, ids[1]).error_code == "outcome_not_storable"


async def test_an_outcome_nothing_can_store_is_dropped_and_the_next_one_recorded(
    db: Database, sql: psycopg.Connection, ids: list[UUID], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dispatch.finish_jobs

    async def finish_jobs(db: Database, outcomes: list[Outcome]) -> Any:
        if ids[0] in [outcome.job_id for outcome in outcomes]:
            raise ValueError("broken")
        return await real(db, outcomes)

    monkeypatch.setattr(dispatch, "finish_jobs", finish_jobs)
    recording = Recorder(db, lease_is_held=always)

    async with asyncio.timeout(5):
        await recording.record(completed(ids[0]))
        await recording.record(completed(ids[1]))

    assert statuses(sql, ids[:2]) == ["running", "completed"]


async def test_an_outcome_that_was_fenced_off_is_dropped(db: Database, sql: psycopg.Connection, ids: list[UUID]) -> None:
    recording = Recorder(db, lease_is_held=always)

    await asyncio.gather(recording.record(completed(ids[0], attempt=2)), recording.record(completed(ids[1])))

    assert statuses(sql, ids) == ["running", "completed", "running"]


async def test_one_attempt_told_twice_is_recorded_once(db: Database, sql: psycopg.Connection, ids: list[UUID]) -> None:
    recording = Recorder(db, lease_is_held=always)

    async with asyncio.timeout(5):
        await asyncio.gather(*(recording.record(completed(job_id)) for job_id in [ids[0], ids[0], ids[1]]))

    assert statuses(sql, ids) == ["completed", "completed", "running"]
    assert [row.outcome for row in attempts.attempt_rows(sql, ids[0])] == ["completed"]


async def test_outcomes_wait_while_the_database_is_away(dsn: str, sql: psycopg.Connection, ids: list[UUID]) -> None:
    async with relay_to(dsn) as relay, Database.open(relay.dsn, max_size=2, application_name="tests") as db:
        recording = Recorder(db, lease_is_held=always)
        await recording.record(completed(ids[0]))
        relay.cut()

        waiting = asyncio.create_task(recording.record(completed(ids[1])))
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
        also_waiting = asyncio.create_task(recording.record(completed(ids[2])))
        relay.restore()

        async with asyncio.timeout(10):
            await asyncio.gather(waiting, also_waiting)
        assert statuses(sql, ids) == ["completed"] * 3


async def test_a_terminated_connection_loses_no_outcome(db: Database, sql: psycopg.Connection, ids: list[UUID]) -> None:
    recording = Recorder(db, lease_is_held=always)
    with sql.transaction():
        sql.execute("SELECT FROM jobs FOR UPDATE")
        waiting = [asyncio.create_task(recording.record(completed(job_id))) for job_id in ids]
        blocked = "SELECT pid FROM pg_locks WHERE NOT granted"
        [row] = await attempts.until(lambda: sql.execute(blocked).fetchall())
        sql.execute("SELECT pg_terminate_backend(%s)", [row.pid])

    async with asyncio.timeout(10):
        await asyncio.gather(*waiting)

    assert statuses(sql, ids) == ["completed"] * 3


async def test_outcomes_are_given_up_when_the_lease_is_over(db: Database, ids: list[UUID], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    async def finish_jobs(db: Database, outcomes: list[Outcome]) -> Any:
        raise DatabaseUnavailable

    def lease_is_held() -> bool:
        asked.append(len(asked) < 1)
        return asked[-1]

    monkeypatch.setattr(dispatch, "finish_jobs", finish_jobs)
    recording = Recorder(db, lease_is_held=lease_is_held)

    async with asyncio.timeout(5):
        await recording.record(completed(ids[0]))

    assert asked == [True, False]


async def test_a_caller_that_is_cancelled_takes_no_outcome_with_it(db: Database, sql: psycopg.Connection, ids: list[UUID]) -> None:
    recording = Recorder(db, lease_is_held=always)
    caller = asyncio.create_task(recording.record(completed(ids[0])))
    await asyncio.sleep(0)

    caller.cancel()

    await attempts.until(lambda: factories.job_row(sql, ids[0]).status == "completed")
