"""Run one attempt: find its handler, run it with a timeout, and make an outcome of however it ends.

No transaction is open while a handler runs. An attempt that is fenced off has no outcome. Not here: recording it
(`worker.manager`), and when a stop is asked for (`worker.service`).
"""

import asyncio
import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import structlog

from jobhub.domain import backoff
from jobhub.domain.errors import InvalidInput, JobFailed
from jobhub.domain.job_types import JobType, Registry
from jobhub.domain.jobs import AttemptOutcome, ClaimedJob, JobStatus, Outcome
from jobhub.domain.validation import convert
from jobhub.store.database import Database
from jobhub.worker.manager import released
from jobhub.worker.process_handler import ProcessDied, run_in_process
from jobhub.worker.progress import Progress
from jobhub.worker.quarantine import lost, runs_apart
from jobhub.worker.running import RunningJob, StopReason
from jobhub.worker.texts import NotStorable, storable_result, storable_text, traceback_text

# A handler that was told to stop is told again after each of these seconds, and given up after the last.
STOP_PATIENCE_SECONDS = (5.0, 5.0, 5.0)

_log = structlog.get_logger("jobhub.worker")


class Context:
    """The `JobContext` of an `async def` handler."""

    def __init__(self, running: RunningJob, progress: Progress) -> None:
        self.job_id: UUID = running.claimed.id
        self.owner_id: UUID = running.claimed.owner_id
        self.attempt: int = running.claimed.attempt
        self.log = structlog.get_logger("jobhub.handler").bind(
            job_id=str(running.claimed.id), job_type=running.claimed.job_type, attempt=running.claimed.attempt
        )
        self._running = running
        self._progress = progress

    @property
    def cancel_requested(self) -> bool:
        return self._running.stop_reason is StopReason.CANCELLED

    async def progress(self, percentage: float, message: str | None = None) -> None:
        self._progress.report(percentage, message)
        await asyncio.sleep(0)  # a handler that does nothing but report must not keep the loop to itself


class HandlerExit(Exception):
    """A handler raised what would end the whole process: SystemExit, KeyboardInterrupt or the like."""


async def run_job(running: RunningJob, *, registry: Registry, db: Database) -> None:
    """Run the attempt to its end and leave its outcome in `running.outcome`; None if there is nothing to record. Never raises."""
    try:
        running.outcome = await _attempt(running, registry, db)
    except Exception as error:
        _log.error("attempt_broke", job_id=str(running.claimed.id), exc_info=error)
        running.outcome = _failed(running.claimed, "internal_error", "jobhub itself failed to run this attempt.", error=error)
    if running.stop_reason is StopReason.FENCED:
        running.outcome = None


async def _attempt(running: RunningJob, registry: Registry, db: Database) -> Outcome | None:
    claimed = running.claimed
    job_type = registry.get(claimed.job_type)
    if job_type is None:
        message = f"No worker knows the job type {claimed.job_type!r} any more."
        return _failed(claimed, "unknown_job_type", message, retryable=False)
    try:
        parameters = convert(claimed.parameters, job_type.parameters, pointer="/parameters")
    except InvalidInput as error:
        message = f"The parameters don't fit the job type as this worker knows it: {error}"
        return _failed(claimed, "invalid_parameters", message, retryable=False)
    progress = Progress(db, claimed)
    try:
        return await _run_handler(running, job_type, parameters, progress)
    finally:
        await progress.close()


