"""Each race, with two connections: one holds its transaction open while the other runs into it."""

import asyncio
import time
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.store import dispatch
from jobhub.store import jobs as store
from jobhub.store.dispatch import FRONT
from jobhub.store.jobs import Act
from jobhub.store.statements import bind
from tests import factories
from tests.factories import job_row, make_job, make_worker

ACT = Act(actor_id=None, reason="a race", request_id="r")
BY = {"actor_id": None, "reason": "a race", "request_id": "r"}


def run(connection, name, **parameters):
    """A statement of the program on a connection of the test."""
    statement, values = bind(name, parameters)
    return psycopg.RawCursor(connection, row_factory=psycopg.rows.namedtuple_row).execute(statement.sql.encode(), values).fetchall()


def claim_on(connection, worker_id: UUID, slots: int = 10):
    rows = run(
        connection,
        "claim_jobs",
        worker_id=worker_id,
        queues=["default"],
        known_types=["test.echo"],
        slots=slots,
        after_rank=FRONT.rank,
        after_id=FRONT.delivery_id,
    )
    return [row.id for row in rows if row.id]


def complete_on(connection, job_id: UUID):
    return run(
        connection,
        "finish_jobs",
        job_ids=[job_id],
        attempts=[1],
        outcomes=["completed"],
        statuses=["completed"],
        results=[Jsonb({"first": True})],
        error_codes=[None],
        error_messages=[None],
        tracebacks=[None],
        delays_seconds=[0.0],
    )


async def claim(db, worker_id: UUID, slots: int = 10) -> list[UUID]:
    claimed = await dispatch.claim_jobs(db, worker_id=worker_id, queues=["default"], known_types=["test.echo"], slots=slots)
    return [job.id for job in claimed.jobs]


async def fail(db, job_id: UUID):
    given = Outcome(
        job_id=job_id, attempt=1, outcome=AttemptOutcome.FAILED, status=JobStatus.FAILED, error_code="late", error_message="Too late."
    )
    return await dispatch.finish_jobs(db, [given])


@pytest.fixture
def racing(sql, dsn):
    """`async with racing(second) as task:` the block runs when `second` waits for what `sql` holds; then `sql` commits."""

    async def wait_until_blocked(task):
        deadline = time.monotonic() + 10
        with psycopg.connect(dsn, autocommit=True) as observer:
            query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while observer.execute(query).fetchone()[0] == 0:
                assert not task.done(), f"it did not wait: {task.result()}"
                assert time.monotonic() < deadline
                await asyncio.sleep(0.005)

    @asynccontextmanager
    async def racing(first, second):
        with sql.transaction():
            held = first()
            task = asyncio.create_task(second)
            await wait_until_blocked(task)
        yield held, await task

    return racing


async def test_a_cancel_that_meets_a_claim_asks_the_started_job_to_stop(db, sql, alice, racing):
    job_id, worker_id = make_job(sql, alice), make_worker(sql)

    cancel = store.cancel_job(db, job_id, owner_id=alice.id, act=ACT)
    async with racing(lambda: claim_on(sql, worker_id), cancel) as (claimed, cancelled):
        assert claimed == [job_id]
        assert (cancelled.status, cancelled.cancel_requested_at is not None) == ("running", True)
    assert await dispatch.list_running_jobs(db, worker_id) == [dispatch.RunningJob(job_id, 1, cancel_requested=True)]


async def test_a_claim_passes_over_a_job_that_is_just_being_cancelled(db, sql, alice):
    job_id, other, worker_id = make_job(sql, alice), make_job(sql, alice), make_worker(sql)

    with sql.transaction():
        run(sql, "cancel_job", job_id=job_id, owner_id=alice.id, **BY)
        claimed = await claim(db, worker_id)

    assert claimed == [other]
    assert job_row(sql, job_id).status == "cancelled"
    assert sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == []


