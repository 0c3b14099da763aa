"""Claiming for one worker: as many as there are free slots, best first, none forgotten; and agreeing with the database."""

import asyncio
from typing import Any
from uuid import UUID

import psycopg
import pytest

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.domain.users import User
from jobhub.store import dispatch, jobs
from jobhub.store.database import Database
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import NoConnector
from jobhub.worker.running import StopReason
from tests import factories
from tests.worker import attempts


class Lease:
    """Held until the test says otherwise."""

    is_held = True


@pytest.fixture
def lease() -> Lease:
    return Lease()


@pytest.fixture
def worker_id(sql: psycopg.Connection) -> UUID:
    return factories.make_worker(sql)


@pytest.fixture
def manager(db: Database, worker_id: UUID, registry: Any, lease: Lease) -> DispatchManager:
    return DispatchManager(
        NoConnector(),
        db,
        worker_id=worker_id,
        queues=["default"],
        registry=registry,
        concurrency=3,
        lease_is_held=lambda: lease.is_held,
    )


async def fetch(manager: DispatchManager) -> UUID | None:
    """The id of the next job it hands out."""
    job = await manager.fetch_job(None, 0)
    return manager.running[job.id].claimed.id if job and job.id else None


async def finish(manager: DispatchManager, number: int, outcome: Outcome | None) -> None:
    manager.running[number].outcome = outcome
    await manager.finish_job(manager._job(number), "succeeded", False)  # type: ignore[arg-type]


def completed(job_id: UUID) -> Outcome:
    return Outcome(job_id=job_id, attempt=1, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED)


async def test_a_claim_fills_the_free_slots_and_no_more(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(5)]

    assert await fetch(manager) == ids[0]

    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running"] * 3 + ["pending"] * 2
    assert [await fetch(manager), await fetch(manager)] == ids[1:3]


async def test_a_freed_slot_is_filled_again(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(5)]
    for _ in range(3):
        await fetch(manager)

    await finish(manager, 2, completed(ids[1]))

    assert await fetch(manager) == ids[3]
    assert len(manager.running) == 3
    assert factories.job_row(sql, ids[4]).status == "pending"


