"""How an attempt ends that was told to stop: cancelled, timed out, fenced off or given back."""

import asyncio
from typing import Any

import psycopg
import pytest

import jobhub
from jobhub.domain.users import User
from jobhub.store import jobs
from jobhub.store.database import Database
from jobhub.worker import run_job
from jobhub.worker.running import RunningJob, StopReason
from tests import factories
from tests.factories import Nothing
from tests.worker import attempts

BRIEF = (0.05, 0.05, 0.05)


@jobhub.job_type("test.slow", timeout_seconds=0.1)
async def slow(ctx: jobhub.JobContext, params: Nothing) -> None:
    await asyncio.sleep(60)


@jobhub.job_type("test.stubborn", timeout_seconds=0.1)
async def stubborn(ctx: jobhub.JobContext, params: Nothing) -> None:
    await ignore_cancellation(0.5)


@jobhub.job_type("test.hard_of_hearing")
async def hard_of_hearing(ctx: jobhub.JobContext, params: Nothing) -> None:
    await ignore_cancellation(0.5)


async def ignore_cancellation(seconds: float) -> None:
    """Stay for so long, whatever is asked."""
    ends = asyncio.get_running_loop().time() + seconds
    while (left := ends - asyncio.get_running_loop().time()) > 0:
        try:
            await asyncio.sleep(left)
        except asyncio.CancelledError:
            continue


class Stage:
    """An attempt that runs in the background of the test."""

    def __init__(self, db: Database, running: RunningJob, task: asyncio.Task[None]) -> None:
        self._db = db
        self.running = running
        self.task = task

    async def end(self) -> None:
        async with asyncio.timeout(10):
            await self.task
        await attempts.record(self._db, self.running)


async def start(db: Database, sql: psycopg.Connection, owner: User, handler: Any, **columns: Any) -> Stage:
    registry = factories.make_registry(handler)
    factories.make_job(sql, owner, job_type=handler.__jobhub_job_type__.name, **columns)
    running = await attempts.claim(db, sql, registry)
    task = asyncio.create_task(run_job.run_job(running, registry=registry, db=db))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return Stage(db, running, task)


def row_of(sql: psycopg.Connection, stage: Stage) -> Any:
    return factories.job_row(sql, stage.running.claimed.id)


async def test_a_handler_that_takes_too_long_is_stopped(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await attempts.run_new(db, sql, alice, slow)

    assert (row.status, row.error_code) == ("failed", "timed_out")
    assert row.error_message == "The handler took longer than the 0.1 s it may take."


async def test_a_timeout_is_retried_like_any_failure(db: Database, sql: psycopg.Connection, alice: User) -> None:
    row = await attempts.run_new(db, sql, alice, slow, max_attempts=2)

    assert (row.status, row.error_code, row.failed_attempts) == ("pending", "timed_out", 1)


async def test_a_handler_that_swallows_its_timeout_is_given_up(
    db: Database, sql: psycopg.Connection, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_job, "STOP_PATIENCE_SECONDS", BRIEF)

    row = await attempts.run_new(db, sql, alice, stubborn)

    assert (row.status, row.error_code) == ("failed", "timed_out")


async def test_a_handler_is_told_again_until_it_listens(db: Database, sql: psycopg.Connection, alice: User) -> None:
    told = []

    @jobhub.job_type("test.reluctant")
    async def reluctant(ctx: jobhub.JobContext, params: Nothing) -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                told.append(ctx.cancel_requested)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_job, "STOP_PATIENCE_SECONDS", BRIEF)
        stage = await start(db, sql, alice, reluctant)
        stage.running.stop(StopReason.CANCELLED)
        await stage.end()

    assert told == [True, True, True]
    assert row_of(sql, stage).status == "cancelled"


async def test_a_running_job_that_is_cancelled_ends_cancelled(db: Database, sql: psycopg.Connection, alice: User) -> None:
    stage = await start(db, sql, alice, factories.sleep)

    stage.running.stop(StopReason.CANCELLED)
    await stage.end()

    row = row_of(sql, stage)
    assert (row.status, row.error_code) == ("cancelled", None)
    assert attempts.attempt_rows(sql, row.id)[0].outcome == "cancelled"


async def test_a_cancel_that_comes_after_the_handler_ended_changes_nothing(db: Database, sql: psycopg.Connection, alice: User) -> None:
    stage = await start(db, sql, alice, factories.echo)
    await stage.task

    stage.running.stop(StopReason.CANCELLED)
    sql.execute("UPDATE jobs SET cancel_requested_at = now()")
    await stage.end()

    assert row_of(sql, stage).status == "completed"


