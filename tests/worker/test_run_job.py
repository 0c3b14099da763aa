"""Every way an attempt can end, from the claim to the row it leaves."""

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

import jobhub
from jobhub.store import dispatch
from jobhub.worker import run_job as module
from jobhub.worker.run_job import run_job
from jobhub.worker.running import RunningJob, StopReason
from tests import factories


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    """No parameters."""


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def handler_that(work, name: str = "test.it", **policies: Any):
    """A job type whose handler does `work(ctx)`."""

    @jobhub.job_type(name, **policies)
    async def handler(ctx: jobhub.JobContext, params: Nothing) -> Any:
        return await work(ctx)

    return handler


def raising(error: BaseException):
    async def work(ctx):
        raise error

    return work


def returning(value: Any):
    async def work(ctx):
        return value

    return work


@pytest.fixture
def attempt(db, sql, alice):
    """Run one attempt of a job whose handler does `work`, record its outcome, and return the job's row."""

    async def run(work, *, stop: StopReason | None = None, columns: dict[str, Any] | None = None, **policies: Any):
        registry = factories.make_registry(handler_that(work, **policies))
        job_type = registry.get("test.it")
        job_id = factories.make_job(sql, alice, job_type="test.it", max_attempts=job_type.retry.max_attempts, **columns or {})
        claim = await dispatch.claim_jobs(db, worker_id=factories.make_worker(sql), queues=["default"], known_types=["test.it"], slots=1)
        running = RunningJob(claim.jobs[0])
        has_ended = asyncio.Event()
        running.on_end = lambda _: has_ended.set()
        task = asyncio.create_task(run_job(running, registry=registry, db=db))
        if stop:
            await asyncio.sleep(0)
            running.stop(stop)
        ending = asyncio.create_task(has_ended.wait())  # a handler that is given up goes on
        await asyncio.wait({task, ending}, timeout=30, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if running.outcome:
            await dispatch.finish_jobs(db, [running.outcome])
        return factories.job_row(sql, job_id)

    return run


def attempts(sql):
    return sql.execute("SELECT outcome, error_code, error_message, traceback FROM job_attempts ORDER BY number").fetchall()


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "text", [], [1, [2]], {"a": {"b": None}}, 2**70])
async def test_a_json_result_is_kept_as_it_is(attempt, value):
    job = await attempt(returning(value))

    assert (job.status, job.result, job.progress_percentage) == ("completed", value, 100)


async def test_what_postgresql_cannot_hold_is_replaced(attempt):
    job = await attempt(returning({"a\0": "b\0", "c": "\ud800"}))

    assert job.result == {"a\ufffd": "b\ufffd", "c": "\ufffd"}


async def test_a_result_with_dates_and_structs_is_made_json(attempt):
    job = await attempt(returning({"at": datetime(2026, 1, 2, tzinfo=UTC), "struct": Nothing()}))

    assert job.result == {"at": "2026-01-02T00:00:00Z", "struct": {}}


@pytest.mark.parametrize("value", [object(), {1, object()}, math.nan, math.inf, {"deep": [math.nan]}, "x" * 9_000_000])
async def test_a_result_that_cannot_be_kept_fails_the_job_for_good(attempt, value):
    job = await attempt(returning(value), retry=jobhub.Retry(max_attempts=5))

    assert (job.status, job.error_code) == ("failed", "result_not_serialisable")


async def test_job_failed_speaks_to_the_user(attempt, sql):
    job = await attempt(raising(jobhub.JobFailed("Card declined.", code="card_declined")))

    assert (job.status, job.error_code, job.error_message) == ("failed", "card_declined", "Card declined.")
    assert attempts(sql)[0].outcome == "failed"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("secret detail"), "The handler raised ValueError."),
        (Unprintable(), "The handler raised Unprintable."),
        (SystemExit(0), "The handler raised SystemExit."),
        (KeyboardInterrupt(), "The handler raised KeyboardInterrupt."),
    ],
)
async def test_any_other_exception_shows_its_class_to_the_user_and_the_rest_to_the_administrator(attempt, sql, error, message):
    job = await attempt(raising(error))

    assert (job.status, job.error_code, job.error_message) == ("failed", "handler_error", message)
    assert type(error).__name__ in attempts(sql)[0].traceback