@pytest.mark.parametrize("verb", ["cancel", "force_complete"])
async def test_a_verb_does_not_wait_for_a_delivery_somebody_holds_and_the_delivery_then_does_nothing(db, sql, alice, verb):
    job_id, worker_id = make_job(sql, alice), make_worker(sql)

    with sql.transaction():  # a claim that has its deliveries and not yet their jobs
        sql.execute("SELECT FROM procrastinate_jobs FOR UPDATE")
        async with asyncio.timeout(5):
            if verb == "cancel":
                changed = await store.cancel_job(db, job_id, owner_id=alice.id, act=ACT)
            else:
                changed = await store.force_complete_job(db, job_id, result=None, act=ACT)

    assert changed.status.is_finished
    assert await claim(db, worker_id) == []
    assert sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == []
    assert job_row(sql, job_id).status == changed.status


async def test_of_two_outcomes_of_one_attempt_the_first_counts(db, sql, alice, racing):
    job_id = make_job(sql, alice, status="running")

    async with racing(lambda: complete_on(sql, job_id), fail(db, job_id)) as (_, second):
        assert second == []
    assert (job_row(sql, job_id).status, job_row(sql, job_id).result) == ("completed", {"first": True})
    assert [attempt.outcome for attempt in await store.list_attempts(db, job_id)] == ["completed"]


async def test_an_outcome_that_meets_a_force_complete_is_dropped(db, sql, alice, racing):
    job_id = make_job(sql, alice, status="running")

    force = lambda: run(sql, "force_complete_job", job_id=job_id, result=Jsonb({"by": "hand"}), **BY)  # noqa: E731
    async with racing(force, fail(db, job_id)) as (_, second):
        assert second == []
    assert (job_row(sql, job_id).status, job_row(sql, job_id).result) == ("completed", {"by": "hand"})
    assert [attempt.outcome for attempt in await store.list_attempts(db, job_id)] == ["superseded"]


async def test_a_force_complete_that_meets_a_completion_changes_nothing(db, sql, alice, racing):
    job_id = make_job(sql, alice, status="running")

    force = store.force_complete_job(db, job_id, result=None, act=ACT)
    async with racing(lambda: complete_on(sql, job_id), force) as (_, second):
        assert second is None
    assert job_row(sql, job_id).result == {"first": True}
    assert sql.execute("SELECT verb FROM audit_log").fetchall() == []


async def test_a_force_complete_that_meets_a_claim_supersedes_the_attempt(db, sql, alice, racing):
    job_id, worker_id = make_job(sql, alice), make_worker(sql)

    force = store.force_complete_job(db, job_id, result={"by": "hand"}, act=ACT)
    async with racing(lambda: claim_on(sql, worker_id), force) as (claimed, forced):
        assert claimed == [job_id]
        assert (forced.status, forced.result) == ("completed", {"by": "hand"})
    assert await fail(db, job_id) == []
    assert [attempt.outcome for attempt in await store.list_attempts(db, job_id)] == ["superseded"]


async def test_an_outcome_that_meets_a_rescue_is_dropped(db, sql, alice, racing):
    job_id = make_job(sql, alice, status="running", worker_id=make_worker(sql, lease_seconds=-1))

    async with racing(lambda: run(sql, "rescue_jobs"), fail(db, job_id)) as (rescued, second):
        assert [row.job_id for row in rescued] == [job_id]
        assert second == []
    assert job_row(sql, job_id).status == "pending"


async def test_a_rescue_passes_over_a_job_that_is_just_being_finished(db, sql, alice):
    job_id = make_job(sql, alice, status="running", worker_id=make_worker(sql, lease_seconds=-1))

    with sql.transaction():
        complete_on(sql, job_id)
        rescued = await dispatch.rescue_jobs(db)

    assert rescued == []
    assert await dispatch.rescue_jobs(db) == []
    assert job_row(sql, job_id).status == "completed"