async def test_a_cancel_that_is_ignored_fails_the_job(
    db: Database, sql: psycopg.Connection, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_job, "STOP_PATIENCE_SECONDS", BRIEF)
    stage = await start(db, sql, alice, hard_of_hearing, max_attempts=5)

    stage.running.stop(StopReason.CANCELLED)
    await stage.end()

    row = row_of(sql, stage)
    assert (row.status, row.error_code) == ("failed", "cancel_ignored")


async def test_a_job_asked_to_stop_is_cancelled_when_its_attempt_fails_though_there_are_attempts_left(
    db: Database, sql: psycopg.Connection, alice: User
) -> None:
    stage = await start(db, sql, alice, slow, max_attempts=3)
    sql.execute("UPDATE jobs SET cancel_requested_at = now()")

    await stage.end()

    row = row_of(sql, stage)
    assert (row.status, row.deliver_at, row.delivery_id) == ("cancelled", None, None)
    assert attempts.attempt_rows(sql, row.id)[0].outcome == "failed"


async def test_a_job_given_back_is_pending_again_and_has_not_failed(db: Database, sql: psycopg.Connection, alice: User) -> None:
    stage = await start(db, sql, alice, factories.sleep)

    stage.running.stop(StopReason.SHUTDOWN)
    await stage.end()

    row = row_of(sql, stage)
    assert (row.status, row.failed_attempts, row.lost_attempts, row.attempt) == ("pending", 0, 0, 1)
    assert attempts.attempt_rows(sql, row.id)[0].outcome == "released"


async def test_the_first_reason_to_stop_counts(db: Database, sql: psycopg.Connection, alice: User) -> None:
    stage = await start(db, sql, alice, factories.sleep)

    stage.running.stop(StopReason.CANCELLED)
    stage.running.stop(StopReason.SHUTDOWN)
    await stage.end()

    assert row_of(sql, stage).status == "cancelled"


async def test_a_fenced_attempt_leaves_no_outcome_even_if_it_was_told_to_stop_before(
    db: Database, sql: psycopg.Connection, alice: User
) -> None:
    stage = await start(db, sql, alice, factories.sleep)

    stage.running.stop(StopReason.CANCELLED)
    stage.running.stop(StopReason.FENCED)
    await stage.end()

    assert stage.running.outcome is None


async def test_an_attempt_fenced_while_its_handler_ends_by_itself_leaves_no_outcome(
    db: Database, sql: psycopg.Connection, alice: User
) -> None:
    stages: list[Stage] = []

    @jobhub.job_type("test.photo_finish")
    async def photo_finish(ctx: jobhub.JobContext, params: Nothing) -> str:
        await attempts.until(lambda: stages)
        stages[0].running.stop(StopReason.FENCED)
        return "first"

    stages.append(await start(db, sql, alice, photo_finish))
    await stages[0].end()

    assert stages[0].running.outcome is None
    assert row_of(sql, stages[0]).status == "running"


async def test_the_late_outcome_of_a_force_completed_job_is_dropped(
    db: Database, sql: psycopg.Connection, alice: User, admin: User
) -> None:
    stage = await start(db, sql, alice, factories.echo)
    await stage.task
    await jobs.force_complete_job(db, stage.running.claimed.id, result={"by": "hand"}, act=jobs.Act(actor_id=admin.id))

    await stage.end()

    row = row_of(sql, stage)
    assert (row.status, row.result) == ("completed", {"by": "hand"})
    assert [attempt.outcome for attempt in attempts.attempt_rows(sql, row.id)] == ["superseded"]


@pytest.mark.parametrize(
    ("reason", "status"), [(StopReason.CANCELLED, "cancelled"), (StopReason.SHUTDOWN, "pending"), (StopReason.FENCED, "running")]
)
async def test_an_attempt_stopped_before_its_start_never_enters_its_handler(
    db: Database, sql: psycopg.Connection, alice: User, reason: StopReason, status: str
) -> None:
    entered = []

    @jobhub.job_type("test.enter")
    async def enter(ctx: jobhub.JobContext, params: Nothing) -> None:
        entered.append(ctx.job_id)

    registry = factories.make_registry(enter)
    job_id = factories.make_job(sql, alice, job_type="test.enter")
    running = await attempts.claim(db, sql, registry)

    running.stop(reason)
    await run_job.run_job(running, registry=registry, db=db)
    await attempts.record(db, running)

    assert entered == []
    assert factories.job_row(sql, job_id).status == status