async def _run_handler(running: RunningJob, job_type: JobType, parameters: Any, progress: Progress) -> Outcome | None:
    if running.stopped.is_set():
        return _outcome_of_stopped(running, job_type, has_ended=True)
    context = Context(running, progress)
    apart = runs_apart(job_type, running.claimed)
    work = run_in_process(job_type, running, progress) if apart else _guarded(job_type.handler, context, parameters)
    handler = asyncio.create_task(work, name=f"{job_type.name} {running.claimed.id}")
    stopped = asyncio.create_task(running.stopped.wait())
    try:
        # A process watches its time itself, from when it has started.
        timeout = None if apart else job_type.timeout_seconds
        await asyncio.wait({handler, stopped}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()
    if handler.done():
        return _outcome_of(running.claimed, job_type, handler)
    if not running.stopped.is_set():
        running.stop(StopReason.TIMED_OUT)
    has_ended = await _stop(handler)
    if has_ended and not handler.cancelled():
        handler.exception()  # looked at, so that asyncio doesn't complain; the reason for the stop is what counts
    return _outcome_of_stopped(running, job_type, has_ended=has_ended)


async def _guarded(handler: Callable[..., Any], context: Context, parameters: Any) -> Any:
    try:
        return await handler(context, parameters)
    except (SystemExit, KeyboardInterrupt, GeneratorExit) as error:
        # asyncio lets these through a task and into the loop, which would end the worker.
        raise HandlerExit(f"The handler raised {type(error).__name__}.") from error


async def _stop(handler: asyncio.Task[Any]) -> bool:
    """Cancel a handler, more than once if need be; whether it ended."""
    for patience in STOP_PATIENCE_SECONDS:
        handler.cancel()
        await asyncio.wait({handler}, timeout=patience)
        if handler.done():
            return True
    return False


def _outcome_of(claimed: ClaimedJob, job_type: JobType, handler: asyncio.Task[Any]) -> Outcome:
    """What a handler that ended by itself has to say."""
    if handler.cancelled():
        return _failed(claimed, "cancelled_internally", "Something inside the handler cancelled it, though nobody had asked for that.")
    match handler.exception():
        case None:
            return _completed(claimed, handler.result())
        case ProcessDied() as error if not job_type.runs_in_process:
            return lost(claimed, error)
        case JobFailed() as error:
            return _failed(claimed, error.error_code, error.message, error=error, retryable=error.retryable)
        case NotStorable() as error:  # found out by the process that ran it
            return _failed(claimed, "result_not_serialisable", str(error), retryable=False)
        case HandlerExit() as error:
            return _failed(claimed, "handler_error", str(error), error=error)
        case error:
            return _failed(claimed, "handler_error", f"The handler raised {type(error).__name__}.", error=error)


def _completed(claimed: ClaimedJob, result: Any) -> Outcome:
    try:
        plain = storable_result(result)
    except NotStorable as error:
        return _failed(claimed, "result_not_serialisable", str(error), retryable=False)
    return Outcome(job_id=claimed.id, attempt=claimed.attempt, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED, result=plain)


def _outcome_of_stopped(running: RunningJob, job_type: JobType, *, has_ended: bool) -> Outcome | None:
    """What becomes of an attempt that was told to stop, whatever its handler made of that, or before it could start."""
    claimed = running.claimed
    if not has_ended:
        _log.error("handler_ignores_cancellation", job_id=str(claimed.id), job_type=claimed.job_type, attempt=claimed.attempt)
    match running.stop_reason:
        case StopReason.CANCELLED if has_ended:
            return Outcome(job_id=claimed.id, attempt=claimed.attempt, outcome=AttemptOutcome.CANCELLED, status=JobStatus.CANCELLED)
        case StopReason.CANCELLED:
            message = f"The handler was asked to stop and had not done so after {sum(STOP_PATIENCE_SECONDS):.0f} s."
            return _failed(claimed, "cancel_ignored", message, retryable=False)
        case StopReason.TIMED_OUT:
            return _failed(claimed, "timed_out", f"The handler took longer than the {job_type.timeout_seconds:g} s it may take.")
        case StopReason.SHUTDOWN:
            return released(claimed)
        case _:
            return None


def _failed(claimed: ClaimedJob, code: object, message: object, *, error: BaseException | None = None, retryable: bool = True) -> Outcome:
    """A failed attempt, followed by another one if it may and there is one left."""
    failed_attempts = claimed.failed_attempts + 1
    again = retryable and failed_attempts < claimed.max_attempts
    return Outcome(
        job_id=claimed.id,
        attempt=claimed.attempt,
        outcome=AttemptOutcome.FAILED,
        status=JobStatus.PENDING if again else JobStatus.FAILED,
        error_code=storable_text(code, 100),
        error_message=storable_text(message),
        traceback=traceback_text(error) if error else None,
        delay_seconds=backoff.delay_seconds(failed_attempts, random=random.random()) if again else 0.0,  # noqa: S311 - jitter
    )
