"""Run one attempt: find its handler, run it with a timeout, and make an outcome of however it ends.

No transaction is open while a handler runs. An attempt is one task, and the handler runs in it: stopping is cancelling that task. Not
here: recording the outcome (`worker.manager`), and when a stop is asked for (`worker.service`).
"""

import asyncio
import random
from collections.abc import Callable
from functools import cached_property
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
from jobhub.worker.process_handler import run_in_process
from jobhub.worker.progress import Progress
from jobhub.worker.running import RunningJob, StopReason
from jobhub.worker.texts import NotStorable, encoded_result, storable_text, traceback_text

# A handler that was told to stop is told again after each of these seconds, and given up after the last.
STOP_PATIENCE_SECONDS = (5.0, 5.0, 5.0)

_log = structlog.get_logger("jobhub.worker")


class Context:
    """The `JobContext` of an `async def` handler."""

    def __init__(self, running: RunningJob, progress: Progress) -> None:
        self.job_id: UUID = running.claimed.id
        self.owner_id: UUID = running.claimed.owner_id
        self.attempt: int = running.claimed.attempt
        self._running = running
        self._progress = progress

    @cached_property
    def log(self) -> Any:
        """Made when it is first used: binding costs more than all else a short job needs."""
        claimed = self._running.claimed
        return structlog.get_logger("jobhub.handler").bind(job_id=str(claimed.id), job_type=claimed.job_type, attempt=claimed.attempt)

    @property
    def cancel_requested(self) -> bool:
        return self._running.stop_reason is StopReason.CANCELLED

    async def progress(self, percentage: float, message: str | None = None) -> None:
        self._progress.report(percentage, message)


class Persuasion:
    """Cancels the task of a handler, more than once if need be, until it ends or is given up."""

    def __init__(self, on_given_up: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._on_given_up = on_given_up
        self._next: asyncio.Handle | None = None
        self._has_ended = False

    def begin(self) -> None:
        """Start, unless that was done before. Not at once: a handler may be who calls this, and about to end."""
        if self._next is None:
            self._next = self._loop.call_soon(self._insist, list(STOP_PATIENCE_SECONDS))

    def _insist(self, patience: list[float]) -> None:
        if self._has_ended:
            return
        if not patience:
            self._on_given_up()
            return
        assert self._task is not None
        self._task.cancel()
        self._next = self._loop.call_later(patience[0], self._insist, patience[1:])

    def end(self) -> None:
        """The handler has ended, one way or another."""
        self._has_ended = True
        if self._next is not None and self._task is not None:
            self._next.cancel()
            while self._task.cancelling():
                self._task.uncancel()


async def run_job(running: RunningJob, *, registry: Registry, db: Database) -> None:
    """Run the attempt and say how it ended: `running.end`. Never raises.

    That is said earlier if the handler won't end, so don't wait for this.
    """
    try:
        outcome = await _attempt(running, registry, db)
    except Exception as error:
        _log.error("attempt_broke", job_id=str(running.claimed.id), exc_info=error)
        outcome = _failed(running.claimed, "internal_error", "jobhub itself failed to run this attempt.", error=error)
    running.end(outcome)


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
    if running.stop_reason:
        return _outcome_of_stopped(running, job_type, has_ended=True)
    progress = Progress(db, claimed)
    try:
        return await _run_handler(running, job_type, parameters, progress)
    finally:
        if progress.is_used:
            await progress.close()


async def _run_handler(running: RunningJob, job_type: JobType, parameters: Any, progress: Progress) -> Outcome | None:
    persuasion = Persuasion(lambda: running.end(_outcome_of_stopped(running, job_type, has_ended=False)))
    running.on_stop = persuasion.begin
    timeout = asyncio.get_running_loop().call_later(job_type.timeout_seconds, running.stop, StopReason.TIMED_OUT)
    result, failure = None, None
    try:
        if job_type.runs_in_process:
            result = await run_in_process(job_type, running, progress)
        else:
            result = await job_type.handler(Context(running, progress), parameters)
    except BaseException as error:  # asyncio would let SystemExit and its like through, into the loop, and end the worker
        failure = error
    finally:
        timeout.cancel()
        running.on_stop = None
        persuasion.end()
    if running.stop_reason:  # what counts, whatever the handler made of it
        return _outcome_of_stopped(running, job_type, has_ended=True)
    return _outcome_of_failure(running.claimed, failure) if failure else _completed(running.claimed, result)


def _outcome_of_failure(claimed: ClaimedJob, failure: BaseException) -> Outcome:
    """What a handler that failed by itself has to say."""
    match failure:
        case JobFailed() as error:
            return _failed(claimed, str(error.error_code), str(error.message), error=error, retryable=error.retryable)
        case NotStorable() as error:  # found out by the process that ran it
            return _failed(claimed, "result_not_serialisable", str(error), retryable=False)
        case asyncio.CancelledError():
            message = "Something inside the handler cancelled it, though nobody had asked for that."
            return _failed(claimed, "cancelled_internally", message)
        case error:
            return _failed(claimed, "handler_error", f"The handler raised {type(error).__name__}.", error=error)


def _completed(claimed: ClaimedJob, result: Any) -> Outcome:
    try:
        encoded = encoded_result(result)
    except NotStorable as error:
        return _failed(claimed, "result_not_serialisable", str(error), retryable=False)
    return Outcome(job_id=claimed.id, attempt=claimed.attempt, outcome=AttemptOutcome.COMPLETED, status=JobStatus.COMPLETED, result=encoded)


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


def _failed(claimed: ClaimedJob, code: str, message: str, *, error: BaseException | None = None, retryable: bool = True) -> Outcome:
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
