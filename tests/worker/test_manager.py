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
from jobhub.worker import manager as module
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import NoConnector
from jobhub.worker.running import RunningJob, StopReason
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
    return make_manager(db, worker_id, registry, lease)


def make_manager(db: Database, worker_id: UUID, registry: Any, lease: Lease, *, max_running: int = 0) -> DispatchManager:
    return DispatchManager(
        NoConnector(),
        db,
        worker_id=worker_id,
        queues=["default"],
        registry=registry,
        concurrency=3,
        lease_is_held=lambda: lease.is_held,
        max_running=max_running,
    )


async def claim(manager: DispatchManager) -> list[UUID]:
    """The ids of the jobs of one claim."""
    return [running.claimed.id for running in await manager.claim()]


def running_job(manager: DispatchManager, job_id: UUID) -> RunningJob:
    return manager.running.by_attempt()[job_id, 1]


def completed(job_id: UUID) -> Outcome:
    return Outcome(job_id=job_id, attempt=1, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED)


async def test_a_claim_fills_the_free_slots_and_no_more(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(5)]

    assert await claim(manager) == ids[:3]

    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running"] * 3 + ["pending"] * 2
    assert not manager.has_free_slot
    assert await claim(manager) == []


async def test_a_slot_is_free_again_when_the_handler_has_ended(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(5)]
    await claim(manager)

    running_job(manager, ids[1]).end(completed(ids[1]))

    await attempts.until(lambda: manager.has_free_slot)
    assert await claim(manager) == ids[3:4]
    await attempts.until(lambda: len(manager.running) == 3)
    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running", "completed", "running", "running", "pending"]


async def test_no_more_outcomes_wait_to_be_recorded_than_there_are_slots(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(9)]
    may_record, real = asyncio.Event(), dispatch.finish_jobs

    async def finish_jobs(db: Database, outcomes: list[Outcome]) -> Any:
        await may_record.wait()
        return await real(db, outcomes)

    monkeypatch.setattr(dispatch, "finish_jobs", finish_jobs)

    for claimed in (ids[:3], ids[3:6]):
        assert await claim(manager) == claimed
        for job_id in claimed:
            running_job(manager, job_id).end(completed(job_id))
    assert not manager.has_free_slot

    may_record.set()
    await attempts.until(lambda: manager.has_free_slot)
    await attempts.until(lambda: len(manager.running) == 0)
    assert await claim(manager) == ids[6:]


