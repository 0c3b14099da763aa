"""Handlers in a process of their own, which can be killed with everything it started. The parent's side.

Over the child's standard input go one line with the order and, when it is time, one that says to stop; over a pipe of its own come
lines of JSON: that it starts, progress, and at the end a result or a failure. What it prints comes over another one (`worker.output`).
Not here: the child's side (`worker.child`), and which attempts run in a process (`worker.quarantine`).
"""

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any

import msgspec
import structlog

from jobhub.domain.errors import JobFailed
from jobhub.domain.job_types import JobType
from jobhub.worker.messages import (
    CANCEL,
    MAX_LINE_BYTES,
    STOP,
    FailureMessage,
    Message,
    Order,
    ProgressMessage,
    ResultMessage,
    StartedMessage,
)
from jobhub.worker.output import log_output
from jobhub.worker.pipe import LineTooLong, Pipe, lines
from jobhub.worker.progress import Progress
from jobhub.worker.running import RunningJob, StopReason
from jobhub.worker.texts import NotStorable

# How long a handler that was told to stop may tidy up before it is killed.
KILL_AFTER_SECONDS = 2.0
# A coroutine is used to more patience. Less than STOP_PATIENCE_SECONDS of run_job, whose second call ends the conversation.
KILL_COROUTINE_AFTER_SECONDS = 4.0
# How much longer than its handler may take a process may take to start: it imports the handler's module, on a machine that may be busy.
START_SECONDS = 60.0

_log = structlog.get_logger("jobhub.handler")


class HandlerFailed(JobFailed):
    """A failure in the child, with the traceback it had there."""

    def __init__(self, failure: FailureMessage) -> None:
        super().__init__(failure.message, code=failure.code, retryable=failure.retryable)
        self.add_note(failure.traceback)


class ProcessDied(JobFailed):
    """The child ended without a result."""

    def __init__(self, how: str) -> None:
        super().__init__(f"The handler's process {how} before it gave a result.", code="process_died")


async def run_in_process(job_type: JobType, running: RunningJob, progress: Progress) -> Any:
    """The handler's result. The process watches its time: `running` is told to stop when `timeout_seconds` are over.

    Raises:
        JobFailed: the handler failed, or its process died (ProcessDied).
        NotStorable: what it returned is no JSON.
    """
    messages, output = Pipe(), Pipe()
    try:
        process = await _start(messages, output)
    except BaseException:
        output.close()
        messages.close()
        raise
    log = _log.bind(job_id=str(running.claimed.id), job_type=job_type.name, attempt=running.claimed.attempt)
    printing = asyncio.create_task(log_output(output, log), name="log a handler's output")
    burial = asyncio.create_task(_bury(process, messages, output), name="bury a handler's process")
    try:
        return await _converse(process, job_type, running, messages, progress)
    finally:
        # Whatever the handler has started goes with it, also after a success.
        _kill_group(process)
        messages.close()
        await asyncio.wait({burial, printing})


async def _start(messages: Pipe, output: Pipe) -> asyncio.subprocess.Process:
    try:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "jobhub.worker.child",
            str(messages.write_end),
            stdin=asyncio.subprocess.PIPE,
            stdout=output.write_end,
            stderr=output.write_end,
            pass_fds=(messages.write_end,),
            start_new_session=True,
        )
    except OSError as error:
        raise JobFailed(f"The handler's process could not be started: {error.strerror}.", code="process_not_started") from error
    finally:
        messages.close_write_end()
        output.close_write_end()


async def _bury(process: asyncio.subprocess.Process, *pipes: Pipe) -> None:
    """When it has died, kill what it started, and wait for nothing that still holds our pipes open."""
    await process.wait()
    _kill_group(process)
    for pipe in pipes:
        pipe.end()


def _kill_group(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _converse(process: asyncio.subprocess.Process, job_type: JobType, running: RunningJob, messages: Pipe, progress: Progress) -> Any:
    clock = _Clock(running)
    clock.set(START_SECONDS + job_type.timeout_seconds)
    try:
        await _send(process, msgspec.json.encode(_order(job_type, running)))
        return await _listen(process, messages, progress, on_started=lambda: clock.set(job_type.timeout_seconds))
    except asyncio.CancelledError:
        await _send(process, CANCEL if running.stop_reason is StopReason.CANCELLED else STOP)
        # A fenced attempt may soon run elsewhere: it must be gone within MARGIN_SECONDS of the lease.
        is_patient = not job_type.runs_in_process and running.stop_reason is not StopReason.FENCED
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(KILL_COROUTINE_AFTER_SECONDS if is_patient else KILL_AFTER_SECONDS):
                await process.wait()
        raise
    finally:
        clock.stop()


class _Clock:
    """Tells an attempt to stop when its time is over."""

    def __init__(self, running: RunningJob) -> None:
        self._running = running
        self._timer: asyncio.TimerHandle | None = None

    def set(self, seconds: float) -> None:
        self.stop()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._running.stop, StopReason.TIMED_OUT)

    def stop(self) -> None:
        if self._timer:
            self._timer.cancel()


def _order(job_type: JobType, running: RunningJob) -> Order:
    claimed = running.claimed
    return Order(
        module=job_type.handler.__module__,
        job_type=job_type.name,
        job_id=claimed.id,
        owner_id=claimed.owner_id,
        attempt=claimed.attempt,
        parameters=claimed.parameters,
        memory_limit_mb=job_type.memory_limit_mb,
        path=sys.path,
    )


async def _send(process: asyncio.subprocess.Process, line: bytes) -> None:
    assert process.stdin is not None
    with contextlib.suppress(ConnectionError):  # it died; its exit status says more
        process.stdin.write(line + b"\n")
        await process.stdin.drain()


async def _listen(process: asyncio.subprocess.Process, messages: Pipe, progress: Progress, *, on_started: Any) -> Any:
    async with contextlib.aclosing(lines(messages, max_bytes=MAX_LINE_BYTES)) as received:
        try:
            async for line in received:
                match msgspec.json.decode(line, type=Message):
                    case StartedMessage():
                        on_started()
                    case ProgressMessage(percentage=percentage, message=message):
                        progress.report(percentage, message)
                    case ResultMessage(result=result):
                        return result
                    case FailureMessage(is_storable=False, message=text):
                        raise NotStorable(text)
                    case FailureMessage() as failure:
                        raise HandlerFailed(failure)
        except (msgspec.MsgspecError, LineTooLong) as error:
            # The handler wrote over the descriptor that is ours.
            raise ProcessDied("said what makes no sense") from error
    raise ProcessDied(_how(await process.wait()))


def _how(status: int) -> str:
    return f"was killed by signal {-status} ({signal.strsignal(-status)})" if status < 0 else f"ended with status {status}"