async def test_two_promotions_at_once_make_one_delivery(db, sql, alice):
    job_id = make_job(sql, alice, scheduled_for=sql.execute("SELECT now() - interval '1 s' AS at").fetchone().at)

    with sql.transaction():
        [first] = run(sql, "promote_jobs")
        second = await dispatch.promote_jobs(db)

    assert (first.promoted, second) == (1, 0)
    assert await dispatch.promote_jobs(db) == 0
    assert [row.id for row in sql.execute("SELECT id FROM procrastinate_jobs").fetchall()] == [job_row(sql, job_id).delivery_id]


async def test_a_claim_passes_over_what_another_one_is_taking(db, sql, alice):
    first_job, second_job = make_job(sql, alice), make_job(sql, alice)

    with sql.transaction():
        first = claim_on(sql, make_worker_elsewhere(sql), slots=1)
        second = await claim(db, await committed_worker(db))

    assert (first, second) == ([first_job], [second_job])


def make_worker_elsewhere(sql):
    """A worker only this open transaction can see."""
    return make_worker(sql)


async def committed_worker(db):
    worker_id = factories.new_id()
    fields = {"host": "h", "pid": 1, "version": "1", "queues": ["default"], "concurrency": 5, "loop_lag_ms": 0, "stopping": False}
    await dispatch.renew_lease(db, dispatch.WorkerRow(worker_id=worker_id, **fields))
    return worker_id


async def test_claims_at_once_share_the_jobs_and_start_each_one_once(db, sql, alice):
    jobs = [make_job(sql, alice) for _ in range(60)]
    workers = [make_worker(sql) for _ in range(6)]

    shares = await asyncio.gather(*(claim(db, workers[turn % 6], slots=4) for turn in range(24)))

    assert sorted(job_id for share in shares for job_id in share) == jobs
    assert {row.attempt for row in sql.execute("SELECT attempt FROM jobs").fetchall()} == {1}


async def test_two_retries_at_once_queue_the_job_once(db, sql, alice, racing):
    job_id = make_job(sql, alice, status="failed")

    retry = lambda: run(sql, "retry_job", job_id=job_id, owner_id=alice.id, **BY)  # noqa: E731
    async with racing(retry, store.retry_job(db, job_id, owner_id=alice.id, act=ACT)) as (first, second):
        assert ([row.status for row in first], second) == (["pending"], None)
    assert [row.id for row in sql.execute("SELECT id FROM procrastinate_jobs").fetchall()] == [job_row(sql, job_id).delivery_id]


async def test_two_cancels_at_once_are_one_act(db, sql, alice, racing):
    job_id = make_job(sql, alice)

    cancel = lambda: run(sql, "cancel_job", job_id=job_id, owner_id=alice.id, **BY)  # noqa: E731
    async with racing(cancel, store.cancel_job(db, job_id, owner_id=alice.id, act=ACT)) as (first, second):
        assert ([row.status for row in first], second) == (["cancelled"], None)
    assert [row.verb for row in sql.execute("SELECT verb FROM audit_log").fetchall()] == ["cancel"]


async def test_everything_at_once_loses_no_job_and_never_deadlocks(db, sql, alice):
    jobs = [make_job(sql, alice) for _ in range(80)]
    workers = [make_worker(sql) for _ in range(2)]

    async def work(worker_id):
        for _ in range(40):
            running = await claim(db, worker_id, slots=5)
            done = [Outcome(job_id=job_id, attempt=1, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED) for job_id in running]
            await dispatch.finish_jobs(db, done)

    async def interfere():
        for job_id in jobs[::2]:
            await store.cancel_job(db, job_id, owner_id=alice.id, act=ACT)
        while await store.cancel_pending_jobs_of_user(db, alice.id, act=ACT):
            pass

    await asyncio.gather(*(work(worker_id) for worker_id in workers), interfere(), dispatch.rescue_jobs(db))

    sql.execute("SELECT pg_stat_force_next_flush()")
    assert {row.status for row in sql.execute("SELECT status FROM jobs").fetchall()} <= {"completed", "cancelled"}
    assert sql.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone().deadlocks == 0