async def test_higher_priorities_come_first_and_older_jobs_before_newer(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    low, first, second, high = (factories.make_job(sql, alice, priority=priority) for priority in (-5, 0, 0, 9))

    assert await claim(manager) == [high, first, second]
    assert factories.job_row(sql, low).status == "pending"


async def test_deliveries_that_do_nothing_do_not_hide_a_job_behind_them(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    for _ in range(4):
        factories.make_job(sql, alice, job_type="test.unknown")
    known = factories.make_job(sql, alice)

    assert await claim(manager) == [known]


async def test_after_a_slow_look_the_next_ones_start_where_it_ended_and_soon_one_starts_at_the_front_again(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SLOW_LOOKS", 600.0)
    ids = [factories.make_job(sql, alice) for _ in range(7)]
    for job_id in await claim(manager):
        running_job(manager, job_id).end(None)
    urgent = factories.make_job(sql, alice, priority=9)

    assert await claim(manager) == ids[3:6]
    for job_id in ids[3:6]:
        running_job(manager, job_id).end(None)
    # Behind its place there is too little left to fill the slots: the next look is at the front.
    assert await claim(manager) == ids[6:]
    assert await claim(manager) == [urgent]


async def test_a_claim_in_vain_behind_its_place_looks_at_the_front_at_once(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_LOOK_SECONDS", 0.0)
    monkeypatch.setattr(module, "SECONDS_BETWEEN_SLOW_LOOKS", 600.0)
    for job_id in [factories.make_job(sql, alice) for _ in range(3)]:
        await claim(manager)
        running_job(manager, job_id).end(None)
    urgent = factories.make_job(sql, alice, priority=9)

    assert await claim(manager) == [urgent]


async def test_nothing_is_claimed_without_a_lease(sql: psycopg.Connection, alice: User, manager: DispatchManager, lease: Lease) -> None:
    job_id = factories.make_job(sql, alice)
    lease.is_held = False

    assert await claim(manager) == []

    assert factories.job_row(sql, job_id).status == "pending"


async def test_the_database_refuses_a_claim_to_a_worker_whose_lease_is_over(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    job_id = factories.make_job(sql, alice)
    sql.execute("UPDATE workers SET lease_until = now()")

    assert await claim(manager) == []

    assert factories.job_row(sql, job_id).status == "pending"


async def test_an_absent_database_means_no_jobs_for_now(
    sql: psycopg.Connection, alice: User, manager: DispatchManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobhub.domain.errors import DatabaseUnavailable

    async def away(*_: Any, **__: Any) -> Any:
        raise DatabaseUnavailable

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "claim_jobs", away)
        assert await claim(manager) == []
    job_id = factories.make_job(sql, alice)

    assert await claim(manager) == [job_id]


async def test_what_was_claimed_and_not_started_is_given_back(sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    ids = [factories.make_job(sql, alice) for _ in range(2)]

    manager.release(await manager.claim())
    await asyncio.wait_for(manager.running.none_left(), 5)

    rows = [factories.job_row(sql, job_id) for job_id in ids]
    assert [row.status for row in rows] == ["pending", "pending"]
    assert [attempt.outcome for row in rows for attempt in attempts.attempt_rows(sql, row.id)] == ["released", "released"]


async def test_an_attempt_without_an_outcome_is_forgotten_and_not_recorded(
    sql: psycopg.Connection, alice: User, manager: DispatchManager
) -> None:
    job_id = factories.make_job(sql, alice)
    await claim(manager)

    running_job(manager, job_id).end(None)

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
    await claim(manager)

    await manager.reconcile()

    assert [factories.job_row(sql, job_id).status for job_id in ids] == ["running"] * 3
    assert not any(running.stop_reason for running in manager.running)


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
    fetching = asyncio.create_task(claim(manager))
    await claimed.wait()

    reconciling = asyncio.create_task(manager.reconcile())
    await asyncio.wait({reconciling}, timeout=0.3)
    may_return.set()
    await asyncio.gather(fetching, reconciling)

    assert factories.job_row(sql, job_id).status == "running"
    assert attempts.attempt_rows(sql, job_id) == []


async def test_reconciling_notices_a_cancel(db: Database, sql: psycopg.Connection, alice: User, manager: DispatchManager) -> None:
    job_id = factories.make_job(sql, alice)
    await claim(manager)
    await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

    await manager.reconcile()

    assert running_job(manager, job_id).stop_reason is StopReason.CANCELLED


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
    job_id = factories.make_job(sql, alice)
    await claim(manager)
    sql.execute(change)
    sql.execute("UPDATE jobs SET worker_id = %s WHERE status = 'running'", [factories.new_id()])

    await manager.reconcile()

    assert running_job(manager, job_id).stop_reason is StopReason.FENCED


async def test_workers_hear_at_once_of_a_cancel(db: Database, sql: psycopg.Connection, alice: User, worker_id: UUID) -> None:
    job_id = factories.make_job(sql, alice, status="running", worker_id=worker_id)
    sql.execute("LISTEN jobhub_stop")

    await jobs.cancel_job(db, job_id, owner_id=alice.id, act=jobs.Act(actor_id=alice.id))

    [heard] = list(sql.notifies(timeout=5, stop_after=1))
    assert heard.payload == str(worker_id)


async def test_what_a_limit_holds_is_claimed_as_soon_as_an_outcome_makes_room(
    db: Database, sql: psycopg.Connection, alice: User, worker_id: UUID, registry: Any, lease: Lease
) -> None:
    manager = make_manager(db, worker_id, registry, lease, max_running=1)
    woken: list[bool] = []
    manager.on_free_slot = lambda: woken.append(True)
    ids = [factories.make_job(sql, alice) for _ in range(3)]
    assert await claim(manager) == ids[:1]
    assert await claim(manager) == []

    running_job(manager, ids[0]).end(completed(ids[0]))
    await attempts.until(lambda: woken)

    assert await claim(manager) == ids[1:2]


@pytest.mark.parametrize(("max_running", "still_held"), [(100, 2_300), (0, 0)])
async def test_of_what_a_limit_holds_one_batch_is_let_go_at_a_time(
    db: Database, sql: psycopg.Connection, worker_id: UUID, registry: Any, lease: Lease, max_running: int, still_held: int
) -> None:
    """Nobody has claimed it yet, so it takes up no room: a second batch would let go as much again, and so on to the last one."""
    owners = [factories.make_user(sql, f"{number}@example.org").id for number in range(11)]
    sql.execute(
        "INSERT INTO procrastinate_jobs (queue_name, task_name, args, owner_id, held)"
        " SELECT 'default', 'test.echo', jsonb_build_object('job_id', gen_random_uuid()), owner_id, true"
        " FROM unnest(%s::uuid[]) AS owner_id, generate_series(1, 300)",
        [owners],
    )

    await make_manager(db, worker_id, registry, lease, max_running=max_running).unhold()

    assert sql.execute("SELECT count(*) FROM procrastinate_jobs WHERE held").fetchall() == [(still_held,)]