async def test_a_handler_that_cancels_itself_has_failed(attempt):
    job = await attempt(raising(asyncio.CancelledError()))

    assert (job.status, job.error_code) == ("failed", "cancelled_internally")


async def test_a_failure_with_attempts_left_waits_for_its_next_one(attempt, sql):
    job = await attempt(raising(jobhub.JobFailed("Try later.", code="later")), retry=jobhub.Retry(max_attempts=2))

    assert (job.status, job.failed_attempts, job.error_code) == ("pending", 1, "later")
    assert job.deliver_at == job.scheduled_for == job.due_at
    assert 0.8 < (job.deliver_at - job.updated_at).total_seconds() < 1.2


async def test_the_last_attempt_is_final(attempt):
    columns = {"attempt": 1, "failed_attempts": 1}

    job = await attempt(raising(jobhub.JobFailed("Again.")), columns=columns, retry=jobhub.Retry(max_attempts=2))

    assert (job.status, job.failed_attempts) == ("failed", 2)


async def test_a_failure_that_is_not_retryable_is_final(attempt):
    job = await attempt(raising(jobhub.JobFailed("Never.", retryable=False)), retry=jobhub.Retry(max_attempts=5))

    assert job.status == "failed"


async def test_a_handler_that_takes_too_long_has_timed_out(attempt):
    job = await attempt(lambda ctx: asyncio.sleep(60), timeout_seconds=0.05)

    assert (job.status, job.error_code) == ("failed", "timed_out")


async def ignoring(ctx):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if time.monotonic() > ignoring.until:
                raise


ignoring.until = 0.0


async def test_a_handler_that_ignores_its_cancellation_is_given_up_and_reported(attempt, monkeypatch):
    monkeypatch.setattr(module, "STOP_PATIENCE_SECONDS", (0.01, 0.01))
    ignoring.until = time.monotonic() + 0.5

    job = await attempt(ignoring, stop=StopReason.CANCELLED)

    assert (job.status, job.error_code) == ("failed", "cancel_ignored")
    ignoring.until = 0.0
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def tidy(ctx):
    try:
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.sleep(0)  # closing what is open takes a moment
        return "half done"


@pytest.mark.parametrize(
    ("reason", "status", "outcome"), [(StopReason.CANCELLED, "cancelled", "cancelled"), (StopReason.SHUTDOWN, "pending", "released")]
)
async def test_the_reason_of_a_stop_decides_whatever_the_handler_makes_of_it(attempt, sql, reason, status, outcome):
    job = await attempt(tidy, stop=reason)

    assert (job.status, job.failed_attempts, job.result) == (status, 0, None)
    assert attempts(sql)[0].outcome == outcome
    assert (job.delivery_id is not None) == (status == "pending")


async def test_a_fenced_attempt_records_nothing(attempt, sql):
    job = await attempt(tidy, stop=StopReason.FENCED)

    assert job.status == "running"
    assert attempts(sql) == []


async def test_parameters_that_no_longer_fit_fail_the_job_for_good(attempt):
    job = await attempt(returning(1), columns={"parameters": '{"gone": 1}'}, retry=jobhub.Retry(max_attempts=5))

    assert (job.status, job.error_code) == ("failed", "invalid_parameters")
    assert "/parameters/gone" in job.error_message


async def test_progress_of_a_failed_attempt_stays_visible(attempt):
    async def work(ctx):
        await ctx.progress(30, "a third")
        await ctx.progress(20)
        await ctx.progress(60, "more\0")
        await ctx.progress("nonsense")
        raise jobhub.JobFailed("Enough.")

    job = await attempt(work)

    assert (job.status, job.progress_percentage, job.progress_message) == ("failed", 60, "more\ufffd")


async def test_the_context_knows_the_job(attempt, alice):
    async def work(ctx):
        return [str(ctx.job_id), str(ctx.owner_id), ctx.attempt, ctx.cancel_requested]

    job = await attempt(work)

    assert job.result == [str(job.id), str(alice.id), 1, False]