async def test_higher_priorities_come_first_and_older_jobs_before_newer(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    low, first, second, high = (factories.make_job(sql, alice, priority=priority) for priority in (-5, 0, 0, 9))

    assert [await fetch(manager) for _ in range(3)] == [high, first, second]
    assert factories.job_row(sql, low).status == "pending"


async def test_deliveries_that_do_nothing_do_not_hide_a_job_behind_them(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    for _ in range(4):
        factories.make_job(sql, alice, job_type="test.unknown")
    known = factories.make_job(sql, alice)

    assert await fetch(manager) == known


async def test_a_hint_during_a_claim_repeats_it(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lost wake-up: the job commits after the claim has looked, and Procrastinate clears the event when the claim is back."""
    real = dispatch.claim_jobs
    made: list[UUID] = []

    async def claim_jobs(db: Database, **parameters: Any) -> Any:
        found = await real(db, **parameters)
        if not made:
            made.append(factories.make_job(sql, alice))
            manager.hint()
        return found

    monkeypatch.setattr(dispatch, "claim_jobs", claim_jobs)

    assert await fetch(manager) == made[0]


async def test_nothing_is_claimed_without_a_lease(sql: psycopg.Connection, alice: User, manager: DispatchManager, lease: Lease) -> None:
    job_id = factories.make_job(sql, alice)
    lease.is_held = False

    assert await fetch(manager) is None

    assert factories.job_row(sql, job_id).status == "pending"


async def test_the_database_refuses_a_claim_to_a_worker_whose_lease_is_over(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    job_id = factories.make_job(sql, alice)
    sql.execute("UPDATE workers SET lease_until = now()")

    assert await fetch(manager) is None

    assert factories.job_row(sql, job_id).status == "pending"


async def test_an_absent_database_means_no_jobs_for_now(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobhub.domain.errors import DatabaseUnavailable

    async def away(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "claim_jobs", away)
        assert await fetch(manager) is None
    job_id = factories.make_job(sql, alice)

    assert await fetch(manager) == job_id


async def test_what_was_claimed_and_not_started_is_given_back(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(3)]
    await fetch(manager)

    await manager.release_unstarted()

    rows = [factories.job_row(sql, job_id) for job_id in ids]
    assert [row.status for row in rows] == ["running", "pending", "pending"]
    assert [attempt.outcome for row in rows[1:] for attempt in attempts.attempt_rows(sql, row.id)] == ["released", "released"]
    assert len(manager.running) == 1


async def test_a_claim_on_its_way_when_the_worker_stops_is_given_back_too(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(3)]
    with sql.transaction():
        sql.execute("LOCK TABLE procrastinate_jobs")
        fetching = asyncio.create_task(fetch(manager))
        await attempts.until(lambda: sql.execute("SELECT FROM pg_locks WHERE NOT granted").rowcount)
        releasing = asyncio.create_task(manager.release_unstarted())
        await asyncio.sleep(0)

    assert await fetching == ids[0]
    await releasing

    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running", "pending", "pending"]


async def test_an_attempt_without_an_outcome_is_forgotten_and_not_recorded(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    job_id = factories.make_job(sql, alice)
    await fetch(manager)

    await finish(manager, 1, None)

    assert len(manager.running) == 0
    assert factories.job_row(sql, job_id).status == "running"


async def test_a_job_the_database_says_we_run_and_we_do_not_is_given_back(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, worker_id: UUID
) -> None:
    lost = factories.make_job(sql, alice, status="running", worker_id=worker_id)
    foreign = factories.make_job(sql, alice, status="running")

    await manager.reconcile()

    assert factories.job_row(sql, lost).status == "pending"
    assert attempts.attempt_rows(sql, lost)[0].outcome == "released"
    assert factories.job_row(sql, foreign).status == "running"


async def test_reconciling_leaves_alone_what_both_agree_on(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(3)]
    await fetch(manager)

    await manager.reconcile()

    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running"] * 3
    assert not any(running.stopped.is_set() for running in manager.running)


async def test_reconciling_waits_for_a_claim_on_its_way(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a job would be given back that is claimed in the database and not yet known here."""
    real, claimed, may_return = dispatch.claim_jobs, asyncio.Event(), asyncio.Event()

    async def claim_jobs(db: Database, **parameters: Any) -> Any:
        found = await real(db, **parameters)
        claimed.set()
        await may_return.wait()
        return found

    monkeypatch.setattr(dispatch, "claim_jobs", claim_jobs)
    job_id = factories.make_job(sql, alice)
    fetching = asyncio.create_task(fetch(manager))
    await claimed.wait()

    reconciling = asyncio.create_task(manager.reconcile())
    await asyncio.wait({reconciling}, timeout=0.3)
    may_return.set()
    await asyncio.gather(fetching, reconciling)

    assert factories.job_row(sql, job_id).status == "running"
    assert attempts.attempt_rows(sql, job_id) == []


async def test_reconciling_notices_a_cancel(db: Database, sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    job_id = factories.make_job(sql, alice)
    await fetch(manager)
    await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

    await manager.reconcile()

    assert manager.running[1].stop_reason is StopReason.CANCELLED


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE jobs SET status = 'completed', completed_at = now()",
        "UPDATE jobs SET attempt = attempt + 1",
        "DELETE FROM jobs",
    ],
    ids=["force-completed", "started again by another", "deleted"],
)
async def test_reconciling_stops_what_is_not_ours_any_more(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, change: str
) -> None:
    factories.make_job(sql, alice)
    await fetch(manager)
    sql.execute(change)
    sql.execute("UPDATE jobs SET worker_id = %s WHERE status = 'running'", [factories.new_id()])

    await manager.reconcile()

    assert manager.running[1].stop_reason is StopReason.FENCED


async def test_workers_hear_at_once_of_a_cancel(db: Database, sql: psycopg.Connection, alice: User, worker_id: UUID) -> None:
    job_id = factories.make_job(sql, alice, status="running", worker_id=worker_id)
    sql.execute("LISTEN jobhub_stop")

    await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

    [heard] = list(sql.notifies(timeout=5, stop_after=1))
    assert heard.payload == str(worker_id)
