"""The server has committed and its answer is lost: whoever asks again, or looks, makes of it what would have been."""

import asyncio
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.domain.jobs import AttemptOutcome, JobStatus, Outcome
from jobhub.store import dispatch, jobs
from jobhub.store.database import Database
from jobhub.store.jobs import Act
from jobhub.worker.manager import DispatchManager
from jobhub.worker.procrastinate_app import NoConnector
from jobhub.worker.recorder import Recorder
from tests import factories
from tests.worker import attempts
from tests.worker.relay import relay_to


@asynccontextmanager
async def relayed(dsn: str):
    """A database with one connection, so that a statement that ran once is prepared and runs in one round trip."""
    async with relay_to(dsn) as relay, Database.open(relay.dsn, max_size=1, application_name="under test") as db:
        yield relay, db


async def lose(relay, call) -> None:
    """Call, and lose the answer to it."""
    relay.lose_answers()
    with pytest.raises(DatabaseUnavailable):
        await call
    assert relay.lost_all_answers


async def again(call):
    """Until the connection is back."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await call()
            except DatabaseUnavailable:
                await asyncio.sleep(0.02)


def completed(job_id: UUID) -> Outcome:
    return Outcome(job_id=job_id, attempt=1, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED, result={"n": 1})


async def test_a_claim_whose_answer_was_lost_is_given_back(dsn, sql, alice, registry):
    worker_id = factories.make_worker(sql)
    async with relayed(dsn) as (relay, db):
        manager = DispatchManager(
            NoConnector(), db, worker_id=worker_id, queues=["default"], registry=registry, concurrency=2, lease_is_held=lambda: True
        )
        assert await manager.claim() == []  # prepares the statement
        job_id = factories.make_job(sql, alice)
        relay.lose_answers()
        assert await manager.claim() == []
        assert relay.lost_all_answers
        assert factories.job_row(sql, job_id).status == "running"
        assert len(manager.running) == 0

        await again(manager.reconcile)

    assert factories.job_row(sql, job_id).status == "pending"
    assert [row.outcome for row in attempts.attempt_rows(sql, job_id)] == ["released"]
    assert sql.execute("SELECT count(*) AS n FROM procrastinate_jobs").fetchone().n == 1


async def test_a_finish_whose_answer_was_lost_is_repeated_and_recognised(dsn, sql, alice):
    warm, job_id = (factories.make_job(sql, alice, status="running") for _ in range(2))
    async with relayed(dsn) as (relay, db):
        recorder = Recorder(db, lease_is_held=lambda: True)
        await recorder.record(completed(warm))
        relay.lose_answers()

        async with asyncio.timeout(10):
            await recorder.record(completed(job_id))

        assert relay.lost_all_answers
    row = factories.job_row(sql, job_id)
    assert (row.status, row.result, row.version) == ("completed", {"n": 1}, factories.job_row(sql, warm).version)
    assert [attempt.outcome for attempt in attempts.attempt_rows(sql, job_id)] == ["completed"]


async def test_a_release_whose_answer_was_lost_delivers_once(dsn, sql, alice):
    """Repeated after another worker has started the job again, it must not take that one's attempt away."""
    warm, job_id = (factories.make_job(sql, alice, status="running") for _ in range(2))
    other = factories.make_worker(sql)

    def release(of: UUID) -> Outcome:
        return Outcome(job_id=of, attempt=1, outcome=AttemptOutcome.RELEASED, status=JobStatus.PENDING)

    async with relayed(dsn) as (relay, db):
        await dispatch.finish_jobs(db, [release(warm)])
        await lose(relay, dispatch.finish_jobs(db, [release(job_id)]))
        sql.execute("DELETE FROM procrastinate_jobs WHERE args ->> 'job_id' = %s", [str(warm)])
        claimed = await again(lambda: dispatch.claim_jobs(db, worker_id=other, queues=["default"], known_types=["test.echo"], slots=5))
        assert [(job.id, job.attempt) for job in claimed.jobs] == [(job_id, 2)]

        assert await dispatch.finish_jobs(db, [release(job_id)]) == []

    row = factories.job_row(sql, job_id)
    assert (row.status, row.attempt, row.worker_id) == ("running", 2, other)


async def test_a_submit_whose_answer_was_lost_makes_one_job_by_its_key(dsn, sql, alice):
    def new(key: str):
        job = jobs.NewJob(
            id=factories.new_id(), owner_id=alice.id, job_type="test.echo", queue="default", title="x", description=None, parameters={},
            tags=[], priority=0, max_attempts=1, scheduled_for=None,
        )  # fmt: skip
        return job, jobs.IdempotencyKey(key=key, body_sha256=b"x" * 32)

    async with relayed(dsn) as (relay, db):
        await jobs.submit_job(db, *new("warm"))
        first, key = new("key")
        await lose(relay, jobs.submit_job(db, first, key))

        second, key = new("key")
        assert await again(lambda: jobs.submit_job(db, second, key)) is None
        assert await jobs.find_idempotency_key(db, alice.id, "key") == (first.id, b"x" * 32)

    assert sql.execute("SELECT count(*) AS n FROM jobs").fetchone().n == 2
    assert factories.job_row(sql, first.id).status == "pending"


async def test_a_cancel_whose_answer_was_lost_holds_and_may_be_repeated(dsn, sql, alice):
    warm, job_id = (factories.make_job(sql, alice) for _ in range(2))
    act = Act(actor_id=alice.id)
    async with relayed(dsn) as (relay, db):
        await jobs.cancel_job(db, warm, owner_id=alice.id, act=act)
        await lose(relay, jobs.cancel_job(db, job_id, owner_id=alice.id, act=act))

        assert await again(lambda: jobs.cancel_job(db, job_id, owner_id=alice.id, act=act)) is None
    assert factories.job_row(sql, job_id).status == "cancelled"


async def test_a_rescue_and_a_promotion_whose_answers_were_lost_deliver_once(dsn, sql, alice):
    dead = factories.make_worker(sql, lease_seconds=-1)
    async with relayed(dsn) as (relay, db):
        await dispatch.rescue_jobs(db)
        await dispatch.promote_jobs(db)
        lost = factories.make_job(sql, alice, status="running", worker_id=dead)
        await lose(relay, dispatch.rescue_jobs(db))
        assert await again(lambda: dispatch.rescue_jobs(db)) == []

        await again(lambda: dispatch.promote_jobs(db))
        due = factories.make_job(sql, alice, scheduled_for=factories._now(sql))
        await lose(relay, dispatch.promote_jobs(db))
        assert await again(lambda: dispatch.promote_jobs(db)) == 0

    delivered = [row.job_id for row in sql.execute("SELECT args ->> 'job_id' AS job_id FROM procrastinate_jobs")]
    assert sorted(delivered) == sorted([str(lost), str(due)])
